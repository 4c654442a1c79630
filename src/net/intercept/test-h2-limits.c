/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP/2 does not let through: requests for others, and too much of anything. */
#include "net/intercept/h2-testbed.h"

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
