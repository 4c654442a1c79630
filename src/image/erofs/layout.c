/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS writer, the metadata.
 *
 * The image is [superblock][file data][inodes][blocks of directories and of what did not fit beside
 * its inode]. Everything is placed first, then written once in ascending order:
 *
 *  1. directories get "." and "..", are sorted bytewise as the kernel's binary search wants them,
 * and checked for duplicate names; their size follows from their names alone
 *  2. inodes get their slots. What is inlined behind an inode must end in the block where it
 * starts, and the kernel reads an inode with its inline data from one block, so an inode that would
 * cross moves to the next block
 *  3. whole blocks of directories are placed behind the inodes
 */
#include <sys/stat.h>

#include "build-internal.h"

enum { OUT_BUF = 256 * 1024, ROOT_SLOT = 2 };

static int child_compare(const void *a, const void *b)
{
	const struct erofs_child *ca = a;
	const struct erofs_child *cb = b;

	return strcmp(ca->name, cb->name);
}

static int dir_prepare(struct erofs_node *dir, struct msb_err *err)
{
	size_t used = 0;
	uint64_t size = 0;
	int r = erofs_child_add(dir, ".", dir);

	if (r == 0)
		r = erofs_child_add(dir, "..", dir->parent);
	if (r < 0)
		return msb_err_errno(err, r, "cannot build a directory");
	qsort(dir->children, dir->n_children, sizeof(dir->children[0]), child_compare);
	for (size_t i = 0; i < dir->n_children; i++) {
		size_t len = strlen(dir->children[i].name) + sizeof(struct erofs_dirent);
		char quoted[80];

		if (i && streq(dir->children[i].name, dir->children[i - 1].name))
			return msb_err_set(err, -EEXIST, MSB_PROTOCOL,
				"name %s occurs twice in a directory",
				str_quote(quoted, sizeof(quoted), dir->children[i].name,
					strlen(dir->children[i].name)));
		if (used + len > EROFS_BLOCK) {
			size += EROFS_BLOCK;
			used = 0;
		}
		used += len;
	}
	dir->size = size + used;
	return 0;
}

static size_t node_head_size(const struct erofs_builder *b, const struct erofs_node *n)
{
	const struct erofs_attr *a = &n->attr;
	bool compact = a->uid <= UINT16_MAX && a->gid <= UINT16_MAX && n->size <= UINT32_MAX &&
		       n->nlink <= UINT16_MAX && a->mtime_s == b->opts.mtime_s && a->mtime_ns == 0;

	return compact ? sizeof(struct erofs_inode_compact) : sizeof(struct erofs_inode_extended);
}

static size_t node_xattr_size(const struct erofs_node *n)
{
	return n->xattrs_len ? sizeof(struct erofs_xattr_header) + n->xattrs_len : 0;
}

/* Bytes that want to stand behind the inode. */
static size_t node_tail_size(const struct erofs_node *n)
{
	if (S_ISDIR(n->attr.mode))
		return n->size % EROFS_BLOCK;
	return n->inline_data ? n->size : 0;
}

static uint64_t node_place(const struct erofs_builder *b, struct erofs_node *n, uint64_t at)
{
	size_t head = node_head_size(b, n) + node_xattr_size(n);
	size_t tail = node_tail_size(n);
	size_t whole = head + tail;

	at = (at + EROFS_SLOT - 1) & ~(uint64_t)(EROFS_SLOT - 1);
	n->layout = tail && whole <= EROFS_BLOCK ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN;
	if (n->layout == EROFS_FLAT_PLAIN)
		whole = head;
	if (at % EROFS_BLOCK + MIN(whole, (size_t)EROFS_BLOCK) > EROFS_BLOCK)
		at = erofs_align_block(at);
	n->nid = (at - b->data_end) / EROFS_SLOT;
	return at + whole;
}

/* Whole blocks a node needs behind the inodes. */
static uint64_t node_extra_blocks(const struct erofs_node *n)
{
	if (n->layout == EROFS_FLAT_INLINE)
		return S_ISDIR(n->attr.mode) ? n->size / EROFS_BLOCK : 0;
	if (S_ISDIR(n->attr.mode) || n->inline_data)
		return erofs_align_block(n->size) / EROFS_BLOCK;
	return 0;
}

static int place_all(
	struct erofs_builder *b, uint64_t *ret_blocks_at, uint64_t *ret_end, uint64_t *ret_inos)
{
	uint64_t at = b->data_end + (uint64_t)ROOT_SLOT * EROFS_SLOT;
	uint32_t ino = 0;

