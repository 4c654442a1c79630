/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 between a client and a server that nghttp2 is, all in memory. */
#include <sys/mman.h>

#include "net/intercept/h2-internal.h"

#include "test.h"

enum { STREAMS = 64, LOG_BYTES = 4096, BIG = 1024 * 1024, LINK_BYTES = 256 * 1024 };

/* What one end knows of a stream. */
struct view {
	int32_t id;
	char log[LOG_BYTES]; /* fields as they came, a line each; "-" where a head ends */
	size_t log_len;
	bool secret_indexed;
	size_t got, bad; /* bytes of the body; those that were not what they should be */
	size_t put, to_put; /* of ours */
	const char *trailer; /* behind them */
	bool hold; /* the body does not end */
	bool ended, closed;
	uint32_t code;
};

struct peer {
	nghttp2_session *session;
	bool server;
	bool deaf; /* consumes nothing */
	struct view views[STREAMS];
	size_t n_views;
	/* A server's answer to everything. */
	size_t answer_bytes;
	const char *answer_trailer;
	bool silent; /* it does not answer */
	uint32_t goaway; /* it was told, plus one */
};

struct fixture {
	struct h2 *h2;
	struct peer client, server;
	struct buf to_client, to_server;
	struct buf tape; /* what h2_read() was given: side, length, bytes */
	bool stuck; /* the client does not read its socket */
	bool clogged; /* the server does not */
	int broken; /* what h2_read() said */
	char why[128], secret[32], failed[128];
	unsigned int done, refused, failures;
	struct exchange_request last;
};

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

static struct view *new_view(struct peer *p, int32_t id)
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

/* @lines: "name: value" each, up to NULL. */
static size_t nv_of(const char *const *lines, nghttp2_nv *nv)
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

static void answer(struct peer *p, struct view *v)
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

static struct fixture *make_with(const struct secrets *secrets, uint32_t max_streams)
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

static struct fixture *make(void)
{
	return make_with(NULL, 100);
}

static void drop(struct fixture *f)
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

/* Until nobody has anything to say. */
static void settle(struct fixture *f)
{
	bool any;

	do {
		any = speak(f, &f->client, H2_GUEST);
		any |= hear(f, &f->server, H2_SERVER, &f->to_server);
		any |= speak(f, &f->server, H2_SERVER);
		any |= hear(f, &f->client, H2_GUEST, &f->to_client);
	} while (any);
}

#define OURS ":method: GET", ":scheme: https", ":authority: www.example"

static struct view *ask_lines(struct fixture *f, const char *const *lines, struct view body)
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

#define ask(f, body, ...) ask_lines(f, (const char *const[]){__VA_ARGS__, NULL}, body)
#define NOTHING		  ((struct view){.id = 0})

static bool has(const struct view *v, const char *line)
{
	return strstr(v->log, line) != NULL;
}

static size_t waiting(const struct fixture *f, enum h2_side from)
{
	size_t n = 0;

	for (const struct h2_stream *st = f->h2->streams; st; st = st->next)
		n += buf_len(&st->from[from].bytes);
	return n;
}

TEST(a_request_and_its_answer)
{
	struct fixture *f = make();
	struct view *v;

	f->server.answer_bytes = 5;
	v = ask(f, ((struct view){.to_put = 3}), ":method: POST", ":scheme: https",
		":authority: WWW.example:443", ":path: /a?private", "x-one: 1", "x-one: 2");
	settle(f);
	ASSERT_TRUE(v->ended && v->closed && v->code == 0 && v->got == 5 && v->bad == 0);
	ASSERT_TRUE(has(v, ":status: 200\nx-answer: yes\n-\n"));
	ASSERT_STREQ(f->server.views[0].log,
		":method: POST\n:scheme: https\n:authority: WWW.example:443\n:path: /a?private\n"
		"x-one: 1\nx-one: 2\n-\n");
	ASSERT_TRUE(f->server.views[0].got == 3 && f->server.views[0].bad == 0);
	ASSERT_TRUE(f->done == 1 && f->refused == 0 && f->failures == 0);
	ASSERT_STREQ(f->last.method, "POST");
	ASSERT_STREQ(f->last.path, "/a");
	ASSERT_TRUE(f->last.status == 200 && f->last.up == 3 && f->last.down == 5);
	ASSERT_TRUE(f->h2->streams == NULL && !h2_over(f->h2, H2_GUEST));
	drop(f);
}

