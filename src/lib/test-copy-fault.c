/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies while one call after the other fails, on the host and in the guest.
 *
 * The guest is a directory of this process: what guest-fs.h promises, done at once, with the same
 * calls that are made to fail. After each failure nothing is left open, no temporary file is there,
 * the error has a text, and the same copy done again gives the right tree.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/io.h"

#include "lib/copy.h"

#include "test.h"

/* Beyond what the harness wraps; meson.build has the list for the linker. */
#define WRAP(ret, name, params, args, error)                       \
	ret __real_##name params;                                  \
	ret __wrap_##name params;                                  \
	ret __wrap_##name params                                   \
	{                                                          \
		return fault_now(error) ? -1 : __real_##name args; \
	}

WRAP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m), ENOSPC)
WRAP(int, symlinkat, (const char *t, int d, const char *p), (t, d, p), ENOSPC)
WRAP(int, fchmod, (int fd, mode_t m), (fd, m), EPERM)
WRAP(int, futimens, (int fd, const struct timespec t[2]), (fd, t), EPERM)
WRAP(int, ftruncate64, (int fd, off_t n), (fd, n), EIO)
WRAP(ssize_t, pread64, (int fd, void *p, size_t n, off_t at), (fd, p, n, at), EIO)
WRAP(ssize_t, readlinkat, (int d, const char *p, char *to, size_t n), (d, p, to, n), EIO)
WRAP(ssize_t, getrandom, (void *p, size_t n, unsigned int f), (p, n, f), ENOSYS)

/* The guest. */

enum { BIG = 300 * 1024 };

static bool lies; /* it says another checksum than that of what it moves */

static int open_in(const char *path, int flags)
{
	int fd = openat(AT_FDCWD, path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static void fill_stat(struct msg_stat *to, const struct stat *st)
{
	*to = (struct msg_stat){.size = (uint64_t)st->st_size, .mode = st->st_mode};
}

int guest_fs_stat(struct guest_fs *g, const char *path, bool follow, struct msg_stat *ret)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	fill_stat(ret, &st);
	return 0;
}

int guest_fs_mkdir(struct guest_fs *g, const char *path, uint32_t mode)
{
	return mkdirat(AT_FDCWD, path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int guest_fs_setattr(struct guest_fs *g, const char *path, const struct guest_attr *attr)
{
	return 0;
}

int guest_fs_symlink(struct guest_fs *g, const char *path, const char *target)
{
	if (symlinkat(target, AT_FDCWD, path) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	return unlinkat(AT_FDCWD, path, 0) < 0 || symlinkat(target, AT_FDCWD, path) < 0 ? -errno
											: 0;
}

int guest_fs_rename(struct guest_fs *g, const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to) < 0 ? -errno : 0;
}

int guest_fs_unlink(struct guest_fs *g, const char *path)
{
	return unlinkat(AT_FDCWD, path, 0) < 0 ? -errno : 0;
}

int guest_fs_sum(struct guest_fs *g, const char *path, bool follow, uint64_t n, uint64_t *ret_n,
	uint64_t *ret)
{
	cleanup_fd int fd = open_in(path, O_RDONLY | (follow ? 0 : O_NOFOLLOW));
	struct checksum sum;
	uint8_t p[4096];
	ssize_t got = 1;

	if (fd < 0)
		return fd;
	checksum_init(&sum);
	while (sum.len < n && got) {
		got = read(fd, p, (size_t)MIN(n - sum.len, (uint64_t)sizeof(p)));
		if (got < 0)
			return -errno;
		checksum_add(&sum, p, (size_t)got);
	}
	*ret_n = sum.len;
	*ret = checksum_value(&sum);
	return 0;
}

int guest_fs_read_range(struct guest_fs *g, const char *path, uint64_t offset, uint64_t n,
	int (*sink)(void *arg, const void *p, size_t n), void *arg)
{
	cleanup_fd int fd = open_in(path, O_RDONLY);
	uint8_t p[64 * 1024];

	if (fd < 0)
		return fd;
	for (uint64_t at = offset; at - offset < n;) {
		size_t want = (size_t)MIN(n - (at - offset), (uint64_t)sizeof(p));
		ssize_t got = pread(fd, p, want, (off_t)at);
		int r;

		if (got == 0)
			break;
		if (got < 0)
			return -errno;
		r = sink(arg, p, (size_t)got);
		if (r < 0)
			return r;
		at += (uint64_t)got;
	}
	return lies ? -EBADMSG : 0;
}

int guest_fs_read(struct guest_fs *g, const char *path,
	int (*sink)(void *arg, const void *p, size_t n), void *arg)
{
	return guest_fs_read_range(g, path, 0, UINT64_MAX, sink, arg);
}

static int write_all(int fd, ssize_t (*source)(void *arg, void *p, size_t n), void *arg)
{
	uint8_t p[64 * 1024];
	ssize_t n;

	while ((n = source(arg, p, sizeof(p))) > 0) {
		int r = io_write_full(fd, p, (size_t)n);

		if (r < 0)
			return r;
	}
	if (n < 0)
		return (int)n;
	return lies ? -EBADMSG : 0;
}

int guest_fs_write(struct guest_fs *g, const char *path, const struct guest_attr *attr,
	ssize_t (*source)(void *arg, void *p, size_t n), void *arg)
{
	cleanup_fd int fd = open_in(path, O_WRONLY | O_CREAT | O_TRUNC);
	int r = fd < 0 ? fd : write_all(fd, source, arg);

	ASSERT_TRUE(attr->whole);
	/* The agent's word. */
	if (r < 0 && r != -EBADMSG && fd >= 0)
		(void)unlinkat(AT_FDCWD, path, 0);
	return r;
}

int guest_fs_write_from(struct guest_fs *g, const char *path, const struct guest_attr *attr,
	uint64_t offset, ssize_t (*source)(void *arg, void *p, size_t n), void *arg)
{
	cleanup_fd int fd = open_in(path, O_WRONLY | O_CREAT | O_NOFOLLOW | (offset ? 0 : O_TRUNC));

	if (fd < 0)
		return fd;
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	return write_all(fd, source, arg);
}

static int list_entry(int dir_fd, const char *name, struct buf *ret)
{
	char target[PATH_MAX] = "";
	struct msg_dirent e = {.name = name, .target = target};
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && readlinkat(dir_fd, name, target, sizeof(target) - 1) < 0)
		return -errno;
	fill_stat(&e.st, &st);
	return msg_put_dirent(ret, &e);
}

int guest_fs_list(struct guest_fs *g, const char *path, struct buf *ret)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d))) {
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = list_entry(dirfd(d), e->d_name, ret);
	}
	closedir(d);
	return r;
}

