/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push parser for tar streams: see tar.h.
 *
 * State machine; "block" means that 512 bytes are collected first.
 *
 *	state	   reads			  leads to
 *	HEADER	   a block			  META, EXTENSION, MAP, DATA, HEADER, END
 *	META	   long name or pax text	  PADDING, then HEADER of the entry it describes
 *	EXTENSION  a block of sparse extents	  EXTENSION, DATA
 *	MAP	   a block of pax 1.0 sparse map  MAP, DATA
 *	DATA	   file content			  PADDING
 *	PADDING	   up to the next block		  HEADER
 *	END	   anything, dropped		  END
 */
#include "base/str.h"

#include "tar-internal.h"

enum tar_state { ST_HEADER, ST_META, ST_EXTENSION, ST_MAP, ST_DATA, ST_PADDING, ST_END };

enum { MAP_LINE_MAX = 24 };

struct tar {
	const struct tar_ops *ops;
	void *arg;
	enum tar_state state;
	int failed; /* sticky */
	const char *why;
	uint64_t offset; /* of the step under way in the stream */

	uint8_t block[TAR_BLOCK];
	size_t have; /* bytes of it */

	/* Long name or pax text being collected, and what kind. */
	struct buf meta;
	char meta_type;
	uint64_t left; /* bytes of META or DATA still to come */
	size_t padding;

	struct tar_pax pax; /* of the next entry */
	struct tar_pax global;
	struct tar_header h;
	struct tar_sparse sparse; /* of the entry being read */
	size_t extent; /* next extent */
	uint64_t pos; /* bytes of the file handed on, holes included */
	uint64_t file_size;
	uint64_t stored; /* bytes of content in the stream, for the padding */

	/* pax 1.0 map: numbers still to come and the text of the one being read. */
	uint64_t map_numbers;
	bool map_counted;
	uint64_t map_at;
	bool map_have_at;
	char map_line[MAP_LINE_MAX];
	size_t map_len;
};

struct tar *tar_new(const struct tar_ops *ops, void *arg)
{
	struct tar *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ops = ops;
	t->arg = arg;
	t->why = "";
	buf_init(&t->meta, TAR_PAX_MAX);
	return t;
}

struct tar *tar_free(struct tar *t)
{
	if (!t)
		return NULL;
	buf_deinit(&t->meta);
	tar_pax_deinit(&t->pax);
	tar_pax_deinit(&t->global);
	tar_sparse_deinit(&t->sparse);
	free(t);
	return NULL;
}

const char *tar_error(const struct tar *t)
{
	return t->why;
}

static int fail(struct tar *t, int r, const char *why)
{
	t->why = why;
	return r;
}

static void to_header(struct tar *t)
{
	t->state = ST_HEADER;
	t->have = 0;
}

static void to_padding(struct tar *t, uint64_t stored)
{
	t->padding = (size_t)(-stored % TAR_BLOCK);
	t->state = ST_PADDING;
	if (!t->padding)
		to_header(t);
}

/* Everything that described the entry that has just ended. */
static void entry_reset(struct tar *t)
{
	tar_pax_deinit(&t->pax);
	tar_sparse_deinit(&t->sparse);
	t->extent = 0;
	t->pos = 0;
}

static int meta_begin(struct tar *t)
{
	if (t->h.size > TAR_PAX_MAX)
		return fail(t, -E2BIG, "extended header too long");
	buf_consume(&t->meta, buf_len(&t->meta));
	t->meta_type = t->h.type;
	t->left = t->h.size;
	t->state = ST_META;
	return 0;
}

/* A global header may set what is a default by nature; names and sizes of files are not. */
static int meta_global(struct tar *t)
{
	struct tar_pax *g = &t->global;
	int r = tar_pax_parse(g, buf_data(&t->meta), buf_len(&t->meta), &t->why);

	if (r < 0)
		return r;
	if (g->path || g->link || g->have_size || g->sparse.used || g->n_xattrs)
		return fail(t, -EBADMSG, "global header that names files");
	return 0;
}

