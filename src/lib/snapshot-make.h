/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of a sandbox, running or not.
 *
 * The disk of a stopped one is copied with its lock held, so that nobody starts it meanwhile. In a
 * running one the guest's agent writes everything back and holds all writes while the disk is
 * copied, for FREEZE_MS at most; a copy only counts if the agent says afterwards that they were
 * held all the time. The image that the disk belongs to is kept from collections by the store's
 * lock until the snapshot, which then keeps it, has its name.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "image/snapshot/snapshot.h"

struct snapshot_make_opts {
	const char *home;
	const char *sandbox;
	const char *name;
	const char *parent; /* directory that gets it; NULL: that of all snapshots */
	const struct opt_list *labels;
	bool replace;
};

/** snapshot_make - @ret: snapshot_close(), also after a failure */
int snapshot_make(const struct snapshot_make_opts *o, struct snapshot *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** snapshot_base_digest - of the file of an image of the installation */
int snapshot_base_digest(const char *path, char ret[DIGEST_TEXT], struct msb_err *err)
	MSB_MUST_CHECK;

/** snapshot_verify - -EBADMSG if its disk is not what was saved */
int snapshot_verify(const struct snapshot *s, struct msb_err *err) MSB_MUST_CHECK;
