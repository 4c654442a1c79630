/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots into and out of archives: a plain tar of manifest, pieces of the disk, and their list.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/snapshot/snapshot.h"

/** snapshot_save - @s as an archive to @fd */
int snapshot_save(const struct snapshot *s, int fd, struct msb_err *err) MSB_MUST_CHECK;

struct snapshot_load {
	const char *home;
	const char *lib_dir; /* NULL: that of the running program */
	int fd; /* of the archive, borrowed */
	const char *parent; /* directory that gets it; NULL: that of all snapshots */
	bool replace;
};

/**
 * snapshot_load - the snapshot in an archive
 * @ret: snapshot_close(), also after a failure
 *
 * It has its name when its disk was compared with the digest in its manifest.
 */
int snapshot_load(const struct snapshot_load *l, struct snapshot *ret, struct msb_err *err)
	MSB_MUST_CHECK;
