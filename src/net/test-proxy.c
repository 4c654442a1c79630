/* SPDX-License-Identifier: Apache-2.0 */
/* Talks with proxies, byte by byte, and the words that describe them. */
#include "base/buf.h"

#include "net/flow/proxy.h"

#include "test.h"

static struct net_peer peer(const char *text)
{
	struct net_proxy p = {0};
	char url[80];

	(void)snprintf(url, sizeof(url), "http://%s", text);
	ASSERT_OK(net_proxy_parse(&p, url, NULL));
	return p.at;
}

static struct net_proxy proxy(enum net_proxy_kind kind, const char *user, const char *password)
{
	struct net_proxy p = {.kind = (uint8_t)kind, .at = peer("192.0.2.1:1080")};

	(void)snprintf(p.user, sizeof(p.user), "%s", user);
	(void)snprintf(p.password, sizeof(p.password), "%s", password);
	return p;
}

/* The proxy hears exactly @question, in two pieces. */
static void expect_asked(struct proxy_talk *t, const void *question, size_t n)
{
	ASSERT_EQ(t->n_out, n);
	ASSERT_TRUE(memcmp(t->out, question, n) == 0);
	proxy_talk_sent(t, n / 2);
	ASSERT_EQ(t->n_out, n - n / 2);
	ASSERT_TRUE(memcmp(t->out, (const char *)question + n / 2, n - n / 2) == 0);
	proxy_talk_sent(t, t->n_out);
}

#define ASKED(t, text) expect_asked(t, text, sizeof(text) - 1)

/* The proxy answers @answer byte by byte, with a byte of the server behind. Return: what it means.
 */
static int answer(struct proxy_talk *t, const void *text, size_t n)
{
	const uint8_t *p = text;
	size_t used;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const uint8_t two[] = {p[i], 0x55};

		r = proxy_talk_take(t, two, i + 1 < n ? 1 : 2, &used);
		ASSERT_TRUE(r < 0 || used == 1);
		ASSERT_TRUE(r <= 0 || i + 1 == n);
	}
	return r;
}

#define ANSWER(t, text) answer(t, text, sizeof(text) - 1)

TEST(socks4)
{
	struct net_proxy p = proxy(NET_PROXY_SOCKS4, "me", "");
	struct net_peer v4 = peer("93.184.215.14:443");
	struct net_peer v6 = peer("[2001:db8::1]:443");
	struct proxy_talk t;

	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, "www.example"));
	ASKED(&t, "\4\1\1\xbb\x5d\xb8\xd7\x0eme\0");
	ASSERT_EQ(ANSWER(&t, "\0\x5a\1\2\3\4\5\6"), 1);
	ASSERT_ERR(proxy_talk_begin(&t, &p, &v6, "www.example"), EAFNOSUPPORT);
	p.kind = NET_PROXY_SOCKS4A;
	ASSERT_OK(proxy_talk_begin(&t, &p, &v6, "www.example"));
	ASKED(&t, "\4\1\1\xbb\0\0\0\1me\0www.example\0");
	ASSERT_ERR(ANSWER(&t, "\0\x5b\0\0\0\0\0\0"), ECONNREFUSED);
	ASSERT_ERR(proxy_talk_begin(&t, &p, &v6, NULL), EAFNOSUPPORT);
	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
	proxy_talk_sent(&t, t.n_out);
	ASSERT_ERR(ANSWER(&t, "\4\x5a\0\0\0\0\0\0"), EPROTO);
}

TEST(socks5)
{
	struct net_proxy p = proxy(NET_PROXY_SOCKS5, "", "");
	struct net_peer v4 = peer("93.184.215.14:443");
	struct net_peer v6 = peer("[2001:db8::1]:80");
	struct proxy_talk t;

	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
	ASKED(&t, "\5\1\0");
	ASSERT_EQ(ANSWER(&t, "\5\0"), 0);
	ASKED(&t, "\5\1\0\1\x5d\xb8\xd7\x0e\1\xbb");
	ASSERT_EQ(ANSWER(&t, "\5\0\0\1\1\2\3\4\5\6"), 1);
	ASSERT_OK(proxy_talk_begin(&t, &p, &v6, NULL));
	ASKED(&t, "\5\1\0");
	ASSERT_EQ(ANSWER(&t, "\5\0"), 0);
	ASKED(&t, "\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50");
	ASSERT_EQ(ANSWER(&t, "\5\0\0\3\4host\1\1"), 1);
	p = proxy(NET_PROXY_SOCKS5, "me", "secret");
	ASSERT_OK(proxy_talk_begin(&t, &p, &v6, "www.example"));
	ASKED(&t, "\5\2\0\2");
	ASSERT_EQ(ANSWER(&t, "\5\2"), 0);
	ASKED(&t, "\1\2me\6secret");
	ASSERT_TRUE(!memmem(t.out, sizeof(t.out), "secret", 6));
	ASSERT_EQ(ANSWER(&t, "\1\0"), 0);
	ASKED(&t, "\5\1\0\3\x0bwww.example\0\x50");
	ASSERT_EQ(ANSWER(&t, "\5\0\0\4"
			     "1234567890123456"
			     "\1\1"),
		1);
}

