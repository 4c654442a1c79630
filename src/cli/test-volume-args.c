/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of --volume. */
#include <fcntl.h>
#include <sys/stat.h>

#include "cli/volume-args.h"

#include "test.h"

static struct msb_err err;

static void refuse(const char *value, const char *msg)
{
	struct run_volumes v = {.n = 0};

	err = (struct msb_err){0};
	ASSERT_TRUE(run_parse_volume(&v, value, &err) < 0);
	ASSERT_STREQ(err.msg, msg);
	ASSERT_EQ(v.n, 0);
}

TEST(forms)
{
	struct run_volumes v = {.n = 0};
	struct share_options o;

	ASSERT_EQ(chdir(test_tmpdir()), 0);
	ASSERT_EQ(mkdir("a", 0755), 0);
	ASSERT_EQ(mkdir("b:c", 0755), 0);
	ASSERT_OK(run_parse_volume(&v, "./a:/app", &err));
	ASSERT_OK(run_parse_volume(&v, "./b:c:/b:ro,noexec,quota=2G", &err));
	ASSERT_OK(run_parse_volume(&v, ".:/c/d/", &err));
	ASSERT_EQ(v.n, 3);
	ASSERT_EQ(v.list[0].source[0], '/');
	ASSERT_STREQ(strrchr(v.list[0].source, '/'), "/a");
	ASSERT_STREQ(v.list[0].path, "/app");
	ASSERT_STREQ(v.list[0].options, "");
	ASSERT_STREQ(strrchr(v.list[1].source, '/'), "/b:c");
	ASSERT_OK(share_options_parse(v.list[1].options, &o, &err));
	ASSERT_TRUE(o.fs.read_only);
	ASSERT_STREQ(o.mount, "ro,noexec");
	ASSERT_EQ(o.fs.quota, 2 * GIB);
	ASSERT_ERR(run_parse_volume(&v, "./a:/c/d", &err), EINVAL);
	ASSERT_STREQ(err.msg, "/c/d is given twice");
	run_volumes_deinit(&v);
}

TEST(options)
{
	struct share_options o;

	ASSERT_OK(share_options_parse(
		"uid=1000,gid=1001,stat-virt=relaxed,host-perms=private,nosuid,nodev,rw", &o,
		&err));
	ASSERT_EQ(o.fs.uid, 1000);
	ASSERT_EQ(o.fs.gid, 1001);
	ASSERT_EQ(o.fs.stat_virt, FS_STAT_RELAXED);
	ASSERT_TRUE(o.fs.private_perms);
	ASSERT_TRUE(!o.fs.read_only);
	ASSERT_STREQ(o.mount, "nosuid,nodev,rw");
}

TEST(errors)
{
	ASSERT_EQ(chdir(test_tmpdir()), 0);
	ASSERT_EQ(mkdir("a", 0755), 0);
	ASSERT_EQ(symlink("a", "link"), 0);
	refuse("", "the path in the sandbox is missing");
	refuse("./a", "the path in the sandbox is missing");
	refuse("./a:b", "the path in the sandbox is not absolute");
	refuse("./a:/b,ro", "options come behind a ':', not a ','");
	refuse("./a:/", "the root of the sandbox cannot be a shared directory");
	refuse("./a:/x/../etc", "'/x/../etc' is not an absolute path in the sandbox");
	refuse("./a:/proc/1", "'/proc/1' belongs to the sandbox's kernel");
	refuse("./a:/b:bogus", "'bogus' is no option of a shared directory");
	refuse("./a:/b:exec", "'exec' is no option of a shared directory");
	refuse("./a:/b:ro,rw", "'rw' says again, or otherwise, what was said before");
	refuse("./a:/b:uid=1", "uid= and gid= belong together");
	refuse("./a:/b:quota=0", "'quota=0' has a value that is not possible");
	refuse("./a:/b:stat-virt=maybe", "'stat-virt=maybe' has a value that is not possible");
	refuse("data:/b", "named volumes are not supported yet");
	refuse("./none:/b", "'./none': No such file or directory");
	refuse("./link:/b", "'./link' is a symbolic link");
}
