/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for one host and their answers. */
#include <sys/mman.h>
#include <unistd.h>

#include "net/intercept/exchange.h"

#include "test.h"

#define VALUE "sk-1234567890"

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
	exchange_deinit(&f->x);
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

static struct secrets *make_secrets(uint32_t inject)
{
	const struct secret_settings settings = {
		.n = 1, .rules = {{.name = "KEY", .n_hosts = 1, .hosts = {"a"}, .inject = inject}}};
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct secrets *s = NULL;

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(secret_value_write(fd, VALUE, NULL));
	ASSERT_OK(secrets_new(&settings, fd, &s, NULL));
	(void)close(fd);
	return s;
}

static void with_secrets(struct fixture *f, const struct secrets *s)
{
	init(f, "a");
	f->x.upload.secrets = s;
	f->x.upload.place = (struct secret_place){.host = "a", .tls = true, .pinned = true};
}

/* What the server hears, whatever the lengths of chunks; the head as it is. */
static void unchunk(struct fixture *f, struct buf *ret)
{
	static struct http_stream s;
	enum http_piece p;
	size_t n;

	http_init(&s, HTTP_REQUEST);
	buf_init(ret, 1 << 20);
	while ((p = http_next(&s, buf_data(&f->up), buf_len(&f->up), &n)) != HTTP_MORE) {
		ASSERT_TRUE(p == HTTP_HEAD || p == HTTP_DATA || p == HTTP_FRAME || p == HTTP_END);
		if (p == HTTP_HEAD || p == HTTP_DATA)
			ASSERT_OK(buf_append(ret, buf_data(&f->up), n));
		buf_consume(&f->up, n);
	}
	ASSERT_EQ(buf_len(&f->up), 0);
	ASSERT_TRUE(http_idle(&s));
}

/* Each of them as if it came at once, in two parts with any border. */
TEST(values_in_bodies_at_every_split)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"POST /?a=$MSB_KEY HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n{\"k\": "
		 "\"$MSB_KEY\"}",
			"POST /?a=" VALUE
			" HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n{\"k\": "
			"\"" VALUE "\"}"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "3\r\na$M\r\n4\r\nSB_K\r\n4\r\nEY $\r\n0\r\nX-Sum: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na" VALUE
			" $"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nContent-Type: "
		 "application/x-www-form-urlencoded\r\n\r\nk=%24MSB_KEY",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\nContent-Type: "
			"application/x-www-form-urlencoded\r\n\r\nk=" VALUE},
		{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nContent-Encoding: gzip\r\n\r\n"
		 "$MSB_KEY",
			"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nContent-Encoding: "
			"gzip\r\n\r\n$MSB_KEY"},
		{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
			"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
	};
	struct secrets *s = make_secrets(SECRET_IN_BODY | SECRET_IN_QUERY);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].from);

		for (size_t at = 0; at <= len; at++) {
			char first[512];
			struct fixture f;
			struct buf got;

			(void)snprintf(first, sizeof(first), "%.*s", (int)at, cases[i].from);
			with_secrets(&f, s);
			ASSERT_OK(ask(&f, first));
			ASSERT_OK(ask(&f, cases[i].from + at));
			unchunk(&f, &got);
			ASSERT_STREQ(buf_cstr(&got), cases[i].to);
			ASSERT_EQ(f.x.n_pending, 1);
			ASSERT_TRUE(!f.x.asking);
			buf_deinit(&got);
			drop(&f);
		}
	}
	(void)secrets_free(s);
}

/* A placeholder that may not be there, in every place where there is one. */
TEST(placeholders_that_stop_a_request)
{
	static const char *const bad[] = {
		"GET /$MSB_KEY HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%24MSB_KEY HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /?$MSB_KEY HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n$MSB_KEY: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n$MSB_KEY",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n%24MSB_KEY",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"4\r\n$MSB\r\n4\r\n_KEY\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"4\r\n$MSB\r\n0\r\nX: $MSB_KEY\r\n\r\n",
	};
	struct secrets *s = make_secrets(SECRET_IN_HEADERS);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture f;

		with_secrets(&f, s);
		ASSERT_EQ(ask(&f, bad[i]), -EACCES);
		ASSERT_EQ(f.x.refusal, 403);
		ASSERT_STREQ(f.x.secret, "KEY");
		ASSERT_TRUE(memmem(buf_data(&f.up), buf_len(&f.up), VALUE, strlen(VALUE)) == NULL);
		drop(&f);
	}
	(void)secrets_free(s);
}

