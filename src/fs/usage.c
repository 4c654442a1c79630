/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many bytes a volume holds: see usage.h.
 *
 * A guest has made the tree. It may be as deep as it likes, so the walk has one directory open: it
 * goes down by name and up by "..", which must be the directory that it came from. Whoever renames
 * directories of a volume meanwhile gets -ESTALE.
 */
#include "fs/usage.h"

#include <sys/file.h>
#include <sys/mman.h>

#include "fs/internal.h"

struct level {
	uint64_t dev;
	uint64_t ino;
	int64_t at; /* where to go on reading */
};

struct walk {
	int fd; /* of the directory being read */
	struct level *levels; /* the last one is that */
	size_t depth;
	size_t room;
	uint64_t bytes;
	uint8_t buf[8192] __attribute__((aligned(8)));
};

/* As getdents64() returns it. */
struct entry {
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int push(struct walk *w, int fd)
{
	struct statx sx;
	int r = sys_statx(fd, &sx);

	if (r < 0)
		return r;
	if (w->depth == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		struct level *more = reallocarray(w->levels, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->levels = more;
		w->room = room;
	}
	w->levels[w->depth++] = (struct level){.dev = statx_dev(&sx), .ino = sx.stx_ino};
	fd_close(w->fd);
	w->fd = fd;
	return 0;
}

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Down into @name. */
static int descend(struct walk *w, const char *name)
{
	int fd = open_dir(w->fd, name);
	int r = fd < 0 ? fd : push(w, fd);

	if (r < 0)
		fd_close(fd);
	return r;
}

/* Back up; the walk is over when nothing is above. */
static int ascend(struct walk *w)
{
	cleanup_fd int fd = -EBADF;
	struct statx sx;
	const struct level *l;
	int r;

	if (--w->depth == 0)
		return 0;
	l = &w->levels[w->depth - 1];
	fd = open_dir(w->fd, "..");
	r = fd < 0 ? fd : sys_statx(fd, &sx);
	if (r < 0)
		return r;
	if (l->dev != statx_dev(&sx) || l->ino != sx.stx_ino)
		return -ESTALE;
	if (lseek(fd, (off_t)l->at, SEEK_SET) < 0)
		return -errno;
	fd_close(w->fd);
	w->fd = TAKE_FD(fd);
	return 0;
}

/* A file with several names counts once: each of them brings its part. */
static int count(struct walk *w, const char *name, bool *ret_dir)
{
	cleanup_fd int fd = sys_open_child(w->fd, name);
	struct statx sx;
	int r = fd < 0 ? fd : sys_statx(fd, &sx);

	*ret_dir = false;
	/* Removed meanwhile. */
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret_dir = S_ISDIR(sx.stx_mode);
	w->bytes += QUOTA_INODE;
	if (S_ISREG(sx.stx_mode))
		w->bytes += sx.stx_size / MAX(sx.stx_nlink, 1u);
	return 0;
}

/* Entries of the directory up to the next one to go down into. Return: 1 there is more to read. */
static int step(struct walk *w)
{
	ssize_t n = sys_getdents(w->fd, w->buf, sizeof(w->buf));
	const struct entry *e;

	if (n <= 0)
		return (int)n;
	for (ssize_t at = 0; at < n; at += e->len) {
		bool dir;
		int r;

		e = (const void *)(w->buf + at);
		if (streq(e->name, ".") || streq(e->name, ".."))
			continue;
		r = count(w, e->name, &dir);
		if (r < 0)
			return r;
		if (!dir)
			continue;
		w->levels[w->depth - 1].at = e->next;
		r = descend(w, e->name);
		/* What its owner may not read holds nothing that the owner has not put there. */
		if (r == -EACCES || r == -ENOENT)
			continue;
		return r < 0 ? r : 1;
	}
	return 1;
}

int fs_usage_count(int dir_fd, uint64_t *ret)
{
	struct walk *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->fd = -EBADF;
	r = open_dir(dir_fd, ".");
	if (r >= 0) {
		int fd = r;

		r = push(w, fd);
		if (r < 0)
			fd_close(fd);
	}
	while (r >= 0 && w->depth > 0) {
		r = step(w);
		if (r == 0)
			r = ascend(w);
	}
	*ret = w->bytes;
	fd_close(w->fd);
	free(w->levels);
	free(w);
	return r < 0 ? r : 0;
}

static int lock(int fd, int how)
{
	int r;

	do {
		r = flock(fd, how) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r;
}

int fs_usage_attach(int fd, int dir_fd, int64_t **ret)
{
	struct statx sx;
	uint64_t bytes = 0;
	void *p;
	int r = sys_statx(fd, &sx);

	if (r < 0)
		return r;
	if (!S_ISREG(sx.stx_mode) || sx.stx_size != FS_USAGE_SIZE)
		return -EINVAL;
	p = mmap(NULL, FS_USAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r = lock(fd, LOCK_EX | LOCK_NB);
	if (r == 0) {
		r = fs_usage_count(dir_fd, &bytes);
		__atomic_store_n(
			(int64_t *)p, (int64_t)MIN(bytes, (uint64_t)INT64_MAX), __ATOMIC_RELAXED);
	} else if (r == -EWOULDBLOCK) {
		r = 0;
	}
	/* Between the two locks somebody else may count again: nothing has changed yet. */
	if (r == 0)
		r = lock(fd, LOCK_SH);
	if (r < 0) {
		(void)munmap(p, FS_USAGE_SIZE);
		return r;
	}
	*ret = p;
	return 0;
}
