/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer's tar stream to data and index: see docs/internals/images.md.
 *
 * Limits beyond those of the parser: INDEX_ENTRIES_MAX entries, UNPACK_FILE_MAX bytes a file,
 * UNPACK_BYTES_MAX bytes a layer, holes included, so that neither a bomb nor a lie about a length
 * fills the host.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#define UNPACK_FILE_MAX	 (UINT64_C(64) << 30)
#define UNPACK_BYTES_MAX (UINT64_C(256) << 30)

struct unpack;

struct unpack_stats {
	uint64_t entries;
	uint64_t data_bytes; /* size of the data file, a multiple of 4 KiB */
	uint64_t tar_bytes;
};

/** unpack_new - the descriptors are empty regular files, borrowed */
int unpack_new(int data_fd, int index_fd, int recipe_fd, struct unpack **ret) MSB_MUST_CHECK;
struct unpack *unpack_free(struct unpack *u);
DEFINE_CLEANUP(struct unpack *, unpack_free);

/** unpack_feed - next bytes of the uncompressed tar */
int unpack_feed(struct unpack *u, const void *p, size_t n, struct msb_err *err) MSB_MUST_CHECK;

/** unpack_finish - the stream has ended */
int unpack_finish(struct unpack *u, struct unpack_stats *ret, struct msb_err *err) MSB_MUST_CHECK;
