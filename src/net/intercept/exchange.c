/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers: see exchange.h.
 *
 * After a request that may change the protocol the client is not read until the server has
 * answered: what follows belongs to one protocol or the other.
 */
#include "net/intercept/exchange.h"

void exchange_init(struct exchange *x, const char *host, uint16_t port)
{
	*x = (struct exchange){.host = host, .port = port};
	http_init(&x->up, HTTP_REQUEST);
	http_init(&x->down, HTTP_RESPONSE);
}

void exchange_deinit(struct exchange *x)
{
	upload_deinit(&x->upload);
}

static int refuse(struct exchange *x, unsigned int status, const char *why)
{
	x->refusal = status;
	x->why = why;
	return -EACCES;
}

static int refuse_secret(struct exchange *x, int r, const struct secret_verdict *v)
{
	if (r == -EBUSY)
		return refuse(x, 503, "too many bodies wait for values of secrets");
	if (r == -E2BIG)
		return refuse(x, 413,
			x->up.left > UPLOAD_KEPT_MAX
				? "a body of more than 16 MiB is too long to put values of secrets "
				  "into; a chunked one may be longer"
				: "with values of secrets it is too long");
	if (r != -EACCES)
		return r;
	x->secret = v->name;
	return refuse(x, 403, v->why);
}

static bool is_host(const struct exchange *x, struct http_text t)
{
	return http_is_host(t, x->host, x->port);
}

/* The host within an absolute target; false: it has none. */
static bool target_host(const struct http_text *target, struct http_text *ret)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (target->len < n || strncasecmp(target->at, schemes[i], n) != 0)
			continue;
		ret->at = target->at + n;
		for (ret->len = 0; n + ret->len < target->len; ret->len++) {
			if (strchr("/?#", ret->at[ret->len]))
				break;
		}
		return true;
	}
	return false;
}

static int check_request(struct exchange *x, const struct http_head *h)
{
	const struct http_field *host = http_find(h, "Host", 0);
	struct http_text in_target;

	if (http_is(&h->method, "CONNECT"))
		return refuse(x, 405, "CONNECT within an intercepted connection");
	if (!host && h->minor)
		return refuse(x, 400, "no Host");
	if (host && http_find(h, "Host", (uint32_t)(host - h->fields) + 1))
		return refuse(x, 400, "two Hosts");
	if (host && !is_host(x, host->value))
		return refuse(x, 421, "its Host is another one than the connection's");
	if (h->target.at[0] == '/' || http_is(&h->target, "*"))
		return 0;
	if (!target_host(&h->target, &in_target))
		return refuse(x, 400, "its target is no path");
	return is_host(x, in_target)
		       ? 0
		       : refuse(x, 421, "its target is on another host than the connection's");
}

static void copy_text(char *to, size_t size, const char *from, size_t len)
{
	(void)snprintf(to, size, "%.*s", (int)MIN(len, size - 1), from);
}

static void remember(struct exchange *x, const struct http_head *h)
{
	struct exchange_request *r = &x->pending[x->n_pending++];
	const char *query = memchr(h->target.at, '?', h->target.len);

	*r = (struct exchange_request){
		.began_ns = clock_mono_ns(),
		.no_body = h->method.len == 4 && memcmp(h->method.at, "HEAD", 4) == 0,
		.upgrade = http_has_word(h, "Upgrade", "websocket"),
	};
	x->asking = true;
	copy_text(r->method, sizeof(r->method), h->method.at, h->method.len);
	copy_text(r->path, sizeof(r->path), h->target.at,
		query ? (size_t)(query - h->target.at) : h->target.len);
}

static struct exchange_request *newest(struct exchange *x)
{
	return x->n_pending ? &x->pending[x->n_pending - 1] : NULL;
}

static int pass(struct buf *in, struct buf *out, size_t n)
{
	int r = buf_append(out, buf_data(in), n);

	if (r == 0)
		buf_consume(in, n);
	return r < 0 ? -ENOMEM : 1;
}

/* A secret was put into the newest request. */
static void note_secret(struct exchange *x, const struct secret_verdict *v)
{
	if (v->name && x->n_pending)
		newest(x)->secret = v->name;
}

/* The head that was just read, with values of secrets in it. */
static int pass_head(struct exchange *x, struct buf *in, struct buf *out, size_t n)
{
	const struct http_head *h = &x->up.head;
	struct secret_verdict v = {.name = NULL};
	int r = check_request(x, h);

	if (r < 0)
		return r;
	if (!x->upload.secrets) {
		remember(x, h);
		return pass(in, out, n);
	}
	r = upload_head(&x->upload, h, buf_data(in), n, x->up.left, out, &v);
	if (r < 0)
		return refuse_secret(x, r, &v);
	remember(x, h);
	note_secret(x, &v);
	buf_consume(in, n);
	return 1;
}

static int pass_data(struct exchange *x, struct buf *in, struct buf *out, size_t n)
{
	struct secret_verdict v = {.name = NULL};
	size_t used = n;
	int r;

	if (x->upload.secrets)
		r = upload_data(&x->upload, buf_data(in), n, out, &used, &v);
	else
		r = buf_append(out, buf_data(in), n) < 0 ? -ENOMEM : 0;
	if (r < 0)
		return refuse_secret(x, r, &v);
	/* Its answer may have come before. */
	if (x->n_pending)
		newest(x)->up += used;
	note_secret(x, &v);
	buf_consume(in, used);
	x->owed = n - used;
	return 1;
}

