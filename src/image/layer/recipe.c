/* SPDX-License-Identifier: Apache-2.0 */
/* Recipe of a layer: see recipe.h. */
#include "image/layer/recipe.h"

#include <zstd.h>

#include "base/io.h"

/* Headers of tar are mostly alike and mostly zero: the fastest levels shrink them as well. */
enum { LEVEL = 1, WINDOW_LOG_MAX = 23, OUT_BYTES = 128 * 1024, TAIL = 16, COUNT = 4 };

static const char magic[8] = "msbrcp1\n";

struct recipe_out {
	int fd;
	ZSTD_CCtx *zstd;
	uint8_t *out;
	size_t out_len;
	uint8_t *literal; /* of the step under way */
	size_t literal_len;
	uint64_t copy_at;
	uint64_t copy_len;
};

struct recipe_out *recipe_out_free(struct recipe_out *o)
{
	if (!o)
		return NULL;
	ZSTD_freeCCtx(o->zstd);
	free(o->out);
	free(o->literal);
	free(o);
	return NULL;
}

static int out_flush(struct recipe_out *o)
{
	int r = io_write_full(o->fd, o->out, o->out_len);

	o->out_len = 0;
	return r;
}

static int compress(struct recipe_out *o, const void *p, size_t n, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = {.src = p, .size = n};
	size_t left;

	do {
		ZSTD_outBuffer out = {.dst = o->out, .size = OUT_BYTES, .pos = o->out_len};

		left = ZSTD_compressStream2(o->zstd, &out, &in, end);
		o->out_len = out.pos;
		if (ZSTD_isError(left))
			return -ENOMEM; /* nothing else can happen to valid arguments */
		if (o->out_len == OUT_BYTES) {
			int r = out_flush(o);

			if (r < 0)
				return r;
		}
	} while (in.pos < in.size || (end == ZSTD_e_end && left));
	return 0;
}

int recipe_out_new(int fd, struct recipe_out **ret)
{
	struct recipe_out *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->fd = fd;
	o->zstd = ZSTD_createCCtx();
	o->out = malloc(OUT_BYTES);
	o->literal = malloc(RECIPE_LITERAL_MAX);
	if (!o->zstd || !o->out || !o->literal ||
		ZSTD_isError(ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_compressionLevel, LEVEL))) {
		recipe_out_free(o);
		return -ENOMEM;
	}
	r = compress(o, magic, sizeof(magic), ZSTD_e_continue);
	if (r < 0) {
		recipe_out_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

static void put_le(uint8_t *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *from, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)from[i] << (8 * i);
	return v;
}

/* The step under way goes out. */
static int step(struct recipe_out *o)
{
	uint8_t count[COUNT];
	uint8_t tail[TAIL];
	int r;

	put_le(count, o->literal_len, COUNT);
	put_le(tail, o->copy_at, 8);
	put_le(tail + 8, o->copy_len, 8);
	r = compress(o, count, sizeof(count), ZSTD_e_continue);
	if (r == 0)
		r = compress(o, o->literal, o->literal_len, ZSTD_e_continue);
	if (r == 0)
		r = compress(o, tail, sizeof(tail), ZSTD_e_continue);
	o->literal_len = 0;
	o->copy_at = 0;
	o->copy_len = 0;
	return r;
}

int recipe_literal(struct recipe_out *o, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n) {
		size_t part;

		if (o->copy_len || o->literal_len == RECIPE_LITERAL_MAX) {
			int r = step(o);

			if (r < 0)
				return r;
		}
		part = MIN(n, RECIPE_LITERAL_MAX - o->literal_len);
		memcpy(o->literal + o->literal_len, at, part);
		o->literal_len += part;
		at += part;
		n -= part;
	}
	return 0;
}

int recipe_copy(struct recipe_out *o, uint64_t at, uint64_t n)
{
	if (o->copy_len && o->copy_at + o->copy_len != at) {
		int r = step(o);

		if (r < 0)
			return r;
	}
	if (!o->copy_len)
		o->copy_at = at;
	o->copy_len += n;
	return 0;
}

int recipe_out_finish(struct recipe_out *o)
{
	int r = o->literal_len || o->copy_len ? step(o) : 0;

	if (r == 0)
		r = compress(o, NULL, 0, ZSTD_e_end);
	return r < 0 ? r : out_flush(o);
}

enum state { ST_MAGIC, ST_COUNT, ST_LITERAL, ST_TAIL };