/* What could be two requests or one is neither, placeholder or not. */
TEST(smuggled_placeholders)
{
	static const char *const bad[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
		"chunked\r\n\r\n"
		"0\r\n\r\nGET / HTTP/1.1\r\nHost: evil\r\nX: $MSB_KEY\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: evil\r\nX: $MSB_KEY\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n$MSB_KEY",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n$MSB_KEY",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: $MSB_KEY\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"8;x=$MSB_KEY\r\n$MSB_KEY\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
		"GET / HTTP/1.1\r\nHost: evil\r\nX: $MSB_KEY\r\n\r\n",
	};
	struct secrets *s = make_secrets(SECRET_IN_HEADERS | SECRET_IN_BODY);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture f;

		with_secrets(&f, s);
		ASSERT_EQ(ask(&f, bad[i]), -EACCES);
		ASSERT_TRUE(f.x.refusal == 400 || f.x.refusal == 421);
		ASSERT_TRUE(memmem(buf_data(&f.up), buf_len(&f.up), VALUE, strlen(VALUE)) == NULL);
		drop(&f);
	}
	(void)secrets_free(s);
}

TEST(bodies_that_are_kept)
{
	struct secrets *s = make_secrets(SECRET_IN_BODY);
	size_t total = UPLOAD_KEPT_ALL - 100;
	struct fixture f;

	with_secrets(&f, s);
	f.x.upload.total = &total;
	ASSERT_OK(ask(&f, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
			  "Content-Length: 8\r\n\r\n"));
	ASSERT_EQ(total, UPLOAD_KEPT_ALL - 92);
	ASSERT_EQ(buf_len(&f.up), 0);
	ASSERT_OK(answer(&f, ""));
	ASSERT_STREQ(buf_cstr(&f.down), "HTTP/1.1 100 Continue\r\n\r\n");
	ASSERT_OK(ask(&f, "$MSB_KEY"));
	ASSERT_STREQ(
		buf_cstr(&f.up), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n" VALUE);
	ASSERT_EQ(total, UPLOAD_KEPT_ALL - 100);
	ASSERT_OK(answer(&f, "HTTP/1.1 200 S\r\nContent-Length: 0\r\n\r\n"));
	ASSERT_STREQ(f.last.secret, "KEY");
	ASSERT_EQ(f.last.up, 8);
	/* All of them together are bounded, and each. */
	ASSERT_EQ(ask(&f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"), -EACCES);
	ASSERT_EQ(f.x.refusal, 503);
	drop(&f);

	with_secrets(&f, s);
	ASSERT_EQ(
		ask(&f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16777217\r\n\r\n"), -EACCES);
	ASSERT_EQ(f.x.refusal, 413);
	drop(&f);

	/* It ends in the middle. */
	with_secrets(&f, s);
	f.x.upload.total = &total;
	ASSERT_OK(ask(&f, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n$MSB_KEY"));
	ASSERT_EQ(buf_len(&f.up), 0);
	drop(&f);
	ASSERT_EQ(total, UPLOAD_KEPT_ALL - 100);
	(void)secrets_free(s);
}

/* Values make much of little: it goes on as far as there is room. */
TEST(bodies_that_do_not_fit)
{
	enum { TIMES = 20000, LEN = TIMES * 8, OUT = TIMES * (sizeof(VALUE) - 1) };
	struct secrets *s = make_secrets(SECRET_IN_BODY);

	for (int chunked = 0; chunked < 2; chunked++) {
		char head[128];
		struct fixture f;
		size_t got = 0;
		int idle = 0;

		with_secrets(&f, s);
		(void)snprintf(head, sizeof(head),
			chunked ? "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
				  "chunked\r\n\r\n%x\r\n"
				: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n\r\n",
			(unsigned int)LEN);
		ASSERT_OK(ask(&f, head));
		for (int i = 0; i < TIMES; i += 1000) {
			for (int k = 0; k < 1000; k++)
				ASSERT_OK(buf_append(&f.client, "$MSB_KEY", 8));
			ASSERT_OK(ask(&f, ""));
			if (i % 4000 == 0) {
				got += buf_len(&f.up);
				buf_consume(&f.up, buf_len(&f.up));
			}
		}
		if (chunked)
			ASSERT_OK(buf_append(&f.client, "\r\n0\r\n\r\n", 7));
		while (idle < 2) {
			ASSERT_OK(ask(&f, ""));
			idle = buf_len(&f.up) ? 0 : idle + 1;
			got += buf_len(&f.up);
			buf_consume(&f.up, buf_len(&f.up));
		}
		ASSERT_TRUE(http_idle(&f.x.up) && !f.x.asking);
		ASSERT_TRUE(got > OUT && got < OUT + 2000);
		ASSERT_EQ(f.x.pending[0].up, LEN);
		drop(&f);
	}
	(void)secrets_free(s);
}

static void one_round(const struct secrets *s, const char *text)
{
	struct fixture f;
	int r;

	with_secrets(&f, s);
	if (buf_append(&f.client, text, strlen(text)) == 0) {
		while ((r = exchange_up(&f.x, &f.client, &f.up)) > 0)
			;
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
	}
	drop(&f);
}

TEST(bodies_without_memory)
{
	struct secrets *s = make_secrets(SECRET_IN_BODY);

	FAULT_LOOP(one_round(s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n$MSB_KEY"));
	FAULT_LOOP(one_round(s, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
				"8\r\n$MSB_KEY\r\n0\r\n\r\n"));
	(void)secrets_free(s);
}
