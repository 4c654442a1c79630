/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FREEZE: the root disk is held still while the host copies it.
 *
 * One thread of the agent does it: write back, freeze, wait until it is told or the time is over,
 * thaw. As a thread of PID 1 nothing in the guest can kill it, and whatever happens to the loop,
 * it thaws: a writer that is held up does not even notice signals, so writes that are never let go
 * would be the end of the guest.
 *
 * The loop itself writes for FS requests and must not be held up: it calls freeze_interrupt()
 * before, which ends the freeze early; the client hears of it and may try again. The end of the
 * stream, of the channel and of the guest end the freeze, too.
 *
 * Threads: `phase`, `error` and `end_error` are written by the thread before it writes to `told`,
 * and read by the loop after it has read from there. Everything else belongs to the loop.
 */
#pragma once

#include "agent/agent.h"

/* What holds and releases the file system; of the root of a guest, or of a test. */
struct freezer {
	int (*freeze)(void); /* writes back, and holds all writers; 0 or -errno */
	int (*thaw)(void); /* -EINVAL if somebody else was quicker */
};

/** freeze_request - a FREEZE frame; a failure breaks the channel */
int freeze_request(struct agent *a, const struct frame *f) MSB_MUST_CHECK;

/** freeze_interrupt - let writers go now, the client is told @error; does not wait */
void freeze_interrupt(struct agent *a, int error);

/** freeze_end - as freeze_interrupt(), and wait until the thread has ended; its stream is left to
 * channel_drop_streams() or the end of the channel */
void freeze_end(struct agent *a);
