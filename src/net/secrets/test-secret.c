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
	r = secrets_head(s, place, head, n, &h.head, NULL, out, v);
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
	stops(&api, "GET /?key=%24MSB_KEY HTTP/1.1\r\n\r\n", "KEY");
	stops(&api, "GET /%24MSB%5FKEY HTTP/1.1\r\n\r\n", "KEY");
	stops(&api, "$MSB_KEY / HTTP/1.1\r\n\r\n", "KEY");
	stops(&api, "GET / HTTP/1.1\r\n$MSB_KEY: a\r\n\r\n", "KEY");
}

/* All that happens to a body, in two pieces; as text, "!" and the name for a refusal. */
static const char *body_in_two(const struct secrets *s, const struct secret_place *place,
	const char *text, size_t len, size_t split, bool form, bool look)
{
	static char got[64 * 1024];
	struct secret_verdict v = {.name = NULL};
	struct secret_body b;
	struct buf out;
	size_t at = 0;
	int r = 0;

	buf_init(&out, sizeof(got) + SECRET_ROOM);
	secret_body_init(&b, s, place, form);
	while (r == 0 && at < len) {
		size_t used;

		r = secret_body_feed(&b, text + at, (at < split ? split : len) - at,
			look ? NULL : &out, &used, &v);
		at += used;
		if (r == 0)
			ASSERT_TRUE(at == split || at == len);
	}
	if (r == 0)
		r = secret_body_end(&b, look ? NULL : &out, &v);
	if (r < 0)
		(void)snprintf(got, sizeof(got), "!%s", r == -EACCES ? v.name : strerror(-r));
	else
		(void)snprintf(
			got, sizeof(got), "%.*s", (int)buf_len(&out), (const char *)buf_data(&out));
	buf_deinit(&out);
	return got;
}

static const struct secret_settings everywhere = {.n = 2,
	.rules = {{.name = "KEY",
			  .n_hosts = 2,
			  .hosts = {"api.example", "*.good.example"},
			  .inject = SECRET_IN_BODY | SECRET_IN_QUERY},
		{.name = "KEY_2",
			.n_hosts = 1,
			.hosts = {"api.example"},
			.inject = SECRET_IN_BODY}}};

/* Names whose beginnings are names, encodings cut short, and what is not quite a placeholder. */
static const struct {
	const char *text, *api, *good, *form;
} bodies[] = {
	{"{\"key\": \"$MSB_KEY\"}", "{\"key\": \"" KEY "\"}", "{\"key\": \"" KEY "\"}",
		"{\"key\": \"" KEY "\"}"},
	{"$MSB_KEY$MSB_KEY_2", KEY OTHER, "!KEY_2", KEY OTHER},
	{"$MSB_KEY_$MSB_KEY_2", KEY "_" OTHER, "!KEY_2", KEY "_" OTHER},
	{"$MSB_KEY", KEY, KEY, KEY},
	{"$MSB_KEY_", KEY "_", KEY "_", KEY "_"},
	{"$MSB_KEY%", KEY "%", KEY "%", KEY "%"},
	{"$MSB_KEY%5F2", "$MSB_KEY%5F2", "!KEY_2", OTHER},
	{"k=%24MSB_KEY&a=b", "k=%24MSB_KEY&a=b", "k=%24MSB_KEY&a=b", "k=" KEY "&a=b"},
	{"\\u0024MSB\\u005FKEY\\", "\\u0024MSB\\u005FKEY\\", "\\u0024MSB\\u005FKEY\\",
		"\\u0024MSB\\u005FKEY\\"},
	{"\\u0024MSB_KEY_2", "\\u0024MSB_KEY_2", "!KEY_2", "\\u0024MSB_KEY_2"},
	{"$$MSB_KE%%24MSB_\\\\u00\\u002", "$$MSB_KE%%24MSB_\\\\u00\\u002",
		"$$MSB_KE%%24MSB_\\\\u00\\u002", "$$MSB_KE%%24MSB_\\\\u00\\u002"},
	{"$MSB_$MSB_KEY$MSB", "$MSB_" KEY "$MSB", "$MSB_" KEY "$MSB", "$MSB_" KEY "$MSB"},
	{"", "", "", ""},
};