TEST(many_streams_at_once_with_large_bodies)
{
	struct fixture *f = make();
	struct view *v[50];

	f->server.answer_bytes = BIG / 4;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		char path[] = ":path: /?";

		path[8] = (char)(i < 26 ? 'A' + i : 'a' + (i - 26));
		v[i] = ask(f, ((struct view){.to_put = 100 * 1000}), OURS, path);
	}
	settle(f);
	ASSERT_EQ(f->done, ARRAY_SIZE(v));
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		ASSERT_TRUE(v[i]->closed && v[i]->got == BIG / 4 && v[i]->bad == 0);
		ASSERT_TRUE(f->server.views[i].got == 100 * 1000 && f->server.views[i].bad == 0);
	}
	drop(f);
}

/* Nobody takes more than a window of what somebody else does not read, and others go on. */
TEST(a_slow_reader_is_waited_for)
{
	struct fixture *f = make();
	struct view *slow;
	struct view *other;

	f->server.answer_bytes = BIG;
	f->client.deaf = true;
	slow = ask(f, NOTHING, OURS, ":path: /s");
	settle(f);
	ASSERT_TRUE(slow->got == H2_WINDOW && !slow->ended);
	ASSERT_TRUE(waiting(f, H2_SERVER) <= H2_WINDOW);
	ASSERT_TRUE(f->server.views[0].put <= (size_t)3 * H2_WINDOW);
	/* Its connection's window is full, too; once that is open another stream is not held up. */
	ASSERT_OK(nghttp2_session_set_local_window_size(f->client.session, 0, 0, 8 * BIG));
	f->client.deaf = false;
	f->server.answer_bytes = BIG / 2;
	other = ask(f, NOTHING, OURS, ":path: /o");
	settle(f);
	ASSERT_TRUE(other->closed && other->got == BIG / 2 && other->bad == 0);
	ASSERT_TRUE(slow->got == H2_WINDOW);
	ASSERT_OK(nghttp2_session_consume(f->client.session, slow->id, H2_WINDOW));
	settle(f);
	ASSERT_TRUE(slow->closed && slow->got == BIG && slow->bad == 0);
	drop(f);
}

TEST(a_server_that_reads_nothing_stops_its_client)
{
	struct fixture *f = make();
	struct view *v;

	f->server.deaf = true;
	v = ask(f, ((struct view){.to_put = BIG}), OURS, ":path: /s");
	settle(f);
	ASSERT_TRUE(f->server.views[0].got == H2_WINDOW && v->put < BIG / 2);
	ASSERT_TRUE(waiting(f, H2_GUEST) <= H2_WINDOW);
	drop(f);
}

/* A socket that is full: what is in memory stays what it was. */
TEST(a_client_that_does_not_read_its_socket)
{
	struct fixture *f = make();
	struct view *v;

	f->server.answer_bytes = BIG;
	ASSERT_OK(nghttp2_session_set_local_window_size(f->client.session, 0, 0, 8 * BIG));
	v = ask(f, NOTHING, OURS, ":path: /s");
	f->stuck = true;
	settle(f);
	ASSERT_TRUE(buf_len(&f->to_client) <= (size_t)2 * H2_WRITE_BYTES);
	ASSERT_TRUE(f->server.views[0].put <= (size_t)3 * H2_WINDOW);
	f->stuck = false;
	settle(f);
	ASSERT_TRUE(v->closed && v->got == BIG && v->bad == 0);
	drop(f);
}

TEST(windows_open_wider_for_fast_readers_within_a_limit)
{
	struct fixture *f = make();

	f->server.answer_bytes = BIG;
	ASSERT_OK(nghttp2_session_set_local_window_size(f->client.session, 0, 0, 64 * BIG));
	for (int i = 0; i < 20; i++) {
		struct view *v = ask(f, NOTHING, OURS, ":path: /s");

		ASSERT_OK(nghttp2_session_set_local_window_size(
			f->client.session, 0, v->id, 2 * BIG));
	}
	settle(f);
	ASSERT_EQ(f->done, 20);
	ASSERT_EQ(f->h2->more, 0);
	drop(f);
}

