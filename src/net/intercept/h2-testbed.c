/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of HTTP/2, in memory: see h2-testbed.h. */
#include "net/intercept/h2-testbed.h"

/* Bodies: each stream has bytes of its own, by the number in its path. */
static uint8_t byte_at(const struct view *v, size_t i)
{
	const char *at = strstr(v->log, ":path: /");
	unsigned int seed = at ? (unsigned int)(unsigned char)at[8] : 0;

	return (uint8_t)(seed + i * 7 + (i >> 8));
}

static struct view *view_of(struct peer *p, int32_t id)
{
	for (size_t i = 0; i < p->n_views; i++) {
		if (p->views[i].id == id)
			return &p->views[i];
	}
	return NULL;
}

struct view *new_view(struct peer *p, int32_t id)
{
	struct view *v = &p->views[p->n_views++];

	ASSERT_TRUE(p->n_views <= STREAMS);
	*v = (struct view){.id = id};
	return v;
}

static void note(struct view *v, const char *line)
{
	int n = snprintf(v->log + v->log_len, sizeof(v->log) - v->log_len, "%s\n", line);

	v->log_len = MIN(v->log_len + (size_t)n, sizeof(v->log) - 1);
}

static ssize_t on_pull(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *ctx)
{
	struct view *v = source->ptr;
	size_t len = MIN(n, v->to_put - v->put);
	nghttp2_nv nv = {.name = (uint8_t *)(uintptr_t) "x-end", .namelen = 5};

	(void)ctx;
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(v, v->put + i);
	v->put += len;
	if (v->put < v->to_put)
		return (ssize_t)len;
	if (v->hold)
		return len ? (ssize_t)len : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (v->trailer) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nv.value = (uint8_t *)(uintptr_t)v->trailer;
		nv.valuelen = strlen(v->trailer);
		ASSERT_OK(nghttp2_submit_trailer(s, id, &nv, 1));
	}
	return (ssize_t)len;
}

static nghttp2_data_provider body_of(struct view *v)
{
	return (nghttp2_data_provider){.source = {.ptr = v}, .read_callback = on_pull};
}

size_t nv_of(const char *const *lines, nghttp2_nv *nv)
{
	size_t n = 0;

	for (; lines[n]; n++) {
		const char *colon = strstr(lines[n], ": ");

		nv[n] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)lines[n],
			.namelen = (size_t)(colon - lines[n]),
			.value = (uint8_t *)(uintptr_t)(colon + 2),
			.valuelen = strlen(colon + 2)};
	}
	return n;
}

void answer(struct peer *p, struct view *v)
{
	static const char *const lines[] = {":status: 200", "x-answer: yes", NULL};
	nghttp2_data_provider body = body_of(v);
	nghttp2_nv nv[8];

	v->to_put = p->answer_bytes;
	v->trailer = p->answer_trailer;
	ASSERT_OK(nghttp2_submit_response(p->session, v->id, nv, nv_of(lines, nv),
		p->answer_bytes || p->answer_trailer ? &body : NULL));
}

static int on_begin(nghttp2_session *s, const nghttp2_frame *f, void *ctx)
{
	struct peer *p = ctx;

	(void)s;
	if (!view_of(p, f->hd.stream_id))
		new_view(p, f->hd.stream_id);
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nl,
	const uint8_t *value, size_t vl, uint8_t flags, void *ctx)
{
	struct view *v = view_of(ctx, f->hd.stream_id);
	char line[512];

	(void)s;
	ASSERT_TRUE(v != NULL);
	(void)snprintf(line, sizeof(line), "%.*s: %.*s", (int)nl, (const char *)name, (int)vl,
		(const char *)value);
	note(v, line);
	if (nl == 5 && memcmp(name, "x-key", nl) == 0 && !(flags & NGHTTP2_NV_FLAG_NO_INDEX))
		v->secret_indexed = true;
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *ctx)
{
	struct peer *p = ctx;
	struct view *v = view_of(p, f->hd.stream_id);

	(void)s;
	if (f->hd.type == NGHTTP2_GOAWAY)
		p->goaway = f->goaway.error_code + 1;
	if (!v)
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS)
		note(v, "-");
	if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		(f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	v->ended = true;
	if (p->server && !p->silent)
		answer(p, v);
	return 0;
}

static int on_data(
	nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *b, size_t n, void *ctx)
{
	struct peer *p = ctx;
	struct view *v = view_of(p, id);

	(void)flags;
	for (size_t i = 0; i < n; i++)
		v->bad += b[i] != byte_at(v, v->got + i);
	v->got += n;
	if (!p->deaf)
		ASSERT_OK(nghttp2_session_consume(s, id, n));
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *ctx)
{
	struct view *v = view_of(ctx, id);

	(void)s;
	if (v) {
		v->closed = true;
		v->code = code;
	}
	return 0;
}

