/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with values of secrets: see upload.h. */
#include "net/intercept/upload.h"

enum { CHUNK_DIGITS = 8, LENGTH_TEXT = 24, SCRATCH = SECRET_ROOM + 64 * 1024 };

static void drop_kept(struct upload *u)
{
	buf_deinit(&u->kept);
	if (u->total)
		*u->total -= u->promised;
	u->promised = 0;
}

void upload_deinit(struct upload *u)
{
	drop_kept(u);
}

/* Compressed bodies are not looked into; who compresses them may not have values in them. */
static bool is_encoded(const struct http_head *h)
{
	const struct http_field *f = http_find(h, "Content-Encoding", 0);

	return f && !http_is(&f->value, "identity");
}

static enum upload_mode mode_of(const struct upload *u, const struct http_head *h, uint64_t left)
{
	if (is_encoded(h) || !secrets_in_bodies(u->secrets, &u->place))
		return UPLOAD_LOOK;
	if (http_find(h, "Transfer-Encoding", 0))
		return UPLOAD_CHUNKS;
	return left ? UPLOAD_KEEP : UPLOAD_LOOK;
}

static int keep_head(
	struct upload *u, const struct http_head *h, const void *in, size_t n, uint64_t left)
{
	if (left > UPLOAD_KEPT_MAX)
		return -E2BIG;
	if (u->total && *u->total + left > UPLOAD_KEPT_ALL)
		return -EBUSY;
	u->promised = u->total ? (size_t)left : 0;
	if (u->total)
		*u->total += u->promised;
	u->head = n;
	u->at = n;
	u->greet = h->minor && http_has_word(h, "Expect", "100-continue");
	buf_init(&u->kept, n + (size_t)left);
	return buf_append(&u->kept, in, n) < 0 ? -ENOMEM : 0;
}

int upload_head(struct upload *u, const struct http_head *h, const void *in, size_t n,
	uint64_t left, struct buf *out, struct secret_verdict *ret)
{
	size_t before = buf_len(out);
	int r = secrets_head(u->secrets, &u->place, in, n, h, NULL, out, ret);

	if (r < 0)
		return r;
	u->mode = mode_of(u, h, left);
	u->trailer = false;
	u->form = secrets_is_form(h);
	secret_body_init(&u->body, u->secrets, &u->place, u->form);
	if (u->mode != UPLOAD_KEEP)
		return 0;
	/* It was only a trial. */
	secrets_undo(out, before);
	return keep_head(u, h, in, n, left);
}

/* Room for the length of a chunk, which is not known yet. */
static int chunk_begin(struct buf *out)
{
	return buf_append(out, "00000000\r\n", CHUNK_DIGITS + 2);
}

/* What is behind @before is a chunk, or nothing. */
static int chunk_end(struct buf *out, size_t before)
{
	size_t n = buf_len(out) - before - CHUNK_DIGITS - 2;
	char digits[CHUNK_DIGITS + 1];

	if (n == 0) {
		out->tail = out->head + before;
		return 0;
	}
	(void)snprintf(digits, sizeof(digits), "%08" PRIx32, (uint32_t)n);
	memcpy(out->base + out->head + before, digits, CHUNK_DIGITS);
	return buf_append(out, "\r\n", 2);
}

static int feed_chunk(struct upload *u, const void *in, size_t n, struct buf *out, size_t *ret_used,
	struct secret_verdict *ret)
{
	size_t before = buf_len(out);
	int r = chunk_begin(out);

	if (r == 0)
		r = secret_body_feed(&u->body, in, n, out, ret_used, ret);
	return r == 0 ? chunk_end(out, before) : r;
}

int upload_data(struct upload *u, const void *in, size_t n, struct buf *out, size_t *ret_used,
	struct secret_verdict *ret)
{
	int r;

