/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer's tar stream to data and index: see unpack.h.
 *
 * File contents are collected in a chunk and written in large pieces at their final place; small
 * files stay in the index.
 */
#include "image/layer/unpack.h"

#include <fcntl.h>

#include "base/str.h"

#include "image/layer/index.h"
#include "image/layer/recipe.h"
#include "image/layer/tar.h"

enum { CHUNK = 1024 * 1024, BLOCK = 4096, HOLE = 64 * 1024 };

struct unpack {
	struct tar *tar;
	struct index_out index;
	struct recipe_out *recipe;
	const uint8_t *raw; /* first byte of the tar that is not in the recipe */
	int data_fd;
	struct msb_err *err; /* of the call under way */
	uint64_t tar_bytes;
	uint64_t data_end; /* multiple of BLOCK */
	uint64_t total; /* file bytes, holes included */

	/* File being read. */
	struct index_entry file;
	char path[TAR_PATH_MAX + 1];
	char link[TAR_PATH_MAX + 1];
	uint8_t inline_data[INDEX_INLINE_MAX];
	uint64_t file_pos;

	/* Bytes of the data file that are not written yet. */
	uint8_t *chunk;
	size_t chunk_len;
	uint64_t chunk_at;
};

/* Bytes @from to @to of the chunk. */
static int chunk_write(struct unpack *u, size_t from, size_t to)
{
	while (from < to) {
		ssize_t put =
			pwrite(u->data_fd, u->chunk + from, to - from, (off_t)(u->chunk_at + from));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return msb_err_errno(u->err, -errno, "cannot write layer data");
		from += (size_t)put;
	}
	return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/*
 * Longer runs of zeroes become holes, for the archivers that do not know of holes, and so that
 * zeroes, which compress a thousandfold, cannot fill a disk.
 */
static int chunk_flush(struct unpack *u)
{
	size_t written = 0;
	size_t at = 0;
	int r = 0;

	while (at < u->chunk_len && r == 0) {
		size_t n = MIN(HOLE - (size_t)((u->chunk_at + at) % HOLE), u->chunk_len - at);

		if (n == HOLE && is_zero(u->chunk + at, n)) {
			r = chunk_write(u, written, at);
			written = at + n;
		}
		at += n;
	}
	if (r == 0)
		r = chunk_write(u, written, at);
	u->chunk_at += u->chunk_len;
	u->chunk_len = 0;
	return r;
}

/* Queues bytes for offset @at of the data file; what lies between two pieces stays a hole. */
static int chunk_put(struct unpack *u, uint64_t at, const uint8_t *p, size_t n)
{
	uint64_t end = u->chunk_at + u->chunk_len;
	int r;

	/* The short gap behind the last block of a file is cheaper written than skipped. */
	if (at > end && at - end < BLOCK && u->chunk_len + (at - end) <= CHUNK) {
		memset(u->chunk + u->chunk_len, 0, (size_t)(at - end));
		u->chunk_len += (size_t)(at - end);
		end = at;
	}
	if (at != end) {
		r = chunk_flush(u);
		if (r < 0)
			return r;
		u->chunk_at = at;
	}
	while (n) {
		size_t part = MIN(n, CHUNK - u->chunk_len);

		memcpy(u->chunk + u->chunk_len, p, part);
		u->chunk_len += part;
		p += part;
		n -= part;
		if (u->chunk_len == CHUNK) {
			r = chunk_flush(u);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int index_add(struct unpack *u, const struct index_entry *e)
{
	int r = index_put(&u->index, e);

	if (r == -E2BIG)
		return msb_err_set(
			u->err, r, MSB_LIMIT, "layer has too many entries or attributes");
	if (r < 0)
		return msb_err_errno(u->err, r, "cannot write the layer index");
	return 0;
}

static int refuse(struct unpack *u, int r, const char *what, const char *path)
{
	char quoted[160];

	return msb_err_set(u->err, r, r == -E2BIG || r == -ENAMETOOLONG ? MSB_LIMIT : MSB_PROTOCOL,
		"%s %s", what, str_quote(quoted, sizeof(quoted), path, strlen(path)));
}

/* Return: 1 when the name was a whiteout and is dealt with, 0 when it is an ordinary name. */
static int take_whiteout(struct unpack *u)
{
	static const char prefix[] = ".wh.";
	char *slash = strrchr(u->path, '/');
	char *base = slash ? slash + 1 : u->path;
	struct index_entry e = {.path = u->path, .link = "", .kind = INDEX_WHITEOUT};
	int r;

	if (strncmp(base, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	if (streq(base, ".wh..wh..opq")) {
		e.kind = INDEX_OPAQUE;
		*(slash ? slash : u->path) = '\0';
	} else if (strncmp(base, ".wh..wh.", 8) == 0) {
		return 1; /* bookkeeping of aufs, no part of the image */
	} else if (base[sizeof(prefix) - 1] == '\0' || streq(base, ".wh..") ||
		   streq(base, ".wh...")) {
		return refuse(u, -EBADMSG, "whiteout without a name:", u->path);
	} else {
		memmove(base, base + sizeof(prefix) - 1, strlen(base) - (sizeof(prefix) - 1) + 1);
	}
	r = index_add(u, &e);
	return r < 0 ? r : 1;
}

static int file_begin(struct unpack *u, struct index_entry *e)
{
	if (e->size > UNPACK_FILE_MAX || e->size > UNPACK_BYTES_MAX - u->total)
		return refuse(u, -E2BIG, "layer too large at", u->path);
	u->total += e->size;
	u->file_pos = 0;
	if (e->size <= INDEX_INLINE_MAX) {
		memset(u->inline_data, 0, sizeof(u->inline_data));
		e->inline_data = u->inline_data;
	} else {
		e->data_block = u->data_end / BLOCK;
		if (e->data_block + e->size / BLOCK >= UINT32_MAX)
			return refuse(u, -E2BIG, "layer too large at", u->path);
		u->data_end += (e->size + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
	}
	u->file = *e;
	/* Attributes live in the parser until the entry ends, and the record is written at once. */
	return 0;
}

static int entry_path(struct unpack *u, const struct tar_entry *t)
{
	int r = index_clean_path(t->path, u->path);

	if (r == -EINVAL)
		return refuse(u, -EBADMSG, "path leads out of the image:", t->path);
	if (r < 0)
		return refuse(u, r, "path too long or too deep:", t->path);
	u->link[0] = '\0';
	if (t->type == TAR_HARDLINK) {
		r = index_clean_path(t->link, u->link);
		if (r < 0)
			return refuse(u, -EBADMSG, "hard link leads out of the image:", t->link);
	} else if (t->type == TAR_SYMLINK) {
		if (t->link[0] == '\0' || strlen(t->link) >= TAR_PATH_MAX)
			return refuse(
				u, -EBADMSG, "symbolic link without a usable target:", t->path);
		memcpy(u->link, t->link, strlen(t->link) + 1);
	}
	return 0;
}

static int on_entry(void *arg, const struct tar_entry *t)
{
	static const enum index_kind kinds[] = {
		[TAR_FILE] = INDEX_FILE,
		[TAR_HARDLINK] = INDEX_HARDLINK,
		[TAR_SYMLINK] = INDEX_SYMLINK,
		[TAR_CHAR] = INDEX_CHAR,
		[TAR_BLOCK_DEV] = INDEX_BLOCK,
		[TAR_DIR] = INDEX_DIR,
		[TAR_FIFO] = INDEX_FIFO,
	};
	struct unpack *u = arg;
	struct index_entry e = {
		.kind = kinds[t->type],
		.path = u->path,
		.link = u->link,
		.mode = t->mode,
		.uid = t->uid,
		.gid = t->gid,
		.major = t->major,
		.minor = t->minor,
		.mtime_s = t->mtime_s,
		.mtime_ns = t->mtime_ns,
		.size = t->size,
		.n_xattrs = t->n_xattrs,
	};
	int r = entry_path(u, t);

	if (r == 0)
		r = take_whiteout(u);
	if (r > 0) {
		u->file.kind = INDEX_WHITEOUT; /* contents of a whiteout are dropped */
		return 0;
	}
	if (r < 0)
		return r;
	if (u->path[0] == '\0' && t->type != TAR_DIR)
		return refuse(u, -EBADMSG, "entry in the place of the root:", t->path);
	memcpy(e.xattrs, t->xattrs, t->n_xattrs * sizeof(e.xattrs[0]));
	if (t->type != TAR_FILE)
		return index_add(u, &e);
	return file_begin(u, &e);
}

static int recipe_failed(struct unpack *u, int r)
{
	return msb_err_errno(u->err, r, "cannot write the layer recipe");
}

static int on_data(void *arg, const uint8_t *p, size_t n)
{
	struct unpack *u = arg;
	uint64_t at = u->file_pos;

	int r;

	if (u->file.kind != INDEX_FILE)
		return 0;
	u->file_pos += n;
	if (u->file.inline_data) {
		memcpy(u->inline_data + at, p, n);
		return 0;
	}
	at += u->file.data_block * BLOCK;
	/* The parser hands on pieces of what it is fed. */
	r = recipe_literal(u->recipe, u->raw, (size_t)(p - u->raw));
	if (r == 0)
		r = recipe_copy(u->recipe, at, n);
	if (r < 0)
		return recipe_failed(u, r);
	u->raw = p + n;
	return chunk_put(u, at, p, n);
}

static int on_hole(void *arg, uint64_t n)
{
	struct unpack *u = arg;

	u->file_pos += n;
	return 0;
}

static int on_end(void *arg)
{
	struct unpack *u = arg;

	return u->file.kind == INDEX_FILE ? index_add(u, &u->file) : 0;
}

static const struct tar_ops ops = {
	.entry = on_entry, .data = on_data, .hole = on_hole, .end = on_end};

int unpack_new(int data_fd, int index_fd, int recipe_fd, struct unpack **ret)
{
	struct unpack *u = calloc(1, sizeof(*u));
	int r = -ENOMEM;

	if (!u)
		return r;
	u->data_fd = data_fd;
	u->chunk = malloc(CHUNK);
	u->tar = tar_new(&ops, u);
	if (u->chunk && u->tar)
		r = index_out_init(&u->index, index_fd);
	if (r == 0)
		r = recipe_out_new(recipe_fd, &u->recipe);
	if (r < 0) {
		unpack_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

struct unpack *unpack_free(struct unpack *u)
{
	if (!u)
		return NULL;
	tar_free(u->tar);
	index_out_deinit(&u->index);
	recipe_out_free(u->recipe);
	free(u->chunk);
	free(u);
	return NULL;
}

/* Callbacks have set the error already when it was theirs. */
static int tar_failed(struct unpack *u, int r, struct msb_err *err)
{
	if (err && err->msg[0])
		return r;
	if (r == -ENOMEM)
		return msb_err_errno(err, r, "cannot read the layer");
	return msb_err_set(err, r, r == -E2BIG ? MSB_LIMIT : MSB_PROTOCOL,
		"layer is no valid tar: %s", tar_error(u->tar));
}

int unpack_feed(struct unpack *u, const void *p, size_t n, struct msb_err *err)
{
	int r;

	if (err)
		err->msg[0] = '\0';
	u->err = err;
	u->tar_bytes += n;
	u->raw = p;
	r = tar_feed(u->tar, p, n);
	if (r < 0)
		return tar_failed(u, r, err);
	r = recipe_literal(u->recipe, u->raw, n - (size_t)(u->raw - (const uint8_t *)p));
	return r < 0 ? recipe_failed(u, r) : 0;
}

int unpack_finish(struct unpack *u, struct unpack_stats *ret, struct msb_err *err)
{
	int r = tar_finish(u->tar);

	if (err)
		err->msg[0] = '\0';
	u->err = err;
	if (r < 0)
		return tar_failed(u, r, err);
	r = chunk_flush(u);
	if (r < 0)
		return r;
	if (ftruncate(u->data_fd, (off_t)u->data_end) < 0)
		return msb_err_errno(err, -errno, "cannot write layer data");
	r = index_out_finish(&u->index);
	if (r < 0)
		return msb_err_errno(err, r, "cannot write the layer index");
	r = recipe_out_finish(u->recipe);
	if (r < 0)
		return recipe_failed(u, r);
	*ret = (struct unpack_stats){
		.entries = u->index.entries,
		.data_bytes = u->data_end,
		.tar_bytes = u->tar_bytes,
	};
	return 0;
}
