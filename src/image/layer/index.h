/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer index: the entries of one layer in stream order, without their large contents.
 *
 * A file of records, each a u32 length and a payload in the encoding of proto/wire.h, behind a
 * header with magic and version. It is written by the process that has parsed an untrusted archive
 * and read by the process that merges layers; both treat it as hostile.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#include "image/layer/tar.h"

enum {
	INDEX_INLINE_MAX = 1024, /* contents up to this size stand in the record */
	INDEX_RECORD_MAX = 512 * 1024,
	INDEX_ENTRIES_MAX = 1000 * 1000,
	INDEX_DEPTH_MAX = 128,
};

enum index_kind {
	INDEX_FILE,
	INDEX_HARDLINK,
	INDEX_SYMLINK,
	INDEX_CHAR,
	INDEX_BLOCK,
	INDEX_DIR,
	INDEX_FIFO,
	INDEX_WHITEOUT, /* the path does not exist in the layers below */
	INDEX_OPAQUE, /* the directory has nothing of the layers below */
	INDEX_KIND_COUNT
};

struct index_entry {
	enum index_kind kind;
	const char *
		path; /* clean: no leading slash, no empty, "." or ".." component; "" is the root */
	const char *link; /* symlink: as it is; hard link: clean path */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size;
	uint64_t data_block; /* first 4 KiB block in the layer's data, of contents that are not
				inlined */
	const uint8_t *inline_data; /* NULL: in the data */
	size_t n_xattrs;
	struct tar_xattr xattrs[TAR_XATTRS_MAX];
};

/* Writer: appends to a buffer that is flushed to a file. */
struct index_out {
	int fd;
	struct buf buf;
	uint64_t entries;
};

int index_out_init(struct index_out *out, int fd) MSB_MUST_CHECK;
void index_out_deinit(struct index_out *out);
int index_put(struct index_out *out, const struct index_entry *e) MSB_MUST_CHECK;
int index_out_finish(struct index_out *out) MSB_MUST_CHECK;

/* Reader over a whole index in memory. */
struct index_in {
	const uint8_t *at;
	const uint8_t *end;
};

/** index_in_init - 0, or -EBADMSG when it is no index */
int index_in_init(struct index_in *in, const void *p, size_t len) MSB_MUST_CHECK;

/**
 * index_next - next entry; strings point into the index
 * Return: 1, 0 at the end, or -EBADMSG.
 */
int index_next(struct index_in *in, struct index_entry *ret) MSB_MUST_CHECK;

/**
 * index_clean_path - bring an archive's path into the clean form
 *
 * Leading slashes and "." components go; ".." anywhere is refused, as are more than INDEX_DEPTH_MAX
 * components and names over 255 bytes.
 *
 * Return: 0, -EINVAL, -ENAMETOOLONG, -E2BIG.
 */
int index_clean_path(const char *path, char ret[TAR_PATH_MAX + 1]) MSB_MUST_CHECK;

/** index_path_is_clean - would index_clean_path() return it unchanged */
bool index_path_is_clean(const char *path);