TEST(what_socks5_refuses)
{
	static const struct {
		char code;
		int error;
	} codes[] = {{1, ECONNREFUSED}, {2, EACCES}, {3, ENETUNREACH}, {4, EHOSTUNREACH},
		{5, ECONNREFUSED}, {6, ETIMEDOUT}, {7, EPROTO}, {8, EPROTO}, {99, EPROTO}};
	struct net_proxy p = proxy(NET_PROXY_SOCKS5, "", "");
	struct net_peer v4 = peer("93.184.215.14:443");
	struct proxy_talk t;
	size_t used;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		char reply[] = {5, codes[i].code, 0, 1, 0};

		ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
		proxy_talk_sent(&t, t.n_out);
		ASSERT_EQ(ANSWER(&t, "\5\0"), 0);
		proxy_talk_sent(&t, t.n_out);
		ASSERT_ERR(answer(&t, reply, sizeof(reply)), codes[i].error);
	}
	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
	/* Nobody may answer what was not asked yet. */
	ASSERT_ERR(proxy_talk_take(&t, (const uint8_t *)"\5\0", 2, &used), EPROTO);
	proxy_talk_sent(&t, t.n_out);
	ASSERT_ERR(ANSWER(&t, "\5\2"), EPROTO);
	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
	proxy_talk_sent(&t, t.n_out);
	ASSERT_ERR(ANSWER(&t, "\5\xff"), EACCES);
}

TEST(http_connect)
{
	struct net_proxy p = proxy(NET_PROXY_HTTP, "", "");
	struct net_peer v4 = peer("93.184.215.14:443");
	struct net_peer v6 = peer("[2001:db8::1]:80");
	struct proxy_talk t;

	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, "www.example"));
	ASKED(&t, "CONNECT www.example:443 HTTP/1.1\r\nHost: www.example:443\r\n\r\n");
	ASSERT_EQ(ANSWER(&t, "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n"), 1);
	ASSERT_OK(proxy_talk_begin(&t, &p, &v6, NULL));
	ASKED(&t, "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n");
	ASSERT_EQ(ANSWER(&t, "HTTP/1.1 299\r\n\r\n"), 1);
	p = proxy(NET_PROXY_HTTP, "Aladdin", "open sesame");
	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
	ASSERT_TRUE(memmem(t.out, t.n_out,
		"\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n", 61));
}

TEST(what_http_refuses)
{
	static const struct {
		const char *text;
		int error;
	} answers[] = {{"HTTP/1.1 403 No", EACCES}, {"HTTP/1.1 407 No", EACCES},
		{"HTTP/1.1 502 No", EHOSTUNREACH}, {"HTTP/1.1 504 No", ETIMEDOUT},
		{"HTTP/1.1 500 No", ECONNREFUSED}, {"HTTP/1.1 101 No", ECONNREFUSED},
		{"HTTP/2.0 200 OK", EPROTO}, {"HTTP/1.1  200 OK", EPROTO}, {"SSH-2.0-open", EPROTO},
		{"HTTP/1.1 2000 OK", EPROTO}, {"HTTP/1.1 20x OK", EPROTO}};
	struct net_proxy p = proxy(NET_PROXY_HTTP, "", "");
	struct net_peer v4 = peer("93.184.215.14:443");
	static const char head[] = "HTTP/1.1 200 OK\r\n";
	struct proxy_talk t;
	size_t used;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
		proxy_talk_sent(&t, t.n_out);
		ASSERT_ERR(answer(&t, answers[i].text, strlen(answers[i].text)), answers[i].error);
	}
	/* A head without an end. */
	ASSERT_OK(proxy_talk_begin(&t, &p, &v4, NULL));
	proxy_talk_sent(&t, t.n_out);
	r = proxy_talk_take(&t, (const uint8_t *)head, sizeof(head) - 1, &used);
	for (int i = 0; i < PROXY_HEAD_MAX && r == 0; i++)
		r = proxy_talk_take(&t, (const uint8_t *)"x", 1, &used);
	ASSERT_ERR(r, EPROTO);
}

