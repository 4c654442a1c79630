/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/guest-proc.h"

#include "test.h"

#define REST                                                                                      \
	"1 7 7 0 -1 4194560 100 0 0 0 25 17 0 0 20 0 3 0 123 4096000 256 18446744073709551615 1 " \
	"2\n"

static int parse(const char *text, struct guest_proc *p)
{
	return guest_proc_stat(text, strlen(text), p);
}

TEST(a_process)
{
	struct guest_proc p;

	ASSERT_OK(parse("42 (sleep) S " REST, &p));
	ASSERT_EQ(p.pid, 42);
	ASSERT_EQ(p.ppid, 1);
	ASSERT_EQ(p.threads, 3);
	ASSERT_EQ(p.cpu_ms, 420);
	ASSERT_EQ(p.rss_bytes, 1024 * 1024);
	ASSERT_STREQ(p.state, "S");
	ASSERT_STREQ(p.name, "sleep");
	ASSERT_STREQ(p.command, "[sleep]");
	ASSERT_TRUE(!p.kernel);
	guest_proc_command("sleep\0"
			   "1 0\0\0",
		11, &p);
	ASSERT_STREQ(p.command, "sleep 1 0");
	guest_proc_command("", 0, &p);
	ASSERT_STREQ(p.command, "sleep 1 0");
}

TEST(kernel_threads_are_known)
{
	struct guest_proc p;

	ASSERT_OK(parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0 0", &p));
	ASSERT_TRUE(p.kernel);
}

TEST(names_are_made_harmless)
{
	struct guest_proc p;
	char long_words[PROC_COMMAND + 100];

	ASSERT_OK(parse("42 (a) R 1 (\x1b[2J\xff) S " REST, &p));
	ASSERT_STREQ(p.name, "a) R 1 (?[2J?");
	ASSERT_STREQ(p.state, "S");
	guest_proc_command("x\x1b]0;\x07", 6, &p);
	ASSERT_STREQ(p.command, "x?]0;?");
	memset(long_words, 'w', sizeof(long_words));
	guest_proc_command(long_words, sizeof(long_words), &p);
	ASSERT_EQ(strlen(p.command), PROC_COMMAND - 1);
}

TEST(anything_else_is_refused)
{
	static const char *const bad[] = {
		"",
		"42",
		"42 (sleep",
		"42 sleep) S 1",
		"0 (sleep) S " REST,
		"-1 (sleep) S " REST,
		"x (sleep) S " REST,
		"42 (sleep) SS " REST,
		"42 (sleep)",
		"42 (sleep) S 1 7 7 0 -1 4194560",
		"42 (sleep) S 99999999999 7 7 0 -1 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 0",
		"42 (sleep) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 9223372036854775807",
		"42 (sleep) S 1 7 7 0 -1 0 0 0 0 0 9223372036854775807 1 0 0 0 0 1 0 0 0 1",
	};
	char text[1100];
	struct guest_proc p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], &p) != -EBADMSG)
			test_fail(__FILE__, __LINE__, "'%s' is accepted", bad[i]);
	}
	ASSERT_ERR(guest_proc_stat("4\0 (sleep) S " REST, 30, &p), EBADMSG);
	memset(text, ' ', sizeof(text));
	ASSERT_ERR(guest_proc_stat(text, sizeof(text), &p), EBADMSG);
}
