/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies the image to a disk, for roots without an overlay (ROOT_FLAT).
 *
 * Everything of a file is copied: data with its holes, owner, mode, times, extended attributes,
 * further names. What has several names gets one more, its inode number in a directory beside the
 * copy, under which it is found again. A copy that was interrupted is done once more over what is
 * there.
 *
 * The tree comes from an image, so its depth is bounded by whoever made that, not by us: the stack
 * of PID 1 holds COPY_DEPTH directories.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/io.h"
#include "base/str.h"

#include "boot-internal.h"

enum { COPY_DEPTH = 512, CHUNK = 64 * 1024, LIST_MAX = 64 * 1024 };

struct copy {
	int links; /* directory of names by inode number */
	uint8_t *chunk;
	char *list;
};

static int copy_tree(const struct copy *c, int from, int to, unsigned int depth);

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int copy_data(const struct copy *c, int from, int to, off_t size)
{
	off_t at = 0;

	for (;;) {
		ssize_t n = read(from, c->chunk, CHUNK);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (!all_zero(c->chunk, (size_t)n)) {
			int r = lseek(to, at, SEEK_SET) < 0
					? -errno
					: io_write_full(to, c->chunk, (size_t)n);

			if (r < 0)
				return r;
		}
		at += n;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_file(const struct copy *c, int from, int to, const char *name, off_t size)
{
	cleanup_fd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int out =
		openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (in < 0 || out < 0)
		return -errno;
	return copy_data(c, in, out, size);
}

static int copy_symlink(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 && errno != EEXIST ? -errno : 0;
}

static int copy_directory(
	const struct copy *c, int from, int to, const char *name, unsigned int depth)
{
	cleanup_fd int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int out = -EBADF;

	if (in < 0 || (mkdirat(to, name, 0700) < 0 && errno != EEXIST))
		return -errno;
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return out < 0 ? -errno : copy_tree(c, in, out, depth + 1);
}

/* By path, because a symbolic link has no descriptor that would do. */
static int copy_xattrs(const struct copy *c, int from, int to, const char *name)
{
	char source[NAME_MAX + 64];
	char target[NAME_MAX + 64];
	ssize_t len;

	(void)snprintf(source, sizeof(source), BOOT_PROC "/self/fd/%d/%s", from, name);
	(void)snprintf(target, sizeof(target), BOOT_PROC "/self/fd/%d/%s", to, name);
	len = llistxattr(source, c->list, LIST_MAX);
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *key = c->list; key < c->list + len; key += strlen(key) + 1) {
		ssize_t n = lgetxattr(source, key, c->chunk, CHUNK);

		if (n < 0 || lsetxattr(target, key, c->chunk, (size_t)n, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Owner before mode, which loses its set-id bits by it, and before capabilities. */
static int copy_attributes(
	const struct copy *c, int from, int to, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	int r;

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	r = copy_xattrs(c, from, to, name);
	if (r < 0)
		return r;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_entry(const struct copy *c, int from, int to, const char *name, unsigned int depth)
{
	char inode[24];
	struct stat st;
	bool several;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	several = !S_ISDIR(st.st_mode) && st.st_nlink > 1;
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, (uint64_t)st.st_ino);
	if (several) {
		if (linkat(c->links, inode, to, name, 0) == 0 || errno == EEXIST)
			return 0;
		if (errno != ENOENT)
			return -errno;
	}
	if (S_ISDIR(st.st_mode))
		r = copy_directory(c, from, to, name, depth);
	else if (S_ISREG(st.st_mode))
		r = copy_file(c, from, to, name, st.st_size);
	else if (S_ISLNK(st.st_mode))
		r = copy_symlink(from, to, name);
	else
		r = mknodat(to, name, st.st_mode, st.st_rdev) < 0 && errno != EEXIST ? -errno : 0;
	if (r == 0)
		r = copy_attributes(c, from, to, name, &st);
	if (r == 0 && several && linkat(to, name, c->links, inode, 0) < 0)
		r = -errno;
	return r;
}

static int copy_tree(const struct copy *c, int from, int to, unsigned int depth)
{
	const struct dirent *e;
	int r = 0;
	int fd;
	DIR *d;

	if (depth > COPY_DEPTH)
		return -ELOOP;
	fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			r = -errno;
			break;
		}
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = copy_entry(c, from, to, e->d_name, depth);
	}
	closedir(d);
	return r;
}

/* Empties and removes the directory of names. */
static int forget_links(int beside, const char *name)
{
	const struct dirent *e;
	int fd = openat(beside, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		fd_close(fd);
		return errno == ENOENT ? 0 : -errno;
	}
	while ((e = readdir(d))) {
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			(void)unlinkat(fd, e->d_name, 0);
	}
	closedir(d);
	return unlinkat(beside, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int copy_all(struct copy *c, int from, int to)
{
	struct stat st = {};
	int r = copy_tree(c, from, to, 0);

	if (r == 0 && fstat(from, &st) < 0)
		r = -errno;
	return r < 0 ? r : copy_attributes(c, from, to, ".", &st);
}

int copy_image(const char *from, const char *beside, const char *name)
{
	static const char links[] = "links";
	cleanup_free uint8_t *chunk = malloc(CHUNK);
	cleanup_free char *list = malloc(LIST_MAX);
	cleanup_fd int in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int place = open(beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int out = -EBADF;
	cleanup_fd int names = -EBADF;
	struct copy c = {.chunk = chunk, .list = list};
	int r;

	if (!chunk || !list)
		return -ENOMEM;
	if (in < 0 || place < 0)
		return -errno;
	/* Names of an interrupted copy may be of files that are not whole. */
	r = forget_links(place, links);
	if (r < 0)
		return r;
	if ((mkdirat(place, name, 0700) < 0 && errno != EEXIST) || mkdirat(place, links, 0700) < 0)
		return -errno;
	out = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	c.links = names = openat(place, links, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0 || names < 0)
		return -errno;
	r = copy_all(&c, in, out);
	return r < 0 ? r : forget_links(place, links);
}