TEST(trailers_both_ways)
{
	struct fixture *f = make();
	struct view *v;

	f->server.answer_bytes = 100 * 1000;
	f->server.answer_trailer = "server's";
	v = ask(f, ((struct view){.to_put = 100 * 1000, .trailer = "client's"}), OURS,
		":path: /grpc", "te: trailers");
	settle(f);
	ASSERT_TRUE(v->closed && v->ended && v->got == 100 * 1000 && v->bad == 0);
	ASSERT_TRUE(has(v, "-\nx-end: server's\n-\n"));
	ASSERT_TRUE(has(&f->server.views[0], "te: trailers\n-\nx-end: client's\n-\n"));
	drop(f);

	/* Without a body before them. */
	f = make();
	f->server.answer_trailer = "server's";
	v = ask(f, ((struct view){.trailer = "client's"}), OURS, ":path: /grpc");
	settle(f);
	ASSERT_TRUE(v->closed && has(v, "x-end: server's"));
	ASSERT_TRUE(has(&f->server.views[0], "x-end: client's"));
	drop(f);
}

TEST(interim_answers_come_before_the_last_one)
{
	static const char *const lines[] = {":status: 103", "link: a", NULL};
	struct fixture *f = make();
	nghttp2_nv nv[8];
	struct view *v;

	f->server.silent = true;
	v = ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	for (int i = 0; i < 2; i++)
		ASSERT_OK(nghttp2_submit_headers(
			f->server.session, 0, 1, NULL, nv, nv_of(lines, nv), NULL));
	settle(f);
	ASSERT_STREQ(v->log, ":path: /\n:status: 103\nlink: a\n-\n:status: 103\nlink: a\n-\n");
	answer(&f->server, &f->server.views[0]);
	settle(f);
	ASSERT_TRUE(v->closed && v->code == 0 && has(v, ":status: 200"));
	ASSERT_EQ(f->last.status, 200);
	drop(f);
}

TEST(resets_go_both_ways)
{
	struct fixture *f = make();
	struct view *v;

	f->server.silent = true;
	v = ask(f, ((struct view){.hold = true, .to_put = 10}), OURS, ":path: /");
	settle(f);
	ASSERT_OK(nghttp2_submit_rst_stream(f->client.session, 0, v->id, NGHTTP2_CANCEL));
	settle(f);
	ASSERT_TRUE(f->server.views[0].closed && f->server.views[0].code == NGHTTP2_CANCEL);
	ASSERT_TRUE(f->done == 1 && f->last.status == 0 && f->h2->streams == NULL);

	v = ask(f, ((struct view){.hold = true, .to_put = 10}), OURS, ":path: /");
	settle(f);
	ASSERT_OK(
		nghttp2_submit_rst_stream(f->server.session, 0, v->id, NGHTTP2_ENHANCE_YOUR_CALM));
	settle(f);
	ASSERT_TRUE(v->closed && v->code == NGHTTP2_ENHANCE_YOUR_CALM);
	ASSERT_TRUE(f->done == 2 && f->h2->streams == NULL);
	drop(f);
}

/* A server that has said all and wants no more of the request. Often: what was on its way must not
 * be missing in any window afterwards. */
TEST(an_early_answer_is_heard_whole)
{
	struct fixture *f = make();

	for (unsigned int i = 1; i <= 200; i++) {
		struct view *v;

		f->client.n_views = f->server.n_views = 0;
		f->server.silent = f->server.deaf = true;
		v = ask(f, ((struct view){.to_put = BIG}), OURS, ":path: /e");
		settle(f);
		ASSERT_TRUE(v->put >= H2_WINDOW);
		f->server.answer_bytes = 60 * 1000;
		answer(&f->server, &f->server.views[0]);
		f->stuck = true;
		settle(f);
		ASSERT_OK(nghttp2_submit_rst_stream(f->server.session, 0, v->id, NGHTTP2_NO_ERROR));
		settle(f);
		f->stuck = false;
		settle(f);
		ASSERT_TRUE(v->closed && v->ended && v->got == 60 * 1000 && v->bad == 0);
		ASSERT_TRUE(v->code == 0 && f->h2->streams == NULL && f->last.status == 200);
		ASSERT_OK(nghttp2_session_consume_connection(
			f->server.session, f->server.views[0].got));
		ASSERT_EQ(f->done, i);
	}
	drop(f);
}

