/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots come and go: see snapshot.h.
 *
 * A reaper takes the lock of a .new- directory before it removes it, and a creator looks after it
 * has the lock whether the directory is still there: one of the two is first.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/str.h"

#include "image/snapshot/internal.h"

enum { ATTEMPTS = 64 };

int snapshot_each_entry(
	const char *path, int (*fn)(int parent_fd, const char *name, void *arg), void *arg)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	int r = 0;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		fd_close(fd);
		return -ENOMEM;
	}
	while (r >= 0 && (e = readdir(d))) {
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = fn(fd, e->d_name, arg);
	}
	closedir(d);
	return MIN(r, 0);
}

static int temporary_name(char ret[16])
{
	uint32_t v;

	/* Four bytes are never cut short. */
	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		return -errno;
	(void)snprintf(ret, 16, SNAPSHOT_NEW_PREFIX "%08" PRIx32, v);
	return 0;
}

static bool is_named(int parent_fd, int fd, const char *name)
{
	struct stat a;
	struct stat b;

	return fstat(fd, &a) == 0 && fstatat(parent_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The files that a snapshot has, and the directory. What else is in it is somebody else's. */
static int remove_files(int parent_fd, int fd, const char *name)
{
	(void)unlinkat(fd, SNAPSHOT_DISK, 0);
	(void)unlinkat(fd, SNAPSHOT_MANIFEST, 0);
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int reap_one(int parent_fd, const char *name, void *arg)
{
	cleanup_fd int fd = -EBADF;
	int *n = arg;

	if (!str_starts(name, SNAPSHOT_NEW_PREFIX))
		return 0;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && remove_files(parent_fd, fd, name) == 0)
		++*n;
	return 0;
}

/* -EAGAIN: a reaper was faster. */
static int make_one(struct snapshot_new *n)
{
	int r = temporary_name(n->temporary);

	if (r < 0)
		return r;
	if (mkdirat(n->parent_fd, n->temporary, 0700) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	n->fd = openat(n->parent_fd, n->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (n->fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(n->fd, LOCK_EX) < 0)
		return -errno;
	if (is_named(n->parent_fd, n->fd, n->temporary))
		return 0;
	n->fd = fd_close(n->fd);
	return -EAGAIN;
}

static int taken(const char *name, struct msb_err *err)
{
	int r = msb_err_set(err, -EEXIST, MSB_EXISTS, "snapshot '%s' exists already", name);

	return msb_err_hint(err, r, "take another name, or replace it with --force");
}

int snapshot_new_begin(const char *parent, const char *name, bool replace, struct snapshot_new *ret,
	struct msb_err *err)
{
	int reaped = 0;
	int r;

	*ret = (struct snapshot_new){.parent_fd = -EBADF, .fd = -EBADF, .name = name};
	r = name ? snapshot_name_check(name, err) : 0;
	if (r < 0)
		return r;
	r = io_mkdir_p(parent, 0700);
	if (r < 0)
		return msb_err_errno(err, r, "%.200s", parent);
	/* What cannot be read now is told below. */
	r = snapshot_each_entry(parent, reap_one, &reaped);
	ret->parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || ret->parent_fd < 0)
		return msb_err_errno(err, r < 0 ? r : -errno, "%.200s", parent);
	if (name && !replace && faccessat(ret->parent_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return taken(name, err);
	r = -EAGAIN;
	for (int i = 0; i < ATTEMPTS && r == -EAGAIN; i++)
		r = make_one(ret);
	return r < 0 ? msb_err_errno(err, r, "cannot make a snapshot in %.200s", parent) : 0;
}

int snapshot_new_disk(const struct snapshot_new *n, int *ret_fd, struct msb_err *err)
{
	*ret_fd = openat(
		n->fd, SNAPSHOT_DISK, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? msb_err_errno(err, -errno, "cannot make a snapshot") : 0;
}

/* Nobody can see the directory yet. */
static int write_manifest(const struct snapshot_new *n, const void *p, size_t len)
{
	cleanup_fd int fd = openat(n->fd, SNAPSHOT_MANIFEST,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : io_write_full(fd, p, len);

	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* Gives the name; what had it before, if that may be, is then behind the temporary one. */
static int give_name(struct snapshot_new *n, bool replace)
{
	if (renameat(n->parent_fd, n->temporary, n->parent_fd, n->name) == 0) {
		n->temporary[0] = '\0';
		return 0;
	}
	if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
		return -errno;
	if (!replace)
		return -EEXIST;
	if (syscall(SYS_renameat2, n->parent_fd, n->temporary, n->parent_fd, n->name,
		    RENAME_EXCHANGE) < 0)
		return -errno;
	fd_close(n->fd);
	n->fd = openat(n->parent_fd, n->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return 0;
}

int snapshot_new_publish(
	struct snapshot_new *n, const void *manifest, size_t len, bool replace, struct msb_err *err)
{
	cleanup_fd int disk = openat(n->fd, SNAPSHOT_DISK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (disk < 0 || fsync(disk) < 0)
		return msb_err_errno(err, -errno, "cannot write snapshot '%s'", n->name);
	r = write_manifest(n, manifest, len);
	if (r == 0 && fsync(n->fd) < 0)
		r = -errno;
	if (r == 0)
		r = give_name(n, replace);
	if (r == -EEXIST)
		return taken(n->name, err);
	if (r == 0 && fsync(n->parent_fd) < 0)
		r = -errno;
	return r < 0 ? msb_err_errno(err, r, "cannot write snapshot '%s'", n->name) : 0;
}

void snapshot_new_end(struct snapshot_new *n)
{
	if (n->fd >= 0 && n->temporary[0])
		(void)remove_files(n->parent_fd, n->fd, n->temporary);
	n->fd = fd_close(n->fd);
	n->parent_fd = fd_close(n->parent_fd);
}

int snapshot_remove(const struct snapshot *s, struct msb_err *err)
{
	char parent[PATH_MAX];
	char temporary[16];
	cleanup_fd int fd = -EBADF;
	int r = str_copy(parent, sizeof(parent), s->path);
	char *slash;

	if (r < 0)
		return msb_err_errno(err, r, "snapshot '%s'", s->name);
	slash = strrchr(parent, '/');
	slash[slash == parent] = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : temporary_name(temporary);
	/* Another snapshot may have taken its name. */
	if (r == 0 && !is_named(fd, s->fd, strrchr(s->path, '/') + 1))
		r = -ENOENT;
	if (r == 0 && renameat(fd, strrchr(s->path, '/') + 1, fd, temporary) < 0)
		r = -errno;
	if (r == 0)
		r = remove_files(fd, s->fd, temporary);
	return r < 0 ? msb_err_errno(err, r, "cannot remove snapshot '%s'", s->name) : 0;
}

int snapshot_reap(const char *home)
{
	char path[PATH_MAX];
	int n = 0;
	int r = snapshots_dir(home, path, NULL);

	if (r == 0)
		r = snapshot_each_entry(path, reap_one, &n);
	return r < 0 ? r : n;
}
