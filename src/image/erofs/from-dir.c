/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS image of a directory tree on the host: see erofs_write_dir() in erofs.h.
 *
 * The tree may change while it is read, and may belong to somebody else: every component is opened
 * relative to its parent without following links, what was opened is asked for its type again, and
 * a file that shrinks reads as zeroes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/io.h"
#include "base/str.h"

#include "image/erofs/erofs.h"

enum { COPY_CHUNK = 256 * 1024, LINK_BUCKETS = 4096 };

/* A file with several names, to recognise it at the next one. */
struct seen {
	dev_t dev;
	ino_t ino;
	struct erofs_node *node;
	struct seen *next;
};

struct walk {
	struct erofs_builder *b;
	const struct erofs_opts *opts;
	struct msb_err *err;
	dev_t dev;
	uint8_t *chunk;
	struct seen *links[LINK_BUCKETS];
};

static DIR *dir_close(DIR *d)
{
	if (d)
		closedir(d);
	return NULL;
}
DEFINE_CLEANUP(DIR *, dir_close);

static struct erofs_attr attr_of(const struct walk *w, const struct stat *st)
{
	bool root = w->opts->root_owned;

	return (struct erofs_attr){
		.mode = st->st_mode,
		.uid = root ? 0 : st->st_uid,
		.gid = root ? 0 : st->st_gid,
		.rdev_major = major(st->st_rdev),
		.rdev_minor = minor(st->st_rdev),
		.mtime_s = w->opts->fixed_mtime ? w->opts->mtime_s : st->st_mtim.tv_sec,
		.mtime_ns = w->opts->fixed_mtime ? 0 : (uint32_t)st->st_mtim.tv_nsec,
	};
}

static struct erofs_node *link_find(const struct walk *w, const struct stat *st)
{
	for (struct seen *s = w->links[st->st_ino % LINK_BUCKETS]; s; s = s->next) {
		if (s->ino == st->st_ino && s->dev == st->st_dev)
			return s->node;
	}
	return NULL;
}

static int link_remember(struct walk *w, const struct stat *st, struct erofs_node *node)
{
	struct seen *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct seen){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.node = node,
		.next = w->links[st->st_ino % LINK_BUCKETS],
	};
	w->links[st->st_ino % LINK_BUCKETS] = s;
	return 0;
}

static void links_free(struct walk *w)
{
	for (size_t i = 0; i < LINK_BUCKETS; i++) {
		while (w->links[i]) {
			struct seen *next = w->links[i]->next;

			free(w->links[i]);
			w->links[i] = next;
		}
	}
}

/* Copies [@at, @end) of the file; a short file leaves the rest zero. */
static int copy_range(struct walk *w, int fd, off_t at, off_t end)
{
	while (at < end) {
		ssize_t got = pread(fd, w->chunk, MIN((size_t)(end - at), (size_t)COPY_CHUNK), at);
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return erofs_data_skip(w->b, (uint64_t)(end - at));
		r = erofs_data(w->b, w->chunk, (size_t)got);
		if (r < 0)
			return r;
		at += got;
	}
	return 0;
}

static int copy_data(struct walk *w, int fd, struct erofs_node *n, off_t size)
{
	off_t at = 0;
	int r = erofs_data_begin(w->b, n, (uint64_t)size);

	while (r == 0 && at < size) {
		off_t data = lseek(fd, at, SEEK_DATA);
		off_t hole;

		if (data < 0 && errno == ENXIO)
			data = size; /* only a hole is left */
		else if (data < 0)
			data = at; /* the file system cannot tell */
		data = MIN(data, size);
		hole = data < size ? lseek(fd, data, SEEK_HOLE) : size;
		if (hole <= data || hole > size)
			hole = size;
		r = erofs_data_skip(w->b, (uint64_t)(data - at));
		if (r == 0)
			r = copy_range(w, fd, data, hole);
		at = hole;
	}
	return r;
}

/* @path is a /proc/self/fd name, so that attributes of the opened object are read and no link is
 * followed. */
