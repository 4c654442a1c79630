/* SPDX-License-Identifier: Apache-2.0 */
/* Image store, directories, locks and work in progress: see store.h. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/io.h"

#include "image/store/internal.h"

static DIR *dir_close(DIR *d)
{
	if (d)
		closedir(d);
	return NULL;
}
DEFINE_CLEANUP(DIR *, dir_close);

static DIR *dir_at(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		fd_close(fd);
	return d;
}

static int open_dir(int at, const char *name, int *ret)
{
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	*ret = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

/* Entries of the store are directories of plain files; anything else in them is not ours and stays.
 */
static int remove_files(int fd, uint64_t *bytes)
{
	cleanup_with(dir_close_p) DIR *d = dir_at(fd, ".");
	const struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && bytes)
			*bytes += (uint64_t)st.st_blocks * 512;
		if (unlinkat(fd, e->d_name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int remove_work(int tmp_fd, const char *name, int fd, uint64_t *bytes)
{
	int r = remove_files(fd, bytes);

	if (r == 0 && unlinkat(tmp_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

/* What a killed process left: entries that nobody holds. Failures are for the next caller to try
 * again. */
static void remove_abandoned(const struct store *s)
{
	cleanup_with(dir_close_p) DIR *d = dir_at(s->tmp_fd, ".");
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_fd int fd = -EBADF;

		if (e->d_name[0] == '.')
			continue;
		fd = openat(s->tmp_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)remove_work(s->tmp_fd, e->d_name, fd, NULL);
	}
}

static int open_dirs(struct store *s)
{
	const struct {
		const char *name;
		int *fd;
	} dirs[] = {
		{"tmp", &s->tmp_fd},
		{"parts", &s->parts_fd},
		{"layers", &s->layers_fd},
		{"manifests", &s->manifests_fd},
		{"refs", &s->refs_fd},
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		int r = open_dir(s->root_fd, dirs[i].name, dirs[i].fd);

		if (r < 0)
			return r;
	}
	return 0;
}

static int open_all(struct store *s, const char *home, int lock)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/images", home);
	int r;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	s->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0) {
		r = io_mkdir_p(path, 0700);
		if (r < 0)
			return r;
		s->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (s->root_fd < 0)
		return -errno;
	s->lock_fd = openat(s->root_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0 || flock(s->lock_fd, lock) < 0)
		return -errno;
	return open_dirs(s);
}

int store_open_locked(const char *home, int lock, struct store **ret, struct msb_err *err)
{
	struct store *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return msb_err_errno(err, -ENOMEM, "cannot open the image store");
	*s = (struct store){-EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF};
	r = open_all(s, home, lock);
	if (r < 0) {
		store_close(s);
		return msb_err_errno(err, r, "cannot open the image store %s/images", home);
	}
	remove_abandoned(s);
	*ret = s;
	return 0;
}

/* A collection is short: waiting for it is better than failing. */
int store_open(const char *home, struct store **ret, struct msb_err *err)
{
	return store_open_locked(home, LOCK_SH, ret, err);
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	fd_close(s->refs_fd);
	fd_close(s->manifests_fd);
	fd_close(s->layers_fd);
	fd_close(s->parts_fd);
	fd_close(s->tmp_fd);
	fd_close(s->lock_fd);
	fd_close(s->root_fd);
	free(s);
	return NULL;
}

static int random_name(char name[WORK_NAME + 1])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	uint8_t bytes[WORK_NAME];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < WORK_NAME; i++)
		name[i] = digits[bytes[i] & 31];
	name[WORK_NAME] = '\0';
	return 0;
}

/*
 * Between mkdir and flock another process may take the new directory for an abandoned one. Whoever
 * has the lock on an entry that still stands under its name is its owner; everybody else starts
 * over.
 */
static int work_try(struct store_work *w)
{
	struct stat held;
	struct stat named;
	int r = random_name(w->name);

	if (r < 0)
		return r;
	if (mkdirat(w->s->tmp_fd, w->name, 0700) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	w->fd = openat(w->s->tmp_fd, w->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(w->fd, LOCK_EX | LOCK_NB) == 0 && fstat(w->fd, &held) == 0 &&
		fstatat(w->s->tmp_fd, w->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		held.st_ino == named.st_ino)
		return 0;
	w->fd = fd_close(w->fd);
	return -EAGAIN;
}

int work_begin(struct store *s, struct store_work **ret, struct msb_err *err)
{
	struct store_work *w = malloc(sizeof(*w));
	int r = -EAGAIN;

	if (!w)
		return msb_err_errno(err, -ENOMEM, "cannot write to the image store");
	*w = (struct store_work){.s = s, .fd = -EBADF};
	for (int tries = 0; tries < 100 && r == -EAGAIN; tries++)
		r = work_try(w);
	if (r < 0) {
		free(w);
		return msb_err_errno(err, r, "cannot write to the image store");
	}
	*ret = w;
	return 0;
}

struct store_work *store_work_free(struct store_work *w)
{
	if (!w)
		return NULL;
	if (w->fd >= 0)
		(void)remove_work(w->s->tmp_fd, w->name, w->fd, NULL);
	fd_close(w->fd);
	free(w);
	return NULL;
}

int work_file(struct store_work *w, const char *name, int *ret_fd, struct msb_err *err)
{
	int fd = openat(w->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot write to the image store");
	*ret_fd = fd;
	return 0;
}

int store_spool(struct store *s, struct msb_err *err)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	int fd = openat(s->tmp_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int r;

	if (fd >= 0)
		return fd;
	/* A file system without unnamed files: one whose directory goes at once. */
	r = work_begin(s, &w, err);
	if (r == 0 && w)
		r = work_file(w, "spool", &fd, err);
	return r < 0 ? r : fd;
}

int work_put(struct store_work *w, const char *name, const void *p, size_t n, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	int r = work_file(w, name, &fd, err);

	if (r < 0)
		return r;
	r = io_write_full(fd, p, n);
	return r < 0 ? msb_err_errno(err, r, "cannot write to the image store") : 0;
}

static int sync_files(int fd)
{
	cleanup_with(dir_close_p) DIR *d = dir_at(fd, ".");
	const struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		cleanup_fd int file = -EBADF;

		if (e->d_name[0] == '.')
			continue;
		file = openat(fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (file < 0 || fsync(file) < 0)
			return -errno;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int work_publish(struct store_work *w, int to_fd, const char *hex, struct msb_err *err)
{
	int r = sync_files(w->fd);

	if (r < 0)
		return msb_err_errno(err, r, "cannot write to the image store");
	/* rename() replaces an empty directory only, and ours are never empty: the first one stays.
	 */
	if (renameat(w->s->tmp_fd, w->name, to_fd, hex) < 0) {
		if (errno != EEXIST && errno != ENOTEMPTY)
			return msb_err_errno(err, -errno, "cannot publish in the image store");
		return 0;
	}
	w->fd = fd_close(w->fd);
	if (fsync(to_fd) < 0)
		return msb_err_errno(err, -errno, "cannot publish in the image store");
	return 0;
}

int store_remove(
	struct store *s, int from_fd, const char *name, uint64_t *bytes, struct msb_err *err)
{
	cleanup_fd int fd = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char gone[WORK_NAME + 1];
	int r = fd < 0 ? -errno : random_name(gone);

	if (r == 0 && renameat(from_fd, name, s->tmp_fd, gone) < 0)
		r = -errno;
	if (r == 0)
		r = remove_work(s->tmp_fd, gone, fd, bytes);
	return r < 0 ? msb_err_errno(err, r, "cannot remove from the image store") : 0;
}

int store_each_hex(int dir_fd, int (*fn)(void *arg, const char *digest), void *arg)
{
	cleanup_with(dir_close_p) DIR *d = dir_at(dir_fd, ".");
	const struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		char digest[REF_DIGEST_LEN + 1 + 256];
		int r;

		(void)snprintf(digest, sizeof(digest), "sha256:%s", e->d_name);
		if (!image_digest_check(digest))
			continue;
		r = fn(arg, digest);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_part_open(struct store *s, const char *digest, uint64_t *ret_size)
{
	cleanup_fd int fd = -EBADF;
	char name[STORE_HEX + 8];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s.part", digest_hex(digest));
	fd = openat(s->parts_fd, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Finished and removed by another process between our open and our lock. */
	if (st.st_nlink == 0)
		return -EBUSY;
	*ret_size = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

void store_part_remove(struct store *s, const char *digest)
{
	char name[STORE_HEX + 8];

	(void)snprintf(name, sizeof(name), "%s.part", digest_hex(digest));
	(void)unlinkat(s->parts_fd, name, 0);
}
