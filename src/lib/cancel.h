/* SPDX-License-Identifier: Apache-2.0 */
/* How a caller ends what it waits for, whatever its way of hearing about that is. */
#pragma once

#include "base/base.h"

struct cancel {
	int fd; /* borrowed; looked at by whoever waits */
	/* @fd is readable: true to end. Takes what is there to read; NULL: being readable means to
	 * end, and nothing is read */
	bool (*asked)(void *arg);
	void *arg;
};

static inline bool cancel_asked(const struct cancel *c)
{
	return !c->asked || c->asked(c->arg);
}
