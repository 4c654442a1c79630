/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries what POSIX and Linux promise about files, in a directory: fs-exercise DIR [OPERATIONS].
 *
 * Made for guests, static and without arguments of its own: each line `not ok WHAT: WHY` is a
 * promise that was broken; the last line counts. OPERATIONS random reads, writes, truncations and
 * mappings of one file are compared with a copy in memory (the idea of fsx).
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/base.h"
#include "base/str.h"

enum { FILE_MAX = 256 * 1024, CHUNK_MAX = 40000, ENTRIES = 500 };

static unsigned int n_ok;
static unsigned int n_bad;

static void verdict(bool ok, const char *what)
{
	if (ok) {
		n_ok++;
		return;
	}
	n_bad++;
	printf("not ok %s: errno %d (%s)\n", what, errno, strerror(errno));
}

#define OK(x)	    verdict((errno = 0, (x)), #x)
#define FAILS(x, e) verdict((errno = 0, (x) < 0) && errno == (e), #x " fails with " #e)

static struct stat st_of(const char *path)
{
	struct stat st = {0};

	verdict(lstat(path, &st) == 0, path);
	return st;
}

static void make(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	OK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static long rename_with(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void names(void)
{
	char buf[64];
	char longer[300];

	make("a", "text");
	FAILS(open("a", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600), EEXIST);
	FAILS(open("none", O_RDONLY | O_CLOEXEC), ENOENT);
	FAILS(open("a/b", O_RDONLY | O_CLOEXEC), ENOTDIR);
	OK(mkdir("d", 0755) == 0);
	FAILS(mkdir("d", 0755), EEXIST);
	FAILS(open("d", O_WRONLY | O_CLOEXEC), EISDIR);
	FAILS(rmdir("a"), ENOTDIR);
	FAILS(unlink("d"), EISDIR);
	make("d/x", "x");
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(rename("a", "d"), EISDIR);
	FAILS(rename("d", "a"), ENOTDIR);
	FAILS(rename("d", "d/e"), EINVAL);
	OK(link("a", "b") == 0 && st_of("a").st_nlink == 2);
	OK(st_of("a").st_ino == st_of("b").st_ino);
	FAILS(link("a", "b"), EEXIST);
	FAILS(link("d", "e"), EPERM);
	OK(rename("a", "b") == 0 && access("a", F_OK) == 0); /* two names of one file */
	OK(unlink("b") == 0 && st_of("a").st_nlink == 1);
	OK(rename("a", "d/x") == 0 && st_of("d/x").st_size == 4);
	FAILS(access("a", F_OK), ENOENT);
	OK(symlink("d/x", "s") == 0 && readlink("s", buf, sizeof(buf)) == 3);
	OK(S_ISLNK(st_of("s").st_mode) && access("s", R_OK) == 0);
	FAILS(open("s", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), ELOOP);
	OK(symlink("s2", "s2") == 0);
	FAILS(open("s2", O_RDONLY | O_CLOEXEC), ELOOP);
	memset(longer, 'n', sizeof(longer) - 1);
	longer[255] = '\0';
	make(longer, "");
	OK(unlink(longer) == 0);
	longer[255] = 'n';
	longer[256] = '\0';
	FAILS(open(longer, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), ENAMETOOLONG);
	OK(rename_with("d", "s", 2 /* exchange */) == 0);
	OK(S_ISDIR(st_of("s").st_mode) && S_ISLNK(st_of("d").st_mode));
	FAILS(rename_with("d", "s", 1 /* no replace */), EEXIST);
	OK(unlink("d") == 0 && unlink("s2") == 0 && unlink("s/x") == 0 && rmdir("s") == 0);
}

static void attributes(void)
{
	struct timespec ts[2] = {{1000, 5}, {2000, 7}};
	char value[16];

	make("f", "0123456789");
	OK(chmod("f", 04751) == 0 && st_of("f").st_mode == (S_IFREG | 04751));
	OK(chown("f", 1234, 5678) == 0);
	OK(st_of("f").st_uid == 1234 && st_of("f").st_gid == 5678);
	OK(st_of("f").st_mode == (S_IFREG | 0751)); /* a new owner ends set-id */
	OK(chmod("f", 0) == 0 && st_of("f").st_mode == S_IFREG);
	OK(utimensat(AT_FDCWD, "f", ts, 0) == 0 && st_of("f").st_mtim.tv_nsec == 7);
	OK(st_of("f").st_atim.tv_sec == 1000 && st_of("f").st_mtim.tv_sec == 2000);
	OK(truncate("f", 3) == 0 && st_of("f").st_size == 3);
	OK(truncate("f", 100000) == 0 && st_of("f").st_size == 100000);
	FAILS(truncate("f", -1), EINVAL);
	OK(setxattr("f", "user.x", "abc", 3, 0) == 0);
	OK(getxattr("f", "user.x", value, sizeof(value)) == 3 && memcmp(value, "abc", 3) == 0);
	FAILS(setxattr("f", "user.x", "d", 1, XATTR_CREATE), EEXIST);
	OK(removexattr("f", "user.x") == 0);
	FAILS(getxattr("f", "user.x", value, sizeof(value)), ENODATA);
	OK(unlink("f") == 0);
	OK(mkdir("g", 02775) == 0 && chown("g", 0, 77) == 0 && chmod("g", 02775) == 0);
	make("g/f", "");
	OK(mkdir("g/d", 0755) == 0 && st_of("g/f").st_gid == 77);
	OK(st_of("g/d").st_gid == 77 && st_of("g/d").st_mode & S_ISGID);
	OK(unlink("g/f") == 0 && rmdir("g/d") == 0 && rmdir("g") == 0);
}

static void special(void)
{
	pid_t pid;
	char c = 0;
	int fd;
	int status;

	OK(mkfifo("p", 0666) == 0 && S_ISFIFO(st_of("p").st_mode));
	pid = fork();
	if (pid == 0) {
		fd = open("p", O_WRONLY | O_CLOEXEC);
		_exit(fd >= 0 && write(fd, "!", 1) == 1 ? 0 : 1);
	}
	fd = open("p", O_RDONLY | O_CLOEXEC);
	OK(fd >= 0 && read(fd, &c, 1) == 1 && c == '!');
	fd_close(fd);
	OK(waitpid(pid, &status, 0) == pid && status == 0);
	OK(unlink("p") == 0);
	OK(mknod("null", S_IFCHR | 0666, 1 << 8 | 3) == 0 && S_ISCHR(st_of("null").st_mode));
	fd = open("null", O_WRONLY | O_CLOEXEC);
	OK(fd >= 0 && write(fd, "x", 1) == 1 && st_of("null").st_rdev == (1 << 8 | 3));
	fd_close(fd);
	OK(unlink("null") == 0);
}

static void open_files(void)
{
	cleanup_fd int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cleanup_fd int more = open("f", O_WRONLY | O_APPEND | O_CLOEXEC);
	char buf[16] = "";
	char *map;

	OK(fd >= 0 && more >= 0 && write(fd, "12345", 5) == 5);
	OK(pwrite(more, "6", 1, 0) == 1 && st_of("f").st_size == 6);
	OK(unlink("f") == 0 && pread(fd, buf, 6, 0) == 6 && memcmp(buf, "123456", 6) == 0);
	OK(ftruncate(fd, 1 << 20) == 0 && pread(fd, buf, 1, 1000000) == 1 && buf[0] == 0);
	OK(lseek(fd, 0, SEEK_END) == 1 << 20);
	OK(fsync(fd) == 0 && fdatasync(fd) == 0);
	OK(flock(fd, LOCK_EX) == 0);
	FAILS(flock(more, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(fd, LOCK_UN) == 0);
	make("m", "0123456789");
	fd_close(fd);
	fd = open("m", O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	OK(map != MAP_FAILED && map[3] == '3');
	map[3] = 'x';
	OK(msync(map, 10, MS_SYNC) == 0 && pread(fd, buf, 10, 0) == 10 && buf[3] == 'x');
	(void)munmap(map, 10);
	OK(unlink("m") == 0);
}

static void directories(void)
{
	unsigned int n = 0;
	char name[32];
	DIR *d;

	OK(mkdir("many", 0755) == 0);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		(void)snprintf(name, sizeof(name), "many/%u", i);
		make(name, "");
	}
	d = opendir("many");
	while (d && readdir(d))
		n++;
	OK(n == ENTRIES + 2);
	/* Removing while reading must not skip any. */
	if (d)
		rewinddir(d);
	for (const struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	OK(rmdir("many") == 0);
}

static uint32_t next_random(void)
{
	static uint32_t x = 2463534242;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static uint8_t model[FILE_MAX];
static uint8_t piece[CHUNK_MAX];

static bool one_operation(int fd, size_t *size)
{
	size_t at = next_random() % (FILE_MAX - CHUNK_MAX);
	size_t n = next_random() % CHUNK_MAX;
	uint8_t *map;

	switch (next_random() % 6) {
	case 0:
	case 1:
		for (size_t i = 0; i < n; i++)
			model[at + i] = piece[i] = (uint8_t)next_random();
		*size = MAX(*size, n ? at + n : 0);
		return pwrite(fd, piece, n, (off_t)at) == (ssize_t)n;
	case 2:
		if (at < *size)
			memset(model + at, 0, *size - at);
		*size = at;
		return ftruncate(fd, (off_t)at) == 0;
	case 3:
		if (n == 0 || *size == 0)
			return true;
		at %= *size;
		n = MIN(n, *size - at);
		map = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return false;
		for (size_t i = 0; i < n; i++)
			map[at + i] = model[at + i] = (uint8_t)next_random();
		return munmap(map, *size) == 0;
	case 4:
		return next_random() % 8 || fsync(fd) == 0;
	default:
		n = at < *size ? MIN(n, *size - at) : 0;
		return pread(fd, piece, n, (off_t)at) == (ssize_t)n &&
		       memcmp(piece, model + at, n) == 0;
	}
}

static void random_io(uint32_t operations)
{
	cleanup_fd int fd = open("fsx", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	static uint8_t whole[FILE_MAX];
	size_t size = 0;
	uint32_t i;

	for (i = 0; i < operations && fd >= 0 && one_operation(fd, &size); i++)
		;
	if (i < operations)
		printf("# operation %" PRIu32 " of %" PRIu32 "\n", i, operations);
	OK(i == operations);
	fd_close(fd);
	fd = open("fsx", O_RDONLY | O_CLOEXEC);
	OK(fd >= 0 && read(fd, whole, sizeof(whole)) == (ssize_t)size);
	OK(memcmp(whole, model, size) == 0);
	OK(unlink("fsx") == 0);
}

int main(int argc, char **argv)
{
	uint32_t operations = 1000;

	if (argc < 2 || chdir(argv[1]) < 0 ||
		(argc > 2 && str_to_u32(argv[2], 0, UINT32_MAX, &operations) < 0)) {
		(void)fprintf(stderr, "usage: fs-exercise DIR [OPERATIONS]\n");
		return 2;
	}
	(void)umask(0);
	names();
	attributes();
	special();
	open_files();
	directories();
	random_io(operations);
	printf("%u ok, %u not ok\n", n_ok, n_bad);
	return n_bad > 0;
}
