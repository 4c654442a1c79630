/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of HTTP/2: a request of the guest, and the answer of the server.
 *
 * A stream has an end of its own at each side and lives until both are closed. Bytes wait in it for
 * the other side's window, at most as many as the window of their own side lets come; that is
 * opened again as they leave. A reset at one side resets the other, but for the answer that a
 * server has finished before it lost interest in the rest of the request: the guest gets that
 * first.
 */
#include "net/intercept/h2-internal.h"

static int fatal(int r)
{
	return nghttp2_is_fatal(r) ? -ENOMEM : 0;
}

static void reset(struct h2_stream *st, enum h2_side side, uint32_t code)
{
	if (st->open[side])
		(void)nghttp2_submit_rst_stream(
			st->h2->session[side], NGHTTP2_FLAG_NONE, st->id[side], code);
}

static void consume(struct h2_stream *st, enum h2_side side, size_t n)
{
	if (n && !st->h2->ended[side])
		(void)nghttp2_session_consume(st->h2->session[side], st->id[side], n);
}

/* Nobody is there to take what came from @from. */
static void drop_bytes(struct h2_stream *st, enum h2_side from)
{
	struct h2_flow *f = &st->from[from];

	consume(st, from, buf_len(&f->bytes));
	buf_deinit(&f->bytes);
	f->trailer = h2_fields_free(f->trailer);
}

static void resume(struct h2_stream *st, enum h2_side from)
{
	struct h2_flow *f = &st->from[from];

	if (f->waiting && st->open[!from])
		(void)nghttp2_session_resume_data(st->h2->session[!from], st->id[!from]);
	f->waiting = false;
}

int h2_stream_new(struct h2 *h, int32_t id, struct h2_stream **ret)
{
	struct h2_stream *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->h2 = h;
	secret_body_init(&st->body, h->rules.secrets, &h->rules.place, false);
	st->id[H2_GUEST] = id;
	st->open[H2_GUEST] = true;
	for (int i = 0; i < 2; i++) {
		buf_init(&st->from[i].bytes, H2_WINDOW);
		st->from[i].window = H2_WINDOW;
	}
	st->request.began_ns = clock_mono_ns();
	st->next = h->streams;
	st->link = &h->streams;
	if (st->next)
		st->next->link = &st->next;
	h->streams = st;
	h->n_streams++;
	*ret = st;
	return 0;
}

void h2_stream_free(struct h2_stream *st)
{
	struct h2 *h = st->h2;

	if (st->understood && !st->refused && h->rules.done)
		h->rules.done(h->rules.ctx, &st->request);
	for (int i = 0; i < 2; i++) {
		h->more -= st->from[i].window - H2_WINDOW;
		buf_deinit(&st->from[i].bytes);
		st->from[i].trailer = h2_fields_free(st->from[i].trailer);
	}
	*st->link = st->next;
	if (st->next)
		st->next->link = st->link;
	h->n_streams--;
	free(st);
}

/* A reader that takes a whole window while nothing is left waiting is not what makes it slow. */
static void open_wider(struct h2_stream *st, enum h2_side from, size_t n)
{
	struct h2_flow *f = &st->from[from];
	struct h2 *h = st->h2;

	f->taken += (uint32_t)n;
	if (f->taken < f->window)
		return;
	f->taken = 0;
	if (buf_len(&f->bytes) || f->ended || !st->open[from] || f->window >= H2_WINDOW_MAX ||
		h->more + f->window > H2_WINDOWS_MORE)
		return;
	if (nghttp2_session_set_local_window_size(h->session[from], NGHTTP2_FLAG_NONE, st->id[from],
		    (int32_t)(f->window * 2)) < 0)
		return;
	h->more += f->window;
	f->window *= 2;
	f->bytes.max = f->window;
}