TEST(bodies_at_every_split)
{
	static const struct secret_place good = {
		.host = "a.good.example", .tls = true, .pinned = true};
	static const struct secret_place evil = {.host = "evil", .tls = true, .pinned = true};
	struct secrets *s = make(&everywhere);

	ASSERT_TRUE(secrets_in_bodies(s, &api) && secrets_in_bodies(s, &good));
	ASSERT_TRUE(!secrets_in_bodies(s, &evil));
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		const char *t = bodies[i].text;
		size_t len = strlen(t);

		for (size_t at = 0; at <= len; at++) {
			ASSERT_STREQ(body_in_two(s, &api, t, len, at, false, false), bodies[i].api);
			ASSERT_STREQ(
				body_in_two(s, &good, t, len, at, false, false), bodies[i].good);
			ASSERT_STREQ(body_in_two(s, &api, t, len, at, true, false), bodies[i].form);
		}
	}
	(void)secrets_free(s);
}

/* The guest that may have none is stopped before the last byte of any placeholder has passed. */
TEST(looking_at_every_split)
{
	struct secrets *s = make(&settings);

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		const char *t = bodies[i].text;
		size_t len = strlen(t);
		bool stops = body_in_two(s, &api, t, len, len, false, false)[0] == '!';

		for (size_t at = 0; at <= len; at++)
			ASSERT_EQ(body_in_two(s, &api, t, len, at, false, true)[0] == '!', stops);
	}
	ASSERT_TRUE(body_in_two(s, &api, "$MSB_KEY", 8, 8, false, true)[0] == '!');
	ASSERT_TRUE(body_in_two(s, &api, "%24MSB_KEY", 10, 10, false, true)[0] == '!');
	(void)secrets_free(s);
}

/* Any bytes of a few letters, in pieces of any size, and with little room. */
TEST(bodies_in_many_pieces)
{
	static const char *const words[] = {
		"$", "MSB_", "KEY", "_2", "%24", "%", "2", "4", "\\u0024", "\\u00", "$MSB_KEY"};
	struct secrets *s = make(&everywhere);
	uint64_t random = 1;

	for (int round = 0; round < 2000; round++) {
		struct secret_verdict v;
		struct secret_body b;
		char text[512] = "";
		struct buf out;
		struct buf all;
		size_t len = 0;
		size_t at = 0;
		bool form = round & 1;

		while (len < 400) {
			random = random * 6364136223846793005 + 1442695040888963407;
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
				words[(random >> 33) % ARRAY_SIZE(words)]);
		}
		buf_init(&out, SECRET_ROOM + 16);
		buf_init(&all, 1 << 20);
		secret_body_init(&b, s, &api, form);
		while (at < len) {
			size_t used;

			random = random * 6364136223846793005 + 1442695040888963407;
			ASSERT_OK(secret_body_feed(&b, text + at,
				MIN(len - at, 1 + (random >> 33) % 40), &out, &used, &v));
			ASSERT_TRUE(used > 0 || buf_len(&out) > 0);
			at += used;
			ASSERT_OK(buf_append(&all, buf_data(&out), buf_len(&out)));
			buf_consume(&out, buf_len(&out));
		}
		ASSERT_OK(secret_body_end(&b, &out, &v));
		ASSERT_OK(buf_append(&all, buf_data(&out), buf_len(&out)));
		ASSERT_STREQ(buf_cstr(&all), body_in_two(s, &api, text, len, len, form, false));
		buf_deinit(&out);
		buf_deinit(&all);
	}
	(void)secrets_free(s);
}

TEST(a_body_that_grows)
{
	struct secrets *s = make(&everywhere);
	struct secret_verdict v;
	struct secret_body b;
	struct buf out;
	size_t grown = 0;
	int r = 0;

	buf_init(&out, 1 << 20);
	secret_body_init(&b, s, &api, false);
	while (r == 0 && grown < (size_t)4 * SECRET_GROWTH_MAX) {
		size_t used;

		r = secret_body_feed(&b, "$MSB_KEY,", 9, &out, &used, &v);
		grown += sizeof(KEY) - sizeof("$MSB_KEY");
		buf_consume(&out, buf_len(&out));
	}
	ASSERT_EQ(r, -E2BIG);
	ASSERT_TRUE(grown > SECRET_GROWTH_MAX);
	buf_deinit(&out);
	(void)secrets_free(s);
}