static int meta_end(struct tar *t)
{
	const char *text;

	if (t->meta_type == 'x')
		return tar_pax_parse(&t->pax, buf_data(&t->meta), buf_len(&t->meta), &t->why);
	if (t->meta_type == 'g')
		return meta_global(t);

	/* GNU long name or link: text up to the NUL. */
	text = buf_cstr(&t->meta);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > TAR_PATH_MAX)
		return fail(t, -ENAMETOOLONG, "path too long");
	char **field = t->meta_type == 'L' ? &t->pax.path : &t->pax.link;

	free(*field);
	*field = strdup(text);
	return *field ? 0 : -ENOMEM;
}

static int entry_type(struct tar *t, enum tar_type *ret)
{
	static const enum tar_type types[] = {TAR_FILE, TAR_HARDLINK, TAR_SYMLINK, TAR_CHAR,
		TAR_BLOCK_DEV, TAR_DIR, TAR_FIFO, TAR_FILE};

	if (t->h.type == '\0' || t->h.type == 'S') {
		*ret = TAR_FILE;
		return 0;
	}
	if (t->h.type < '0' || t->h.type > '7')
		return fail(t, -EBADMSG, "entry of an unknown type");
	*ret = types[t->h.type - '0'];
	return 0;
}

static int entry_owner(struct tar *t, struct tar_entry *e)
{
	const struct tar_pax *p = &t->pax;
	const struct tar_pax *g = &t->global;
	uint64_t uid = p->have_uid ? p->uid : g->have_uid ? g->uid : t->h.uid;
	uint64_t gid = p->have_gid ? p->gid : g->have_gid ? g->gid : t->h.gid;

	/* -1 means "no owner" to the kernel. */
	if (uid >= UINT32_MAX || gid >= UINT32_MAX)
		return fail(t, -EOVERFLOW, "owner out of range");
	if (t->h.major > UINT32_MAX >> 20 || t->h.minor > UINT32_MAX >> 12)
		return fail(t, -EOVERFLOW, "device number out of range");
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	e->major = (uint32_t)t->h.major;
	e->minor = (uint32_t)t->h.minor;
	return 0;
}

static void entry_time(const struct tar *t, struct tar_entry *e)
{
	const struct tar_pax *p = t->pax.have_mtime ? &t->pax : &t->global;

	e->mtime_s = p->have_mtime ? p->mtime_s : t->h.mtime;
	e->mtime_ns = p->have_mtime ? p->mtime_ns : 0;
}

/* The map is complete: extents inside the file, their sum what is stored. */
static int sparse_check(struct tar *t)
{
	uint64_t sum = 0;

	if (!t->sparse.have_real_size)
		return fail(t, -EBADMSG, "sparse file without a size");
	for (size_t i = 0; i < t->sparse.n; i++) {
		const struct tar_extent *x = &t->sparse.map[i];

		if (x->at + x->len > t->sparse.real_size)
			return fail(t, -EBADMSG, "sparse map beyond the end of the file");
		sum += x->len;
	}
	if (sum != t->left)
		return fail(t, -EBADMSG, "sparse map and data disagree");
	return 0;
}

static int hole_to(struct tar *t, uint64_t to)
{
	uint64_t n = to - t->pos;

	t->pos = to;
	return n ? t->ops->hole(t->arg, n) : 0;
}

static int file_end(struct tar *t)
{
	int r = hole_to(t, t->file_size);

	if (r == 0)
		r = t->ops->end(t->arg);
	entry_reset(t);
	to_padding(t, t->stored);
	return r;
}