static int copy_xattrs(struct walk *w, int fd, struct erofs_node *n)
{
	cleanup_free char *names = NULL;
	cleanup_free uint8_t *value = NULL;
	ssize_t len = flistxattr(fd, NULL, 0);

	(void)w;
	if (len <= 0)
		return 0; /* none, or a file system without them */
	names = malloc((size_t)len);
	value = malloc(65536);
	if (!names || !value)
		return -ENOMEM;
	len = flistxattr(fd, names, (size_t)len);
	for (const char *at = names; len > 0 && at < names + len; at += strlen(at) + 1) {
		ssize_t size = fgetxattr(fd, at, value, 65535);
		int r;

		if (size < 0)
			continue; /* gone, or not ours to read */
		r = erofs_xattr(n, at, value, (size_t)size);
		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	return 0;
}

static int add_symlink(int dir_fd, const char *name, struct erofs_node *n)
{
	char target[4097];
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target) - 1);

	if (len < 0)
		return -errno;
	target[len] = '\0';
	return erofs_symlink_target(n, target);
}

static int add_file(struct walk *w, int dir_fd, const char *name, struct erofs_node *n)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EAGAIN; /* replaced while we looked */
	r = copy_data(w, fd, n, st.st_size);
	return r < 0 ? r : copy_xattrs(w, fd, n);
}

static int walk_dir(struct walk *w, int fd, struct erofs_node *node, unsigned int depth);

static int add_dir(
	struct walk *w, int dir_fd, const char *name, struct erofs_node *n, unsigned int depth)
{
	cleanup_fd int fd =
		openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != w->dev)
		return 0;
	r = copy_xattrs(w, fd, n);
	return r < 0 ? r : walk_dir(w, fd, n, depth + 1);
}

static int add_entry(
	struct walk *w, int dir_fd, const char *name, struct erofs_node *parent, unsigned int depth)
{
	struct erofs_attr attr;
	struct erofs_node *n;
	struct stat st;
	int r;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno; /* removed since it was listed */
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		n = link_find(w, &st);
		if (n)
			return erofs_link(w->b, parent, name, n);
	}
	attr = attr_of(w, &st);
	r = erofs_add(w->b, parent, name, &attr, &n);
	if (r == 0 && !S_ISDIR(st.st_mode) && st.st_nlink > 1)
		r = link_remember(w, &st, n);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return add_dir(w, dir_fd, name, n, depth);
	if (S_ISLNK(st.st_mode))
		return add_symlink(dir_fd, name, n);
	return S_ISREG(st.st_mode) ? add_file(w, dir_fd, name, n) : 0;
}

static int walk_dir(struct walk *w, int fd, struct erofs_node *node, unsigned int depth)
{
	cleanup_with(dir_close_p) DIR *d = NULL;
	int dup_fd;

	if (depth > EROFS_DEPTH_MAX)
		return msb_err_set(w->err, -ELOOP, MSB_LIMIT, "directories nest deeper than %d",
			EROFS_DEPTH_MAX);
	dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (dup_fd < 0)
		return -errno;
	d = fdopendir(dup_fd);
	if (!d) {
		fd_close(dup_fd);
		return -errno;
	}
	for (;;) {
		const struct dirent *e;
		int r;

		errno = 0;
		e = readdir(d);
		if (!e)
			return -errno;
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		r = add_entry(w, fd, e->d_name, node, depth);
		if (r < 0) {
			char quoted[100];

			str_quote(quoted, sizeof(quoted), e->d_name, strlen(e->d_name));
			if (w->err && w->err->msg[0])
				return r;
			return msb_err_errno(w->err, r, "cannot read %s", quoted);
		}
	}
}

int erofs_write_dir(int dir_fd, int out_fd, const struct erofs_opts *opts, struct msb_err *err)
{
	cleanup_with(erofs_builder_free_p) struct erofs_builder *b = NULL;
	cleanup_free struct walk *w = calloc(1, sizeof(*w));
	cleanup_free uint8_t *chunk = malloc(COPY_CHUNK);
	struct erofs_attr attr;
	struct stat st;
	int r;

	if (err)
		err->msg[0] = '\0';
	if (!w || !chunk)
		return msb_err_errno(err, -ENOMEM, "cannot build a file system image");
	r = erofs_builder_new(out_fd, opts, &b);
	if (r < 0)
		return msb_err_errno(err, r, "cannot build a file system image");
	if (fstat(dir_fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot read the directory");
	*w = (struct walk){.b = b, .opts = opts, .err = err, .dev = st.st_dev, .chunk = chunk};
	attr = attr_of(w, &st);
	erofs_set_attr(erofs_root(b), &attr);
	r = copy_xattrs(w, dir_fd, erofs_root(b));
	if (r == 0)
		r = walk_dir(w, dir_fd, erofs_root(b), 0);
	links_free(w);
	if (r < 0)
		return err && err->msg[0] ? r : msb_err_errno(err, r, "cannot read the directory");
	return erofs_finish(b, err);
}
