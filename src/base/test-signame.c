/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "base/signame.h"

#include "test.h"

static const struct {
	const char *text;
	uint32_t signo;
} good[] = {
	{"SIGTERM", 15},
	{"TERM", 15},
	{"sigterm", 15},
	{"15", 15},
	{"1", 1},
	{"64", 64},
	{"SIGKILL", 9},
	{"SIGSTKFLT", 16},
	{"SIGIOT", 6},
	{"CLD", 17},
	{"SIGPOLL", 29},
	{"SIGRTMIN", 34},
	{"SIGRTMIN+3", 37},
	{"rtmin+30", 64},
	{"SIGRTMAX", 64},
	{"RTMAX-14", 50},
};

static const char *const bad[] = {"", "0", "65", "-1", "15 ", "SIG", "SIGFOO", "SIGSIGTERM",
	"SIGRTMIN-1", "SIGRTMIN+31", "SIGRTMAX+1", "RTMIN+", "RTMIN+x", "99999999999"};

TEST(names_and_numbers)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint32_t signo = 0;

		ASSERT_OK(signame_parse(good[i].text, &signo));
		ASSERT_EQ(signo, good[i].signo);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t signo = 0;

		ASSERT_ERR(signame_parse(bad[i], &signo), EINVAL);
	}
}

TEST(what_is_printed_reads_back)
{
	char text[SIGNAME_MAX];

	for (uint32_t i = 1; i <= LIMIT_SIGNAL; i++) {
		uint32_t signo = 0;

		ASSERT_OK(signame_parse(signame_print(i, text), &signo));
		ASSERT_EQ(signo, i);
	}
	ASSERT_STREQ(signame_print(15, text), "SIGTERM");
	ASSERT_STREQ(signame_print(34, text), "SIGRTMIN");
	ASSERT_STREQ(signame_print(37, text), "SIGRTMIN+3");
	ASSERT_STREQ(signame_print(0, text), "0");
	ASSERT_STREQ(signame_print(UINT32_MAX, text), "4294967295");
}