/* Header and everything that belongs to it were read: hand the entry on. */
static int entry_emit(struct tar *t)
{
	struct tar_entry e = {
		.path = t->pax.path ? t->pax.path : t->h.name,
		.link = t->pax.link ? t->pax.link : t->h.link,
		.mode = t->h.mode,
		.xattrs = t->pax.xattrs,
		.n_xattrs = t->pax.n_xattrs,
	};
	uint64_t stored = t->left;
	int r = entry_type(t, &e.type);

	if (r == 0)
		r = entry_owner(t, &e);
	if (r < 0)
		return r;
	entry_time(t, &e);
	/* V7 had no directories of its own: a trailing slash says it. */
	if (e.type == TAR_FILE && e.path[0] && e.path[strlen(e.path) - 1] == '/' && !stored)
		e.type = TAR_DIR;
	if (e.type == TAR_FILE && t->sparse.used) {
		r = sparse_check(t);
		if (r < 0)
			return r;
	}
	t->file_size = t->sparse.used ? t->sparse.real_size : stored;
	e.size = e.type == TAR_FILE ? t->file_size : 0;
	r = t->ops->entry(t->arg, &e);
	if (r < 0)
		return r;
	if (e.type == TAR_FILE) {
		t->state = ST_DATA;
		t->stored = stored;
		return stored ? 0 : file_end(t);
	}
	/* A hard link may repeat the data of its file, which we have; others have none. */
	if (stored && e.type != TAR_HARDLINK && e.type != TAR_DIR)
		return fail(t, -EBADMSG, "data behind an entry that has none");
	entry_reset(t);
	t->state = ST_PADDING;
	t->padding = 0;
	if (stored) {
		if (stored > SIZE_MAX - TAR_BLOCK)
			return fail(t, -EOVERFLOW, "size out of range");
		t->padding = (size_t)((stored + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1));
	}
	if (!t->padding)
		to_header(t);
	return 0;
}

static int map_begin(struct tar *t)
{
	t->map_counted = false;
	t->map_numbers = 0;
	t->map_have_at = false;
	t->map_len = 0;
	t->have = 0;
	t->state = ST_MAP;
	return 0;
}

static int header_done(struct tar *t)
{
	bool more = false;
	int r;

	t->have = 0;
	if (tar_header_is_zero(t->block)) {
		t->state = ST_END;
		return 0;
	}
	r = tar_header_decode(t->block, &t->h, &t->why);
	if (r < 0)
		return r;
	if (strchr("xgLK", t->h.type) && t->h.type)
		return meta_begin(t);
	t->left = t->pax.have_size ? t->pax.size : t->h.size;
	if (t->left > INT64_MAX)
		return fail(t, -EOVERFLOW, "size out of range");
	if (t->pax.sparse.used) {
		t->sparse = t->pax.sparse;
		t->pax.sparse = (struct tar_sparse){};
		if (t->pax.sparse_in_data)
			return map_begin(t);
	} else if (t->h.type == 'S') {
		r = tar_header_sparse(t->block, &t->sparse, &more, &t->why);
		if (r < 0)
			return r;
		if (more) {
			t->state = ST_EXTENSION;
			return 0;
		}
	}
	return entry_emit(t);
}

static int extension_done(struct tar *t)
{
	bool more;
	int r = tar_extension_sparse(t->block, &t->sparse, &more, &t->why);

	t->have = 0;
	if (r < 0 || more)
		return r;
	return entry_emit(t);
}

static int map_number(struct tar *t)
{
	uint64_t v;
	int r = tar_decimal((const uint8_t *)t->map_line, t->map_len, &v);

	t->map_len = 0;
	if (r < 0)
		return fail(t, r, "malformed sparse map");
	if (!t->map_counted) {
		if (v > TAR_SPARSE_MAX)
			return fail(t, -E2BIG, "sparse map too long");
		t->map_counted = true;
		t->map_numbers = v * 2;
		return 0;
	}
	t->map_numbers--;
	if (!t->map_have_at) {
		t->map_at = v;
		t->map_have_at = true;
		return 0;
	}
	t->map_have_at = false;
	return tar_sparse_add(&t->sparse, t->map_at, v, &t->why);
}

/* One block of the map: numbers, one a line, the last block padded with NULs. */
static int map_block_done(struct tar *t)
{
	t->have = 0;
	if (t->left < TAR_BLOCK)
		return fail(t, -EBADMSG, "sparse map longer than the entry");
	t->left -= TAR_BLOCK;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		char c = (char)t->block[i];
		int r;

		if (t->map_counted && t->map_numbers == 0)
			break;
		if (c != '\n') {
			if (t->map_len == MAP_LINE_MAX)
				return fail(t, -EBADMSG, "malformed sparse map");
			t->map_line[t->map_len++] = c;
			continue;
		}
		r = map_number(t);
		if (r < 0)
			return r;
	}
	return t->map_counted && t->map_numbers == 0 ? entry_emit(t) : 0;
}