static void target_is(const struct secrets *s, const char *target, int want_r, const char *want)
{
	struct secret_verdict v = {.name = NULL};
	struct buf out;

	buf_init(&out, 1 << 20);
	ASSERT_EQ(secrets_target(s, &api, (struct http_text){.at = target, .len = strlen(target)},
			  &out, &v),
		want_r);
	if (want_r == 0)
		ASSERT_STREQ(buf_cstr(&out), want);
	else
		ASSERT_STREQ(v.name, want);
	buf_deinit(&out);
}

TEST(values_in_queries)
{
	static const char odd[] = "a b&c=\xc3\xa4~";
	struct secrets *s = make(&everywhere);
	struct secrets *strange;
	int fd = memfd_create("test", MFD_CLOEXEC);

	target_is(s, "/p?key=$MSB_KEY&a", 0, "/p?key=" KEY "&a");
	target_is(s, "/p?key=%24MSB_KEY&a", 0, "/p?key=" KEY "&a");
	target_is(s, "/p?key=%24MSB%5FKEY", 0, "/p?key=" KEY);
	target_is(s, "https://api.example/p?a?$MSB_KEY", 0, "https://api.example/p?a?" KEY);
	target_is(s, "/", 0, "/");
	target_is(s, "*", 0, "*");
	target_is(s, "/$MSB_KEY?a=$MSB_KEY", -EACCES, "KEY");
	target_is(s, "/%24MSB_KEY", -EACCES, "KEY");
	/* It is for bodies. */
	target_is(s, "/?a=$MSB_KEY_2", -EACCES, "KEY_2");
	(void)secrets_free(s);

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(secret_value_write(fd, odd, NULL));
	ASSERT_OK(secret_value_write(fd, odd, NULL));
	ASSERT_OK(secrets_new(&everywhere, fd, &strange, NULL));
	target_is(strange, "/?a=$MSB_KEY", 0, "/?a=a%20b%26c%3D%C3%A4~");
	(void)secrets_free(strange);
	(void)close(fd);
}

TEST(fields_that_get_none)
{
	static const char head[] =
		"GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjokTVNCX0tFWQ==\r\n\r\n";
	struct secret_settings s = settings;
	struct secret_verdict v;
	struct buf out;

	s.rules[0].inject = SECRET_IN_HEADERS;
	ASSERT_EQ(put(&s, &api, head, &out, &v), -EACCES);
	ASSERT_STREQ(v.name, "KEY");
	buf_deinit(&out);
	s.rules[0].inject = SECRET_IN_BASIC;
	ASSERT_EQ(put(&s, &api, "GET / HTTP/1.1\r\nA: $MSB_KEY\r\n\r\n", &out, &v), -EACCES);
	buf_deinit(&out);
	ASSERT_OK(put(&s, &api, head, &out, &v));
	buf_deinit(&out);
}

TEST(a_length_of_another_body)
{
	static struct http_stream h;
	static const char head[] = "POST / HTTP/1.1\r\nExpect: 100-continue \r\nContent-Length:  7 "
				   "\r\nA: $MSB_KEY\r\nexpect: \r\n\r\n";
	struct secrets *s = make(&settings);
	struct secret_verdict v;
	struct buf out;
	size_t n;

	buf_init(&out, 1 << 20);
	http_init(&h, HTTP_REQUEST);
	ASSERT_EQ(http_next(&h, head, strlen(head), &n), HTTP_HEAD);
	ASSERT_OK(secrets_head(s, &api, head, n, &h.head, "1234", &out, &v));
	ASSERT_STREQ(
		buf_cstr(&out), "POST / HTTP/1.1\r\nContent-Length:  1234 \r\nA: " KEY "\r\n\r\n");
	buf_deinit(&out);
	(void)secrets_free(s);
}

static void one_round(const struct secrets *s)
{
	static const char head[] =
		"GET /?$MSB_KEY HTTP/1.1\r\nAuthorization: Basic dXNlcjokTVNCX0tFWQ==\r\n\r\n";
	static struct http_stream h;
	struct secret_verdict v;
	struct buf out;
	size_t n;
	int r;

	buf_init(&out, 1 << 20);
	http_init(&h, HTTP_REQUEST);
	ASSERT_EQ(http_next(&h, head, strlen(head), &n), HTTP_HEAD);
	r = secrets_head(s, &api, head, n, &h.head, NULL, &out, &v);
	ASSERT_TRUE(r == 0 || (r == -ENOMEM && buf_len(&out) == 0));
	buf_deinit(&out);
}

