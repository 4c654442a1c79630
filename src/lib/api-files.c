/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: files of running sandboxes. */
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

#include "base/str.h"

#include "lib/api.h"
#include "lib/copy.h"
#include "lib/guest-fs.h"
#include "msb/files.h"
#include "proto/wire.h"

struct msb_files {
	struct guest_fs guest;
};

static int open_files(const struct reach *how, struct msb_files **ret, struct msb_error *error)
{
	struct msb_files *f = calloc(1, sizeof(*f));
	struct msb_err err = {0};
	int r = f ? guest_fs_open(&f->guest, how, &err) : -ENOMEM;

	*ret = NULL;
	if (r < 0) {
		free(f);
		return api_fail(error, &err, r);
	}
	*ret = f;
	return 0;
}

int msb_files_open(struct msb *m, const char *name, struct msb_files **ret, struct msb_error *error)
{
	const struct reach how = {.home = m->home, .name = name};

	return open_files(&how, ret, error);
}

int msb_files_start(
	struct msb *m, const char *name, struct msb_files **ret, struct msb_error *error)
{
	struct msb_err err = {0};
	const struct reach how = {.home = m->home,
		.lib_dir = api_lib_dir(m, &err),
		.name = name,
		.log_level = m->log_level,
		.orphan = true,
		.files_only = true};

	*ret = NULL;
	return how.lib_dir ? open_files(&how, ret, error) : api_fail(error, &err, -ENOENT);
}

int msb_files_end(struct msb_files *f, struct msb_error *error)
{
	struct msb_err err = {0};
	int r = guest_fs_close(&f->guest, &err);

	free(f);
	return api_result(error, &err, r);
}

struct msb_files *msb_files_close(struct msb_files *f)
{
	if (f)
		(void)msb_files_end(f, NULL);
	return NULL;
}

static int check_path(const char *path, struct msb_err *err)
{
	return path[0] == '/' ? 0 : msb_err_usage(err, "a path in a sandbox begins with /");
}

/* The guest's own errors come without a message, and the connection's end is the better reason. */
static int fail(
	struct msb_files *f, const char *path, int r, struct msb_err *err, struct msb_error *error)
{
	char q[200];

	if (r >= 0)
		return r;
	if (r == -ENOTCONN && f->guest.over)
		*err = f->guest.lost;
	else if (!err->msg[0])
		(void)msb_err_errno(err, r, "%s", str_quote(q, sizeof(q), path, strlen(path)));
	return api_fail(error, err, r);
}

static void put_stat(struct msb_stat *to, const struct msg_stat *st)
{
	const struct msb_stat x = {
		.size = to->size,
		.mode = st->mode,
		.uid = st->uid,
		.gid = st->gid,
		.nlink = st->nlink,
		.bytes = st->size,
		.mtime_s = st->mtime_s,
		.mtime_ns = st->mtime_ns,
	};

	memcpy(to, &x, MIN(to->size, sizeof(x)));
}

int msb_files_stat(struct msb_files *f, const char *path, int follow, struct msb_stat *ret,
	struct msb_error *error)
{
	struct msb_err err = {0};
	struct msg_stat st = {.mode = 0};
	int r = check_path(path, &err);

	if (r == 0)
		r = guest_fs_stat(&f->guest, path, follow != 0, &st);
	if (r == 0)
		put_stat(ret, &st);
	return fail(f, path, r, &err, error);
}

int msb_files_list(struct msb_files *f, const char *path,
	int (*fn)(void *arg, const char *name, const struct msb_stat *st, const char *target),
	void *arg, struct msb_error *error)
{
	struct msb_err err = {0};
	struct wire_in in;
	struct buf list;
	int r = check_path(path, &err);

	buf_init(&list, GUEST_LIST_MAX);
	if (r == 0)
		r = guest_fs_list(&f->guest, path, &list);
	wire_in_init(&in, buf_data(&list), buf_len(&list));
	while (r == 0 && in.at < in.end) {
		struct msb_stat st = MSB_STAT_INIT;
		struct msg_dirent e;

		r = msg_get_dirent(&in, &e);
		if (r < 0)
			break;
		/* No name at all, or a path. */
		if (!copy_name_check(e.name))
			continue;
		put_stat(&st, &e.st);
		r = fn(arg, e.name, &st, e.target);
		if (r != 0) {
			buf_deinit(&list);
			return r;
		}
	}
	buf_deinit(&list);
	return fail(f, path, r, &err, error);
}

