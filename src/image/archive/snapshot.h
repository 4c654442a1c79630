/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot out of an archive: snapshot.json, upper.extents and upper.data in one directory, whose
 * name is that of the snapshot.
 *
 * The tar is read by the jailed worker as that of an image; here the members are found and the
 * pieces put where they belong. Whoever asked computes the digest of what came out.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/archive/request.h"
#include "image/archive/source.h"

/* Inherited: the empty file for the disk, and one for the name, a newline, and the manifest. */
enum { SNAPSHOT_DISK_FD = 4, SNAPSHOT_TEXT_FD = 5 };

/** snapshot_load_run - from ARCHIVE_FD */
int snapshot_load_run(const struct archive_request *req, const char *layer_program,
	struct msb_err *err) MSB_MUST_CHECK;

/** snapshot_load_source - the same from members that are known; for the above and the fuzzer */
int snapshot_load_source(const struct source *s, int disk_fd, int text_fd, struct msb_err *err)
	MSB_MUST_CHECK;