TEST(goaway_is_passed_on_and_what_runs_goes_on)
{
	struct fixture *f = make();
	struct view *v;
	struct view *late;

	f->server.silent = true;
	v = ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	ASSERT_OK(nghttp2_submit_goaway(f->server.session, 0, v->id, NGHTTP2_NO_ERROR, NULL, 0));
	settle(f);
	ASSERT_EQ(f->client.goaway, NGHTTP2_NO_ERROR + 1);
	ASSERT_TRUE(!h2_over(f->h2, H2_GUEST));
	f->server.answer_bytes = 10;
	answer(&f->server, &f->server.views[0]);
	settle(f);
	ASSERT_TRUE(v->closed && v->code == 0 && v->got == 10);
	ASSERT_TRUE(h2_over(f->h2, H2_GUEST) && h2_over(f->h2, H2_SERVER));
	drop(f);

	/* What the server has not begun with may be asked again. */
	f = make();
	f->server.silent = true;
	v = ask(f, NOTHING, OURS, ":path: /1");
	late = ask(f, NOTHING, OURS, ":path: /2");
	settle(f);
	ASSERT_OK(nghttp2_submit_goaway(f->server.session, 0, v->id, NGHTTP2_NO_ERROR, NULL, 0));
	settle(f);
	ASSERT_TRUE(late->closed && late->code == NGHTTP2_REFUSED_STREAM && !v->closed);
	drop(f);
}

TEST(a_server_that_is_gone)
{
	struct fixture *f = make();
	struct view *half;
	struct view *whole;

	f->server.answer_bytes = 30 * 1000;
	f->stuck = true;
	whole = ask(f, NOTHING, OURS, ":path: /w");
	settle(f);
	f->server.silent = true;
	half = ask(f, NOTHING, OURS, ":path: /h");
	settle(f);
	h2_end(f->h2, H2_SERVER);
	f->stuck = false;
	settle(f);
	ASSERT_TRUE(whole->closed && whole->code == 0 && whole->got == 30 * 1000);
	ASSERT_TRUE(half->closed && half->code == NGHTTP2_INTERNAL_ERROR);
	ASSERT_TRUE(f->client.goaway && h2_over(f->h2, H2_GUEST) && f->h2->streams == NULL);
	drop(f);
}

TEST(a_guest_that_is_gone)
{
	struct fixture *f = make();

	f->server.silent = true;
	ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	h2_end(f->h2, H2_GUEST);
	settle(f);
	ASSERT_TRUE(f->server.views[0].closed && f->server.views[0].code == NGHTTP2_CANCEL);
	ASSERT_TRUE(f->server.goaway && h2_over(f->h2, H2_GUEST) && f->h2->streams == NULL);
	drop(f);
}