TEST(without_memory)
{
	struct secret_settings with = everywhere;
	struct secrets *s;

	with.rules[0].inject |= SECRET_IN_BASIC;
	s = make(&with);
	FAULT_LOOP(one_round(s));
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

/* What @head becomes, in a connection that begins now. */
static void is_now(const struct secrets *s, const char *head, const char *want)
{
	static struct http_stream h;
	struct secret_verdict v;
	struct buf out;
	size_t n;

	buf_init(&out, 1 << 20);
	http_init(&h, HTTP_REQUEST);
	ASSERT_EQ(http_next(&h, head, strlen(head), &n), HTTP_HEAD);
	ASSERT_OK(secrets_head(s, &api, head, n, &h.head, NULL, &out, &v));
	ASSERT_STREQ(buf_cstr(&out), want);
	buf_deinit(&out);
}

static int renew(const struct secrets *old, struct secrets **ret)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	int r;

	ASSERT_TRUE(fd >= 0);
	r = secret_value_keep(fd, NULL);
	if (r == 0)
		r = secret_value_write(fd, "another", NULL);
	if (r == 0)
		r = secrets_renew(&settings, fd, old, ret, NULL);
	(void)close(fd);
	return r;
}

static void one_renewal(const struct secrets *old)
{
	struct secrets *new = NULL;
	int r = renew(old, &new);

	ASSERT_TRUE(r == 0 ? new != NULL : new == NULL);
	(void)secrets_free(new);
}

TEST(other_values_later)
{
	static const char head[] = "GET / HTTP/1.1\r\nA: $MSB_KEY $MSB_KEY_2\r\n\r\n";
	struct secrets *old = make(&settings);
	struct secrets *held = secrets_ref(old);
	struct secrets *new = NULL;

	ASSERT_OK(renew(old, &new));
	/* Connections that are there keep what they began with. */
	old = secrets_free(old);
	is_now(held, head, "GET / HTTP/1.1\r\nA: " KEY " " OTHER "\r\n\r\n");
	is_now(new, head, "GET / HTTP/1.1\r\nA: " KEY " another\r\n\r\n");
	/* Nobody has a value for the first one. */
	ASSERT_EQ(renew(NULL, &old), -EBADMSG);
	FAULT_LOOP(one_renewal(held));
	(void)secrets_free(held);
	(void)secrets_free(new);
}

static void one_environment(void)
{
	static const char *const env[] = {"A=b", "KEY=c", NULL};
	struct secret_env e = {.items = NULL};

	if (secret_env_make(&settings, env, &e) == 0) {
		ASSERT_STREQ(e.items[1], "KEY=c");
		ASSERT_STREQ(e.items[2], "KEY=$MSB_KEY");
		ASSERT_STREQ(e.items[3], "KEY_2=$MSB_KEY_2");
		ASSERT_TRUE(e.items[4] == NULL);
	}
	secret_env_deinit(&e);
}

TEST(settings_as_they_are_stored)
{
	struct secret_settings got;
	struct json_out o;
	struct json *doc;
	struct buf text;

	for (uint32_t i = 0; i < SECRET_VIOLATIONS; i++) {
		struct secret_settings s = everywhere;

		s.violation = i;
		s.rules[1].inject = 0;
		buf_init(&text, 1 << 16);
		json_out_init(&o, &text, JSON_COMPACT);
		secret_settings_to_json(&s, &o, NULL);
		ASSERT_OK(json_out_end(&o));
		ASSERT_OK(json_parse((const char *)buf_data(&text), buf_len(&text), &doc, NULL));
		ASSERT_OK(secret_settings_from_json(doc, &got, NULL));
		ASSERT_EQ(got.violation, i);
		ASSERT_EQ(got.rules[0].inject, SECRET_IN_BODY | SECRET_IN_QUERY);
		ASSERT_EQ(got.rules[1].inject, 0);
		ASSERT_STREQ(got.rules[0].hosts[1], "*.good.example");
		(void)json_free(doc);
		buf_deinit(&text);
	}
}

TEST(placeholders_in_the_environment)
{
	FAULT_LOOP(one_environment());
}
