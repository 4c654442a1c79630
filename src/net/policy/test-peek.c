/* SPDX-License-Identifier: Apache-2.0 */
/* Names in the first bytes of connections. */
#include "base/buf.h"

#include "net/policy/peek.h"

#include "test.h"

static enum peek_kind http(const char *text, const char *name)
{
	struct peek p;

	peek_bytes((const uint8_t *)text, strlen(text), &p);
	if (name) {
		if (!p.named)
			test_fail(__FILE__, __LINE__, "no name in %s", text);
		ASSERT_STREQ(p.name, name);
	} else {
		ASSERT_TRUE(!p.named);
	}
	return p.kind;
}

TEST(hosts_of_requests)
{
	ASSERT_EQ(http("GET / HTTP/1.1\r\nHost: Example.COM\r\n\r\n", "example.com"), PEEK_HTTP);
	ASSERT_EQ(http("GET / HTTP/1.1\r\nA: b\r\nhOST:example.com.:8080 \r\nC:\td\r\n\r\nbody\n",
			  "example.com"),
		PEEK_HTTP);
	ASSERT_EQ(http("GET / HTTP/1.0\r\n\r\n", NULL), PEEK_HTTP);
	ASSERT_EQ(http("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", NULL), PEEK_HTTP);
	ASSERT_EQ(http("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"),
		PEEK_HTTP);
	ASSERT_EQ(http("GET http://a.example HTTP/1.1\r\n\r\n", "a.example"), PEEK_HTTP);
	ASSERT_EQ(
		http("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "a.example"),
		PEEK_HTTP);
	ASSERT_EQ(http("GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n", "10.0.0.1"), PEEK_HTTP);
	ASSERT_EQ(http("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "[2001:db8::1]"),
		PEEK_HTTP);
}

TEST(what_servers_read_differently_is_refused)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nX: y\r\n Host: a.example\r\n\r\n",
		"GET / HTTP/1.1\nHost: a.example\n\n",
		"GET / HTTP/1.1\r\nHost: a.example\n\r\n\r\n",
		"GET / HTTP/1.1\rHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example@b.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:80:90\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:99999999\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost\r\n\r\n",
		"GET / HTTP/1.1\r\n: x\r\n\r\n",
		"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
		"GET http://a.example/ HTTP/1.1\r\nHost:\r\n\r\n",
		"GET http://u@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET / x HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.12\r\nHost: a.example\r\n\r\n",
		"GET /\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.exam\x01ple\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET\t/\tHTTP/1.1\r\nHost: a.example\r\n\r\n",
		"get / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"G-T / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"G_1 /\xff HTTP/1.1\nHost: a.example\n\n",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (http(bad[i], NULL) != PEEK_BAD)
			test_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
	}
}

TEST(other_protocols_are_told_at_once)
{
	ASSERT_EQ(http("SSH-2.0-OpenSSH_9.2\r\n", NULL), PEEK_OTHER);
	ASSERT_EQ(http("hello\r\n", NULL), PEEK_OTHER);
	ASSERT_EQ(http("\x16\x02", NULL), PEEK_OTHER);
	ASSERT_EQ(http("ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n", NULL), PEEK_OTHER);
	ASSERT_EQ(http("SSH-2.0-OpenSSH_9.2 comment\r\n", NULL), PEEK_OTHER);
	ASSERT_EQ(http("get key\r\n", NULL), PEEK_OTHER);
	ASSERT_EQ(http("*1\r\n$4\r\nPING\r\n", NULL), PEEK_OTHER);
	ASSERT_EQ(http("{\"json\": 1}", NULL), PEEK_OTHER);
	ASSERT_EQ(http("", NULL), PEEK_MORE);
	ASSERT_EQ(http("G", NULL), PEEK_MORE);
	ASSERT_EQ(http("g", NULL), PEEK_MORE);
	ASSERT_EQ(http("get / HTT", NULL), PEEK_MORE);
	ASSERT_EQ(http("\x16", NULL), PEEK_MORE);
}

static void put(struct buf *b, const void *p, size_t n)
{
	ASSERT_OK(buf_append(b, p, n));
}

static void put16(struct buf *b, size_t v)
{
	const uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(b, bytes, 2);
}

static void put_server_name(struct buf *b, const char *name)
{
	size_t n = strlen(name);

	put16(b, 0);
	put16(b, n + 5);
	put16(b, n + 3);
	put(b, "", 1);
	put16(b, n);
	put(b, name, n);
}

