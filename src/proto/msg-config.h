/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG on the wire: part of msg.h, which includes it. */
#pragma once

#include "base/base.h"

struct buf;
struct frame;
struct msg_config;

/* Lists to write, each ends with NULL; NULL: empty, also in place of them all. */
struct msg_config_lists {
	const char *const *env;
	const char *const *init_args;
	const char *const *init_env;
};

int msg_put_config(struct buf *out, const struct msg_config *m,
	const struct msg_config_lists *lists) MSB_MUST_CHECK;
int msg_get_config(const struct frame *f, struct msg_config *ret) MSB_MUST_CHECK;
