/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of a layer as it streams in: see decompress.h. */
#include "image/layer/decompress.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

enum kind { KIND_UNKNOWN, KIND_NONE, KIND_GZIP, KIND_ZSTD };

enum { MAGIC_LEN = 4 };

struct decompress {
	int (*sink)(void *arg, const void *p, size_t n);
	void *arg;
	enum kind kind;
	uint8_t head[MAGIC_LEN]; /* until the kind is known */
	size_t head_len;
	uint8_t *out;

	struct inflate_state *gzip;
	bool in_member; /* bytes of a member or frame were seen, its end was not */
	bool padding; /* zeroes behind the last member: nothing else may follow */
	ZSTD_DStream *zstd;
};

struct decompress *decompress_new(int (*sink)(void *arg, const void *p, size_t n), void *arg)
{
	struct decompress *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->sink = sink;
	d->arg = arg;
	d->out = malloc(DECOMPRESS_CHUNK);
	return d->out ? d : decompress_free(d);
}

struct decompress *decompress_free(struct decompress *d)
{
	if (!d)
		return NULL;
	free(d->gzip);
	ZSTD_freeDStream(d->zstd);
	free(d->out);
	free(d);
	return NULL;
}

const char *decompress_name(const struct decompress *d)
{
	static const char *const names[] = {"", "none", "gzip", "zstd"};

	return names[d->kind];
}

static int feed_gzip(struct decompress *d, const uint8_t *p, size_t n)
{
	struct inflate_state *s = d->gzip;

	s->next_in = (uint8_t *)(uintptr_t)p;
	s->avail_in = (uint32_t)n;
	for (;;) {
		size_t made;
		int r;

		if (!d->in_member) {
			/* Between members: the next one, or padding up to the end. */
			while (s->avail_in && *s->next_in == 0) {
				d->padding = true;
				s->next_in++;
				s->avail_in--;
			}
			if (!s->avail_in)
				return 0;
			if (d->padding)
				return -EBADMSG;
			isal_inflate_reset(s);
			s->crc_flag = ISAL_GZIP;
			d->in_member = true;
		}
		s->next_out = d->out;
		s->avail_out = DECOMPRESS_CHUNK;
		if (isal_inflate(s) < 0)
			return -EBADMSG;
		made = DECOMPRESS_CHUNK - s->avail_out;
		r = made ? d->sink(d->arg, d->out, made) : 0;
		if (r < 0)
			return r;
		if (s->block_state == ISAL_BLOCK_FINISH)
			d->in_member = false;
		else if (!s->avail_in && s->avail_out)
			return 0;
	}
}

static int feed_zstd(struct decompress *d, const uint8_t *p, size_t n)
{
	ZSTD_inBuffer in = {.src = p, .size = n};

	for (;;) {
		ZSTD_outBuffer out = {.dst = d->out, .size = DECOMPRESS_CHUNK};
		size_t left = ZSTD_decompressStream(d->zstd, &out, &in);
		int r;

		if (ZSTD_isError(left))
			return -EBADMSG;
		r = out.pos ? d->sink(d->arg, d->out, out.pos) : 0;
		if (r < 0)
			return r;
		d->in_member = left != 0;
		if (in.pos == in.size && out.pos < out.size)
			return 0;
	}
}

static int feed_none(struct decompress *d, const uint8_t *p, size_t n)
{
	while (n) {
		size_t part = MIN(n, (size_t)DECOMPRESS_CHUNK);
		int r = d->sink(d->arg, p, part);

		if (r < 0)
			return r;
		p += part;
		n -= part;
	}
	return 0;
}

static int feed_known(struct decompress *d, const uint8_t *p, size_t n)
{
	switch (d->kind) {
	case KIND_GZIP:
		return feed_gzip(d, p, n);
	case KIND_ZSTD:
		return feed_zstd(d, p, n);
	case KIND_NONE:
	case KIND_UNKNOWN:
		break;
	}
	return feed_none(d, p, n);
}

static int start(struct decompress *d)
{
	static const uint8_t gzip[] = {0x1f, 0x8b};
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	/* Magic numbers of skippable frames differ in their lowest four bits. */
	static const uint8_t skippable[] = {0x2a, 0x4d, 0x18};

	if (d->head_len >= sizeof(gzip) && memcmp(d->head, gzip, sizeof(gzip)) == 0) {
		d->kind = KIND_GZIP;
		d->gzip = malloc(sizeof(*d->gzip));
		if (!d->gzip)
			return -ENOMEM;
		isal_inflate_init(d->gzip);
		d->gzip->crc_flag = ISAL_GZIP;
		d->in_member = true;
	} else if (d->head_len == MAGIC_LEN &&
		   (memcmp(d->head, zstd, sizeof(zstd)) == 0 ||
			   ((d->head[0] & 0xf0) == 0x50 &&
				   memcmp(d->head + 1, skippable, sizeof(skippable)) == 0))) {
		d->kind = KIND_ZSTD;
		d->zstd = ZSTD_createDStream();
		if (!d->zstd)
			return -ENOMEM;
		if (ZSTD_isError(ZSTD_DCtx_setParameter(
			    d->zstd, ZSTD_d_windowLogMax, DECOMPRESS_WINDOW_LOG_MAX)))
			return -EBADMSG;
	} else {
		d->kind = KIND_NONE;
	}
	return feed_known(d, d->head, d->head_len);
}

int decompress_feed(struct decompress *d, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (d->kind == KIND_UNKNOWN && n) {
		int r;

		d->head[d->head_len++] = *at++;
		n--;
		if (d->head_len < MAGIC_LEN)
			continue;
		r = start(d);
		if (r < 0)
			return r;
	}
	/* isa-l counts its input in 32 bits. */
	while (n) {
		size_t part = MIN(n, (size_t)1 << 30);
		int r = feed_known(d, at, part);

		if (r < 0)
			return r;
		at += part;
		n -= part;
	}
	return 0;
}

int decompress_finish(struct decompress *d)
{
	int r = d->kind == KIND_UNKNOWN && d->head_len ? start(d) : 0;

	if (r < 0)
		return r;
	return d->in_member ? -ENODATA : 0;
}
