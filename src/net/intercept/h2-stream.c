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

static int fill_body(struct h2_stream *st);

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

static void free_bytes(struct h2_stream *st, enum h2_side from)
{
	struct buf *b = &st->from[from].bytes;

	if (from == H2_GUEST && st->fill && b->base)
		explicit_bzero(b->base, b->cap);
	buf_deinit(b);
	if (from == H2_GUEST)
		buf_deinit(&st->raw);
}

/* Nobody is there to take what came from @from. */
static void drop_bytes(struct h2_stream *st, enum h2_side from)
{
	struct h2_flow *f = &st->from[from];

	consume(st, from, from == H2_GUEST && st->fill ? buf_len(&st->raw) : buf_len(&f->bytes));
	free_bytes(st, from);
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
		free_bytes(st, (enum h2_side)i);
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

static bool is_all(const struct h2_stream *st, enum h2_side from)
{
	const struct h2_flow *f = &st->from[from];

	return f->ended && buf_len(&f->bytes) == 0 &&
	       (from == H2_SERVER || !st->fill || st->filled);
}

/* The trailer goes behind the bytes. */
static int submit_trailer(struct h2_stream *st, enum h2_side from)
{
	struct h2_flow *f = &st->from[from];
	cleanup_free nghttp2_nv *nv = h2_fields_nv(f->trailer);
	int r = -ENOMEM;

	if (nv)
		r = nghttp2_submit_trailer(
			st->h2->session[!from], st->id[!from], nv, h2_fields_count(f->trailer));
	st->h2->queued[!from] += buf_len(&f->trailer->text);
	f->trailer = h2_fields_free(f->trailer);
	return r;
}

/* What nghttp2 sends on a stream. */
static ssize_t on_pull(nghttp2_session *session, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *ctx)
{
	struct h2_stream *st = source->ptr;
	const struct h2 *h = ctx;
	enum h2_side from = session == h->session[H2_GUEST] ? H2_SERVER : H2_GUEST;
	struct h2_flow *f = &st->from[from];
	size_t len;

	(void)id;
	if (from == H2_GUEST && fill_body(st) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	len = MIN(n, buf_len(&f->bytes));
	/* Of a request that was refused midway there is no end that a server may take for one. */
	if ((len == 0 && !is_all(st, from)) || (from == H2_GUEST && st->refused)) {
		f->waiting = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	memcpy(to, buf_data(&f->bytes), len);
	buf_consume(&f->bytes, len);
	if (!st->refused && !(from == H2_GUEST && st->fill)) {
		consume(st, from, len);
		open_wider(st, from, len);
	}
	if (!is_all(st, from))
		return (ssize_t)len;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (!f->trailer)
		return (ssize_t)len;
	*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return submit_trailer(st, from) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)len;
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

/* What becomes of a request by its secrets. Return: 0: it goes on or is refused; or -ENOMEM. */
static int judge(struct h2_stream *st, int r, const struct secret_verdict *v, unsigned int status)
{
	if (r == -EACCES)
		return refuse_and_tell(st, 403, v->why, v->name);
	if (r == -E2BIG)
		return refuse_and_tell(st, status, "it is too long with its secrets", NULL);
	if (r == 0 && v->name)
		st->request.secret = v->name;
	return r;
}

static bool is_form(const struct h2_fields *f)
{
	struct http_head h = {.n_fields = 1,
		.fields = {{.name = {.at = "Content-Type", .len = sizeof("Content-Type") - 1}}}};

	return h2_fields_find(f, "content-type", &h.fields[0].value) && secrets_is_form(&h);
}

/* Is the body of this request one that secrets may be put into? Then make room for it. */
static int begin_body(struct h2_stream *st, const struct h2_fields *f)
{
	const struct h2_rules *rules = &st->h2->rules;
	struct buf *bytes = &st->from[H2_GUEST].bytes;
	struct http_text coding;

	secret_body_init(&st->body, rules->secrets, &rules->place, is_form(f));
	if (!secrets_in_bodies(rules->secrets, &rules->place) ||
		(h2_fields_find(f, "content-encoding", &coding) && !http_is(&coding, "identity")))
		return 0;
	st->fill = true;
	buf_init(bytes, (size_t)H2_WINDOW + SECRET_ROOM);
	buf_init(&st->raw, H2_WINDOW);
	/* All of it at once: growing would leave copies behind. */
	return buf_reserve(bytes, bytes->max) ? 0 : -ENOMEM;
}

/* As much of the body as there is room for. */
static int fill_body(struct h2_stream *st)
{
	struct buf *out = &st->from[H2_GUEST].bytes;
	int r = 0;

	while (r == 0 && st->fill && !st->filled && !st->refused && buf_space(out) >= SECRET_ROOM) {
		struct secret_verdict v = {.name = NULL};
		size_t used = 0;

		if (buf_len(&st->raw)) {
			r = secret_body_feed(
				&st->body, buf_data(&st->raw), buf_len(&st->raw), out, &used, &v);
		} else if (st->from[H2_GUEST].ended) {
			r = secret_body_end(&st->body, out, &v);
			st->filled = true;
		} else {
			break;
		}
		if (r == 0) {
			consume(st, H2_GUEST, used);
			buf_consume(&st->raw, used);
		}
		r = judge(st, r, &v, 413);
	}
	return r;
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

/* The head of a request that is for our host, with values of secrets in it. */
static int fill_head(struct h2_stream *st, const struct h2_fields *f, bool ended)
{
	const struct h2_rules *rules = &st->h2->rules;
	struct h2_fields *filled = NULL;
	struct secret_verdict v;
	int r;

	if (!rules->secrets)
		return submit_request(st, f, ended);
	if (!ended && begin_body(st, f) < 0)
		return -ENOMEM;
	r = judge(st, h2_fields_fill(f, rules, !st->fill, &filled, &v), &v, 431);
	if (r == 0 && !st->refused)
		r = submit_request(st, filled, ended);
	(void)h2_fields_free(filled);
	return r;
}

static int request(struct h2_stream *st, const struct h2_fields *f, bool ended)
{
	unsigned int status = 431;
	const char *why = "its head is too long";

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
	return fill_head(st, f, ended);
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

/* No value is put in behind a body, as with HTTP/1.1. */
static int look_at_trailer(struct h2_stream *st, const struct h2_fields *f)
{
	static const char why[] = "a placeholder behind a body, where no value is put in";
	struct secret_verdict v = {.name = NULL};
	int r = 0;

	for (size_t i = 0; i < h2_fields_count(f) && r == 0; i++) {
		r = secrets_none(st->h2->rules.secrets, h2_field_name(f, i), why, &v);
		if (r == 0)
			r = secrets_none(st->h2->rules.secrets, h2_field_value(f, i), why, &v);
	}
	v.name = r < 0 ? v.name : NULL;
	return judge(st, r, &v, 431);
}

/* Always the end of a direction; it waits for the bytes before it. */
static int trailer(struct h2_stream *st, enum h2_side from, struct h2_fields **f)
{
	const struct h2 *h = st->h2;
	int r = 0;

	if ((*f)->too_large) {
		reset(st, from, NGHTTP2_ENHANCE_YOUR_CALM);
		reset(st, !from, NGHTTP2_INTERNAL_ERROR);
		if (h->rules.failed)
			h->rules.failed(h->rules.ctx, from, "a trailer is too long");
		return 0;
	}
	if (from == H2_GUEST && h->rules.secrets)
		r = look_at_trailer(st, *f);
	if (r < 0)
		return r;
	if (!st->refused)
		st->from[from].trailer = TAKE_PTR(*f);
	return h2_stream_ended(st, from);
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

/* Nothing is put in: is anything in it that must not be? */
static int look(struct h2_stream *st, const uint8_t *p, size_t n)
{
	struct secret_verdict v = {.name = NULL};
	size_t used;
	int r = n ? secret_body_feed(&st->body, p, n, NULL, &used, &v)
		  : secret_body_end(&st->body, NULL, &v);

	v.name = r < 0 ? v.name : NULL;
	return judge(st, r, &v, 413);
}

int h2_stream_data(struct h2_stream *st, enum h2_side from, const uint8_t *p, size_t n)
{
	bool theirs = from == H2_GUEST && st->h2->rules.secrets && !st->refused && st->open[!from];
	int r = 0;

	if (theirs && !st->fill)
		r = look(st, p, n);
	if (r == 0 && (st->refused || !st->open[!from])) {
		consume(st, from, n);
		return 0;
	}
	if (r < 0 || buf_append(theirs && st->fill ? &st->raw : &st->from[from].bytes, p, n) < 0)
		return -ENOMEM;
	*(from == H2_GUEST ? &st->request.up : &st->request.down) += n;
	if (theirs)
		r = fill_body(st);
	resume(st, from);
	return r;
}

int h2_stream_ended(struct h2_stream *st, enum h2_side from)
{
	bool theirs = from == H2_GUEST && st->h2->rules.secrets && !st->refused && st->open[!from];
	int r = 0;

	st->from[from].ended = true;
	if (theirs)
		r = st->fill ? fill_body(st) : look(st, NULL, 0);
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
