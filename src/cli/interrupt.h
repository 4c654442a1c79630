/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that ask msb to end, while it waits for something that must be put in order first. */
#pragma once

#include <signal.h>

#include "base/base.h"
#include "base/err.h"

#include "lib/cancel.h"

struct interrupt {
	struct cancel cancel; /* for the one who waits */
	int signo; /* that came, 0: none */
	sigset_t old_mask;
};

/** interrupt_set - those of @signals to be caught: what the caller had us ignore (nohup, a shell's
 * &) stays ignored */
void interrupt_set(const int *signals, size_t n, sigset_t *ret);

/** interrupt_begin - catch them; what the caller had us ignore stays ignored. Not to be moved until
 * interrupt_end() */
int interrupt_begin(struct interrupt *in, struct msb_err *err) MSB_MUST_CHECK;

/** interrupt_end - the signals do what they did; if one came we die of it, as if it had not been
 * caught */
void interrupt_end(struct interrupt *in);
