/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push parser for tar streams: bytes in, entries and file data out.
 *
 * Reads what image builders write: V7, ustar, GNU (long names, base-256 numbers, old sparse files)
 * and pax (paths, sizes, owners, times with fractions, extended attributes, the three sparse
 * encodings). The stream is hostile: every length is checked against the caps below before memory
 * is taken, numbers that do not fit are errors, and nothing is interpreted as a path of the host;
 * names are handed on as bytes.
 *
 * The consumer gets, for each entry, one entry() call and, for regular files, data() and hole()
 * calls that add up to entry->size, then end(). Any negative result stops the parser for good and
 * is returned by tar_feed().
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

enum {
	TAR_BLOCK = 512,
	TAR_PATH_MAX = 4096,
	TAR_PAX_MAX = 1024 * 1024,
	TAR_XATTRS_MAX = 64,
	TAR_XATTR_BYTES_MAX = 256 * 1024,
	TAR_SPARSE_MAX = 65536, /* extents of one file */
};

enum tar_type { TAR_FILE, TAR_HARDLINK, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK_DEV, TAR_DIR, TAR_FIFO };

struct tar_xattr {
	const char *name;
	const uint8_t *value;
	size_t len;
};

/* Valid during the entry() call only. */
struct tar_entry {
	enum tar_type type;
	const char *path;
	const char *link; /* target of a link, "" otherwise */
	uint32_t mode; /* permission bits */
	uint32_t uid;
	uint32_t gid;
	uint64_t size; /* of a regular file, holes included */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t major;
	uint32_t minor;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
};

struct tar_ops {
	int (*entry)(void *arg, const struct tar_entry *e);
	int (*data)(void *arg, const uint8_t *p, size_t n);
	int (*hole)(void *arg, uint64_t n);
	int (*end)(void *arg); /* of a regular file */
};

struct tar;

/** tar_new - NULL when out of memory; @ops and @arg are borrowed */
struct tar *tar_new(const struct tar_ops *ops, void *arg);
struct tar *tar_free(struct tar *t);
DEFINE_CLEANUP(struct tar *, tar_free);

/**
 * tar_feed - next bytes of the stream, in pieces of any size
 *
 * Return: 0; -EBADMSG (malformed), -E2BIG (a cap), -EOVERFLOW (a number that does not fit),
 * -ENOMEM, or what a callback returned. tar_error() has the words.
 */
int tar_feed(struct tar *t, const void *p, size_t n) MSB_MUST_CHECK;

/** tar_finish - the stream has ended; -ENODATA when it ended inside an entry */
int tar_finish(struct tar *t) MSB_MUST_CHECK;

/** tar_data_offset - in entry(): where in the stream the contents of this entry begin */
uint64_t tar_data_offset(const struct tar *t);

/**
 * tar_skip - take the rest of the present file's contents as read, without data() calls
 * @ret: bytes of the stream that are not to be fed; 0 between contents and in sparse files
 */
int tar_skip(struct tar *t, uint64_t *ret) MSB_MUST_CHECK;

/** tar_error - what was wrong, "" if nothing */
const char *tar_error(const struct tar *t);