TEST(the_longest_of_everything_fits)
{
	struct net_proxy p = proxy(NET_PROXY_HTTP, "", "");
	struct net_peer v6 = peer("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
	struct proxy_talk t;
	char name[255];

	memset(p.user, 'u', NET_PROXY_WORD);
	memset(p.password, 'p', NET_PROXY_WORD);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (unsigned int k = NET_PROXY_NONE + 1; k < NET_PROXY_KINDS; k++) {
		p.kind = (uint8_t)k;
		ASSERT_EQ(proxy_talk_begin(&t, &p, &v6, name),
			k == NET_PROXY_SOCKS4 ? -EAFNOSUPPORT : 0);
	}
	p.kind = NET_PROXY_SOCKS5;
	ASSERT_OK(proxy_talk_begin(&t, &p, &v6, name));
	proxy_talk_sent(&t, t.n_out);
	ASSERT_EQ(ANSWER(&t, "\5\2"), 0);
	proxy_talk_sent(&t, t.n_out);
	ASSERT_EQ(ANSWER(&t, "\1\0"), 0);
}

TEST(words)
{
	static const char *const bad[] = {"", "192.0.2.1:1080", "socks6://192.0.2.1:1", "http://",
		"http://192.0.2.1", "http://192.0.2.1:0", "http://192.0.2.1:65536", "http://::1:80",
		"http://[192.0.2.1]:80", "http://proxy.example:80", "socks5://me:pw@192.0.2.1:80",
		"http://[::1:80", "http://192.0.2.1:80/"};
	struct net_proxy p = {0};
	struct msb_err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_ERR(net_proxy_parse(&p, bad[i], &err), EINVAL);
	ASSERT_EQ(p.kind, NET_PROXY_NONE);
	ASSERT_OK(net_proxy_check(&p, NULL));
	memcpy(p.user, "me", 3);
	ASSERT_ERR(net_proxy_check(&p, &err), EINVAL);
	ASSERT_OK(net_proxy_parse(&p, "socks5://[::1]:1080", &err));
	ASSERT_TRUE(p.kind == NET_PROXY_SOCKS5 && p.at.port == 1080 && p.at.addr.family == NET_V6);
	ASSERT_OK(net_proxy_check(&p, NULL));
	memcpy(p.password_env, "PW", 3);
	ASSERT_OK(net_proxy_check(&p, NULL));
	p.user[0] = '\0';
	ASSERT_ERR(net_proxy_check(&p, &err), EINVAL);
	memcpy(p.user, "a:b", 4);
	ASSERT_OK(net_proxy_check(&p, NULL));
	p.kind = NET_PROXY_HTTP;
	ASSERT_ERR(net_proxy_check(&p, &err), EINVAL);
	p.kind = NET_PROXY_SOCKS4A;
	ASSERT_ERR(net_proxy_check(&p, &err), EINVAL);
}

/* On a disk there is no password, and in the document that had one there is none afterwards. */
TEST(stored_and_read)
{
	struct net_proxy p = proxy(NET_PROXY_SOCKS5, "me", "secret");
	cleanup_json struct json *doc = NULL;
	struct net_proxy got = {0};
	const char *text = NULL;
	struct json_out o;
	struct buf b;

	memcpy(p.password_env, "PW", 3);
	buf_init(&b, 4096);
	for (int secret = 0; secret < 2; secret++) {
		buf_consume(&b, buf_len(&b));
		json_out_init(&o, &b, JSON_COMPACT);
		json_begin_object(&o, NULL);
		net_proxy_to_json(&p, &o, "proxy", secret);
		json_end_object(&o);
		ASSERT_OK(json_out_end(&o));
		ASSERT_EQ(memmem(buf_data(&b), buf_len(&b), "secret", 6) != NULL, secret == 1);
	}
	ASSERT_OK(json_parse((const char *)buf_data(&b), buf_len(&b), &doc, NULL));
	ASSERT_OK(net_proxy_from_json(doc, "proxy", &got, NULL));
	ASSERT_TRUE(got.kind == p.kind && net_peer_equal(&got.at, &p.at));
	ASSERT_STREQ(got.password, "secret");
	ASSERT_STREQ(got.password_env, "PW");
	if (json_opt_str(json_find(doc, "proxy"), "password", &text, NULL) == 0)
		ASSERT_TRUE(!text || !strstr(text, "secret"));
	buf_deinit(&b);
}