TEST(only_requests_for_our_host_that_are_read_in_one_way)
{
	static const struct {
		const char *lines[8];
		const char *status;
	} bad[] = {
		{{":method: GET", ":scheme: https", ":authority: other.example", ":path: /"},
			"421"},
		{{":method: GET", ":scheme: https", ":authority: www.example:80", ":path: /"},
			"421"},
		{{":method: GET", ":scheme: https", ":authority: u@www.example", ":path: /"},
			"421"},
		{{OURS, ":path: /", "host: other.example"}, "421"},
		{{":method: GET", ":scheme: https", ":path: /", "host: www.example"}, "400"},
		{{":method: GET", ":scheme: http", ":authority: www.example", ":path: /"}, "400"},
		{{OURS, ":path: /#a"}, "400"},
		{{":method: CONNECT", ":authority: www.example:443"}, "405"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture *f = make();
		struct view *v = ask_lines(f, bad[i].lines, NOTHING);
		struct view *good = ask(f, NOTHING, OURS, ":path: /");
		char want[32];

		(void)snprintf(want, sizeof(want), ":status: %s\n", bad[i].status);
		settle(f);
		ASSERT_TRUE(has(v, want) && v->closed && v->code == 0);
		ASSERT_TRUE(f->refused == 1 && f->server.n_views == 1 && f->done == 1);
		/* The others of the connection go on. */
		ASSERT_TRUE(good->closed && has(good, ":status: 200"));
		drop(f);
	}
}

TEST(what_nghttp2_refuses_is_reset)
{
	static const char *const bad[][8] = {
		{OURS, ":path: /", ":path: /2"},
		{OURS, "x: 1", ":path: /"},
		{OURS, ":path: /", "connection: close"},
		{OURS, ":path: /", "transfer-encoding: chunked"},
		{OURS, ":path: /", "x: a\r\nb: c"},
		{OURS, ":path: *"},
		{OURS, ":path: https://other.example/"},
		{OURS, ":path: /", "content-length: 1", "content-length: 2"},
		{OURS, ":path: /", ":unknown: 1"},
		{OURS, ":path: /a b"},
		{":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /",
			":authority: www.example"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture *f = make();
		struct view *v = ask_lines(f, bad[i], NOTHING);

		settle(f);
		ASSERT_TRUE(v->closed && v->code == NGHTTP2_PROTOCOL_ERROR);
		ASSERT_TRUE(f->server.n_views == 0 && f->done == 0 && f->failures > 0);
		drop(f);
	}
}

TEST(heads_have_limits)
{
	static char big[20 * 1024 + 1];
	const char *lines[H2_FIELDS_MAX + 8] = {OURS, ":path: /"};
	struct fixture *f = make();
	struct view *v;

	(void)snprintf(big, sizeof(big), "x: ");
	memset(big + 3, 'a', sizeof(big) - 4);
	v = ask(f, NOTHING, OURS, ":path: /", big, big, big, big);
	settle(f);
	ASSERT_TRUE(has(v, ":status: 431\n") && f->server.n_views == 0 && f->refused == 1);
	v = ask(f, NOTHING, OURS, ":path: /", big, big, big);
	settle(f);
	ASSERT_TRUE(has(v, ":status: 200\n"));
	for (size_t i = 4; i < H2_FIELDS_MAX + 1; i++)
		lines[i] = "a: b";
	v = ask_lines(f, lines, NOTHING);
	settle(f);
	ASSERT_TRUE(has(v, ":status: 431\n"));
	lines[H2_FIELDS_MAX] = NULL;
	v = ask_lines(f, lines, NOTHING);
	settle(f);
	ASSERT_TRUE(has(v, ":status: 200\n"));
	drop(f);
}

TEST(a_guest_has_as_many_streams_as_its_server_takes)
{
	struct fixture *f = make_with(NULL, 7);

	settle(f);
	ASSERT_EQ(nghttp2_session_get_remote_settings(
			  f->client.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
		7);
	for (int i = 0; i < 20; i++)
		ask(f, NOTHING, OURS, ":path: /");
	settle(f);
	ASSERT_EQ(f->done, 20);
	drop(f);
}

#define KEY "sk-1234567890"

static struct secrets *make_secrets(uint32_t inject, uint32_t violation)
{
	const struct secret_settings settings = {.n = 1,
		.violation = violation,
		.rules = {
			{.name = "KEY", .n_hosts = 1, .hosts = {"www.example"}, .inject = inject}}};
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct secrets *s = NULL;

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(secret_value_write(fd, KEY, NULL));
	ASSERT_OK(secrets_new(&settings, fd, &s, NULL));
	(void)close(fd);
	return s;
}

TEST(a_secret_in_a_field_is_in_no_table)
{
	struct secrets *s = make_secrets(0, 0);
	struct fixture *f = make_with(s, 100);
	size_t table;

	ask(f, NOTHING, OURS, ":path: /", "x-key: Bearer $MSB_KEY", "x-other: 1");
	settle(f);
	ASSERT_TRUE(has(&f->server.views[0], "x-key: Bearer " KEY "\n"));
	ASSERT_TRUE(!f->server.views[0].secret_indexed);
	ASSERT_STREQ(f->last.secret, "KEY");
	table = nghttp2_session_get_hd_inflate_dynamic_table_size(f->server.session);
	ask(f, NOTHING, OURS, ":path: /", "x-key: Bearer $MSB_KEY", "x-other: 1");
	settle(f);
	ASSERT_EQ(nghttp2_session_get_hd_inflate_dynamic_table_size(f->server.session), table);
	ASSERT_TRUE(has(&f->server.views[1], "x-key: Bearer " KEY "\n"));
	ask(f, NOTHING, OURS, ":path: /", "authorization: Basic dXNlcjokTVNCX0tFWQ==");
	settle(f);
	/* user:sk-1234567890 */
	ASSERT_TRUE(has(&f->server.views[2], "authorization: Basic dXNlcjpzay0xMjM0NTY3ODkw\n"));
	ASSERT_EQ(f->refused, 0);
	drop(f);
	(void)secrets_free(s);
}

TEST(a_secret_where_none_may_be)
{
	static const char *const bad[][8] = {
		{OURS, ":path: /$MSB_KEY"},
		{OURS, ":path: /?a=$MSB_KEY"},
		{OURS, ":path: /?a=%24MSB_KEY"},
	};
	struct secrets *s = make_secrets(0, 0);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture *f = make_with(s, 100);
		struct view *v = ask_lines(f, bad[i], NOTHING);

		settle(f);
		ASSERT_TRUE(has(v, ":status: 403\n") && v->closed && f->server.n_views == 0);
		ASSERT_STREQ(f->secret, "KEY");
		drop(f);
	}
	/* Behind a body. */
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = make_with(s, 100);
		struct view *v = ask(
			f, ((struct view){.trailer = "$MSB_KEY", .to_put = i}), OURS, ":path: /");

		settle(f);
		ASSERT_TRUE(has(v, ":status: 403\n") && v->closed && v->code == 0);
		ASSERT_TRUE(f->server.views[0].closed && !f->server.views[0].ended);
		ASSERT_TRUE(f->h2->streams == NULL && f->refused == 1);
		drop(f);
	}
	(void)secrets_free(s);
}

static ssize_t on_text(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
	nghttp2_data_source *source, void *ctx)
{
	const char **text = source->ptr;
	/* In small pieces. */
	size_t len = strnlen(*text, MIN(n, (size_t)7));

	(void)s;
	(void)id;
	(void)ctx;
	memcpy(to, *text, len);
	*text += len;
	if (!**text)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)len;
}

