/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of a file system is e2fsck; tests/integration lets a kernel use and grow them. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "image/ext4/ext4.h"

#include "test.h"

static const char fsck[] = "/sbin/e2fsck";

static struct ext4_opts options(uint64_t bytes, bool journal)
{
	return (struct ext4_opts){.size_bytes = bytes,
		.journal = journal,
		.uuid = {0x0f, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15},
		.now_s = 1790000000};
}

static int new_file(char path[PATH_MAX])
{
	int fd;

	(void)snprintf(path, PATH_MAX, "%s/fs", test_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_OK(fd);
	return fd;
}

static int run_fsck(const char *path, const char *backup)
{
	int status;
	pid_t pid = fork();

	ASSERT_OK(pid);
	if (pid == 0) {
		/* What it says of a copy fills pages: nothing counts as not initialised then. */
		int out = backup ? open("/dev/null", O_WRONLY | O_CLOEXEC) : STDERR_FILENO;

		if (dup2(out, STDOUT_FILENO) < 0)
			_exit(126);
		if (backup)
			execl(fsck, fsck, "-fn", "-B", "4096", "-b", backup, path, NULL);
		else
			execl(fsck, fsck, "-fn", path, NULL);
		_exit(127);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check(uint64_t bytes, bool journal)
{
	struct ext4_opts o = options(bytes, journal);
	struct msb_err err = {0};
	char path[PATH_MAX];
	int fd = new_file(path);
	struct stat st;

	if (ext4_format(fd, &o, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	ASSERT_EQ(fstat(fd, &st), 0);
	ASSERT_EQ(st.st_size, bytes);
	ASSERT_EQ(close(fd), 0);
	if (run_fsck(path, NULL) != 0)
		test_fail(__FILE__, __LINE__, "e2fsck finds faults in %llu bytes, journal %d",
			(unsigned long long)bytes, journal);
	if (bytes == 4 * GIB && run_fsck(path, "32768") > 4)
		test_fail(__FILE__, __LINE__, "e2fsck cannot use the copy in group 1");
}

TEST(e2fsck_finds_nothing_wrong)
{
	static const uint64_t sizes[] = {EXT4_MIN_BYTES, EXT4_MIN_BYTES + 5000, 100 * MIB,
		128 * MIB, 129 * MIB, 2 * GIB, 2 * GIB + 2 * MIB, 2 * GIB + 3 * MIB,
		2 * GIB + 64 * MIB, 4 * GIB, 4 * GIB + 300 * MIB, 16 * GIB, 20 * GIB};

	if (access(fsck, X_OK) < 0)
		SKIP("e2fsck is not installed");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		check(sizes[i], false);
		check(sizes[i], true);
	}
}

TEST(new_file_systems_take_no_space)
{
	struct ext4_opts o = options(4 * GIB, true);
	char path[PATH_MAX];
	int fd = new_file(path);
	struct stat st;

	ASSERT_OK(ext4_format(fd, &o, NULL));
	ASSERT_EQ(fstat(fd, &st), 0);
	ASSERT_TRUE(st.st_blocks * 512 <= 128L * 1024);
	ASSERT_EQ(close(fd), 0);
}

TEST(sizes_out_of_range_are_refused)
{
	struct ext4_opts o = options(EXT4_MIN_BYTES - 1, false);

	ASSERT_ERR(ext4_format(-1, &o, NULL), ERANGE);
	o.size_bytes = EXT4_MAX_BYTES + 1;
	ASSERT_ERR(ext4_format(-1, &o, NULL), ERANGE);
	o.size_bytes = EXT4_MIN_BYTES;
	ASSERT_ERR(ext4_format(-1, &o, NULL), EBADF);
}

TEST(the_largest_size_can_be_made)
{
	struct ext4_opts o = options(EXT4_MAX_BYTES, true);
	char path[PATH_MAX];
	int fd = new_file(path);

	if (ftruncate(fd, (off_t)EXT4_MAX_BYTES) < 0)
		SKIP("this file system has no files of 4 TiB");
	ASSERT_OK(ext4_format(fd, &o, NULL));
	ASSERT_EQ(close(fd), 0);
}

TEST(failures_are_reported)
{
	struct ext4_opts o = options(EXT4_MIN_BYTES, true);
	char path[PATH_MAX];
	int fd = new_file(path);

	FAULT_LOOP((void)!ext4_format(fd, &o, NULL));
	ASSERT_EQ(close(fd), 0);
}
