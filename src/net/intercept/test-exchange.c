/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for one host and their answers. */
#include "net/intercept/exchange.h"

#include "test.h"

struct fixture {
	struct exchange x;
	struct buf client, up, server, down;
	struct exchange_request last;
	unsigned int answered;
};

static void on_done(void *ctx, const struct exchange_request *r)
{
	struct fixture *f = ctx;

	f->last = *r;
	f->answered++;
}

static void init(struct fixture *f, const char *host)
{
	struct buf *bufs[] = {&f->client, &f->up, &f->server, &f->down};

	*f = (struct fixture){.answered = 0};
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_init(bufs[i], (size_t)2 * EXCHANGE_BYTES);
	exchange_init(&f->x, host, 443);
	f->x.done = on_done;
	f->x.ctx = f;
}

static void drop(struct fixture *f)
{
	buf_deinit(&f->client);
	buf_deinit(&f->up);
	buf_deinit(&f->server);
	buf_deinit(&f->down);
}

static int ask(struct fixture *f, const char *text)
{
	int r;

	ASSERT_OK(buf_append(&f->client, text, strlen(text)));
	while ((r = exchange_up(&f->x, &f->client, &f->up)) > 0)
		;
	return r;
}

static int answer(struct fixture *f, const char *text)
{
	int r;

	ASSERT_OK(buf_append(&f->server, text, strlen(text)));
	while ((r = exchange_down(&f->x, &f->server, &f->down)) > 0)
		;
	return r;
}

TEST(bytes_pass_unchanged)
{
	static const char q[] =
		"POST /a?secret HTTP/1.1\r\nhost: WWW.example:443\r\nContent-Length: 3\r\n\r\nabc";
	static const char a[] =
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 201 X\r\nContent-Length: 4\r\n\r\nwxyz";
	struct fixture f;

	init(&f, "www.example");
	ASSERT_OK(ask(&f, q));
	ASSERT_OK(answer(&f, a));
	ASSERT_STREQ(buf_cstr(&f.up), q);
	ASSERT_STREQ(buf_cstr(&f.down), a);
	ASSERT_EQ(f.answered, 1);
	ASSERT_STREQ(f.last.method, "POST");
	ASSERT_STREQ(f.last.path, "/a");
	ASSERT_EQ(f.last.status, 201);
	ASSERT_EQ(f.last.up, 3);
	ASSERT_EQ(f.last.down, 4);
	ASSERT_TRUE(exchange_end(&f.x));
	drop(&f);
}

TEST(other_hosts_are_refused)
{
	static const struct {
		const char *text;
		unsigned int status;
	} bad[] = {
		{"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\nHost: www.example:80\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\nHost: www.example.evil\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\nHost: www.example, b\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: www.example\r\nHost: www.example\r\n\r\n", 400},
		{"GET https://other/ HTTP/1.1\r\nHost: www.example\r\n\r\n", 421},
		{"GET https://www.example@other/ HTTP/1.1\r\nHost: www.example\r\n\r\n", 421},
		{"GET other HTTP/1.1\r\nHost: www.example\r\n\r\n", 400},
		{"CONNECT other:443 HTTP/1.1\r\nHost: www.example\r\n\r\n", 405},
		{"GET / HTTP/1.1\r\nHost: www.example\r\nContent-Length: 1\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n",
			400},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture f;

		init(&f, "www.example");
		ASSERT_EQ(ask(&f, bad[i].text), -EACCES);
		ASSERT_EQ(f.x.refusal, bad[i].status);
		ASSERT_EQ(buf_len(&f.up), 0);
		ASSERT_TRUE(exchange_refusal(&f.x, &f.down));
		ASSERT_TRUE(strstr(buf_cstr(&f.down), f.x.why) != NULL);
		drop(&f);
	}
}

TEST(our_host_in_every_form)
{
	static const char *const good[] = {
		"GET https://www.example:443/ HTTP/1.1\r\nHost: www.example\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: WWW.EXAMPLE\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		init(&f, "www.example");
		ASSERT_OK(ask(&f, good[i]));
		ASSERT_STREQ(buf_cstr(&f.up), good[i]);
		drop(&f);
	}
	init(&f, "2001:db8::1");
	ASSERT_OK(ask(&f, "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n"));
	drop(&f);
}

TEST(websocket_waits_for_its_server)
{
	static const char q[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
	struct fixture f;

	init(&f, "a");
	ASSERT_OK(ask(&f, q));
	ASSERT_OK(ask(&f, "\x81"
			  "frame"));
	ASSERT_STREQ(buf_cstr(&f.up), q);
	ASSERT_OK(answer(&f, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n\x81hi"));
	ASSERT_OK(ask(&f, "more"));
	ASSERT_TRUE(strstr(buf_cstr(&f.up), "\x81"
					    "framemore") != NULL);
	ASSERT_TRUE(strstr(buf_cstr(&f.down), "\x81hi") != NULL);
	ASSERT_TRUE(exchange_end(&f.x));
	drop(&f);

	/* Not to another protocol, and not unasked. */
	init(&f, "a");
	ASSERT_OK(ask(&f, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n"));
	ASSERT_EQ(answer(&f, "HTTP/1.1 101 S\r\n\r\n"), -EBADMSG);
	drop(&f);
	init(&f, "a");
	ASSERT_EQ(answer(&f, "HTTP/1.1 200 S\r\n\r\n"), -EBADMSG);
	drop(&f);
}

TEST(many_requests_at_once)
{
	struct fixture f;

	init(&f, "a");
	for (int i = 0; i < 40; i++)
		ASSERT_OK(ask(&f, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
	ASSERT_EQ(f.x.n_pending, EXCHANGE_PENDING);
	for (int i = 0; i < 40; i++) {
		ASSERT_OK(answer(&f, "HTTP/1.1 200 S\r\nContent-Length: 5\r\n\r\n"));
		ASSERT_OK(ask(&f, ""));
	}
	ASSERT_EQ(f.answered, 40);
	drop(&f);
}

TEST(a_body_without_an_end)
{
	struct fixture f;

	init(&f, "a");
	ASSERT_OK(ask(&f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	ASSERT_OK(answer(&f, "HTTP/1.1 200 S\r\n\r\nsome"));
	ASSERT_EQ(f.answered, 0);
	ASSERT_TRUE(exchange_end(&f.x));
	ASSERT_EQ(f.answered, 1);
	ASSERT_EQ(f.last.down, 4);
	drop(&f);

	init(&f, "a");
	ASSERT_OK(ask(&f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	ASSERT_OK(answer(&f, "HTTP/1.1 200 S\r\nContent-Length: 9\r\n\r\nsome"));
	ASSERT_TRUE(!exchange_end(&f.x));
	drop(&f);
}