static struct view *post(struct fixture *f, const char **text, const char *type)
{
	const char *lines[] = {OURS, ":path: /post", type, "content-length: 31", NULL};
	nghttp2_data_provider body = {.source = {.ptr = text}, .read_callback = on_text};
	struct view *v = new_view(&f->client, 0);
	nghttp2_nv nv[16];

	ASSERT_EQ(strlen(*text), 31);
	v->id = nghttp2_submit_request(f->client.session, NULL, nv, nv_of(lines, nv), &body, NULL);
	ASSERT_TRUE(v->id > 0);
	return v;
}

TEST(a_secret_in_a_body_where_it_may_not_be)
{
	struct secrets *s = make_secrets(0, 0);
	const char *text = "before $MSB_KEY after 0123456789";
	struct fixture *f = make_with(s, 100);
	struct view *v;

	text++;
	v = post(f, &text, "content-type: text/plain");
	settle(f);
	ASSERT_TRUE(has(v, ":status: 403\n") && v->closed);
	ASSERT_STREQ(f->secret, "KEY");
	/* Its server has a request without an end. */
	ASSERT_TRUE(!f->server.views[0].ended && f->server.views[0].code == NGHTTP2_CANCEL);
	ASSERT_TRUE(f->done == 0 && f->h2->streams == NULL);
	drop(f);
	(void)secrets_free(s);
}

