/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of --volume. */
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/volume-args.h"

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

TEST(defaults)
{
	struct share_options o;

	ASSERT_OK(share_options_parse("", &o, &err));
	ASSERT_TRUE(!o.fs.private_perms);
	ASSERT_EQ(o.fs.quota, SHARE_QUOTA_DEFAULT);
	ASSERT_EQ(o.fs.stat_virt, FS_STAT_STRICT);
	ASSERT_TRUE(!o.fs.no_suid && !o.fs.no_dev && !o.fs.read_only);
	ASSERT_OK(share_options_parse("host-perms=private,quota=none,nosuid", &o, &err));
	ASSERT_TRUE(o.fs.private_perms && o.fs.no_suid && !o.fs.no_dev);
	ASSERT_EQ(o.fs.quota, 0);
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
	refuse("da/ta:/b", "'da/ta' is not a name of a volume");
	refuse("data:/b:kind=disk,uid=1,gid=1", "'uid=1' is no option of a disk");
	refuse("data:/b:kind=tape", "'kind=tape' has a value that is not possible");
	refuse("data:/b:size=1G,quota=1G",
		"'quota=1G' says again, or otherwise, what was said before");
	refuse("data:/b:kind=disk,size=1M", "the size of a disk volume must be 32 MiB to 4096 GiB");
	refuse("./none:/b", "'./none': No such file or directory");
	refuse("./link:/b", "'./link' is a symbolic link");
}

static struct run_volumes named(const char *value)
{
	struct run_volumes v = {.n = 0};

	ASSERT_OK(run_parse_mount_named(&v, value, &err));
	return v;
}

TEST(named_volumes_are_made_when_they_are_missing)
{
	struct sandbox_spec spec;
	struct volume_info info;
	struct run_volumes v;

	sandbox_spec_init(&spec);
	spec.home = test_tmpdir();
	v = named("data:/data:ro,size=3M,noexec");
	ASSERT_OK(run_volumes_apply(&v, &spec, &err));
	ASSERT_EQ(spec.n_shares, 1);
	ASSERT_EQ(spec.n_disks, 0);
	ASSERT_STREQ(spec.shares[0].volume, "data");
	ASSERT_STREQ(spec.shares[0].source, "");
	ASSERT_STREQ(spec.shares[0].options, "ro,noexec");
	run_volumes_deinit(&v);
	ASSERT_OK(volume_get(test_tmpdir(), "data", &info, &err));
	ASSERT_EQ(info.size_bytes, 3 * MIB);

	v = named("pg:/pg:kind=disk,size=64M");
	ASSERT_OK(run_volumes_apply(&v, &spec, &err));
	ASSERT_STREQ(spec.disks[0].volume, "pg");
	run_volumes_deinit(&v);
	/* What it is need not be said again, but must not be said otherwise. */
	v = named("pg:/pg:ro");
	ASSERT_OK(run_volumes_apply(&v, &spec, &err));
	ASSERT_EQ(spec.n_disks, 2);
	ASSERT_STREQ(spec.disks[1].options, "ro");
	run_volumes_deinit(&v);
	v = named("pg:/pg:kind=dir");
	ASSERT_ERR(run_volumes_apply(&v, &spec, &err), EINVAL);
	ASSERT_STREQ(err.msg, "volume 'pg' is of kind disk");
	run_volumes_deinit(&v);
	v = named("data:/d:size=4M");
	ASSERT_ERR(run_volumes_apply(&v, &spec, &err), EINVAL);
	ASSERT_STREQ(err.msg, "volume 'data' has a size of 3 MiB");
	run_volumes_deinit(&v);
	v = named("none:/d:kind=disk");
	ASSERT_ERR(run_volumes_apply(&v, &spec, &err), EINVAL);
	run_volumes_deinit(&v);
}

TEST(explicit_kinds)
{
	struct run_volumes v = {.n = 0};

	ASSERT_EQ(chdir(test_tmpdir()), 0);
	ASSERT_EQ(mkdir("d", 0755), 0);
	fd_close(open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	ASSERT_OK(run_parse_mount_dir(&v, "d:/1", &err));
	ASSERT_OK(run_parse_mount_file(&v, "f:/2", &err));
	ASSERT_OK(run_parse_mount_disk(&v, "f:/3:ro,fstype=ext4", &err));
	ASSERT_ERR(run_parse_mount_dir(&v, "f:/4", &err), ENOTDIR);
	ASSERT_ERR(run_parse_mount_file(&v, "d:/4", &err), EINVAL);
	ASSERT_ERR(run_parse_mount_disk(&v, "d:/4", &err), EINVAL);
	ASSERT_ERR(run_parse_mount_disk(&v, "f:/4:format=qcow2", &err), EOPNOTSUPP);
	ASSERT_ERR(run_parse_mount_named(&v, "./d:/4", &err), EINVAL);
	ASSERT_EQ(v.n, 3);
	run_volumes_deinit(&v);
}
