/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS writer: builds a read-only file system image, uncompressed.
 *
 * A builder holds the tree in memory and streams file data to the output as it comes, aligned to 4
 * KiB, so that memory grows with the number of files and not with their size. erofs_finish() lays
 * out directories and inodes behind the data and writes the superblock last: an image that was not
 * finished is not an image.
 *
 * The caller names files by single components, so no path of a hostile archive is ever interpreted
 * here. Limits: names of 255 bytes, link targets of 4095, xattr values of 64 KiB, EROFS_NODES_MAX
 * files, 16 TiB of data.
 *
 * File data of up to `inline_max` bytes is stored beside its inode; larger files keep to whole
 * blocks, so that the image can be mapped page by page.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { EROFS_NODES_MAX = 4 * 1000 * 1000, EROFS_INLINE_MAX = 1024, EROFS_DEPTH_MAX = 512 };

struct erofs_builder;
struct erofs_node;

struct erofs_opts {
	int64_t mtime_s; /* time of the superblock; nodes with this very time are stored smaller */
	bool root_owned; /* from a directory: everything belongs to 0:0 */
	bool fixed_mtime; /* from a directory: every node gets mtime_s */
	uint64_t extern_blocks; /* blocks of other files that stand behind block 0 of the disk */
};

struct erofs_attr {
	uint32_t mode; /* with the type bits */
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev_major; /* of device nodes */
	uint32_t rdev_minor;
	int64_t mtime_s;
	uint32_t mtime_ns;
};

/**
 * erofs_builder_new - start an image
 * @out_fd: empty regular file, borrowed until the builder is freed
 */
int erofs_builder_new(int out_fd, const struct erofs_opts *opts, struct erofs_builder **ret)
	MSB_MUST_CHECK;

/** erofs_builder_free - takes NULL; what was written stays in the file */
struct erofs_builder *erofs_builder_free(struct erofs_builder *b);
DEFINE_CLEANUP(struct erofs_builder *, erofs_builder_free);

/** erofs_root - the root directory, made with mode 0755 owned by 0:0 */
struct erofs_node *erofs_root(struct erofs_builder *b);

/** erofs_set_attr - change owner, permission bits and time of an existing node, not its type */
void erofs_set_attr(struct erofs_node *n, const struct erofs_attr *attr);

/**
 * erofs_add - new node in @parent
 *
 * Return: 0; -EEXIST; -EINVAL for a name or type that cannot be stored; -ENAMETOOLONG; -E2BIG when
 * there are too many; -ENOMEM.
 */
int erofs_add(struct erofs_builder *b, struct erofs_node *parent, const char *name,
	const struct erofs_attr *attr, struct erofs_node **ret) MSB_MUST_CHECK;

/** erofs_link - another name for @target, which is no directory */
int erofs_link(struct erofs_builder *b, struct erofs_node *parent, const char *name,
	struct erofs_node *target) MSB_MUST_CHECK;

/** erofs_symlink_target - what a symbolic link points to */
int erofs_symlink_target(struct erofs_node *n, const char *target) MSB_MUST_CHECK;

/** erofs_xattr - attach an attribute; -EOPNOTSUPP for a namespace the format has no place for */
int erofs_xattr(struct erofs_node *n, const char *name, const void *value, size_t len)
	MSB_MUST_CHECK;

/**
 * erofs_data_begin - file @n has @size bytes, which follow by erofs_data()
 *
 * The data of one file is given as a whole before another file's begins.
 */
int erofs_data_begin(struct erofs_builder *b, struct erofs_node *n, uint64_t size) MSB_MUST_CHECK;

/** erofs_data - next @len bytes; what is missing of the announced size at the end reads as zero */
int erofs_data(struct erofs_builder *b, const void *p, size_t len) MSB_MUST_CHECK;

/** erofs_data_skip - next @len bytes are zero and take no space on disk */
int erofs_data_skip(struct erofs_builder *b, uint64_t len) MSB_MUST_CHECK;

/**
 * erofs_data_extern - the contents of @n stand at block @block of the disk, among
 * opts.extern_blocks
 */
int erofs_data_extern(struct erofs_node *n, uint64_t block, uint64_t size) MSB_MUST_CHECK;

/** erofs_finish - write the metadata; the builder can only be freed afterwards */
int erofs_finish(struct erofs_builder *b, struct msb_err *err) MSB_MUST_CHECK;

/**
 * erofs_write_dir - image of the directory tree @dir_fd
 * @dir_fd: directory, borrowed
 * @out_fd: empty regular file, borrowed
 *
 * Symbolic links are never followed. Hard links, extended attributes, device nodes, holes and times
 * are kept; sockets are left out. The walk stays on one file system: a mount point below @dir_fd
 * becomes an empty directory.
 */
int erofs_write_dir(int dir_fd, int out_fd, const struct erofs_opts *opts, struct msb_err *err)
	MSB_MUST_CHECK;
