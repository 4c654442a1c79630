/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/resource.h>

#include "base/caps.h"

#include "lib/run-args.h"

#include "test.h"

static void refuse_tmpfs(const char *value, const char *msg)
{
	struct run_tmpfs t = {.n = 0};
	struct msb_err err = {0};

	ASSERT_ERR(run_parse_tmpfs(&t, value, &err), EINVAL);
	ASSERT_STREQ(err.msg, msg);
	ASSERT_EQ(err.kind, MSB_USAGE);
	ASSERT_EQ(t.n, 0);
}

TEST(tmpfs_forms)
{
	struct run_tmpfs t = {.n = 0};
	struct msb_err err = {0};

	ASSERT_OK(run_parse_tmpfs(&t, "/a", &err));
	ASSERT_OK(run_parse_tmpfs(&t, "/b:100M", &err));
	ASSERT_OK(run_parse_tmpfs(&t, "/c:1G:noexec,mode=1777", &err));
	ASSERT_OK(run_parse_tmpfs(&t, "/d:ro", &err));
	ASSERT_OK(run_parse_tmpfs(&t, "/e:64", &err));
	ASSERT_EQ(t.n, 5);
	ASSERT_STREQ(t.list[0].path, "/a");
	ASSERT_EQ(t.list[0].size_bytes, 0);
	ASSERT_STREQ(t.list[0].options, "");
	ASSERT_EQ(t.list[1].size_bytes, 100 * MIB);
	ASSERT_STREQ(t.list[2].path, "/c");
	ASSERT_EQ(t.list[2].size_bytes, GIB);
	ASSERT_STREQ(t.list[2].options, "noexec,mode=1777");
	ASSERT_STREQ(t.list[3].options, "ro");
	ASSERT_EQ(t.list[4].size_bytes, 64 * MIB);
	ASSERT_ERR(run_parse_tmpfs(&t, "/a:1M", &err), EINVAL);
	ASSERT_STREQ(err.msg, "/a is given twice");
	run_tmpfs_deinit(&t);
}

TEST(tmpfs_errors)
{
	refuse_tmpfs("", "'' is not an absolute path below /");
	refuse_tmpfs("/", "'/' is not an absolute path below /");
	refuse_tmpfs("tmp", "'tmp' is not an absolute path below /");
	refuse_tmpfs("/a:1X", "'1X' is not a size");
	refuse_tmpfs("/a:x:ro", "'x' is not a size");
	refuse_tmpfs("/a:0", "size '0' is out of range");
	refuse_tmpfs("/a:99999999999999G", "size '99999999999999G' is out of range");
	refuse_tmpfs("/a:1M:bogus", "'bogus' is no option of a tmpfs");
	refuse_tmpfs("/a:mode=", "'mode=' is no option of a tmpfs");
	refuse_tmpfs("/a:lowerdir=/", "'lowerdir=/' is no option of a tmpfs");
}

TEST(tmpfs_are_counted)
{
	struct run_tmpfs t = {.n = 0};
	struct msb_err err = {0};
	char path[32];

	for (unsigned int i = 0; i < LIMIT_MOUNTS; i++) {
		(void)snprintf(path, sizeof(path), "/%u", i);
		ASSERT_OK(run_parse_tmpfs(&t, path, &err));
	}
	ASSERT_ERR(run_parse_tmpfs(&t, "/more", &err), EINVAL);
	run_tmpfs_deinit(&t);
}

static void refuse_rlimit(const char *value, const char *msg, const char *hint)
{
	struct run_rlimits t = {.n = 0};
	struct msb_err err = {0};

	ASSERT_ERR(run_parse_rlimit(&t, value, &err), EINVAL);
	ASSERT_STREQ(err.msg, msg);
	ASSERT_STREQ(err.hint, hint);
	ASSERT_EQ(t.n, 0);
}