	for (struct erofs_node *n = b->nodes; n; n = n->next) {
		if (!n->nlink)
			continue;
		n->ino = ++ino;
		at = node_place(b, n, at);
	}
	at = erofs_align_block(at);
	*ret_blocks_at = at;
	for (struct erofs_node *n = b->nodes; n; n = n->next) {
		uint64_t blocks = n->nlink ? node_extra_blocks(n) : 0;

		if (!blocks)
			continue;
		if (at / EROFS_BLOCK + blocks > UINT32_MAX)
			return -EFBIG;
		n->first_block = (uint32_t)(at / EROFS_BLOCK);
		at += blocks * EROFS_BLOCK;
	}
	*ret_end = at;
	*ret_inos = ino;
	return 0;
}

static int out_flush(struct erofs_builder *b)
{
	int r = erofs_write_at(b->fd, b->out, b->out_len, b->out_at - b->file_shift);

	b->out_at += b->out_len;
	b->out_len = 0;
	return r;
}

static int out_put(struct erofs_builder *b, const void *p, size_t len)
{
	const uint8_t *from = p;

	while (len) {
		size_t part = MIN(len, OUT_BUF - b->out_len);

		if (part == 0) {
			int r = out_flush(b);

			if (r < 0)
				return r;
			continue;
		}
		memcpy(b->out + b->out_len, from, part);
		b->out_len += part;
		from += part;
		len -= part;
	}
	return 0;
}

/* Zeroes up to file offset @at. */
static int out_pad(struct erofs_builder *b, uint64_t at)
{
	static const uint8_t zeroes[EROFS_BLOCK];
	uint64_t here = b->out_at + b->out_len;

	assert(at >= here);
	while (here < at) {
		size_t part = MIN(at - here, sizeof(zeroes));
		int r = out_put(b, zeroes, part);

		if (r < 0)
			return r;
		here += part;
	}
	return 0;
}

static uint8_t file_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFSOCK:
		return 6;
	case S_IFLNK:
		return 7;
	default:
		return 0;
	}
}

/* Encodes the directory block that starts with child @from; returns the first child of the next
 * one. */
static size_t dir_block(
	const struct erofs_node *dir, size_t from, uint8_t block[EROFS_BLOCK], size_t *ret_len)
{
	size_t used = 0;
	size_t to = from;
	size_t names;

	while (to < dir->n_children) {
		size_t len = strlen(dir->children[to].name) + sizeof(struct erofs_dirent);

		if (used + len > EROFS_BLOCK)
			break;
		used += len;
		to++;
	}
	memset(block, 0, EROFS_BLOCK);
	names = (to - from) * sizeof(struct erofs_dirent);
	for (size_t i = from; i < to; i++) {
		const struct erofs_child *c = &dir->children[i];
		struct erofs_dirent d = {
			.nid = c->node->nid,
			.nameoff = (uint16_t)names,
			.file_type = file_type(c->node->attr.mode),
		};
		size_t len = strlen(c->name);

		memcpy(block + (i - from) * sizeof(d), &d, sizeof(d));
		memcpy(block + names, c->name, len);
		names += len;
	}
	*ret_len = used;
	return to;
}

/* Writes the part of directory @dir before (@tail false) or behind (@tail true) its whole blocks.
 */
static int dir_write(struct erofs_builder *b, const struct erofs_node *dir, bool tail)
{
	uint8_t block[EROFS_BLOCK];
	uint64_t done = 0;
	size_t at = 0;

	while (at < dir->n_children) {
		bool last;
		size_t len;
		int r = 0;

		at = dir_block(dir, at, block, &len);
		last = at == dir->n_children;
		if (dir->layout == EROFS_FLAT_INLINE && last) {
			if (tail)
				r = out_put(b, block, len);
		} else if (!tail) {
			r = out_put(b, block, EROFS_BLOCK);
		}
		if (r < 0)
			return r;
		done += last ? len : EROFS_BLOCK;
	}
	assert(done == dir->size);
	return 0;
}

static uint32_t node_u(const struct erofs_node *n)
{
	const struct erofs_attr *a = &n->attr;

	if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
		return (a->rdev_minor & 0xff) | a->rdev_major << 8 | (a->rdev_minor & ~0xffu) << 12;
	return n->first_block ? n->first_block : UINT32_MAX;
}