TEST(a_secret_in_a_body_where_it_may_be)
{
	struct secrets *s = make_secrets(SECRET_IN_BODY, 0);
	const char *text = "before $MSB_KEY after $MSB_KEY ";
	struct fixture *f = make_with(s, 100);
	const struct view *v;

	post(f, &text, "content-type: text/plain");
	settle(f);
	v = &f->server.views[0];
	ASSERT_TRUE(v->ended && v->closed && v->code == 0 && !has(v, "content-length"));
	ASSERT_EQ(v->got, strlen("before " KEY " after " KEY " "));
	ASSERT_STREQ(f->last.secret, "KEY");
	ASSERT_EQ(f->last.up, 31);
	/* A body with a coding of its own stays what it is. */
	text = "before $MSG_KEY after $MSG_KEY ";
	post(f, &text, "content-encoding: br");
	settle(f);
	ASSERT_TRUE(f->server.views[1].got == 31 && has(&f->server.views[1], "content-length"));
	drop(f);

	/* More than all windows. */
	f = make_with(s, 100);
	f->server.answer_bytes = 10;
	v = ask(f, ((struct view){.to_put = BIG}), OURS, ":path: /b");
	settle(f);
	ASSERT_TRUE(v->closed && v->code == 0);
	ASSERT_TRUE(f->server.views[0].got == BIG && f->server.views[0].bad == 0);
	drop(f);
	(void)secrets_free(s);
}

TEST(memory_that_is_used_up)
{
	struct secrets *s = make_secrets(SECRET_IN_BODY | SECRET_IN_DEFAULT, 0);
	struct fixture *f = make_with(s, 100);
	const struct h2_rules rules = f->h2->rules;
	struct buf out;

	f->server.answer_bytes = 20 * 1000;
	f->server.answer_trailer = "end";
	ask(f, ((struct view){.to_put = 20 * 1000, .trailer = "end"}), OURS, ":path: /a",
		"x-key: $MSB_KEY");
	ask(f, NOTHING, ":method: GET", ":scheme: https", ":authority: b", ":path: /");
	settle(f);
	ASSERT_EQ(f->done, 1);
	buf_init(&out, BIG);
	/* All that came, once more, and all answers thrown away. */
	FAULT_LOOP({
		const uint8_t *at = buf_data(&f->tape);
		struct h2 *h = NULL;
		int r = h2_new(&rules, &h);

		while (r == 0 && at < buf_data(&f->tape) + buf_len(&f->tape)) {
			uint32_t head[2];

			memcpy(head, at, sizeof(head));
			at += sizeof(head);
			r = h2_read(h, (enum h2_side)head[0], at, head[1]);
			at += head[1];
			for (int i = 0; i < 2 && r >= 0; i++) {
				r = MIN(h2_write(h, (enum h2_side)i, &out), 0);
				buf_consume(&out, buf_len(&out));
			}
		}
		(void)h2_free(h);
	});
	buf_deinit(&out);
	drop(f);
	(void)secrets_free(s);
}

/* Frames as a hostile peer writes them. */
struct raw {
	struct h2 *h2;
	struct buf bytes;
	nghttp2_hd_deflater *deflater;
	struct fixture *f;
};

