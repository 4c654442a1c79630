/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of a run, for --timing. */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "msb/exec.h"

/**
 * timing_print - append the table: when each phase ended, since msb began, and how long it took
 *
 * Phases that the engine cannot see are left out. Return: 0 or a negative errno.
 */
int timing_print(uint64_t begin_ns, const struct msb_process_times *t, struct buf *out)
	MSB_MUST_CHECK;
