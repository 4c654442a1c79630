/* SPDX-License-Identifier: Apache-2.0 */
/* The tree between the builder (build.c) and the layout (layout.c). */
#pragma once

#include "base/str.h"

#include "image/erofs/erofs.h"
#include "image/erofs/format.h"

struct erofs_child {
	char *name;
	struct erofs_node *node;
};

struct erofs_node {
	struct erofs_attr attr;
	uint32_t nlink;
	uint64_t size;

	/* Regular files: first block when not inlined. Inlined data and link targets are in
	 * @inline_data. */
	uint32_t first_block;
	uint8_t *inline_data;

	uint8_t *xattrs; /* encoded entries, without the header */
	size_t xattrs_len;

	/* Directories. Children are sorted by erofs_finish(). */
	struct erofs_child *children;
	size_t n_children;
	size_t cap_children;
	struct erofs_node *parent;

	/* Set by the layout. */
	uint64_t nid;
	uint32_t ino;
	enum erofs_layout layout;

	struct erofs_node *next; /* all nodes in order of creation */
};

struct erofs_builder {
	int fd;
	struct erofs_opts opts;
	struct erofs_node *nodes;
	struct erofs_node **nodes_end;
	uint32_t n_nodes;
	uint64_t data_end; /* next free byte of the output, always block-aligned between files */

	/* File being written. */
	struct erofs_node *cur;
	uint64_t cur_done;

	/* With extern blocks, what follows block 0 stands that much later on the disk than in the
	 * file. */
	uint64_t file_shift;

	/* Metadata is written through one buffer in ascending order. */
	uint8_t *out;
	size_t out_len;
	uint64_t out_at; /* file offset of out[0] */
};

/** erofs_child_add - directory entry, names as they come; 0, -ENOTDIR, -ENOMEM */
int erofs_child_add(struct erofs_node *parent, const char *name, struct erofs_node *node)
	MSB_MUST_CHECK;

/** erofs_write_at - write all of @len bytes at offset @at; 0 or a negative errno */
int erofs_write_at(int fd, const void *p, size_t len, uint64_t at) MSB_MUST_CHECK;

/** erofs_layout_write - place and write everything but the file data */
int erofs_layout_write(struct erofs_builder *b, struct msb_err *err) MSB_MUST_CHECK;

static inline uint64_t erofs_align_block(uint64_t v)
{
	return (v + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1);
}