static void peer_init(struct peer *p, bool server, uint32_t max_streams)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams}};
	nghttp2_session_callbacks *c;
	nghttp2_option *o;

	p->server = server;
	ASSERT_OK(nghttp2_session_callbacks_new(&c));
	ASSERT_OK(nghttp2_option_new(&o));
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_max_send_header_block_length(o, 1 << 20);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	ASSERT_OK(server ? nghttp2_session_server_new2(&p->session, c, p, o)
			 : nghttp2_session_client_new2(&p->session, c, p, o));
	ASSERT_OK(nghttp2_submit_settings(p->session, 0, settings, ARRAY_SIZE(settings)));
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(c);
}

static void on_done(void *ctx, const struct exchange_request *r)
{
	struct fixture *f = ctx;

	f->done++;
	f->last = *r;
}

static void on_refused(void *ctx, const char *why, const char *secret)
{
	struct fixture *f = ctx;

	f->refused++;
	(void)snprintf(f->why, sizeof(f->why), "%s", why);
	(void)snprintf(f->secret, sizeof(f->secret), "%s", secret ? secret : "");
}

static void on_failed(void *ctx, enum h2_side side, const char *why)
{
	struct fixture *f = ctx;

	f->failures++;
	(void)snprintf(f->failed, sizeof(f->failed), "%d %s", (int)side, why);
}

struct fixture *make_with(const struct secrets *secrets, uint32_t max_streams)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct h2_rules rules = {.host = "www.example",
		.port = 443,
		.secrets = secrets,
		.place = {.host = "www.example", .tls = true, .pinned = true},
		.done = on_done,
		.refused = on_refused,
		.failed = on_failed,
		.ctx = f};

	ASSERT_TRUE(f != NULL);
	ASSERT_OK(h2_new(&rules, &f->h2));
	buf_init(&f->to_client, LINK_BYTES);
	buf_init(&f->to_server, LINK_BYTES);
	buf_init(&f->tape, BIG);
	peer_init(&f->client, false, 100);
	peer_init(&f->server, true, max_streams);
	return f;
}

struct fixture *make(void)
{
	return make_with(NULL, 100);
}

void drop(struct fixture *f)
{
	(void)h2_free(f->h2);
	nghttp2_session_del(f->client.session);
	nghttp2_session_del(f->server.session);
	buf_deinit(&f->to_client);
	buf_deinit(&f->to_server);
	buf_deinit(&f->tape);
	free(f);
}

/* What a peer has to say goes in. Return: was there anything? */
static bool speak(struct fixture *f, struct peer *p, enum h2_side side)
{
	const uint8_t *b;
	ssize_t n;

	if (f->broken || !h2_may_read(f->h2, side))
		return false;
	n = nghttp2_session_mem_send(p->session, &b);
	ASSERT_TRUE(n >= 0);
	if (n <= 0)
		return false;
	if (buf_space(&f->tape) >= 8 + (size_t)n) {
		const uint32_t head[] = {(uint32_t)side, (uint32_t)n};

		ASSERT_OK(buf_append(&f->tape, head, sizeof(head)));
		ASSERT_OK(buf_append(&f->tape, b, (size_t)n));
	}
	f->broken = h2_read(f->h2, side, b, (size_t)n);
	return true;
}

static bool hear(struct fixture *f, struct peer *p, enum h2_side side, struct buf *link)
{
	int r = f->broken ? 0 : h2_write(f->h2, side, link);
	size_t n = buf_len(link);

	ASSERT_TRUE(r >= 0);
	if ((side == H2_GUEST ? f->stuck : f->clogged) || n == 0)
		return r > 0;
	ASSERT_EQ(nghttp2_session_mem_recv(p->session, buf_data(link), n), n);
	buf_consume(link, n);
	return true;
}

void settle(struct fixture *f)
{
	bool any;

	do {
		any = speak(f, &f->client, H2_GUEST);
		any |= hear(f, &f->server, H2_SERVER, &f->to_server);
		any |= speak(f, &f->server, H2_SERVER);
		any |= hear(f, &f->client, H2_GUEST, &f->to_client);
	} while (any);
}

struct view *ask_lines(struct fixture *f, const char *const *lines, struct view body)
{
	static nghttp2_nv nv[2048];
	size_t n = nv_of(lines, nv);
	struct view *v = new_view(&f->client, 0);
	nghttp2_data_provider provider = body_of(v);

	v->to_put = body.to_put;
	v->trailer = body.trailer;
	v->hold = body.hold;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(lines[i], ":path", 5) == 0)
			note(v, lines[i]);
	}
	v->id = nghttp2_submit_request(f->client.session, NULL, nv, n,
		v->to_put || v->trailer || v->hold ? &provider : NULL, NULL);
	ASSERT_TRUE(v->id > 0);
	return v;
}

bool has(const struct view *v, const char *line)
{
	return strstr(v->log, line) != NULL;
}

size_t waiting(const struct fixture *f, enum h2_side from)
{
	size_t n = 0;

	for (const struct h2_stream *st = f->h2->streams; st; st = st->next)
		n += buf_len(&st->from[from].bytes);
	return n;
}
