/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an image archive: the tar around manifests and layers, to a table of its members.
 *
 * Either the contents are skipped and the table points into the archive (scan), or they are written
 * to a spool and the table points there (feed). Contents are not looked at.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#define OUTER_BYTES_MAX (UINT64_C(64) << 30) /* of all members */

struct outer;

/** outer_new - @spool_fd: -EBADF for outer_scan(); descriptors are borrowed */
int outer_new(int table_fd, int spool_fd, struct outer **ret) MSB_MUST_CHECK;
struct outer *outer_free(struct outer *o);
DEFINE_CLEANUP(struct outer *, outer_free);

/** outer_scan - the archive is the regular file @fd, not compressed */
int outer_scan(struct outer *o, int fd, struct msb_err *err) MSB_MUST_CHECK;

/** outer_feed - next bytes of the uncompressed archive */
int outer_feed(struct outer *o, const void *p, size_t n, struct msb_err *err) MSB_MUST_CHECK;

/** outer_finish - the archive has ended: complete the table */
int outer_finish(struct outer *o, struct msb_err *err) MSB_MUST_CHECK;
