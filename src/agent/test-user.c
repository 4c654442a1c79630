/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ops/user.h"

#include "test.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "# comment\n"
			     "broken:x:12\n"
			     "toomany:x:1:2:a:/b:/c:d\n"
			     "minus:x:4294967295:5::/:/bin/sh\n"
			     "app:x:1000:1001:App User,,,:/home/app:/bin/sh\n"
			     "bare:x:1500:1501\n"
			     "noshell:x:1600:1601::/srv\n"
			     "twin:x:1000:7::/twin:/bin/sh\n"
			     ":x:7:7::/:/bin/sh\n"
			     "last:x:2000:2000::/l:";
static const char group[] = "root:x:0:\n"
			    "app:x:1001:\n"
			    "wheel:x:10:root,app\n"
			    "apple:x:11:apple,xapp,appx\n"
			    "audio:x:12:app,\n"
			    "bad:x:nan:app\n"
			    "app2:x:14:\n"
			    "worse:x\n"
			    "short:x:13";

static struct user u;

TEST(names_bring_groups_and_home)
{
	ASSERT_OK(user_parse("app", passwd, group, &u));
	ASSERT_EQ(u.uid, 1000);
	ASSERT_EQ(u.gid, 1001);
	ASSERT_STREQ(u.name, "app");
	ASSERT_STREQ(u.home, "/home/app");
	ASSERT_EQ(u.n_groups, 3);
	ASSERT_EQ(u.groups[0], 1001);
	ASSERT_EQ(u.groups[1], 10);
	ASSERT_EQ(u.groups[2], 12);
	/* The last line has no newline. */
	ASSERT_OK(user_parse("last", passwd, group, &u));
	ASSERT_EQ(u.uid, 2000);
	ASSERT_STREQ(u.home, "/l");
}

TEST(numbers_with_an_entry_are_that_user)
{
	/* The first of two entries counts. */
	ASSERT_OK(user_parse("1000", passwd, group, &u));
	ASSERT_STREQ(u.name, "app");
	ASSERT_EQ(u.gid, 1001);
	ASSERT_EQ(u.n_groups, 3);
	ASSERT_EQ(u.groups[1], 10);
	ASSERT_EQ(u.groups[2], 12);
	ASSERT_STREQ(u.home, "/home/app");
}

TEST(numbers_without_an_entry_have_nothing)
{
	ASSERT_OK(user_parse("4242", passwd, group, &u));
	ASSERT_EQ(u.uid, 4242);
	ASSERT_EQ(u.gid, 0);
	ASSERT_EQ(u.n_groups, 0);
	ASSERT_STREQ(u.home, "/");
	ASSERT_STREQ(u.name, "");
}

TEST(an_explicit_group_replaces_all)
{
	ASSERT_OK(user_parse("app:wheel", passwd, group, &u));
	ASSERT_EQ(u.uid, 1000);
	ASSERT_EQ(u.gid, 10);
	ASSERT_EQ(u.n_groups, 0);
	ASSERT_OK(user_parse("app:77", passwd, group, &u));
	ASSERT_EQ(u.gid, 77);
	ASSERT_STREQ(u.home, "/home/app");
	ASSERT_OK(user_parse("4242:wheel", passwd, group, &u));
	ASSERT_EQ(u.uid, 4242);
	ASSERT_EQ(u.gid, 10);
	ASSERT_EQ(u.n_groups, 0);
	ASSERT_OK(user_parse("4242:4343", passwd, group, &u));
	ASSERT_EQ(u.gid, 4343);
	ASSERT_OK(user_parse("1000:0", passwd, group, &u));
	ASSERT_EQ(u.gid, 0);
	ASSERT_EQ(u.n_groups, 0);
	ASSERT_STREQ(u.name, "app");
	ASSERT_OK(user_parse(":wheel", passwd, group, &u));
	ASSERT_EQ(u.uid, 0);
	ASSERT_EQ(u.gid, 10);
}

TEST(root_needs_no_files)
{
	ASSERT_OK(user_parse("", "", "", &u));
	ASSERT_EQ(u.uid, 0);
	ASSERT_STREQ(u.home, "/root");
	ASSERT_OK(user_parse("root", "", "", &u));
	ASSERT_EQ(u.n_groups, 1);
	ASSERT_ERR(user_parse("app", "", "", &u), ENOENT);
}

TEST(lines_may_lack_trailing_fields)
{
	ASSERT_OK(user_parse("bare", passwd, group, &u));
	ASSERT_EQ(u.uid, 1500);
	ASSERT_EQ(u.gid, 1501);
	ASSERT_STREQ(u.home, "/");
	ASSERT_OK(user_parse("noshell", passwd, group, &u));
	ASSERT_STREQ(u.home, "/srv");
	ASSERT_OK(user_parse("app:short", passwd, group, &u));
	ASSERT_EQ(u.gid, 13);
}

TEST(bad_specs_and_lines_are_refused)
{
	char lng[LIMIT_USER + 2];

	memset(lng, 'a', sizeof(lng) - 1);
	lng[sizeof(lng) - 1] = '\0';
	ASSERT_ERR(user_parse("nosuch", passwd, group, &u), ENOENT);
	ASSERT_ERR(user_parse("broken", passwd, group, &u), ENOENT);
	ASSERT_ERR(user_parse("toomany", passwd, group, &u), ENOENT);
	ASSERT_ERR(user_parse("minus", passwd, group, &u), ENOENT);
	ASSERT_ERR(user_parse("app:bad", passwd, group, &u), ESRCH);
	ASSERT_ERR(user_parse("app:worse", passwd, group, &u), ESRCH);
	ASSERT_ERR(user_parse("app:nosuch", passwd, group, &u), ESRCH);
	ASSERT_ERR(user_parse("app:", passwd, group, &u), EINVAL);
	ASSERT_ERR(user_parse("app:a:b", passwd, group, &u), EINVAL);
	ASSERT_ERR(user_parse("4294967295", passwd, group, &u), EINVAL);
	ASSERT_ERR(user_parse("99999999999999999999", passwd, group, &u), EINVAL);
	ASSERT_ERR(user_parse("0:4294967295", passwd, group, &u), EINVAL);
	ASSERT_ERR(user_parse(lng, passwd, group, &u), EINVAL);
}

TEST(groups_are_capped)
{
	static char many[64 * 1024];
	size_t at = 0;

	for (int i = 0; i < 2 * USER_GROUPS_MAX; i++)
		at += (size_t)snprintf(many + at, sizeof(many) - at, "g%d:x:%d:app\n", i, 5000 + i);
	ASSERT_OK(user_parse("app", passwd, many, &u));
	ASSERT_EQ(u.n_groups, USER_GROUPS_MAX);
}
