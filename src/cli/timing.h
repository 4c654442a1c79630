/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of a run, for --timing. */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "proto/msg.h"

struct timing {
	uint64_t begin_ns; /* msb started */
	uint64_t exec_ns; /* the command started */
	uint64_t exit_ns; /* it ended */
	uint64_t end_ns; /* the sandbox was gone */
	struct msg_timing start; /* what the supervisor measured */
};

/**
 * timing_print - append the table: when each phase ended, since msb began, and how long it took
 *
 * Phases that the engine cannot see are left out. Return: 0 or a negative errno.
 */
int timing_print(const struct timing *t, struct buf *out) MSB_MUST_CHECK;
