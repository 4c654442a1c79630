/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of header values: what real registries send, and what none should. */
#include "image/registry/headers.h"

#include "test.h"

static struct challenge got[CHALLENGES_MAX];

static int parse(const char *text)
{
	memset(got, 0xff, sizeof(got));
	return challenge_parse(text, strlen(text), got, ARRAY_SIZE(got));
}

TEST(bearer)
{
	ASSERT_EQ(parse("Bearer "
			"realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
			"scope=\"repository:library/alpine:pull,push\""),
		1);
	ASSERT_EQ(got[0].scheme, CHALLENGE_BEARER);
	ASSERT_STREQ(got[0].realm, "https://auth.docker.io/token");
	ASSERT_STREQ(got[0].service, "registry.docker.io");
	ASSERT_STREQ(got[0].scope, "repository:library/alpine:pull,push");
}

TEST(unknown_parameters_and_odd_spacing)
{
	ASSERT_EQ(
		parse(" , BEARER  Realm = \"a\\\"b\" ,, error=\"invalid_token\" , service=plain,"),
		1);
	ASSERT_EQ(got[0].scheme, CHALLENGE_BEARER);
	ASSERT_STREQ(got[0].realm, "a\"b");
	ASSERT_STREQ(got[0].service, "plain");
	ASSERT_STREQ(got[0].scope, "");
}

TEST(several_challenges)
{
	ASSERT_EQ(parse("Negotiate, Basic realm=\"one, two\", charset=UTF-8, NTLM dGVzdA==, Bearer "
			"realm=\"x\",scope=\"y\""),
		4);
	ASSERT_EQ(got[0].scheme, CHALLENGE_OTHER);
	ASSERT_EQ(got[1].scheme, CHALLENGE_BASIC);
	ASSERT_STREQ(got[1].realm, "one, two");
	ASSERT_EQ(got[2].scheme, CHALLENGE_OTHER);
	ASSERT_EQ(got[3].scheme, CHALLENGE_BEARER);
	ASSERT_STREQ(got[3].scope, "y");
	ASSERT_EQ(parse(""), 0);
	ASSERT_EQ(parse("Basic"), 1);
}

TEST(challenges_refused)
{
	static const char *const bad[] = {
		"Bearer realm=\"open",
		"Bearer realm=\"x\\",
		"Bearer realm=\"x\" service=\"y\"", /* no comma */
		"Bearer realm=\"x\",realm=\"y\"", /* which one? */
		"Bearer realm=\"x\ny\"",
		"Bearer realm=\"\xc3\xa9\"",
		"Bearer realm=;",
		"Bearer @",
		"\"Bearer\" realm=x",
		"Bearer(realm=x)",
		"Basic realm=\"x\"\"y\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_ERR(parse(bad[i]), EBADMSG);
}

TEST(challenge_limits)
{
	char text[HEADER_VALUE_MAX + 2];
	int n = snprintf(text, sizeof(text), "Bearer realm=\"");

	memset(text + n, 'a', CHALLENGE_REALM_MAX);
	(void)snprintf(text + n + CHALLENGE_REALM_MAX, 2, "\"");
	ASSERT_EQ(parse(text), 1);
	(void)snprintf(text + n + CHALLENGE_REALM_MAX, 3, "a\"");
	ASSERT_ERR(parse(text), E2BIG);
	ASSERT_ERR(parse("a,b,c,d,e,f,g,h,i"), E2BIG);
	memset(text, ' ', sizeof(text));
	ASSERT_ERR(challenge_parse(text, sizeof(text), got, ARRAY_SIZE(got)), E2BIG);
}

static int range(const char *text, struct content_range *r)
{
	return content_range_parse(text, strlen(text), r);
}

TEST(content_range)
{
	static const char *const bad[] = {
		"",
		"bytes",
		"bytes 1-2",
		"bytes 2-1/5",
		"bytes 0-5/5",
		"bytes */*",
		"bytes -5/9",
		"items 0-1/2",
		"bytes 0-1/2x",
		"bytes 0-18446744073709551616/99999999999999999999",
	};
	struct content_range r;

	ASSERT_OK(range("bytes 100-199/200", &r));
	ASSERT_TRUE(r.has_range && r.has_total);
	ASSERT_EQ(r.first, 100);
	ASSERT_EQ(r.last, 199);
	ASSERT_EQ(r.total, 200);
	ASSERT_OK(range("bytes 7-9/*", &r));
	ASSERT_TRUE(r.has_range && !r.has_total);
	ASSERT_OK(range("bytes */1234", &r));
	ASSERT_TRUE(!r.has_range && r.has_total);
	ASSERT_EQ(r.total, 1234);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_ERR(range(bad[i], &r), EBADMSG);
}

TEST(retry_after)
{
	uint64_t s;

	ASSERT_OK(retry_after_parse("120", 3, &s));
	ASSERT_EQ(s, 120);
	ASSERT_ERR(retry_after_parse("Fri, 31 Dec 1999 23:59:59 GMT", 29, &s), EBADMSG);
	ASSERT_ERR(retry_after_parse("-1", 2, &s), EBADMSG);
	ASSERT_ERR(retry_after_parse("", 0, &s), EBADMSG);
}