static int head_write(struct erofs_builder *b, const struct erofs_node *n)
{
	const struct erofs_attr *a = &n->attr;
	uint16_t icount = n->xattrs_len ? (uint16_t)(n->xattrs_len / 4 + 1) : 0;
	uint16_t format = (uint16_t)(n->layout << 1);

	if (node_head_size(b, n) == sizeof(struct erofs_inode_compact)) {
		struct erofs_inode_compact i = {
			.format = format,
			.xattr_icount = icount,
			.mode = (uint16_t)a->mode,
			.nlink = (uint16_t)n->nlink,
			.size = (uint32_t)n->size,
			.u = node_u(n),
			.ino = n->ino,
			.uid = (uint16_t)a->uid,
			.gid = (uint16_t)a->gid,
		};

		return out_put(b, &i, sizeof(i));
	}

	struct erofs_inode_extended i = {
		.format = format | 1,
		.xattr_icount = icount,
		.mode = (uint16_t)a->mode,
		.size = n->size,
		.u = node_u(n),
		.ino = n->ino,
		.uid = a->uid,
		.gid = a->gid,
		.mtime = (uint64_t)a->mtime_s,
		.mtime_nsec = a->mtime_ns,
		.nlink = n->nlink,
	};

	return out_put(b, &i, sizeof(i));
}

static int node_write(struct erofs_builder *b, const struct erofs_node *n)
{
	static const struct erofs_xattr_header no_shared;
	int r = out_pad(b, b->data_end + n->nid * EROFS_SLOT);

	if (r == 0)
		r = head_write(b, n);
	if (r == 0 && n->xattrs_len)
		r = out_put(b, &no_shared, sizeof(no_shared));
	if (r == 0 && n->xattrs_len)
		r = out_put(b, n->xattrs, n->xattrs_len);
	if (r < 0 || n->layout != EROFS_FLAT_INLINE)
		return r;
	return S_ISDIR(n->attr.mode) ? dir_write(b, n, true) : out_put(b, n->inline_data, n->size);
}

static int blocks_write(struct erofs_builder *b, const struct erofs_node *n)
{
	int r;

	if (!node_extra_blocks(n))
		return 0;
	r = out_pad(b, (uint64_t)n->first_block * EROFS_BLOCK);
	if (r < 0)
		return r;
	return S_ISDIR(n->attr.mode) ? dir_write(b, n, false) : out_put(b, n->inline_data, n->size);
}

static int super_write(struct erofs_builder *b, uint64_t end, uint64_t inos)
{
	uint8_t block[EROFS_BLOCK - EROFS_SUPER_AT] = {};
	struct erofs_super sb = {
		.magic = EROFS_MAGIC,
		.feature_compat = EROFS_COMPAT_CHKSUM | EROFS_COMPAT_MTIME,
		.blkszbits = 12,
		.root_nid = (uint16_t)erofs_root(b)->nid, /* it may have moved to the next block */
		.inos = inos,
		.build_time = (uint64_t)b->opts.mtime_s,
		.blocks = (uint32_t)(end / EROFS_BLOCK),
		.meta_blkaddr = (uint32_t)(b->data_end / EROFS_BLOCK),
	};

	memcpy(block, &sb, sizeof(sb));
	sb.checksum = erofs_crc32c(~0u, block, sizeof(block));
	memcpy(block, &sb, sizeof(sb));
	return erofs_write_at(b->fd, block, sizeof(block), EROFS_SUPER_AT);
}

int erofs_layout_write(struct erofs_builder *b, struct msb_err *err)
{
	uint64_t blocks_at;
	uint64_t end;
	uint64_t inos;
	int r;

	for (struct erofs_node *n = b->nodes; n; n = n->next) {
		if (!S_ISDIR(n->attr.mode) || !n->nlink)
			continue;
		r = dir_prepare(n, err);
		if (r < 0)
			return r;
	}
	r = place_all(b, &blocks_at, &end, &inos);
	if (r < 0)
		return msb_err_errno(err, r, "file system image grows too large");

	b->out = malloc(OUT_BUF);
	if (!b->out)
		return msb_err_errno(err, -ENOMEM, "cannot build a file system image");
	b->out_at = b->data_end;
	for (struct erofs_node *n = b->nodes; n && r == 0; n = n->next)
		r = n->nlink ? node_write(b, n) : 0;
	if (r == 0)
		r = out_pad(b, blocks_at);
	for (struct erofs_node *n = b->nodes; n && r == 0; n = n->next)
		r = n->nlink ? blocks_write(b, n) : 0;
	if (r == 0)
		r = out_pad(b, end);
	if (r == 0)
		r = out_flush(b);
	if (r == 0)
		r = super_write(b, end, inos);
	if (r < 0)
		return msb_err_errno(err, r, "cannot write a file system image");
	return 0;
}

uint32_t erofs_crc32c(uint32_t crc, const void *p, size_t len)
{
	const uint8_t *at = p;

	while (len--) {
		crc ^= *at++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}
