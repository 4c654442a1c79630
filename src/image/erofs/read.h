/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS reader for tests: what erofs.h writes, as the kernel would see it.
 *
 * It is written from the format's description and not from the writer, trusts nothing, and knows
 * only what the writer uses: 4 KiB blocks, no compression, no shared attributes.
 */
#pragma once

#include "image/erofs/format.h"

struct erofs_image {
	const uint8_t *p; /* borrowed */
	uint64_t len; /* of the disk */
	uint64_t foreign; /* bytes behind block 0 that are not at @p: layers' data */
	uint64_t meta_at;
	uint64_t root;
	uint64_t inos;
	int64_t time_s;
};

struct erofs_file {
	uint64_t nid;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink;
	uint32_t major;
	uint32_t minor;
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	const uint8_t *xattrs; /* entries behind the header */
	size_t xattrs_len;
	uint64_t first_block; /* of the whole blocks */
	const uint8_t *tail; /* what follows them beside the inode, NULL if nothing does */
};

/** erofs_image_open - 0, or -EBADMSG when @p is no image over @extern_blocks of other files */
int erofs_image_open(struct erofs_image *ret, const void *p, size_t len, uint64_t extern_blocks)
	MSB_MUST_CHECK;

/** erofs_image_file - read an inode; its data lies inside the image */
int erofs_image_file(const struct erofs_image *i, uint64_t nid, struct erofs_file *ret)
	MSB_MUST_CHECK;

/** erofs_image_data - @n bytes at @at of a file, both inside its size, within one block; NULL when
 * they are in another file */
const uint8_t *erofs_image_data(
	const struct erofs_image *i, const struct erofs_file *f, uint64_t at, size_t n);

/** erofs_image_xattr - the next attribute; false at the end */
struct erofs_attr_at {
	uint8_t index;
	const uint8_t *name;
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
};
bool erofs_image_xattr(const struct erofs_file *f, size_t *at, struct erofs_attr_at *ret);

/** erofs_image_find - look a name up as the kernel does, by halving; -ENOENT */
int erofs_image_find(const struct erofs_image *i, const struct erofs_file *dir, const char *name,
	size_t len, uint64_t *ret_nid) MSB_MUST_CHECK;

/**
 * erofs_image_check - walk everything: order and types of names, "." and "..", link counts, the
 * number of inodes
 * @ret_names: directory entries besides "." and ".."
 * Return: 0, -ENOMEM, or -EBADMSG with @ret_why.
 */
int erofs_image_check(const struct erofs_image *i, size_t *ret_names, const char **ret_why)
	MSB_MUST_CHECK;