	if (u->mode == UPLOAD_CHUNKS)
		return feed_chunk(u, in, n, out, ret_used, ret);
	if (u->mode == UPLOAD_KEEP) {
		*ret_used = n;
		return buf_append(&u->kept, in, n) < 0 ? -ENOMEM : 0;
	}
	r = secret_body_feed(&u->body, in, n, NULL, ret_used, ret);
	return r == 0 && buf_append(out, in, n) < 0 ? -ENOMEM : r;
}

int upload_frame(struct upload *u, bool last, const void *in, size_t n, struct buf *out,
	struct secret_verdict *ret)
{
	int r = 0;

	if (u->mode == UPLOAD_CHUNKS && !last)
		return 0;
	if (last && u->trailer)
		r = secrets_none(u->secrets, (struct http_text){.at = in, .len = n},
			"a placeholder behind a body, where no value is put in", ret);
	if (last && !u->trailer && u->mode == UPLOAD_CHUNKS) {
		size_t before = buf_len(out);

		r = chunk_begin(out);
		if (r == 0)
			r = secret_body_end(&u->body, out, ret);
		if (r == 0)
			r = chunk_end(out, before);
	}
	u->trailer |= last;
	return r == 0 && buf_append(out, in, n) < 0 ? -ENOMEM : r;
}

/* How long the body is with its values: what they do to it is done twice, and kept nowhere. */
static int measure(struct upload *u, size_t *ret_n, struct secret_verdict *ret)
{
	const uint8_t *p = buf_data(&u->kept);
	size_t len = buf_len(&u->kept);
	size_t at = u->head;
	struct buf scratch;
	int r;

	buf_init(&scratch, SCRATCH);
	/* All of it at once: growing would leave copies behind. */
	r = buf_reserve(&scratch, SCRATCH) ? 0 : -ENOMEM;
	*ret_n = 0;
	while (r == 0 && at < len) {
		size_t used;

		r = secret_body_feed(&u->body, p + at, len - at, &scratch, &used, ret);
		at += used;
		*ret_n += buf_len(&scratch);
		buf_consume(&scratch, buf_len(&scratch));
	}
	if (r == 0)
		r = secret_body_end(&u->body, &scratch, ret);
	*ret_n += buf_len(&scratch);
	if (scratch.base)
		explicit_bzero(scratch.base, scratch.cap);
	buf_deinit(&scratch);
	return r;
}

/* The head once more, with the length of what follows. */
static int send_head(struct upload *u, size_t len, struct buf *out, struct secret_verdict *ret)
{
	struct http_stream s;
	char length[LENGTH_TEXT];
	size_t n;

	http_init(&s, HTTP_REQUEST);
	if (http_next(&s, buf_data(&u->kept), u->head, &n) != HTTP_HEAD || n != u->head)
		return -ENOMEM;
	(void)snprintf(length, sizeof(length), "%zu", len);
	return secrets_head(u->secrets, &u->place, (const char *)buf_data(&u->kept), n, &s.head,
		length, out, ret);
}

int upload_end(struct upload *u, struct buf *out, struct secret_verdict *ret)
{
	struct secret_verdict in_head = {.name = NULL};
	size_t len;
	int r;

	if (u->mode != UPLOAD_KEEP)
		return 0;
	u->greet = false;
	r = measure(u, &len, ret);
	if (r == 0)
		r = send_head(u, len, out, &in_head);
	if (r == 0 && !ret->name)
		*ret = in_head;
	secret_body_init(&u->body, u->secrets, &u->place, u->form);
	u->mode = UPLOAD_SEND;
	return r;
}

int upload_send(struct upload *u, struct buf *out, struct secret_verdict *ret)
{
	size_t used;
	int r = secret_body_feed(
		&u->body, buf_data(&u->kept) + u->at, buf_len(&u->kept) - u->at, out, &used, ret);

	if (r < 0)
		return r;
	u->at += used;
	if (u->at < buf_len(&u->kept) || buf_space(out) < SECRET_ROOM)
		return 0;
	r = secret_body_end(&u->body, out, ret);
	drop_kept(u);
	u->mode = UPLOAD_LOOK;
	return r;
}
