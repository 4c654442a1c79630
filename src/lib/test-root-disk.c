/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "lib/root-disk.h"

#include "test.h"

static struct run_root_disk parsed(const char *value)
{
	struct run_root_disk d = {};
	struct msb_err err = {};

	if (run_parse_root_disk(&d, value, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", value, err.msg);
	return d;
}

static void refused(const char *value, int error)
{
	struct run_root_disk d = {};
	struct msb_err err = {};

	ASSERT_EQ(run_parse_root_disk(&d, value, &err), -error);
	ASSERT_EQ(err.kind, MSB_USAGE);
	ASSERT_TRUE(err.msg[0]);
	run_root_disk_deinit(&d);
}

TEST(sizes)
{
	ASSERT_EQ(parsed("8G").disk.kind, UPPER_DISK);
	ASSERT_TRUE(parsed("8G").disk.size_bytes == 8 * GIB);
	ASSERT_TRUE(parsed("512M").disk.size_bytes == 512 * MIB);
	ASSERT_TRUE(parsed("1.5G").disk.size_bytes == 1536 * MIB);
	ASSERT_TRUE(parsed("64").disk.size_bytes == 64 * MIB);
	refused("", EINVAL);
	refused("8X", EINVAL);
	refused("big", EINVAL);
	refused("-1", EINVAL);
	refused("31M", ERANGE);
	refused("0", ERANGE);
	refused("5000G", ERANGE);
	refused("99999999999999999999G", ERANGE);
}

TEST(memory)
{
	ASSERT_EQ(parsed("tmpfs").disk.kind, UPPER_TMPFS);
	ASSERT_EQ(parsed("tmpfs").disk.size_bytes, 0);
	ASSERT_EQ(parsed("tmpfs:100M").disk.kind, UPPER_TMPFS);
	ASSERT_EQ(parsed("tmpfs:100M").disk.size_bytes, 100 * MIB);
	refused("tmpfs:", EINVAL);
	refused("tmpfs:0", ERANGE);
	refused("tmpfs:x", EINVAL);
	refused("tmpfs2", EINVAL);
}

TEST(flat)
{
	ASSERT_EQ(parsed("flat").disk.kind, UPPER_FLAT);
	ASSERT_TRUE(parsed("flat").disk.size_bytes == ROOT_DISK_DEFAULT_BYTES);
	ASSERT_EQ(parsed("flat:1G").disk.kind, UPPER_FLAT);
	ASSERT_TRUE(parsed("flat:1G").disk.size_bytes == GIB);
	refused("flat:", EINVAL);
	refused("flat:1M", ERANGE);
	refused("flatter", EINVAL);
}

TEST(without_the_option_the_image_decides)
{
	struct run_root_disk d = {};
	struct sandbox_spec s;

	sandbox_spec_init(&s);
	ASSERT_OK(run_root_disk_apply(&d, &s, NULL));
	ASSERT_EQ(s.root_disk.kind, UPPER_TMPFS);
	s.ephemeral = false;
	ASSERT_OK(run_root_disk_apply(&d, &s, NULL));
	ASSERT_EQ(s.root_disk.kind, UPPER_DISK);
	s.ephemeral = true;
	s.root_disk.kind = UPPER_TMPFS;
	s.image_kind = IMAGE_OCI;
	ASSERT_OK(run_root_disk_apply(&d, &s, NULL));
	ASSERT_EQ(s.root_disk.kind, UPPER_DISK);
	ASSERT_TRUE(s.root_disk.size_bytes == ROOT_DISK_DEFAULT_BYTES);
	d = parsed("tmpfs");
	ASSERT_OK(run_root_disk_apply(&d, &s, NULL));
	ASSERT_EQ(s.root_disk.kind, UPPER_TMPFS);
}

TEST(a_disk_image_has_no_other_disk)
{
	struct run_root_disk d = parsed("8G");
	struct sandbox_spec s;

	sandbox_spec_init(&s);
	s.root_kind = ROOT_DISK;
	ASSERT_ERR(run_root_disk_apply(&d, &s, NULL), EINVAL);
}

TEST(files_are_looked_at)
{
	struct run_root_disk d;
	struct sandbox_spec s;
	struct msb_err err = {};
	char path[PATH_MAX];
	int fd;

	sandbox_spec_init(&s);
	(void)snprintf(path, sizeof(path), "%s/upper", test_tmpdir());
	d = parsed(path);
	ASSERT_EQ(d.disk.kind, UPPER_FILE);
	ASSERT_ERR(run_root_disk_apply(&d, &s, NULL), ENOENT);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_OK(fd);
	ASSERT_ERR(run_root_disk_apply(&d, &s, &err), EINVAL);
	ASSERT_TRUE(strstr(err.hint, "mkfs.ext4"));
	ASSERT_EQ(pwrite(fd, "\x53\xef", 2, 1024 + 56), 2);
	ASSERT_OK(run_root_disk_apply(&d, &s, NULL));
	ASSERT_EQ(s.root_disk.kind, UPPER_FILE);
	ASSERT_TRUE(s.root_disk.path[0] == '/');
	ASSERT_EQ(s.root_disk.size_bytes, 0);
	ASSERT_EQ(close(fd), 0);
	run_root_disk_deinit(&d);
	d = parsed(test_tmpdir());
	ASSERT_TRUE(run_root_disk_apply(&d, &s, NULL) < 0);
	run_root_disk_deinit(&d);
}
