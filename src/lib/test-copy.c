/* SPDX-License-Identifier: Apache-2.0 */
/* Names and link targets that a hostile guest might give. */
#include "lib/copy.h"

#include "test.h"

TEST(names)
{
	char longest[NAME_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[NAME_MAX] = '\0';
	ASSERT_TRUE(copy_name_check("a") && copy_name_check("...") && copy_name_check(longest));
	longest[NAME_MAX] = 'x';
	longest[NAME_MAX + 1] = '\0';
	ASSERT_TRUE(!copy_name_check(longest));
	ASSERT_TRUE(!copy_name_check("") && !copy_name_check(".") && !copy_name_check(".."));
	ASSERT_TRUE(!copy_name_check("a/b") && !copy_name_check("/") && !copy_name_check("../x"));
}

static void expect(const char *target, unsigned int depth, const char *want)
{
	char to[LIMIT_PATH];
	int r = copy_link_target(target, depth, to, sizeof(to));

	if (!want)
		ASSERT_ERR(r, EXDEV);
	else if (r < 0 || !streq(to, want))
		test_fail(__FILE__, __LINE__, "'%s' at depth %u: %d '%s', expected '%s'", target,
			depth, r, r < 0 ? "" : to, want);
}

TEST(links_stay_inside)
{
	char deep[LIMIT_PATH + 10];

	expect("a", 0, "a");
	expect("a/b/c", 0, "a/b/c");
	expect("./a", 0, "a");
	expect(".", 0, ".");
	expect("../a", 1, "../a");
	expect("./../a", 1, "../a");
	expect("../../a/b", 2, "../../a/b");
	expect("..", 1, "../");
	expect("/etc/passwd", 0, "etc/passwd");
	expect("/etc/passwd", 2, "../../etc/passwd");
	expect("//etc", 1, "../etc");
	expect("/", 0, ".");
	expect("..a/b", 0, "..a/b");
	expect("", 0, NULL);
	expect("..", 0, NULL);
	expect("../a", 0, NULL);
	expect("../../a", 1, NULL);
	expect(".././../a", 1, NULL);
	/* Through another link this could be anywhere. */
	expect("a/..", 5, NULL);
	expect("a/../b", 5, NULL);
	expect("../a/../b", 5, NULL);
	expect("/a/../../b", 5, NULL);
	expect("/..", 5, NULL);
	memset(deep, 'a', sizeof(deep));
	deep[LIMIT_PATH] = '\0';
	expect(deep, 0, NULL);
	deep[0] = '/';
	deep[LIMIT_PATH - 5] = '\0';
	expect(deep, COPY_DEPTH_MAX, NULL);
}
