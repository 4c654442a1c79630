/* SPDX-License-Identifier: Apache-2.0 */
/* What patterns of host names mean. */
#include "net/policy/pattern.h"

#include "test.h"

static bool match(const char *text, const char *name)
{
	struct name_pattern p;

	ASSERT_OK(name_pattern_parse(text, &p, NULL));
	return name_pattern_matches(&p, name);
}

TEST(exact_suffix_and_all)
{
	ASSERT_TRUE(match("API.Example.com", "api.example.com"));
	ASSERT_TRUE(!match("api.example.com", "x.api.example.com"));
	ASSERT_TRUE(!match("api.example.com", "api.example.co"));
	ASSERT_TRUE(match("*.example.com", "example.com"));
	ASSERT_TRUE(match("*.example.com", "a.b.example.com"));
	ASSERT_TRUE(!match("*.example.com", "badexample.com"));
	ASSERT_TRUE(match("*", "anything"));
	ASSERT_TRUE(match("10.0.0.1", "10.0.0.1"));
}

TEST(no_pattern)
{
	static const char *const bad[] = {"", ".", "*.", "a..b", ".a", "a.", "a*", "*.*.com", "a b",
		"a/b", "a,b", "a\nb", "**"};
	struct name_pattern p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct msb_err err = {0};

		ASSERT_EQ(name_pattern_parse(bad[i], &p, &err), -EINVAL);
		ASSERT_TRUE(err.hint[0] != '\0');
	}
}

TEST(one_of_several)
{
	struct name_pattern p[2];

	ASSERT_OK(name_pattern_parse("a.example", &p[0], NULL));
	ASSERT_OK(name_pattern_parse("*.b.example", &p[1], NULL));
	ASSERT_TRUE(name_pattern_any(p, 2, "x.b.example"));
	ASSERT_TRUE(!name_pattern_any(p, 2, "c.example"));
	ASSERT_TRUE(!name_pattern_any(p, 0, "a.example"));
}
