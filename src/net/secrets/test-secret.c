/* SPDX-License-Identifier: Apache-2.0 */
/* Placeholders in requests: where they become values, and where they stop a request. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/secrets/secret.h"

#include "test.h"

#define KEY   "sk-1234567890"
#define OTHER "other-value"

static const struct secret_settings settings = {.n = 2,
	.rules = {{.name = "KEY", .n_hosts = 2, .hosts = {"api.example", "*.good.example"}},
		{.name = "KEY_2", .n_hosts = 1, .hosts = {"api.example"}}}};

static const struct secret_place api = {.host = "api.example", .tls = true, .pinned = true};

static struct secrets *make(const struct secret_settings *s)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct secrets *ret = NULL;
	struct stat st;

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(secret_value_write(fd, KEY, NULL));
	ASSERT_OK(secret_value_write(fd, OTHER, NULL));
	ASSERT_OK(secrets_new(s, fd, &ret, NULL));
	ASSERT_OK(fstat(fd, &st));
	ASSERT_EQ(st.st_size, 0);
	(void)close(fd);
	return ret;
}

static int put(const struct secret_settings *with, const struct secret_place *place,
	const char *head, struct buf *out, struct secret_verdict *v)
{
	static char name[SECRET_NAME_MAX + 1];
	static struct http_stream h;
	struct secrets *s = make(with);
	size_t n;
	int r;

	buf_init(out, 1 << 20);
	http_init(&h, HTTP_REQUEST);
	ASSERT_EQ(http_next(&h, head, strlen(head), &n), HTTP_HEAD);
	r = secrets_head(s, place, head, n, &h.head, out, v);
	/* It lives as long as the secrets. */
	(void)snprintf(name, sizeof(name), "%s", v->name ? v->name : "");
	v->name = v->name ? name : NULL;
	(void)secrets_free(s);
	return r;
}

static void becomes(const char *head, const char *want, const char *name)
{
	struct secret_verdict v;
	struct buf out;

	ASSERT_OK(put(&settings, &api, head, &out, &v));
	ASSERT_STREQ(buf_cstr(&out), want);
	ASSERT_STREQ(v.name ? v.name : "", name);
	buf_deinit(&out);
}

static void stops(const struct secret_place *place, const char *head, const char *name)
{
	struct secret_verdict v;
	struct buf out;

	ASSERT_EQ(put(&settings, place, head, &out, &v), -EACCES);
	ASSERT_EQ(buf_len(&out), 0);
	ASSERT_STREQ(v.name, name);
	ASSERT_TRUE(v.why != NULL);
	buf_deinit(&out);
}

