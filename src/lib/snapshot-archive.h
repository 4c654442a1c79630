/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots into and out of archives: a plain tar of manifest, pieces of the disk, and their list.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/snapshot/snapshot.h"

/** snapshot_save - @s as an archive to @fd */
int snapshot_save(const struct snapshot *s, int fd, struct msb_err *err) MSB_MUST_CHECK;

/**
 * snapshot_load - the snapshot in the archive @fd
 * @parent: directory that gets it; NULL: that of all snapshots
 * @ret: snapshot_close(), also after a failure
 *
 * It has its name when its disk was compared with the digest in its manifest.
 */
int snapshot_load(const char *home, int fd, const char *parent, bool replace, struct snapshot *ret,
	struct msb_err *err) MSB_MUST_CHECK;