TEST(rlimits)
{
	struct run_rlimits t = {.n = 0};
	struct msb_err err = {0};

	ASSERT_OK(run_parse_rlimit(&t, "nofile=1024:2048", &err));
	ASSERT_OK(run_parse_rlimit(&t, "CORE=unlimited", &err));
	ASSERT_OK(run_parse_rlimit(&t, "stack=8192:-1", &err));
	ASSERT_OK(run_parse_rlimit(&t, "nofile=1", &err));
	ASSERT_EQ(t.n, 3);
	ASSERT_EQ(t.list[0].resource, RLIMIT_NOFILE);
	ASSERT_EQ(t.list[0].soft, 1);
	ASSERT_EQ(t.list[0].hard, 1);
	ASSERT_EQ(t.list[1].resource, RLIMIT_CORE);
	ASSERT_TRUE(t.list[1].soft == UINT64_MAX && t.list[1].hard == UINT64_MAX);
	ASSERT_TRUE(t.list[2].soft == 8192 && t.list[2].hard == UINT64_MAX);

	refuse_rlimit("nofile", "'=' is missing", "write NAME=SOFT[:HARD], e.g. nofile=1024:2048");
	refuse_rlimit("nofiles=1", "unknown resource 'nofiles'", "did you mean nofile?");
	refuse_rlimit("bogus=1", "unknown resource 'bogus'",
		"for example nofile, nproc, as, core, stack");
	refuse_rlimit("nofile=", "'' is neither a number nor unlimited", "");
	refuse_rlimit("nofile=1:x", "'x' is neither a number nor unlimited", "");
	refuse_rlimit("nofile=2:1", "the soft limit is above the hard limit", "");
	refuse_rlimit("nofile=9223372036854775808",
		"'9223372036854775808' is neither a number nor unlimited", "");
}

static int make_env(const char *const *words, struct opt_list *ret, struct msb_err *err)
{
	struct opt_list given = {.n = 0};
	int r;

	for (; *words; words++)
		ASSERT_OK(opt_list_add(&given, *words));
	r = run_make_env(&given, ret, err);
	free(given.items);
	return r;
}

TEST(environment)
{
	struct opt_list env;
	struct msb_err err = {0};

	ASSERT_OK(setenv("FROM_HERE", "x=y", 1));
	ASSERT_OK(unsetenv("NOT_HERE"));
	ASSERT_OK(make_env(
		(const char *const[]){"A=1", "B", "FROM_HERE", "B=", "A=2", NULL}, &env, &err));
	ASSERT_EQ(env.n, 3);
	ASSERT_STREQ(env.items[0], "FROM_HERE=x=y");
	ASSERT_STREQ(env.items[1], "B=");
	ASSERT_STREQ(env.items[2], "A=2");
	ASSERT_TRUE(env.items[3] == NULL);
	run_env_deinit(&env);

	ASSERT_ERR(make_env((const char *const[]){"A=1", "NOT_HERE", NULL}, &env, &err), EINVAL);
	ASSERT_STREQ(err.msg, "option --env: 'NOT_HERE' is not set here");
	ASSERT_STREQ(err.hint, "write -e NOT_HERE=VALUE or export it");
	ASSERT_ERR(make_env((const char *const[]){"=x", NULL}, &env, &err), EINVAL);
	ASSERT_ERR(make_env((const char *const[]){"", NULL}, &env, &err), EINVAL);
	ASSERT_ERR(make_env((const char *const[]){"MSB_X=1", NULL}, &env, &err), EINVAL);
}

TEST(out_of_memory_is_clean)
{
	struct run_tmpfs t = {.n = 0};
	struct run_rlimits l = {.n = 0};
	const char *items[] = {"A=1", "B=2", "HOME", NULL};
	struct opt_list given = {.items = items, .n = 3};
	struct opt_list env = {.n = 0};
	int r;

	ASSERT_OK(setenv("HOME", "/", 1));
	FAULT_LOOP({
		r = run_parse_tmpfs(&t, "/a:1M:ro", NULL);
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		run_tmpfs_deinit(&t);
	});
	FAULT_LOOP({
		r = run_parse_rlimit(&l, "core=1", NULL);
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
	});
	FAULT_LOOP({
		r = run_make_env(&given, &env, NULL);
		ASSERT_TRUE(r == 0 || r == -ENOMEM);
		run_env_deinit(&env);
	});
}