static int pass_frame(struct exchange *x, struct buf *in, struct buf *out, size_t n)
{
	struct secret_verdict v = {.name = NULL};
	int r;

	if (!x->upload.secrets)
		return pass(in, out, n);
	r = upload_frame(&x->upload, x->up.last_chunk, buf_data(in), n, out, &v);
	if (r < 0)
		return refuse_secret(x, r, &v);
	note_secret(x, &v);
	buf_consume(in, n);
	return 1;
}

static int pass_end(struct exchange *x, struct buf *out)
{
	struct secret_verdict v = {.name = NULL};
	int r = x->upload.secrets ? upload_end(&x->upload, out, &v) : 0;

	if (r < 0)
		return refuse_secret(x, r, &v);
	note_secret(x, &v);
	x->asking = x->upload.mode == UPLOAD_SEND;
	return 1;
}

/* More of a body that was kept. */
static int pass_kept(struct exchange *x, struct buf *out)
{
	struct secret_verdict v = {.name = NULL};
	int r = upload_send(&x->upload, out, &v);

	if (r < 0)
		return refuse_secret(x, r, &v);
	x->asking = x->upload.mode == UPLOAD_SEND;
	return 1;
}

/* Must the client wait, for an answer that decides what its next bytes are, or for any? */
static bool must_wait(struct exchange *x)
{
	const struct exchange_request *r = newest(x);

	return http_idle(&x->up) && r && (r->upgrade || x->n_pending == EXCHANGE_PENDING);
}

int exchange_up(struct exchange *x, struct buf *in, struct buf *out)
{
	enum http_piece p;
	size_t n;

	if (buf_space(out) < EXCHANGE_BYTES)
		return 0;
	if (x->upload.mode == UPLOAD_SEND)
		return pass_kept(x, out);
	if (x->owed)
		return pass_data(x, in, out, x->owed);
	if (must_wait(x))
		return 0;
	p = http_next(&x->up, buf_data(in), buf_len(in), &n);
	switch (p) {
	case HTTP_MORE:
		return 0;
	case HTTP_HEAD:
		return pass_head(x, in, out, n);
	case HTTP_DATA:
		return pass_data(x, in, out, n);
	case HTTP_FRAME:
		return pass_frame(x, in, out, n);
	case HTTP_RAW:
		return pass(in, out, n);
	case HTTP_END:
		return pass_end(x, out);
	case HTTP_BAD:
		break;
	}
	return refuse(x, 400, x->up.why);
}

static void answered(struct exchange *x)
{
	if (x->done)
		x->done(x->ctx, &x->pending[0]);
	x->n_pending--;
	memmove(&x->pending[0], &x->pending[1], x->n_pending * sizeof(x->pending[0]));
	x->answering = false;
}

static int answer_head(struct exchange *x)
{
	unsigned int status = x->down.head.status;
	struct exchange_request *r = &x->pending[0];

	x->answering = true;
	r->status = status;
	if (status != 101)
		return 0;
	if (!r->upgrade || x->n_pending != 1 || !http_idle(&x->up)) {
		x->why = "a change of the protocol that was not asked for";
		return -EBADMSG;
	}
	http_raw(&x->up);
	http_raw(&x->down);
	x->tunnel = true;
	answered(x);
	return 0;
}

/* The server is not asked before the body is all there, and the client waits for a word. */
static int greet(struct exchange *x, struct buf *out)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	x->upload.greet = false;
	return buf_append(out, text, sizeof(text) - 1) < 0 ? -ENOMEM : 1;
}

int exchange_down(struct exchange *x, struct buf *in, struct buf *out)
{
	enum http_piece p;
	size_t n;

	if (buf_space(out) < EXCHANGE_BYTES)
		return 0;
	if (http_idle(&x->down)) {
		if (x->upload.greet && x->n_pending == 1 && !x->answering)
			return greet(x, out);
		if (x->n_pending)
			x->down.no_body = x->pending[0].no_body;
		else if (buf_len(in) == 0)
			return 0;
	}
	p = http_next(&x->down, buf_data(in), buf_len(in), &n);
	if (p == HTTP_HEAD && x->n_pending == 0) {
		x->why = "an answer without a request";
		return -EBADMSG;
	}
	switch (p) {
	case HTTP_MORE:
		return 0;
	case HTTP_HEAD:
		return answer_head(x) < 0 ? -EBADMSG : pass(in, out, n);
	case HTTP_DATA:
	case HTTP_RAW:
		if (x->n_pending && !x->tunnel)
			x->pending[0].down += n;
		return pass(in, out, n);
	case HTTP_FRAME:
		return pass(in, out, n);
	case HTTP_END:
		/* Interim answers have another one behind them. */
		if (!x->tunnel && x->n_pending && x->pending[0].status >= 200)
			answered(x);
		return 1;
	case HTTP_BAD:
		break;
	}
	x->why = x->down.why;
	return -EBADMSG;
}

bool exchange_end(struct exchange *x)
{
	if (x->tunnel)
		return true;
	if (x->down.until_end && x->n_pending) {
		answered(x);
		return true;
	}
	return http_idle(&x->down);
}

bool exchange_refusal(struct exchange *x, struct buf *out)
{
	const char *reason = x->refusal == 421	 ? "Misdirected Request"
			     : x->refusal == 403 ? "Forbidden"
			     : x->refusal == 405 ? "Method Not Allowed"
			     : x->refusal == 413 ? "Content Too Large"
			     : x->refusal == 503 ? "Service Unavailable"
						 : "Bad Request";

	if (x->n_pending != (x->asking ? 1 : 0) || x->answering || x->tunnel)
		return false;
	return buf_printf(out,
		       "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
		       "Connection: close\r\n\r\nmsb: %s\n",
		       x->refusal, reason, strlen(x->why) + 6, x->why) == 0;
}