struct recipe_in {
	const struct recipe_ops *ops;
	void *arg;
	ZSTD_DCtx *zstd;
	bool frame_ended;
	uint8_t *out;
	enum state state;
	uint8_t head[TAIL]; /* fixed part being collected */
	size_t have;
	size_t literal; /* bytes still to come */
	bool empty; /* the step has no literal */
};

struct recipe_in *recipe_in_new(const struct recipe_ops *ops, void *arg)
{
	struct recipe_in *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->ops = ops;
	i->arg = arg;
	i->zstd = ZSTD_createDCtx();
	i->out = malloc(OUT_BYTES);
	if (!i->zstd || !i->out ||
		ZSTD_isError(ZSTD_DCtx_setParameter(i->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
		return recipe_in_free(i);
	return i;
}

struct recipe_in *recipe_in_free(struct recipe_in *i)
{
	if (!i)
		return NULL;
	ZSTD_freeDCtx(i->zstd);
	free(i->out);
	free(i);
	return NULL;
}

/* A fixed part of @size bytes; returns bytes taken. */
static size_t collect(struct recipe_in *i, const uint8_t *p, size_t n, size_t size, bool *ret_whole)
{
	size_t part = MIN(n, size - i->have);

	memcpy(i->head + i->have, p, part);
	i->have += part;
	*ret_whole = i->have == size;
	if (*ret_whole)
		i->have = 0;
	return part;
}

static int take_magic(struct recipe_in *i, const uint8_t *p, size_t n, size_t *ret_taken)
{
	bool whole;

	*ret_taken = collect(i, p, n, sizeof(magic), &whole);
	if (!whole)
		return 0;
	i->state = ST_COUNT;
	return memcmp(i->head, magic, sizeof(magic)) == 0 ? 0 : -EBADMSG;
}

static int take_count(struct recipe_in *i, const uint8_t *p, size_t n, size_t *ret_taken)
{
	bool whole;

	*ret_taken = collect(i, p, n, COUNT, &whole);
	if (!whole)
		return 0;
	i->literal = (size_t)get_le(i->head, COUNT);
	i->empty = !i->literal;
	i->state = i->literal ? ST_LITERAL : ST_TAIL;
	return i->literal <= RECIPE_LITERAL_MAX ? 0 : -EBADMSG;
}

static int take_literal(struct recipe_in *i, const uint8_t *p, size_t n, size_t *ret_taken)
{
	*ret_taken = MIN(n, i->literal);
	i->literal -= *ret_taken;
	if (!i->literal)
		i->state = ST_TAIL;
	return i->ops->literal(i->arg, p, *ret_taken);
}

static int take_tail(struct recipe_in *i, const uint8_t *p, size_t n, size_t *ret_taken)
{
	uint64_t at;
	uint64_t len;
	bool whole;

	*ret_taken = collect(i, p, n, TAIL, &whole);
	if (!whole)
		return 0;
	i->state = ST_COUNT;
	at = get_le(i->head, 8);
	len = get_le(i->head + 8, 8);
	/* Steps that do nothing would be an endless loop in few bytes. */
	if (at > INT64_MAX || len > INT64_MAX - at || (i->empty && !len))
		return -EBADMSG;
	return len ? i->ops->copy(i->arg, at, len) : 0;
}

static int take(struct recipe_in *i, const uint8_t *p, size_t n)
{
	static int (*const takers[])(struct recipe_in *, const uint8_t *, size_t, size_t *) = {
		[ST_MAGIC] = take_magic,
		[ST_COUNT] = take_count,
		[ST_LITERAL] = take_literal,
		[ST_TAIL] = take_tail,
	};

	while (n) {
		size_t taken;
		int r = takers[i->state](i, p, n, &taken);

		if (r < 0)
			return r;
		p += taken;
		n -= taken;
	}
	return 0;
}

int recipe_feed(struct recipe_in *i, const void *p, size_t n)
{
	ZSTD_inBuffer in = {.src = p, .size = n};
	ZSTD_outBuffer out;

	if (n && i->frame_ended)
		return -EBADMSG;
	do {
		size_t left;
		int r;

		out = (ZSTD_outBuffer){.dst = i->out, .size = OUT_BYTES};
		left = ZSTD_decompressStream(i->zstd, &out, &in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		r = take(i, i->out, out.pos);
		if (r < 0)
			return r;
		i->frame_ended = left == 0;
		if (i->frame_ended && in.pos < in.size)
			return -EBADMSG;
	} while (in.pos < in.size || out.pos == out.size);
	return 0;
}

int recipe_finish(const struct recipe_in *i)
{
	return i->frame_ended && i->state == ST_COUNT && i->have == 0 ? 0 : -ENODATA;
}