/* What nghttp2 sends on a stream: the bytes that wait, then the trailer. */
static ssize_t on_pull(nghttp2_session *session, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *ctx)
{
	struct h2_stream *st = source->ptr;
	const struct h2 *h = ctx;
	enum h2_side from = session == h->session[H2_GUEST] ? H2_SERVER : H2_GUEST;
	struct h2_flow *f = &st->from[from];
	size_t len = MIN(n, buf_len(&f->bytes));

	if (len == 0 && !f->ended) {
		f->waiting = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	memcpy(to, buf_data(&f->bytes), len);
	buf_consume(&f->bytes, len);
	if (!st->refused) {
		consume(st, from, len);
		open_wider(st, from, len);
	}
	if (!f->ended || buf_len(&f->bytes))
		return (ssize_t)len;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (f->trailer) {
		cleanup_free nghttp2_nv *nv = h2_fields_nv(f->trailer);

		if (!nv)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		st->h2->queued[!from] += buf_len(&f->trailer->text);
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(session, id, nv, h2_fields_count(f->trailer)) < 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		f->trailer = h2_fields_free(f->trailer);
	}
	return (ssize_t)len;
}

static nghttp2_data_provider provider(struct h2_stream *st)
{
	return (nghttp2_data_provider){.source = {.ptr = st}, .read_callback = on_pull};
}

static int add(struct h2_fields *f, const char *name, const char *value)
{
	return h2_fields_add(f, H2_HEAD_MAX, (const uint8_t *)name, strlen(name),
		(const uint8_t *)value, strlen(value), false);
}

static int submit_answer(struct h2_stream *st, const struct h2_fields *f, bool ended)
{
	struct h2 *h = st->h2;
	cleanup_free nghttp2_nv *nv = h2_fields_nv(f);
	nghttp2_data_provider body = provider(st);

	if (!nv)
		return -ENOMEM;
	st->answered = true;
	st->from[H2_SERVER].ended = ended;
	h->queued[H2_GUEST] += buf_len(&f->text);
	return fatal(nghttp2_submit_response(h->session[H2_GUEST], st->id[H2_GUEST], nv,
		h2_fields_count(f), ended && !st->refused ? NULL : &body));
}

/* The guest hears why, and the server nothing more. */
static int refuse(struct h2_stream *st, unsigned int status, const char *why)
{
	struct h2_fields *f;
	char code[8];
	int r;

	st->refused = true;
	reset(st, H2_SERVER, NGHTTP2_CANCEL);
	drop_bytes(st, H2_GUEST);
	if (st->answered) {
		reset(st, H2_GUEST, NGHTTP2_CANCEL);
		return 0;
	}
	(void)snprintf(code, sizeof(code), "%u", status);
	f = h2_fields_new();
	r = f ? add(f, ":status", code) : -ENOMEM;
	if (r == 0)
		r = add(f, "content-type", "text/plain");
	if (r == 0)
		r = buf_printf(&st->from[H2_SERVER].bytes, "msb: %s\n", why) < 0 ? -ENOMEM : 0;
	if (r == 0)
		r = submit_answer(st, f, true);
	(void)h2_fields_free(f);
	return r;
}

static int refuse_and_tell(
	struct h2_stream *st, unsigned int status, const char *why, const char *secret)
{
	const struct h2_rules *rules = &st->h2->rules;

	if (rules->refused)
		rules->refused(rules->ctx, why, secret);
	return refuse(st, status, why);
}

/* Return: 1: go on with *@ret, which is @f or *@ret_own; 0: refused; or -ENOMEM. */
static int fill(struct h2_stream *st, struct h2_fields *f, struct h2_fields **ret_own,
	struct h2_fields **ret)
{
	const struct h2_rules *rules = &st->h2->rules;
	struct secret_verdict v;
	int r;

	*ret = f;
	*ret_own = NULL;
	if (!rules->secrets)
		return 1;
	r = h2_fields_fill(f, rules, ret_own, &v);
	if (r == -EACCES)
		return refuse_and_tell(st, 403, v.why, v.name);
	if (r == -E2BIG)
		return refuse_and_tell(st, 431, "its head is too long with its secrets", NULL);
	if (r < 0)
		return r;
	if (v.name)
		st->request.secret = v.name;
	*ret = *ret_own;
	return 1;
}

static int submit_request(struct h2_stream *st, const struct h2_fields *f, bool ended)
{
	struct h2 *h = st->h2;
	cleanup_free nghttp2_nv *nv = h2_fields_nv(f);
	nghttp2_data_provider body = provider(st);
	int32_t id;

	if (!nv)
		return -ENOMEM;
	id = h->ended[H2_SERVER] ? NGHTTP2_ERR_START_STREAM_NOT_ALLOWED
				 : nghttp2_submit_request(h->session[H2_SERVER], NULL, nv,
					   h2_fields_count(f), ended ? NULL : &body, st);
	if (id < 0) {
		reset(st, H2_GUEST, NGHTTP2_REFUSED_STREAM);
		return fatal(id);
	}
	st->id[H2_SERVER] = id;
	st->open[H2_SERVER] = true;
	st->understood = true;
	h->queued[H2_SERVER] += buf_len(&f->text);
	return 0;
}

static int request(struct h2_stream *st, struct h2_fields *f, bool ended)
{
	struct h2_fields *own;
	struct h2_fields *use;
	unsigned int status = 431;
	const char *why = "its head is too long";
	int r;

	if (!f->too_large)
		why = h2_fields_request(f, &st->h2->rules, &st->request, &status);
	st->from[H2_GUEST].ended = ended;
	if (why)
		return refuse_and_tell(st, status, why, NULL);
	/* It may be asked again; what waits for a busy server must not pile up. */
	if (st->h2->queued[H2_SERVER] > H2_QUEUED_MAX) {
		reset(st, H2_GUEST, NGHTTP2_REFUSED_STREAM);
		return 0;
	}
	r = fill(st, f, &own, &use);
	if (r > 0)
		r = submit_request(st, use, ended);
	(void)h2_fields_free(own);
	return r;
}

static int answer(struct h2_stream *st, const struct h2_fields *f, bool ended)
{
	unsigned int status = h2_fields_status(f);
	struct h2 *h = st->h2;
	cleanup_free nghttp2_nv *nv = NULL;

	if (f->too_large || status < 100 || status == 101 || (status < 200 && ended)) {
		reset(st, H2_SERVER, NGHTTP2_PROTOCOL_ERROR);
		reset(st, H2_GUEST, NGHTTP2_INTERNAL_ERROR);
		if (h->rules.failed)
			h->rules.failed(h->rules.ctx, H2_SERVER,
				f->too_large ? "the head of an answer is too long"
					     : "an answer without a status");
		return 0;
	}
	/* What is interim may get lost; it must not pile up before a guest that is slow. */
	if (!st->open[H2_GUEST] || (status < 200 && h->queued[H2_GUEST] > H2_QUEUED_MAX))
		return 0;
	st->request.status = status;
	if (status >= 200)
		return submit_answer(st, f, ended);
	nv = h2_fields_nv(f);
	if (!nv)
		return -ENOMEM;
	h->queued[H2_GUEST] += buf_len(&f->text);
	return fatal(nghttp2_submit_headers(h->session[H2_GUEST], NGHTTP2_FLAG_NONE,
		st->id[H2_GUEST], NULL, nv, h2_fields_count(f), NULL));
}

/* Always the end of a direction; it waits for the bytes before it. */
static int trailer(struct h2_stream *st, enum h2_side from, struct h2_fields **f)
{
	struct h2_fields *own = NULL;
	struct h2_fields *use;
	int r = 1;

	if ((*f)->too_large) {
		reset(st, from, NGHTTP2_ENHANCE_YOUR_CALM);
		reset(st, !from, NGHTTP2_INTERNAL_ERROR);
		return 0;
	}
	if (from == H2_GUEST)
		r = fill(st, *f, &own, &use);
	if (r == 1)
		st->from[from].trailer = own ? own : TAKE_PTR(*f);
	return r < 0 ? r : h2_stream_ended(st, from);
}

int h2_stream_fields(
	struct h2_stream *st, enum h2_side from, struct h2_fields **f, bool is_trailer, bool ended)
{
	if (st->refused) {
		st->from[from].ended = ended || st->from[from].ended;
		return 0;
	}
	if (is_trailer)
		return trailer(st, from, f);
	return from == H2_GUEST ? request(st, *f, ended) : answer(st, *f, ended);
}

int h2_stream_data(struct h2_stream *st, enum h2_side from, const uint8_t *p, size_t n)
{
	const struct h2 *h = st->h2;
	struct secret_verdict v;
	size_t used;
	int r = 0;

	if (st->refused || !st->open[!from]) {
		consume(st, from, n);
		return 0;
	}
	if (from == H2_GUEST && h->rules.secrets)
		r = secret_body_feed(&st->body, p, n, NULL, &used, &v);
	if (r == -EACCES) {
		consume(st, from, n);
		return refuse_and_tell(st, 403, v.why, v.name);
	}
	if (r < 0 || buf_append(&st->from[from].bytes, p, n) < 0)
		return -ENOMEM;
	*(from == H2_GUEST ? &st->request.up : &st->request.down) += n;
	resume(st, from);
	return 0;
}

int h2_stream_ended(struct h2_stream *st, enum h2_side from)
{
	struct secret_verdict v;
	int r = 0;

	st->from[from].ended = true;
	if (from == H2_GUEST && st->h2->rules.secrets && !st->refused)
		r = secret_body_end(&st->body, NULL, &v);
	if (r == -EACCES)
		return refuse_and_tell(st, 403, v.why, v.name);
	resume(st, from);
	return r;
}

void h2_stream_said(struct h2_stream *st)
{
	st->said = true;
	if ((st->refused || !st->open[H2_SERVER]) && !st->from[H2_GUEST].ended)
		reset(st, H2_GUEST, NGHTTP2_NO_ERROR);
}

static void server_closed(struct h2_stream *st, uint32_t code)
{
	drop_bytes(st, H2_GUEST);
	if (st->refused)
		return;
	if (!st->from[H2_SERVER].ended)
		reset(st, H2_GUEST, code);
	else if (st->said && !st->from[H2_GUEST].ended)
		reset(st, H2_GUEST, NGHTTP2_NO_ERROR);
}

static void guest_closed(struct h2_stream *st, uint32_t code)
{
	drop_bytes(st, H2_SERVER);
	/* A server may go on reading a request that it has answered. */
	if (code != NGHTTP2_NO_ERROR || !st->said || !st->from[H2_GUEST].ended)
		reset(st, H2_SERVER, code == NGHTTP2_NO_ERROR ? NGHTTP2_CANCEL : code);
}

void h2_stream_closed(struct h2_stream *st, enum h2_side side, uint32_t code)
{
	st->open[side] = false;
	if (side == H2_GUEST)
		guest_closed(st, code);
	else
		server_closed(st, code);
	if (!st->open[H2_GUEST] && !st->open[H2_SERVER])
		h2_stream_free(st);
}