int msb_files_read(struct msb_files *f, const char *path, uint64_t offset, uint64_t length,
	int (*fn)(void *arg, const void *data, size_t n), void *arg, struct msb_error *error)
{
	struct msb_err err = {0};
	int r = check_path(path, &err);

	if (r == 0)
		r = guest_fs_read_range(&f->guest, path, offset, length, fn, arg);
	return fail(f, path, r, &err, error);
}

static int keep(void *arg, const void *data, size_t n)
{
	int r = buf_append(arg, data, n);

	return r == -ENOBUFS ? -E2BIG : r;
}

int msb_files_get(struct msb_files *f, const char *path, size_t max, void **ret, size_t *ret_len,
	struct msb_error *error)
{
	struct msb_err err = {0};
	struct buf data;
	char *copy;
	int r;

	*ret = NULL;
	buf_init(&data, MIN(max, (size_t)SSIZE_MAX));
	r = msb_files_read(f, path, 0, UINT64_MAX, keep, &data, error);
	if (r == -E2BIG)
		(void)api_fail(error, &err,
			msb_err_set(&err, r, MSB_LIMIT, "the file has more than %zu bytes", max));
	if (r == 0) {
		copy = malloc(buf_len(&data) + 1);
		if (copy) {
			if (buf_len(&data))
				memcpy(copy, buf_data(&data), buf_len(&data));
			copy[buf_len(&data)] = '\0';
			*ret = copy;
			*ret_len = buf_len(&data);
		} else {
			r = api_fail(error, &err, -ENOMEM);
		}
	}
	buf_deinit(&data);
	return r;
}

int msb_files_write(struct msb_files *f, const char *path, uint32_t mode,
	ssize_t (*fn)(void *arg, void *to, size_t n), void *arg, struct msb_error *error)
{
	const struct guest_attr attr = {.mode = mode & 07777};
	struct msb_err err = {0};
	int r = check_path(path, &err);

	if (r == 0)
		r = guest_fs_write(&f->guest, path, &attr, fn, arg);
	return fail(f, path, r, &err, error);
}

struct bytes {
	const char *at;
	size_t left;
};

static ssize_t give(void *arg, void *to, size_t n)
{
	struct bytes *b = arg;
	size_t part = MIN(n, b->left);

	if (part)
		memcpy(to, b->at, part);
	b->at += part;
	b->left -= part;
	return (ssize_t)part;
}

int msb_files_put(struct msb_files *f, const char *path, uint32_t mode, const void *data, size_t n,
	struct msb_error *error)
{
	struct bytes b = {.at = data, .left = n};

	return msb_files_write(f, path, mode, give, &b, error);
}

int msb_files_mkdir(struct msb_files *f, const char *path, uint32_t mode, struct msb_error *error)
{
	struct msb_err err = {0};
	int r = check_path(path, &err);

	if (r == 0)
		r = guest_fs_mkdir(&f->guest, path, mode & 07777);
	return fail(f, path, r, &err, error);
}

int msb_files_symlink(
	struct msb_files *f, const char *path, const char *target, struct msb_error *error)
{
	struct msb_err err = {0};
	int r = check_path(path, &err);

	if (r == 0)
		r = guest_fs_symlink(&f->guest, path, target);
	return fail(f, path, r, &err, error);
}

int msb_files_remove(struct msb_files *f, const char *path, int tree, struct msb_error *error)
{
	struct msb_err err = {0};
	int r = check_path(path, &err);

	if (r == 0)
		r = tree ? guest_fs_remove(&f->guest, path) : guest_fs_unlink(&f->guest, path);
	return fail(f, path, r, &err, error);
}

