/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of counting what a volume holds. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fs/usage.h"

#include "test.h"

enum { FILE_COST = 4096 };

static int top;

static void start(void)
{
	top = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_OK(top);
}

static uint64_t count(void)
{
	uint64_t n = 0;

	ASSERT_OK(fs_usage_count(top, &n));
	return n;
}

static void make_file(int at, const char *name, off_t size)
{
	cleanup_fd int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ASSERT_OK(fd);
	ASSERT_EQ(ftruncate(fd, size), 0);
}

TEST(files_links_and_directories)
{
	start();
	ASSERT_EQ(count(), 0);
	make_file(top, "a", 1000);
	ASSERT_EQ(count(), FILE_COST + 1000);
	ASSERT_EQ(mkdirat(top, "d", 0700), 0);
	make_file(top, "d/b", 10);
	ASSERT_EQ(count(), 3 * FILE_COST + 1010);
	/* Another name costs a name. */
	ASSERT_EQ(linkat(top, "a", top, "d/a", 0), 0);
	ASSERT_EQ(count(), 4 * FILE_COST + 1010);
	ASSERT_EQ(symlinkat("/", top, "root"), 0);
	ASSERT_EQ(symlinkat("..", top, "d/up"), 0);
	ASSERT_EQ(count(), 6 * FILE_COST + 1010);
	fd_close(top);
}

TEST(many_entries_and_great_depth)
{
	enum { WIDE = 1000, DEEP = 3000 };
	int at;

	start();
	for (unsigned int i = 0; i < WIDE; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "a-rather-long-name-of-a-file-%u", i);
		make_file(top, name, 1);
		if (i % 10)
			continue;
		(void)snprintf(name, sizeof(name), "directory-%u", i);
		ASSERT_EQ(mkdirat(top, name, 0700), 0);
	}
	at = fcntl(top, F_DUPFD_CLOEXEC, 0);
	for (unsigned int i = 0; i < DEEP; i++) {
		int fd;

		ASSERT_EQ(mkdirat(at, "d", 0700), 0);
		fd = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ASSERT_OK(fd);
		fd_close(at);
		at = fd;
	}
	make_file(at, "bottom", 7);
	ASSERT_EQ(count(), (WIDE + WIDE / 10 + DEEP + 1) * FILE_COST + WIDE + 7);
	/* The test's own removal of its directory goes by paths. */
	for (unsigned int i = 0; i < DEEP; i++) {
		int up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		ASSERT_OK(up);
		(void)unlinkat(at, "bottom", 0);
		ASSERT_EQ(unlinkat(up, "d", AT_REMOVEDIR), 0);
		fd_close(at);
		at = up;
	}
	fd_close(at);
	fd_close(top);
}

TEST(the_first_one_counts)
{
	int64_t *first = NULL;
	int64_t *second = NULL;
	int64_t *third = NULL;
	int a;
	int b;

	start();
	make_file(top, "f", 5);
	make_file(top, "usage", FS_USAGE_SIZE);
	a = openat(top, "usage", O_RDWR | O_CLOEXEC);
	b = openat(top, "usage", O_RDWR | O_CLOEXEC);
	ASSERT_OK(fs_usage_attach(a, top, &first));
	ASSERT_EQ(*first, 2 * FILE_COST + 5 + FS_USAGE_SIZE);
	*first = 77;
	ASSERT_OK(fs_usage_attach(b, top, &second));
	ASSERT_EQ(*second, 77);
	*second = 78;
	ASSERT_EQ(*first, 78);
	/* A mapping keeps its file open. */
	ASSERT_EQ(munmap(first, FS_USAGE_SIZE), 0);
	ASSERT_EQ(munmap(second, FS_USAGE_SIZE), 0);
	fd_close(a);
	fd_close(b);
	/* Nobody is there any more. */
	a = openat(top, "usage", O_RDWR | O_CLOEXEC);
	ASSERT_OK(fs_usage_attach(a, top, &third));
	ASSERT_EQ(*third, 2 * FILE_COST + 5 + FS_USAGE_SIZE);
	ASSERT_EQ(munmap(third, FS_USAGE_SIZE), 0);
	fd_close(a);
	a = openat(top, "f", O_RDWR | O_CLOEXEC);
	ASSERT_ERR(fs_usage_attach(a, top, &third), EINVAL);
	fd_close(a);
	fd_close(top);
}