/* A ClientHello around these extensions, in records of at most @record bytes. */
static void wrap(struct buf *to, struct buf *extensions, size_t record)
{
	static const uint8_t ciphers[] = {0, 2, 0x13, 1, 1, 0};
	uint8_t random[33] = {0};
	struct buf body;
	size_t len;

	buf_init(&body, 128 * KIB);
	buf_init(to, 128 * KIB);
	len = 2 + 32 + 1 + sizeof(ciphers) + 2 + buf_len(extensions);
	put(&body, "\x01", 2);
	put16(&body, len);
	put(&body, "\x03\x03", 2);
	put(&body, random, sizeof(random));
	put(&body, ciphers, sizeof(ciphers));
	put16(&body, buf_len(extensions));
	put(&body, buf_data(extensions), buf_len(extensions));
	while (buf_len(&body)) {
		size_t n = MIN(buf_len(&body), record);

		put(to, "\x16\x03\x01", 3);
		put16(to, n);
		put(to, buf_data(&body), n);
		buf_consume(&body, n);
	}
	buf_deinit(&body);
	buf_deinit(extensions);
	buf_init(extensions, 128 * KIB);
}

static void look(struct buf *b, struct peek *p)
{
	peek_bytes(buf_data(b), buf_len(b), p);
	buf_deinit(b);
}

TEST(names_of_hellos)
{
	struct buf ext;
	struct buf hello;
	struct peek p;

	buf_init(&ext, 128 * KIB);
	put_server_name(&ext, "PyPI.org");
	wrap(&hello, &ext, 16384);
	/* Every prefix wants more. */
	for (size_t i = 0; i < buf_len(&hello); i++) {
		peek_bytes(buf_data(&hello), i, &p);
		ASSERT_EQ(p.kind, PEEK_MORE);
	}
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_TLS);
	ASSERT_TRUE(p.named && !p.hidden && !p.h2);
	ASSERT_STREQ(p.name, "pypi.org");
	put16(&ext, 16);
	put(&ext, "\x00\x0e\x00\x0c\x02h2\x08http/1.1", 16);
	put16(&ext, 0xfe0d);
	put(&ext, "\x00\x01\x00", 3);
	put_server_name(&ext, "pypi.org");
	wrap(&hello, &ext, 7);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_TLS);
	ASSERT_TRUE(p.named && p.hidden && p.h2);
	wrap(&hello, &ext, 100);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_TLS);
	ASSERT_TRUE(!p.named);
	put_server_name(&ext, "10.0.0.1");
	wrap(&hello, &ext, 100);
	look(&hello, &p);
	ASSERT_STREQ(p.name, "10.0.0.1");
	buf_deinit(&ext);
}

TEST(broken_hellos_are_refused)
{
	struct buf ext;
	struct buf hello;
	struct peek p;

	buf_init(&ext, 128 * KIB);
	put_server_name(&ext, "a.example");
	put_server_name(&ext, "b.example");
	wrap(&hello, &ext, 1000);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_BAD);
	ASSERT_TRUE(!p.named);
	put_server_name(&ext, "a b");
	wrap(&hello, &ext, 1000);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_BAD);
	put16(&ext, 10);
	put16(&ext, 5);
	put(&ext, "1234", 4);
	wrap(&hello, &ext, 1000);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_BAD);
	/* Two names in one extension. */
	put(&ext,
		"\x00\x00\x00\x0a\x00\x08\x00\x00\x01"
		"a\x00\x00\x01"
		"b",
		14);
	wrap(&hello, &ext, 1000);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_BAD);
	buf_deinit(&ext);
}

TEST(long_hellos_end)
{
	static uint8_t zeros[20000];
	struct buf ext;
	struct buf hello;
	struct peek p;

	buf_init(&ext, 128 * KIB);
	put16(&ext, 21);
	put16(&ext, 12000);
	put(&ext, zeros, 12000);
	put_server_name(&ext, "a.example");
	wrap(&hello, &ext, 16384);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_TLS);
	ASSERT_STREQ(p.name, "a.example");
	put16(&ext, 21);
	put16(&ext, 17000);
	put(&ext, zeros, 17000);
	wrap(&hello, &ext, 16384);
	look(&hello, &p);
	ASSERT_EQ(p.kind, PEEK_BAD);
	memset(zeros, 'a', sizeof(zeros));
	memcpy(zeros, ((const char[]){'G', 'E', 'T', ' ', '/'}), 5);
	peek_bytes(zeros, POLICY_PEEK_MAX - 1, &p);
	ASSERT_EQ(p.kind, PEEK_MORE);
	peek_bytes(zeros, POLICY_PEEK_MAX, &p);
	ASSERT_EQ(p.kind, PEEK_BAD);
	buf_deinit(&ext);
}

TEST(what_was_seen_decides)
{
	static const char *const names[] = {"pypi.org"};
	struct policy_query q = {.names = names, .n_names = 1};
	struct peek p;

	peek_bytes((const uint8_t *)"GET / HTTP/1.1\r\nHost: pypi.org\r\n\r\n", 34, &p);
	peek_apply(&p, &q);
	ASSERT_TRUE(q.inspected && !q.hidden);
	ASSERT_STREQ(q.authority, "pypi.org");
	peek_bytes((const uint8_t *)"SSH-", 4, &p);
	peek_apply(&p, &q);
	ASSERT_TRUE(q.inspected && !q.authority);
}
