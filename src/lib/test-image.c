/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#include "lib/image.h"

#include "test.h"

enum { DISK_BYTES = 8192 };

static int dir_fd;

static void enter_tmpdir(void)
{
	ASSERT_OK(chdir(test_tmpdir()));
	dir_fd = AT_FDCWD;
}

/* A file with @n bytes of @magic at @at. */
static void make_file(const char *name, size_t at, const void *magic, size_t n)
{
	uint8_t bytes[DISK_BYTES] = {0};

	memcpy(bytes + at, magic, n);
	ASSERT_OK(io_write_file_atomic(dir_fd, name, bytes, sizeof(bytes), 0600, false));
}

static void refuse(const char *word, int error, const char *msg, const char *hint)
{
	struct image im;
	struct msb_err err = {0};
	int r = image_resolve(word, "/nowhere", &im, &err);

	if (r != -error)
		test_fail(__FILE__, __LINE__, "%s: %d, expected %d", word, r, -error);
	if (!strstr(err.msg, msg) || !strstr(err.hint, hint))
		test_fail(__FILE__, __LINE__, "%s: '%s', hint '%s'", word, err.msg, err.hint);
}

TEST(kinds_of_images)
{
	struct image im;
	struct msb_err err = {0};

	enter_tmpdir();
	make_file("base.erofs", 1024, "\xe2\xe1\xf5\xe0", 4);
	make_file("disk.img", 1080, "\x53\xef", 2);
	ASSERT_OK(mkdir("root", 0700));

	ASSERT_OK(image_resolve("base", ".", &im, &err));
	ASSERT_EQ(im.kind, IMAGE_BASE);
	ASSERT_STREQ(im.path, "./base.erofs");
	ASSERT_OK(image_resolve("./base.erofs", ".", &im, &err));
	ASSERT_EQ(im.kind, IMAGE_EROFS);
	ASSERT_EQ(im.root_kind, ROOT_OVERLAY);
	ASSERT_STREQ(im.fstype, "erofs");
	ASSERT_EQ(im.path[0], '/');
	ASSERT_OK(image_resolve("disk.img", ".", &im, &err));
	ASSERT_EQ(im.kind, IMAGE_DISK);
	ASSERT_EQ(im.root_kind, ROOT_DISK);
	ASSERT_STREQ(im.fstype, "ext4");
	ASSERT_OK(image_resolve("./root", ".", &im, &err));
	ASSERT_EQ(im.kind, IMAGE_DIRECTORY);
	ASSERT_OK(setenv("HOME", test_tmpdir(), 1));
	ASSERT_OK(image_resolve("~/root", ".", &im, &err));
	ASSERT_EQ(im.kind, IMAGE_DIRECTORY);
}

TEST(what_cannot_boot_is_named)
{
	enter_tmpdir();
	make_file("q.img", 0, "QFI\xfb", 4);
	make_file("parts.img", 510, "\x55\xaa", 2);
	make_file("xfs.img", 0, "XFSB", 4);
	make_file("nothing.img", 0, "", 0);
	ASSERT_OK(io_write_file_atomic(dir_fd, "short.img", "x", 1, 0600, false));
	ASSERT_OK(mkdir("rootfs", 0700));
	ASSERT_OK(mkfifo("fifo", 0600));

	refuse("q.img", EOPNOTSUPP, "the qcow2 image has a version", "qemu-img convert");
	refuse("parts.img", EOPNOTSUPP, "is a partitioned disk", "raw image");
	refuse("xfs.img", EOPNOTSUPP, "is an XFS file system", "raw image");
	refuse("nothing.img", EOPNOTSUPP, "no file system that msb can boot", "raw image");
	refuse("short.img", EOPNOTSUPP, "no file system that msb can boot", "raw image");
	refuse("./fifo", EINVAL, "neither a directory nor a disk image", "");
	refuse("./missing", ENOENT, "cannot open image './missing': No such file", "");
	refuse("missing.img", ENOENT, "cannot open image 'missing.img': No such file", "");
	refuse("~other/x", ENOENT, "home directory", "");
	refuse("base", ENOENT, "/nowhere/base.erofs", "msb doctor");
	refuse("", EINVAL, "", "use a reference");
	refuse("\033[31m", EINVAL, "'\\x1b[31m'", "a root file system directory");
	refuse("Upper/Case", EINVAL, "'Upper/Case'", "use a reference");
	ASSERT_OK(mkdir("Rootfs", 0700));
	refuse("Rootfs", EINVAL, "'Rootfs'", "for the directory of that name write ./Rootfs");
}

TEST(other_words_are_references)
{
	static const struct {
		const char *word;
		const char *canonical;
	} words[] = {
		{"alpine", "docker.io/library/alpine:latest"},
		{"python:3.12", "docker.io/library/python:3.12"},
		{"ghcr.io/o/r:tag", "ghcr.io/o/r:tag"},
		{"rootfs", "docker.io/library/rootfs:latest"},
		{"based", "docker.io/library/based:latest"},
	};
	char text[REF_TEXT_MAX + 1];
	struct image im;

	enter_tmpdir();
	/* Only a path names a directory. */
	ASSERT_OK(mkdir("rootfs", 0700));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		ASSERT_OK(image_resolve(words[i].word, "/nowhere", &im, NULL));
		ASSERT_EQ(im.kind, IMAGE_OCI);
		image_ref_print(&im.ref, text);
		ASSERT_STREQ(text, words[i].canonical);
	}
}

TEST(read_only_disks_are_refused)
{
	enter_tmpdir();
	make_file("disk.img", 1080, "\x53\xef", 2);
	ASSERT_OK(chmod("disk.img", 0444));
	/* Root may write everything; each test is a process of its own, which removes its
	 * directory. */
	if (geteuid() == 0) {
		ASSERT_OK(chown(".", 65534, 65534));
		ASSERT_OK(setresuid(65534, 65534, 65534));
	}
	refuse("disk.img", EACCES, "must be writable", "make it writable");
}

TEST(directories_are_packed_without_a_trace)
{
	struct image im;
	struct msb_err err = {0};
	uint8_t magic[4];
	struct stat st;

	enter_tmpdir();
	ASSERT_OK(mkdir("root", 0700));
	ASSERT_OK(io_write_file_atomic(dir_fd, "root/file", "content", 7, 0600, false));
	ASSERT_OK(image_resolve("./root", ".", &im, &err));
	ASSERT_OK(image_pack(&im, "home", &err));
	ASSERT_TRUE(im.fd >= 0);
	ASSERT_EQ(im.path[0], '\0');
	ASSERT_EQ(pread(im.fd, magic, sizeof(magic), 1024), 4);
	ASSERT_MEMEQ(magic, "\xe2\xe1\xf5\xe0", 4);
	ASSERT_OK(fstat(im.fd, &st));
	ASSERT_EQ(st.st_nlink, 0);
	image_deinit(&im);
	ASSERT_EQ(im.fd, -EBADF);
	ASSERT_OK(rmdir("home/cache"));
}
