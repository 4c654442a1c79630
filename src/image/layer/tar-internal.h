/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tar parser's files: the state machine (tar.c), headers (tar-header.c), pax records
 * (tar-pax.c). */
#pragma once

#include "image/layer/tar.h"

struct tar_extent {
	uint64_t at;
	uint64_t len;
};

struct tar_sparse {
	bool used;
	struct tar_extent *map;
	size_t n;
	size_t cap;
	uint64_t real_size;
	bool have_real_size;
};

/* What pax records said; NULL or false where they were silent. */
struct tar_pax {
	char *path;
	char *link;
	uint64_t size;
	uint64_t uid;
	uint64_t gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	bool have_size;
	bool have_uid;
	bool have_gid;
	bool have_mtime;

	struct tar_xattr xattrs[TAR_XATTRS_MAX]; /* names and values are owned */
	size_t n_xattrs;
	size_t xattr_bytes;

	/* GNU.sparse.* */
	bool sparse_in_data; /* version 1.0: the map stands before the data */
	unsigned int sparse_major;
	struct tar_sparse sparse;
	uint64_t pending_at; /* version 0.0: offset waiting for its length */
	bool have_pending;
};

/* Fields of a header block, decoded. */
struct tar_header {
	char name[256 + 1]; /* prefix and name joined */
	char link[100 + 1];
	uint32_t mode;
	uint64_t uid;
	uint64_t gid;
	uint64_t size;
	int64_t mtime;
	uint64_t major;
	uint64_t minor;
	char type;
	bool gnu;
};

/** tar_header_is_zero - end-of-archive block */
bool tar_header_is_zero(const uint8_t block[TAR_BLOCK]);

/** tar_header_decode - 0, -EBADMSG (checksum, digits) or -EOVERFLOW */
int tar_header_decode(const uint8_t block[TAR_BLOCK], struct tar_header *ret, const char **why);

/** tar_header_sparse - the extents an old GNU sparse header carries; @ret_more: extension blocks
 * follow */
int tar_header_sparse(
	const uint8_t block[TAR_BLOCK], struct tar_sparse *s, bool *ret_more, const char **why);

/** tar_extension_sparse - 21 more extents */
int tar_extension_sparse(
	const uint8_t block[TAR_BLOCK], struct tar_sparse *s, bool *ret_more, const char **why);

/** tar_sparse_add - append an extent; they ascend and do not overlap */
int tar_sparse_add(struct tar_sparse *s, uint64_t at, uint64_t len, const char **why);
void tar_sparse_deinit(struct tar_sparse *s);

/** tar_pax_parse - all records of one pax header; later records win over earlier ones */
int tar_pax_parse(struct tar_pax *p, const uint8_t *text, size_t len, const char **why);
void tar_pax_deinit(struct tar_pax *p);

/** tar_decimal - digits only, whole of [@s, @s + @len) */
int tar_decimal(const uint8_t *s, size_t len, uint64_t *ret);