int msb_files_rename(
	struct msb_files *f, const char *path, const char *new_path, struct msb_error *error)
{
	struct msb_err err = {0};
	int r = check_path(path, &err);

	if (r == 0)
		r = check_path(new_path, &err);
	if (r == 0)
		r = guest_fs_rename(&f->guest, path, new_path);
	return fail(f, path, r, &err, error);
}

static int host_error(const char *path, int r, struct msb_err *err)
{
	char q[200];

	return msb_err_errno(err, r, "%s", str_quote(q, sizeof(q), path, strlen(path)));
}

int msb_copy_in(struct msb_files *f, const char *host_path, const char *path,
	unsigned int *ret_skipped, struct msb_error *error)
{
	struct copy c = {.guest = &f->guest};
	struct msb_err err = {0};
	struct guest_attr attr;
	cleanup_fd int fd = -EBADF;
	struct stat st;
	int r = check_path(path, &err);

	if (r < 0)
		return api_fail(error, &err, r);
	/* Non-blocking: a FIFO of that name must not hang us. */
	fd = open(host_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return api_fail(error, &err, host_error(host_path, -errno, &err));
	attr = copy_host_attr(&c, &st);
	if (S_ISDIR(st.st_mode)) {
		r = guest_fs_mkdir(&f->guest, path, attr.mode & 07777);
		if (r == 0)
			r = copy_in_tree(&c, fd, path, &err);
		if (r == 0)
			r = guest_fs_setattr(&f->guest, path, &attr);
	} else if (S_ISREG(st.st_mode)) {
		r = copy_in_file(&c, fd, &attr, path, &err);
	} else {
		r = msb_err_usage(&err, "neither a file nor a directory");
	}
	if (ret_skipped)
		*ret_skipped = c.skipped;
	return fail(f, path, r, &err, error);
}

/* The directory that gets it, and its name there. */
static int open_parent(const char *path, char name[NAME_MAX + 1], struct msb_err *err)
{
	cleanup_free char *for_dir = strdup(path);
	cleanup_free char *for_name = strdup(path);
	const char *last = for_name ? basename(for_name) : "";
	int fd;

	if (!for_dir || !for_name)
		return msb_err_errno(err, -ENOMEM, "a path");
	if (!copy_name_check(last) || str_copy(name, NAME_MAX + 1, last) < 0)
		return msb_err_usage(err, "the path on the host names nothing");
	fd = open(dirname(for_dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? host_error(path, -errno, err) : fd;
}

static int out_tree(struct copy *c, const char *path, const struct msg_stat *st, int dir,
	const char *name, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	int r;

	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return host_error(name, -errno, err);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return host_error(name, -errno, err);
	r = copy_out_tree(c, path, fd, err);
	return r < 0 ? r : copy_out_attr(c, fd, st);
}

int msb_copy_out(struct msb_files *f, const char *path, const char *host_path,
	unsigned int *ret_skipped, struct msb_error *error)
{
	struct copy c = {.guest = &f->guest};
	char name[NAME_MAX + 1];
	struct msb_err err = {0};
	cleanup_fd int dir = -EBADF;
	struct msg_stat st = {.mode = 0};
	int r = check_path(path, &err);

	if (r == 0)
		r = guest_fs_stat(&f->guest, path, true, &st);
	if (r < 0)
		return fail(f, path, r, &err, error);
	dir = open_parent(host_path, name, &err);
	if (dir < 0)
		return api_fail(error, &err, dir);
	if (S_ISDIR(st.mode))
		r = out_tree(&c, path, &st, dir, name, &err);
	else if (S_ISREG(st.mode))
		r = copy_out_file(&c, path, &st, dir, name, &err);
	else
		r = msb_err_usage(&err, "neither a file nor a directory");
	if (ret_skipped)
		*ret_skipped = c.skipped;
	return fail(f, path, r, &err, error);
}
