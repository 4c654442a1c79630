/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of a disk in an archive: pairs of 64-bit little-endian numbers, offset and length, of what
 * is not a hole. The contents of the pieces follow each other in another file.
 *
 * Comes from anybody: nothing may be used before extents_check().
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#include "image/snapshot/sparse.h"

/* Names beside the manifest. */
#define SNAPSHOT_EXTENTS "upper.extents"
#define SNAPSHOT_DATA	 "upper.data"

enum { EXTENT_BYTES = 16, EXTENTS_MAX = 200 * 1000 };

/** extents_put - those of the file @fd
 * @ret_data: bytes of all of them; 0 or a negative errno, -E2BIG when there are too many */
int extents_put(int fd, uint64_t size, struct buf *out, uint64_t *ret_data) MSB_MUST_CHECK;

/**
 * extents_check - in order, apart, below @size, none empty
 * @ret_data: bytes of all of them
 */
int extents_check(const uint8_t *p, size_t len, uint64_t size, uint64_t *ret_data) MSB_MUST_CHECK;

/** extents_at - number @i of a list that was checked */
struct sparse_extent extents_at(const uint8_t *p, size_t i);
