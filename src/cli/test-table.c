/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "cli/table.h"
#include "lib/human.h"

#include "test.h"

static void fill(struct table *t)
{
	static const char *const cells[] = {"NAME", "SIZE", "WHAT", "a", "12345 MiB", "x",
		"a longer \u00e9", "", "y\033[2J", "b", "\u00e9\u00e9\u00e9\u00e9", "z"};

	table_init(t, cells, 3);
	for (size_t i = 3; i < ARRAY_SIZE(cells); i++)
		table_add(t, cells[i], i == 10 ? 6 : 0);
}

TEST(columns_are_aligned)
{
	struct table t;
	struct buf b;

	fill(&t);
	buf_init(&b, MIB);
	ASSERT_OK(table_format(&t, &b));
	ASSERT_STREQ(buf_cstr(&b), "NAME          SIZE         WHAT\n"
				   "a             12345 MiB    x\n"
				   "a longer \u00e9                 y?[2J\n"
				   "b             \u00e9...         z\n");
	buf_deinit(&b);
	table_deinit(&t);
}

TEST(table_without_memory)
{
	struct table t;
	struct buf b;
	int r;

	FAULT_LOOP({
		buf_init(&b, MIB);
		fill(&t);
		r = table_format(&t, &b);
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		table_deinit(&t);
		buf_deinit(&b);
	});
}

static void text_is(const char *text, const char *want)
{
	char got[32];

	ASSERT_STREQ(human_text(got, sizeof(got), text), want);
}

TEST(foreign_text_is_harmless)
{
	char four[4];

	text_is("plain ~", "plain ~");
	text_is("\033[2Jx\r\n\t\x7f", "?[2Jx????");
	text_is("gr\u00fc\u00df", "gr\u00fc\u00df");
	text_is("\xc2\x9b"
		"31m",
		"?31m"); /* a control sequence introducer of one character */
	text_is("a\u202eb\u200bc\u2066d", "a?b?c?d");
	text_is("\xff\xc3(\xe2\x82", "?\?(?\?");
	text_is("0123456789012345678901234567890123", "0123456789012345678901234567890");
	ASSERT_STREQ(human_text(four, sizeof(four), "ab\u00fc"), "ab");
	ASSERT_STREQ(human_text(four, sizeof(four), "a\u00fcb"), "a\u00fc");
	ASSERT_EQ(human_width("gr\u00fcn"), 4);
}

static void size_is(uint64_t bytes, const char *want)
{
	char got[HUMAN_SIZE];

	ASSERT_STREQ(human_size(got, bytes), want);
}

TEST(sizes)
{
	size_is(0, "0 B");
	size_is(1023, "1023 B");
	size_is(1024, "1.0 KiB");
	size_is(1024 * 1024 - 1, "1.0 MiB");
	size_is(49 * MIB + MIB / 2, "49.5 MiB");
	size_is(3 * GIB, "3.0 GiB");
	size_is(UINT64_MAX, "16.0 EiB");
}

TEST(times)
{
	char got[TIME_TEXT];

	ASSERT_STREQ(time_rfc3339(1700000000 * NSEC_PER_SEC, got), "2023-11-14T22:13:20.000Z");
	ASSERT_EQ(setenv("TZ", "XXX-2", 1), 0);
	tzset();
	ASSERT_STREQ(time_local(NSEC_PER_SEC, got), "1970-01-01 02:00:01");
	ASSERT_STREQ(time_local(0, got), "-");
}