/* The trees. */

static const char *place(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	(void)snprintf(path, PATH_MAX, "%s/%s", test_tmpdir(), name);
	return path;
}

static uint8_t big[BIG];

static void make_source(void)
{
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)((i * 2654435761u) >> 15);
	ASSERT_OK(mkdir(place("src"), 0755));
	ASSERT_OK(mkdir(place("src/d"), 0755));
	ASSERT_OK(mkdir(place("src/d/e"), 0755));
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, place("src/d/small"), "text", 4, 0644, false));
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, place("src/d/e/big"), big, BIG, 0600, false));
	ASSERT_OK(symlink("d/small", place("src/link")));
	ASSERT_OK(mkdir(place("dst"), 0755));
}

static void has(const char *name, const void *data, size_t n)
{
	cleanup_free char *text = NULL;
	size_t len;

	ASSERT_OK(io_read_file(AT_FDCWD, place(name), BIG + 1, &text, &len));
	ASSERT_EQ(len, n);
	ASSERT_MEMEQ(text, data, n);
}

static unsigned int found;
static const char *looked_for;

static int look(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	found += !looked_for || strstr(path + at->base, looked_for) != NULL;
	return 0;
}

/* Entries of dst with @part in their names, or all; the directory itself is none. */
static unsigned int entries(const char *part)
{
	found = 0;
	looked_for = part;
	ASSERT_OK(nftw(place("dst"), look, 8, FTW_PHYS));
	return found - (part ? 0 : 1);
}

static int erase(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return at->level ? remove(path) : 0;
}

static void clear(void)
{
	ASSERT_OK(nftw(place("dst"), erase, 8, FTW_PHYS | FTW_DEPTH));
}

static void is_whole(void)
{
	char target[10] = "";

	has("dst/d/small", "text", 4);
	has("dst/d/e/big", big, BIG);
	ASSERT_EQ(readlink(place("dst/link"), target, sizeof(target) - 1), 7);
	ASSERT_STREQ(target, "d/small");
	ASSERT_EQ(entries(NULL), 5);
}

enum way { OUT, IN, ACROSS, WAYS };

static int copy(enum way way, bool resume, int src_fd, int dst_fd, struct msb_err *err)
{
	struct guest_fs one;
	struct guest_fs other;
	struct copy c = {.guest = &one, .to = way == ACROSS ? &other : NULL, .resume = resume};

	*err = (struct msb_err){0};
	if (way == OUT)
		return copy_out_tree(&c, place("src"), dst_fd, err);
	if (way == IN)
		return copy_in_tree(&c, src_fd, place("dst"), err);
	return copy_across_tree(&c, place("src"), place("dst"), err);
}

static void every_failure(enum way way, bool resume)
{
	int src_fd = open(place("src"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int dst_fd = open(place("dst"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct msb_err err;
	unsigned int n;
	bool hit = true;

	ASSERT_TRUE(src_fd >= 0 && dst_fd >= 0);
	for (n = 1; hit && n < FAULT_ROUNDS; n++) {
		int r;

		fault_arm(n);
		r = copy(way, resume, src_fd, dst_fd, &err);
		hit = fault_hit();
		ASSERT_TRUE(hit || r == 0);
		ASSERT_TRUE(r == 0 || err.msg[0]);
		ASSERT_EQ(entries(".msb-cp"), 0);
		ASSERT_TRUE(resume || entries(COPY_PART) == 0);
		ASSERT_OK(copy(way, resume, src_fd, dst_fd, &err));
		is_whole();
		clear();
	}
	/* More than a handful of calls can fail. */
	ASSERT_TRUE(n > 20 && n < FAULT_ROUNDS);
	close(src_fd);
	close(dst_fd);
}

TEST(every_failure_of_a_copy)
{
	make_source();
	for (enum way way = 0; way < WAYS; way++)
		every_failure(way, false);
}

TEST(every_failure_of_a_copy_that_goes_on)
{
	make_source();
	for (enum way way = 0; way < WAYS; way++)
		every_failure(way, true);
}

/* Bytes that change on their way. */
TEST(another_checksum)
{
	struct msb_err err;
	int src_fd;
	int dst_fd;

	make_source();
	src_fd = open(place("src"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst_fd = open(place("dst"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_TRUE(src_fd >= 0 && dst_fd >= 0);
	lies = true;
	for (enum way way = 0; way < WAYS; way++) {
		for (int resume = 0; resume < 2; resume++) {
			ASSERT_ERR(copy(way, resume, src_fd, dst_fd, &err), EBADMSG);
			ASSERT_TRUE(strstr(err.msg, "checksum"));
			/* Of a part that cannot be trusted nothing stays. */
			ASSERT_EQ(entries("small") + entries("big"), way == OUT && resume);
			clear();
		}
	}
	lies = false;
	close(src_fd);
	close(dst_fd);
}