static void frame(struct raw *w, uint8_t type, uint8_t flags, uint32_t id, const void *p, size_t n)
{
	const uint8_t head[] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags,
		(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	ASSERT_OK(buf_append(&w->bytes, head, sizeof(head)));
	ASSERT_OK(buf_append(&w->bytes, p, n));
}

static struct raw raw_begin(void)
{
	static const char magic[] = NGHTTP2_CLIENT_MAGIC;
	struct raw w = {.f = make()};

	w.h2 = w.f->h2;
	buf_init(&w.bytes, BIG);
	ASSERT_OK(nghttp2_hd_deflate_new(&w.deflater, 0));
	ASSERT_OK(buf_append(&w.bytes, magic, NGHTTP2_CLIENT_MAGIC_LEN));
	frame(&w, NGHTTP2_SETTINGS, 0, 0, "", 0);
	return w;
}

/* The head of a request. */
static void raw_head(struct raw *w, uint8_t flags, uint32_t id, const char *more)
{
	const char *lines[] = {OURS, ":path: /", more, NULL};
	nghttp2_nv nv[8];
	uint8_t block[512];
	ssize_t n = nghttp2_hd_deflate_hd(w->deflater, block, sizeof(block), nv, nv_of(lines, nv));

	ASSERT_TRUE(n > 0);
	frame(w, NGHTTP2_HEADERS, flags, id, block, (size_t)n);
}

static int raw_say(struct raw *w)
{
	int r = h2_read(w->h2, H2_GUEST, buf_data(&w->bytes), buf_len(&w->bytes));

	buf_consume(&w->bytes, buf_len(&w->bytes));
	return r;
}

static void raw_end(struct raw *w)
{
	nghttp2_hd_deflate_del(w->deflater);
	buf_deinit(&w->bytes);
	drop(w->f);
}

TEST(continuations_have_an_end)
{
	struct raw w = raw_begin();

	raw_head(&w, 0, 1, NULL);
	for (int i = 0; i < 20; i++)
		frame(&w, NGHTTP2_CONTINUATION, 0, 1, "", 0);
	ASSERT_EQ(raw_say(&w), -EBADMSG);
	ASSERT_TRUE(w.f->failures > 0 && w.f->server.n_views == 0);
	raw_end(&w);
}

TEST(acknowledgements_that_nobody_reads_have_an_end)
{
	static const uint8_t types[] = {NGHTTP2_PING, NGHTTP2_SETTINGS};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct raw w = raw_begin();

		for (int n = 0; n < 200; n++)
			frame(&w, types[i], 0, 0, "12345678", types[i] == NGHTTP2_PING ? 8 : 0);
		ASSERT_EQ(raw_say(&w), -EBADMSG);
		raw_end(&w);
	}
}

/* Return: how many streams a hostile client got. */
static uint32_t storm(void (*one)(struct raw *w, uint32_t id))
{
	struct raw w = raw_begin();
	uint32_t id = 1;

	for (; id < 6000 && h2_may_read(w.h2, H2_GUEST); id += 2) {
		one(&w, id);
		ASSERT_OK(raw_say(&w));
		ASSERT_TRUE(w.h2->n_streams <= H2_STREAMS_MAX + 64);
		for (int i = 0; i < 2; i++)
			ASSERT_TRUE(h2_write(w.h2, (enum h2_side)i, &w.bytes) >= 0);
		buf_consume(&w.bytes, buf_len(&w.bytes));
	}
	ASSERT_TRUE(w.f->client.n_views == 0);
	raw_end(&w);
	return id / 2;
}

static void and_reset(struct raw *w, uint32_t id)
{
	raw_head(w, NGHTTP2_FLAG_END_HEADERS, id, NULL);
	frame(w, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\10", 4);
}

static void and_worse(struct raw *w, uint32_t id)
{
	raw_head(w, NGHTTP2_FLAG_END_HEADERS, id, "connection: close");
}

TEST(resets_have_an_end)
{
	ASSERT_TRUE(storm(and_reset) < 1500);
	ASSERT_TRUE(storm(and_worse) <= H2_BAD_MAX);
}

TEST(what_is_no_http2)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture *f = make();

		ASSERT_EQ(h2_read(f->h2, H2_GUEST, bad[i], strlen(bad[i])), -EBADMSG);
		drop(f);
	}
}

/* What waits for a server that does not read does not pile up. */
TEST(heads_that_wait_for_a_busy_server)
{
	static char big[60 * 1024];
	struct fixture *f = make();
	size_t refused = 0;

	(void)snprintf(big, sizeof(big), "x: ");
	memset(big + 3, 'a', sizeof(big) - 4);
	f->clogged = true;
	for (int i = 0; i < 40; i++)
		ask(f, NOTHING, OURS, ":path: /", big);
	settle(f);
	ASSERT_TRUE(f->h2->queued[H2_SERVER] <= H2_QUEUED_MAX + sizeof(big));
	f->clogged = false;
	settle(f);
	for (size_t i = 0; i < f->client.n_views; i++)
		refused += f->client.views[i].code == NGHTTP2_REFUSED_STREAM;
	ASSERT_TRUE(refused > 20 && refused < 25 && f->done == 40 - refused);
	ASSERT_EQ(f->h2->queued[H2_SERVER] + f->h2->queued[H2_GUEST], 0);
	drop(f);
}