/* Collects a block; returns bytes taken. */
static size_t block_fill(struct tar *t, const uint8_t *p, size_t n)
{
	size_t take = MIN(n, TAR_BLOCK - t->have);

	memcpy(t->block + t->have, p, take);
	t->have += take;
	return take;
}

static int data_step(struct tar *t, const uint8_t *p, size_t n, size_t *ret_taken)
{
	size_t take = (size_t)MIN((uint64_t)n, t->left);
	int r;

	if (t->sparse.used) {
		const struct tar_extent *x;

		while (t->sparse.map[t->extent].len == 0 ||
			t->pos == t->sparse.map[t->extent].at + t->sparse.map[t->extent].len)
			t->extent++; /* sparse_check(): data is left, so an extent is */
		x = &t->sparse.map[t->extent];
		if (t->pos < x->at) {
			r = hole_to(t, x->at);
			if (r < 0)
				return r;
		}
		take = (size_t)MIN((uint64_t)take, x->at + x->len - t->pos);
	}
	r = t->ops->data(t->arg, p, take);
	if (r < 0)
		return r;
	t->pos += take;
	t->left -= take;
	*ret_taken = take;
	return t->left ? 0 : file_end(t);
}

static int meta_step(struct tar *t, const uint8_t *p, size_t n, size_t *ret_taken)
{
	size_t take = (size_t)MIN((uint64_t)n, t->left);
	int r = buf_append(&t->meta, p, take);

	if (r < 0)
		return r;
	t->left -= take;
	*ret_taken = take;
	if (t->left)
		return 0;
	r = meta_end(t);
	to_padding(t, t->h.size);
	return r;
}

static int block_step(struct tar *t, const uint8_t *p, size_t n, size_t *ret_taken)
{
	*ret_taken = block_fill(t, p, n);
	if (t->have < TAR_BLOCK)
		return 0;
	if (t->state == ST_EXTENSION)
		return extension_done(t);
	return t->state == ST_MAP ? map_block_done(t) : header_done(t);
}

static int step(struct tar *t, const uint8_t *p, size_t n, size_t *ret_taken)
{
	switch (t->state) {
	case ST_HEADER:
	case ST_EXTENSION:
	case ST_MAP:
		return block_step(t, p, n, ret_taken);
	case ST_META:
		return meta_step(t, p, n, ret_taken);
	case ST_DATA:
		return data_step(t, p, n, ret_taken);
	case ST_PADDING:
		*ret_taken = MIN(n, t->padding);
		t->padding -= *ret_taken;
		if (!t->padding)
			to_header(t);
		return 0;
	case ST_END:
		*ret_taken = n;
		return 0;
	}
	return -EINVAL;
}

int tar_feed(struct tar *t, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n && !t->failed) {
		size_t taken = 0;

		t->failed = step(t, at, n, &taken);
		t->offset += taken;
		at += taken;
		n -= taken;
	}
	return t->failed;
}

/* Entries are handed on with the last byte of a block, and everything is whole blocks. */
uint64_t tar_data_offset(const struct tar *t)
{
	return (t->offset / TAR_BLOCK + 1) * TAR_BLOCK;
}

int tar_skip(struct tar *t, uint64_t *ret)
{
	*ret = 0;
	if (t->failed || t->state != ST_DATA || t->sparse.used)
		return t->failed;
	*ret = t->left;
	t->offset += t->left;
	t->pos += t->left;
	t->left = 0;
	t->failed = file_end(t);
	return t->failed;
}

int tar_finish(struct tar *t)
{
	if (t->failed)
		return t->failed;
	/* Some writers leave the two blocks of zeroes out. */
	if (t->state == ST_END || (t->state == ST_HEADER && t->have == 0 && !t->pax.path))
		return 0;
	return fail(t, -ENODATA, "archive ends inside an entry");
}
