/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in pieces, whole and a byte at a time; and what is none. */
#include "net/intercept/http.h"

#include "test.h"

enum { OUT_MAX = 512 };

struct seen {
	char text[OUT_MAX];
	size_t len;
};

static void put(struct seen *out, const void *p, size_t n)
{
	ASSERT_TRUE(out->len + n < sizeof(out->text));
	memcpy(out->text + out->len, p, n);
	out->len += n;
	out->text[out->len] = '\0';
}

/* "<H>" for a head, "<E>" for an end, "<!>" for a bad one; bodies as they are, framing left out. */
static void run(struct http_stream *s, const char *in, size_t step, struct seen *out)
{
	static const char *const names[] = {[HTTP_HEAD] = "<H>",
		[HTTP_END] = "<E>",
		[HTTP_BAD] = "<!>",
		[HTTP_FRAME] = "",
		[HTTP_DATA] = NULL,
		[HTTP_RAW] = NULL};
	size_t len = strlen(in);
	size_t have = 0;
	size_t at = 0;

	*out = (struct seen){.len = 0};
	for (;;) {
		size_t n;
		enum http_piece p = http_next(s, in + at, have - at, &n);

		if (p == HTTP_MORE && have == len)
			return;
		if (p == HTTP_MORE)
			have = MIN(len, have + step);
		else if (names[p])
			put(out, names[p], strlen(names[p]));
		else
			put(out, in + at, n);
		at += n;
		if (p == HTTP_BAD)
			return;
	}
}

static void expect(enum http_side side, const char *in, const char *want)
{
	static const size_t steps[] = {1, 7, 4096};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct http_stream s;
		struct seen got;

		http_init(&s, side);
		run(&s, in, steps[i], &got);
		ASSERT_STREQ(got.text, want);
	}
}

TEST(requests)
{
	expect(HTTP_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<H><E>");
	expect(HTTP_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"<H><E><H><E>");
	expect(HTTP_REQUEST,
		"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
		"<H>hello<E><H><E>");
	expect(HTTP_REQUEST,
		"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
		"5\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"<H>hello0123456789<E><H><E>");
	expect(HTTP_REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"<H><E>");
	expect(HTTP_REQUEST, "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "<H><E>");
}

TEST(responses)
{
	expect(HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "<H>ok<E>");
	expect(HTTP_RESPONSE, "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "<H>ok<E>");
	expect(HTTP_RESPONSE,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 304 "
		"N\r\nContent-Length: "
		"7\r\n\r\n",
		"<H><E><H><E><H><E>");
	expect(HTTP_RESPONSE, "HTTP/1.1 200 OK\r\n\r\nall\r\n\r\nof it", "<H>all\r\n\r\nof it");
	expect(HTTP_RESPONSE, "HTTP/1.0 200 OK\r\n\r\nHTTP/1.1", "<H>HTTP/1.1");
}

/* Each of them is read in two ways by somebody, somewhere. */
TEST(what_is_not_clear_is_refused)
{
	static const char *const heads[] = {
		"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 5 5\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\n: a\r\n\r\n",
		"GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET / x HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / http/1.1\r\n\r\n",
		"GET /\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\n\r\n",
		"GET /\xc3\xbc HTTP/1.1\r\n\r\n",
	};
	static const char *const chunks[] = {"5;x=y\r\nhello\r\n", "5 \r\nhello\r\n", "\r\n",
		"g\r\n", "5\nhello\r\n", "5\r\nhelloX\r\n", "-5\r\n", "0x5\r\n",
		"10000000000000000\r\n", "0\r\nbad trailer\r\n\r\n",
		"0\r\nX: y\r\ncontent-length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"0\r\nHost: a\r\n\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		expect(HTTP_REQUEST, heads[i], "<!>");
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		struct http_stream s;
		struct seen got;

		http_init(&s, HTTP_REQUEST);
		run(&s, "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 9, &got);
		ASSERT_STREQ(got.text, "<H>");
		run(&s, chunks[i], 3, &got);
		ASSERT_TRUE(strstr(got.text, "<!>") != NULL && s.why);
	}
	expect(HTTP_RESPONSE, "HTTP/1.1 20 OK\r\n\r\n", "<!>");
	expect(HTTP_RESPONSE, "HTTP/1.1 2000 OK\r\n\r\n", "<!>");
	expect(HTTP_RESPONSE, "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n", "<!>");
}

TEST(long_heads)
{
	static char head[HTTP_HEAD_MAX + 64];
	struct http_stream s;
	size_t n;

	memset(head, 'a', sizeof(head));
	head[1] = ' ';
	http_init(&s, HTTP_REQUEST);
	ASSERT_EQ(http_next(&s, head, HTTP_HEAD_MAX - 1, &n), HTTP_MORE);
	ASSERT_EQ(http_next(&s, head, HTTP_HEAD_MAX, &n), HTTP_BAD);
	n = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n");
	for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
		n += (size_t)snprintf(head + n, sizeof(head) - n, "A: b\r\n");
	(void)snprintf(head + n, sizeof(head) - n, "\r\n");
	expect(HTTP_REQUEST, head, "<!>");
}

TEST(answers_to_head_and_fields)
{
	static const char in[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: a, Upgrade ,b\r\n"
		"X:\t v \r\n\r\n";
	struct http_stream s;
	struct seen got;

	http_init(&s, HTTP_RESPONSE);
	s.no_body = true;
	run(&s, in, 4096, &got);
	ASSERT_STREQ(got.text, "<H><E>");
	ASSERT_TRUE(http_has_word(&s.head, "connection", "upgrade"));
	ASSERT_TRUE(!http_has_word(&s.head, "connection", "up"));
	ASSERT_TRUE(http_is(&http_find(&s.head, "x", 0)->value, "v"));
	ASSERT_TRUE(http_find(&s.head, "y", 0) == NULL);
	http_raw(&s);
	run(&s, "anything", 3, &got);
	ASSERT_STREQ(got.text, "anything");
}
