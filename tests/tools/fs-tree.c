/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of many small files, as package managers make them: fs-tree make|check|remove DIR FILES.
 *
 * Static, for guests. Twelve files are a package: some in its directory, some below it, one link to
 * it in a directory that holds a link for each. Names, sizes and contents follow from a file's
 * number, so `check` needs no list: it walks the tree, compares every byte, and counts. Each
 * command prints what it has seen and the seconds that it took.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/str.h"

enum { PER_PACKAGE = 12, SIZE_MIN = 40, SIZE_SPREAD = 6000, DIRS_OPEN = 16 };

static const char *const places[] = {"", "lib/", "lib/node_modules/dep/"};
static uint32_t n_files;
static uint32_t seen_files;
static uint32_t seen_links;
static uint32_t seen_dirs;
static uint64_t seen_bytes;

static void die(const char *what, const char *path)
{
	(void)fprintf(stderr, "fs-tree: %s '%s': %s\n", what, path, strerror(errno));
	exit(1);
}

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

static size_t content(uint32_t i, uint8_t *to)
{
	size_t size = SIZE_MIN + mix(i + 1) % SIZE_SPREAD;
	uint32_t x = mix(i ^ 0x5eed);

	for (size_t at = 0; at < size; at++) {
		x = x * 1664525 + 1013904223;
		to[at] = (uint8_t)(x >> 24);
	}
	return size;
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0)
		die("cannot make", path);
}

static void make_file(uint32_t i)
{
	uint8_t data[SIZE_MIN + SIZE_SPREAD];
	size_t size = content(i, data);
	char path[128];

	(void)snprintf(path, sizeof(path), "packages/p%" PRIu32 "/%sf%" PRIu32 ".js",
		i / PER_PACKAGE, places[i % PER_PACKAGE / 4], i);

	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		die("cannot write", path);
}

static void make_package(uint32_t p)
{
	char path[128];
	char target[64];

	(void)snprintf(path, sizeof(path), "packages/p%" PRIu32, p);
	make_dir(path);
	for (const char *const *sub = (const char *const[]){"lib", "lib/node_modules",
		     "lib/node_modules/dep", NULL};
		*sub; sub++) {
		(void)snprintf(path, sizeof(path), "packages/p%" PRIu32 "/%s", p, *sub);
		make_dir(path);
	}
	(void)snprintf(path, sizeof(path), "bin/p%" PRIu32, p);
	(void)snprintf(target, sizeof(target), "../packages/p%" PRIu32 "/f%" PRIu32 ".js", p,
		p * PER_PACKAGE);
	if (symlink(target, path) < 0)
		die("cannot link", path);
}

static void make_tree(void)
{
	make_dir("packages");
	make_dir("bin");
	for (uint32_t i = 0; i < n_files; i++) {
		if (i % PER_PACKAGE == 0)
			make_package(i / PER_PACKAGE);
		make_file(i);
	}
}

static void check_file(const char *path)
{
	static uint8_t want[SIZE_MIN + SIZE_SPREAD];
	static uint8_t got[sizeof(want) + 1];
	const char *number = strrchr(path, '/');
	char digits[16];
	uint32_t i;
	size_t size;

	errno = EILSEQ;
	(void)snprintf(digits, sizeof(digits), "%s", number ? number + 2 : "");
	digits[strcspn(digits, ".")] = '\0';
	if (str_to_u32(digits, 0, n_files - 1, &i) < 0)
		die("nobody made", path);
	size = content(i, want);

	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, got, sizeof(got)) != (ssize_t)size || memcmp(got, want, size) != 0)
		die("other content in", path);
	seen_bytes += size;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F) {
		seen_files++;
		check_file(path);
	} else if (type == FTW_SL) {
		struct stat target;

		seen_links++;
		if (stat(path, &target) < 0 || !S_ISREG(target.st_mode))
			die("leads nowhere:", path);
	} else if (type == FTW_D && st->st_nlink > 0) {
		seen_dirs++;
	} else {
		die("cannot look at", path);
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	seen_files++;
	if (ftw->level > 0 && remove(path) < 0)
		die("cannot remove", path);
	return 0;
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double from = now();

	if (argc != 4 || str_to_u32(argv[3], 1, 1000000, &n_files) < 0) {
		(void)fprintf(stderr, "usage: fs-tree make|check|remove DIR FILES\n");
		return 2;
	}
	if (chdir(argv[2]) < 0)
		die("cannot enter", argv[2]);
	if (streq(argv[1], "make"))
		make_tree();
	else if (nftw(".", streq(argv[1], "check") ? visit : remove_one, DIRS_OPEN,
			 FTW_PHYS | (streq(argv[1], "check") ? 0 : FTW_DEPTH)) < 0)
		die("cannot walk", argv[2]);
	printf("%s: %" PRIu32 " files, %" PRIu32 " links, %" PRIu32 " directories, %" PRIu64
	       " bytes, %.2f s\n",
		argv[1], seen_files, seen_links, seen_dirs, seen_bytes, now() - from);
	return 0;
}