TEST(values_in_fields)
{
	becomes("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
	becomes("GET / HTTP/1.1\r\nX-Key:  $MSB_KEY \r\nB: c\r\n\r\n",
		"GET / HTTP/1.1\r\nX-Key:  " KEY " \r\nB: c\r\n\r\n", "KEY");
	becomes("GET / HTTP/1.1\r\nA: Bearer $MSB_KEY_2,$MSB_KEY.\r\n\r\n",
		"GET / HTTP/1.1\r\nA: Bearer " OTHER "," KEY ".\r\n\r\n", "KEY");
	/* user:$MSB_KEY becomes user:sk-1234567890 */
	becomes("GET / HTTP/1.1\r\nauthorization: basic dXNlcjokTVNCX0tFWQ==\r\n\r\n",
		"GET / HTTP/1.1\r\nauthorization: basic dXNlcjpzay0xMjM0NTY3ODkw\r\n\r\n", "KEY");
	becomes("GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwdw==\r\n\r\n",
		"GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwdw==\r\n\r\n", "");
	/* Written in another way it is no wish for a value. */
	becomes("GET / HTTP/1.1\r\nA: %24MSB_KEY\r\n\r\n",
		"GET / HTTP/1.1\r\nA: %24MSB_KEY\r\n\r\n", "");
}

TEST(nothing_for_other_hosts)
{
	static const char *const heads[] = {
		"GET / HTTP/1.1\r\nA: $MSB_KEY\r\n\r\n",
		"GET / HTTP/1.1\r\nA: %24MSB_KEY\r\n\r\n",
		"GET / HTTP/1.1\r\nA: %24%4d%53%42%5f%4b%45%59\r\n\r\n",
		"GET / HTTP/1.1\r\nA: \\u0024MSB_KEY\r\n\r\n",
		"GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjokTVNCX0tFWQ==\r\n\r\n",
	};
	static const struct secret_place bad[] = {
		{.host = "evil.example", .tls = true, .pinned = true},
		{.host = "api.example.evil", .tls = true, .pinned = true},
		{.host = "api.example", .tls = false, .pinned = true},
		{.host = "api.example", .tls = true, .pinned = false},
	};

	for (size_t p = 0; p < ARRAY_SIZE(bad); p++) {
		for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
			stops(&bad[p], heads[i], "KEY");
	}
	/* For one of them, but not for the other one. */
	stops(&(struct secret_place){.host = "x.good.example", .tls = true, .pinned = true},
		"GET / HTTP/1.1\r\nA: $MSB_KEY $MSB_KEY_2\r\n\r\n", "KEY_2");
}

TEST(nothing_in_other_places)
{
	stops(&api, "GET /?key=$MSB_KEY HTTP/1.1\r\n\r\n", "KEY");
	stops(&api, "GET /%24MSB%5FKEY HTTP/1.1\r\n\r\n", "KEY");
	stops(&api, "$MSB_KEY / HTTP/1.1\r\n\r\n", "KEY");
	stops(&api, "GET / HTTP/1.1\r\n$MSB_KEY: a\r\n\r\n", "KEY");
}

TEST(bodies_at_every_split)
{
	static const char *const bodies[] = {"{\"key\": \"$MSB_KEY\"}", "key=%24MSB_KEY&a=b",
		"{\"key\": \"\\u0024MSB\\u005FKEY\"}"};
	struct secrets *s = make(&settings);
	struct secret_verdict v;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		size_t len = strlen(bodies[i]);

		for (size_t split = 0; split <= len; split++) {
			struct secret_scan scan = {.n = 0};
			int r = secrets_body(s, &scan, bodies[i], split, &v);

			if (r == 0)
				r = secrets_body(s, &scan, bodies[i] + split, len - split, &v);
			ASSERT_EQ(r, -EACCES);
			ASSERT_STREQ(v.name, "KEY");
		}
	}
	for (int i = 0; i < 100; i++) {
		struct secret_scan scan = {.n = 0};

		ASSERT_OK(secrets_body(s, &scan, "plain 100% \\ $MSB_KE", 20, &v));
	}
	(void)secrets_free(s);
}

TEST(passing_the_placeholder_on)
{
	static const struct secret_place evil = {.host = "evil", .tls = true, .pinned = true};
	static const char head[] = "GET /$MSB_KEY HTTP/1.1\r\nA: $MSB_KEY\r\n\r\n";
	struct secret_settings s = settings;
	struct secret_verdict v;
	struct buf out;

	s.violation = SECRET_PASSTHROUGH;
	ASSERT_OK(put(&s, &evil, head, &out, &v));
	ASSERT_STREQ(buf_cstr(&out), head);
	buf_deinit(&out);
}

TEST(values_that_are_none)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct secrets *s;

	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(secrets_new(&settings, fd, &s, NULL), -EBADMSG);
	ASSERT_EQ(secret_value_write(fd, "", NULL), -E2BIG);
	ASSERT_EQ(secret_value_write(fd, "a\r\nB: c", NULL), -EINVAL);
	ASSERT_OK(secret_value_write(fd, "one", NULL));
	ASSERT_EQ(secrets_new(&settings, fd, &s, NULL), -EBADMSG);
	(void)close(fd);
}
