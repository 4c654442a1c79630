/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "test.h"

TEST(numbers_are_strict)
{
	uint64_t v;
	uint32_t w;

	ASSERT_OK(str_to_u64("18446744073709551615", &v));
	ASSERT_TRUE(v == UINT64_MAX);
	ASSERT_ERR(str_to_u64("18446744073709551616", &v), ERANGE);
	ASSERT_ERR(str_to_u64("", &v), EINVAL);
	ASSERT_ERR(str_to_u64("+1", &v), EINVAL);
	ASSERT_ERR(str_to_u64(" 1", &v), EINVAL);
	ASSERT_ERR(str_to_u64("0x1", &v), EINVAL);
	ASSERT_ERR(str_to_u32("65", 1, 64, &w), ERANGE);
	ASSERT_OK(str_to_u32("64", 1, 64, &w));
	ASSERT_EQ(w, 64);
}

TEST(memory_sizes)
{
	uint64_t mib;

	ASSERT_OK(str_to_mib("512", &mib));
	ASSERT_EQ(mib, 512);
	ASSERT_OK(str_to_mib("512M", &mib));
	ASSERT_EQ(mib, 512);
	ASSERT_OK(str_to_mib("1.5G", &mib));
	ASSERT_EQ(mib, 1536);
	ASSERT_ERR(str_to_mib("1.3M", &mib), EINVAL);
	ASSERT_ERR(str_to_mib("1K", &mib), EINVAL);
	ASSERT_ERR(str_to_mib("-1G", &mib), EINVAL);
	ASSERT_ERR(str_to_mib("1.G", &mib), EINVAL);
	ASSERT_ERR(str_to_mib("99999999999999999999G", &mib), ERANGE);
}

TEST(durations)
{
	uint64_t ns;

	ASSERT_OK(str_to_duration_ns("30", &ns));
	ASSERT_EQ(ns, 30 * NSEC_PER_SEC);
	ASSERT_OK(str_to_duration_ns("500ms", &ns));
	ASSERT_EQ(ns, NSEC_PER_SEC / 2);
	ASSERT_OK(str_to_duration_ns("1.5m", &ns));
	ASSERT_EQ(ns, 90 * NSEC_PER_SEC);
	ASSERT_OK(str_to_duration_ns("2d", &ns));
	ASSERT_EQ(ns, 172800 * NSEC_PER_SEC);
	ASSERT_ERR(str_to_duration_ns("5 s", &ns), EINVAL);
	ASSERT_ERR(str_to_duration_ns("999999999999d", &ns), ERANGE);
}

TEST(quote_escapes_and_truncates)
{
	char to[24];

	ASSERT_STREQ(str_quote(to, sizeof(to), "abc", 3), "'abc'");
	ASSERT_STREQ(str_quote(to, sizeof(to), "a\033[\n", 4), "'a\\x1b[\\x0a'");
	ASSERT_STREQ(str_quote(to, sizeof(to), "0123456789012345678901234567890", 31),
		"'012345678901234...'");
}

TEST(distance_finds_typos)
{
	ASSERT_EQ(str_distance("memory", "memory"), 0);
	ASSERT_EQ(str_distance("memroy", "memory"), 1);
	ASSERT_EQ(str_distance("memor", "memory"), 1);
	ASSERT_EQ(str_distance("", "abc"), 3);
	ASSERT_EQ(str_distance("kitten", "sitting"), 3);
}

TEST(utf8_characters)
{
	ASSERT_EQ(str_utf8_char("", 0), 0);
	ASSERT_EQ(str_utf8_char("a", 1), 1);
	ASSERT_EQ(str_utf8_char("\0", 1), 1);
	ASSERT_EQ(str_utf8_char("\xc2\x80", 2), 2);
	ASSERT_EQ(str_utf8_char("\xc2\x80", 1), 0);
	ASSERT_EQ(str_utf8_char("\xc1\xbf", 2), 0);
	ASSERT_EQ(str_utf8_char("\xe0\x9f\xbf", 3), 0);
	ASSERT_EQ(str_utf8_char("\xe0\xa0\x80", 3), 3);
	ASSERT_EQ(str_utf8_char("\xed\xa0\x80", 3), 0);
	ASSERT_EQ(str_utf8_char("\xef\xbf\xbf", 3), 3);
	ASSERT_EQ(str_utf8_char("\xf0\x8f\xbf\xbf", 4), 0);
	ASSERT_EQ(str_utf8_char("\xf4\x8f\xbf\xbf", 4), 4);
	ASSERT_EQ(str_utf8_char("\xf4\x90\x80\x80", 4), 0);
	ASSERT_EQ(str_utf8_char("\xf5\x80\x80\x80", 4), 0);
}
