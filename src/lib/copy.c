/* SPDX-License-Identifier: Apache-2.0 */
/* Copying trees between the host and a sandbox: see copy.h. */
#include "lib/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "proto/wire.h"

enum { MODE_BITS = 0777, TMP_NAME = 32 };

static const char *quoted(const char *s, char to[200])
{
	return str_quote(to, 200, s, strlen(s));
}

void copy_skip(struct copy *c, const char *path, const char *name, const char *why)
{
	char full[LIMIT_PATH + 300];
	char q[200];

	(void)snprintf(full, sizeof(full), "%s/%s", path, name);
	if (c->skip)
		c->skip(c->skip_arg, quoted(full, q), why);
	c->skipped++;
}

bool copy_name_check(const char *name)
{
	return name[0] && strlen(name) <= NAME_MAX && !strchr(name, '/') && !streq(name, ".") &&
	       !streq(name, "..");
}

static const char *next_part(const char *at)
{
	at += strcspn(at, "/");
	return at + strspn(at, "/");
}

static bool is_part(const char *at, const char *part)
{
	return strcspn(at, "/") == strlen(part) && str_starts(at, part);
}

/* Skips what climbs at the head of a relative target; -EXDEV when it is more than @depth. */
static int climb(const char **at, unsigned int depth, unsigned int *ret_up)
{
	unsigned int up = 0;

	while (is_part(*at, "..") || is_part(*at, ".")) {
		up += is_part(*at, "..");
		*at = next_part(*at);
	}
	*ret_up = up;
	return up > depth ? -EXDEV : 0;
}

int copy_link_target(const char *target, unsigned int depth, char *to, size_t size)
{
	const char *at = target + strspn(target, "/");
	unsigned int up = depth;
	size_t used = 0;

	if (!target[0] || (target[0] != '/' && climb(&at, depth, &up) < 0))
		return -EXDEV;
	for (const char *p = at; *p; p = next_part(p)) {
		if (is_part(p, ".."))
			return -EXDEV;
	}
	for (unsigned int i = 0; i < up; i++)
		used += (size_t)snprintf(to + used, size - used, "../");
	if (!*at && used == 0)
		at = ".";
	return str_copy(to + used, size - used, at) < 0 ? -EXDEV : 0;
}

int copy_join(char to[LIMIT_PATH], const char *dir, const char *name)
{
	size_t len = strlen(dir);
	int n = snprintf(
		to, LIMIT_PATH, "%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);

	return n < 0 || (size_t)n >= LIMIT_PATH ? -ENAMETOOLONG : 0;
}

/* One more entry. */
static int copy_count(struct copy *c, struct msb_err *err)
{
	if (++c->entries <= COPY_ENTRIES_MAX)
		return 0;
	return msb_err_set(
		err, -E2BIG, MSB_LIMIT, "there are more than %d files", COPY_ENTRIES_MAX);
}

static uint64_t since_1970(int64_t s, uint64_t ns)
{
	return s < 0 || s > INT64_MAX / (int64_t)NSEC_PER_SEC
		       ? 0
		       : (uint64_t)s * NSEC_PER_SEC + MIN(ns, NSEC_PER_SEC - 1);
}

struct guest_attr copy_host_attr(const struct copy *c, const struct stat *st)
{
	return (struct guest_attr){.mode = st->st_mode & MODE_BITS,
		.exact = true,
		.mtime_ns = since_1970(st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec),
		.owner = c->archive,
		.uid = st->st_uid,
		.gid = st->st_gid};
}

struct guest_attr copy_guest_attr(const struct copy *c, const struct msg_stat *st)
{
	return (struct guest_attr){.mode = st->mode & MODE_BITS,
		.exact = true,
		.mtime_ns = since_1970(st->mtime_s, st->mtime_ns),
		.owner = c->archive,
		.uid = st->uid,
		.gid = st->gid};
}

int copy_out_attr(const struct copy *c, int fd, const struct msg_stat *st)
{
	uint64_t ns = since_1970(st->mtime_s, st->mtime_ns);
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)}};

	if (c->archive && fchown(fd, st->uid, st->gid) < 0)
		return -errno;
	/* Whatever the umask is. */
	return fchmod(fd, st->mode & MODE_BITS) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

int copy_error(struct msb_err *err, int r, const char *what, const char *path)
{
	char q[200];

	quoted(path, q);
	switch (r) {
	case -EBADMSG:
		return msb_err_set(err, r, MSB_FAIL,
			"%s %s: what arrived is not what was sent (another checksum)", what, q);
	case -EPROTO:
		return msb_err_hint(err,
			msb_err_set(err, r, MSB_FAIL,
				"%s %s: the sandbox was started by an older msb, which knows no "
				"checksums",
				what, q),
			"restart the sandbox");
	default:
		return msb_err_errno(err, r, "%s %s", what, q);
	}
}

int copy_sink_write(void *sink, const void *p, size_t n)
{
	struct copy_sink *s = sink;

	/* It has grown since it was looked at, or the guest never stops. */
	if (n > s->left)
		return -EFBIG;
	s->left -= n;
	return io_write_full(s->fd, p, n);
}

int copy_out_file(struct copy *c, const char *path, const struct msg_stat *st, int dir_fd,
	const char *name, struct msb_err *err)
{
	struct copy_sink sink = {.fd = -EBADF, .left = st->size};
	cleanup_fd int fd = -EBADF;
	char tmp[TMP_NAME];
	char q[200];
	uint64_t rnd;
	int r;

	if (c->resume)
		return copy_resume_out(c, path, st, dir_fd, name, err);
	if (getrandom(&rnd, sizeof(rnd), 0) != (ssize_t)sizeof(rnd))
		return msb_err_errno(err, -errno, "temporary name");
	(void)snprintf(tmp, sizeof(tmp), ".msb-cp-%016" PRIx64, rnd);
	fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot make %s", quoted(name, q));
	sink.fd = fd;
	r = guest_fs_read(c->guest, path, copy_sink_write, &sink);
	if (r == 0)
		r = copy_out_attr(c, fd, st);
	if (r == 0 && renameat(dir_fd, tmp, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir_fd, tmp, 0);
		return copy_error(err, r, "copy of", path);
	}
	return 0;
}

/* There is no operation for one link; its directory is listed with targets. */
int copy_read_link(struct copy *c, const char *path, char target[LIMIT_PATH], struct msb_err *err)
{
	const char *name = strrchr(path, '/');
	char dir[LIMIT_PATH];
	struct msg_dirent e;
	struct wire_in in;
	struct buf list;
	char q[200];
	int n = name ? snprintf(dir, sizeof(dir), "%.*s/.", (int)(name - path), path) : -1;
	bool found = false;
	int r;

	if (n < 0 || (size_t)n >= sizeof(dir))
		return msb_err_errno(err, -ENAMETOOLONG, "link %s", quoted(path, q));
	buf_init(&list, GUEST_LIST_MAX);
	r = guest_fs_list(c->guest, dir, &list);
	wire_in_init(&in, buf_data(&list), buf_len(&list));
	while (r == 0 && !found && in.at < in.end) {
		r = msg_get_dirent(&in, &e);
		found = r == 0 && streq(e.name, name + 1) && S_ISLNK(e.st.mode);
	}
	if (r == 0)
		r = found ? str_copy(target, LIMIT_PATH, e.target) : -ENOENT;
	buf_deinit(&list);
	return r < 0 ? msb_err_errno(err, r, "link %s", quoted(path, q)) : 0;
}

int copy_make_link(const char *target, int dir_fd, const char *name, struct msb_err *err)
{
	struct stat st;
	char q[200];

	if (symlinkat(target, dir_fd, name) == 0)
		return 0;
	/* One link takes the place of another, of nothing else. */
	if (errno == EEXIST && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(st.st_mode) && unlinkat(dir_fd, name, 0) == 0 &&
		symlinkat(target, dir_fd, name) == 0)
		return 0;
	return msb_err_errno(err, -errno, "link %s", quoted(name, q));
}

static int out_link(struct copy *c, const char *path, const struct msg_dirent *e, int dir_fd,
	unsigned int depth, struct msb_err *err)
{
	char target[LIMIT_PATH];

	if (copy_link_target(e->target, depth, target, sizeof(target)) < 0) {
		copy_skip(c, path, e->name, "the link leads out of the tree");
		return 0;
	}
	return copy_make_link(target, dir_fd, e->name, err);
}

static int walk_entry(struct copy *c, const char *dir, const struct msg_dirent *e,
	unsigned int depth, copy_entry_fn *fn, void *arg, struct msb_err *err)
{
	char path[LIMIT_PATH];
	const struct copy_entry entry = {.dir = dir, .path = path, .e = e, .depth = depth};
	int r = copy_count(c, err);

	if (r < 0)
		return r;
	if (!copy_name_check(e->name) || copy_join(path, dir, e->name) < 0) {
		copy_skip(c, dir, e->name, "not a name");
		return 0;
	}
	return fn(c, &entry, arg, err);
}

int copy_walk(struct copy *c, const char *dir, const char *of, unsigned int depth,
	copy_entry_fn *fn, void *arg, struct msb_err *err)
{
	struct msg_dirent e;
	struct wire_in in;
	struct buf list;
	char q[200];
	int r;

	if (depth > COPY_DEPTH_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"directories are nested more than %d deep", COPY_DEPTH_MAX);
	buf_init(&list, GUEST_LIST_MAX);
	r = guest_fs_list(c->guest, dir, &list);
	if (r < 0)
		(void)msb_err_errno(err, r, "directory %s%s", quoted(dir, q), of);
	wire_in_init(&in, buf_data(&list), buf_len(&list));
	while (r == 0 && in.at < in.end) {
		r = msg_get_dirent(&in, &e);
		if (r < 0)
			(void)msb_err_errno(err, r, "directory %s%s", quoted(dir, q), of);
		else
			r = walk_entry(c, dir, &e, depth, fn, arg, err);
	}
	buf_deinit(&list);
	return r;
}

static int out_tree(
	struct copy *c, const char *path, int dir_fd, unsigned int depth, struct msb_err *err);

static int out_dir(struct copy *c, const struct copy_entry *entry, int dir_fd, struct msb_err *err)
{
	const char *name = entry->e->name;
	cleanup_fd int fd = -EBADF;
	char q[200];
	int r;

	if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
		return msb_err_errno(err, -errno, "directory %s", quoted(name, q));
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return msb_err_errno(err, -errno, "directory %s", quoted(name, q));
	r = out_tree(c, entry->path, fd, entry->depth + 1, err);
	/* Last: it may forbid us to write. */
	if (r == 0) {
		r = copy_out_attr(c, fd, &entry->e->st);
		if (r < 0)
			(void)msb_err_errno(err, r, "directory %s", quoted(name, q));
	}
	return r;
}

static int out_entry(struct copy *c, const struct copy_entry *entry, void *arg, struct msb_err *err)
{
	const struct msg_dirent *e = entry->e;
	int dir_fd = *(const int *)arg;

	if (S_ISDIR(e->st.mode))
		return out_dir(c, entry, dir_fd, err);
	if (S_ISLNK(e->st.mode))
		return out_link(c, entry->dir, e, dir_fd, entry->depth, err);
	if (S_ISREG(e->st.mode))
		return copy_out_file(c, entry->path, &e->st, dir_fd, e->name, err);
	copy_skip(c, entry->dir, e->name, "neither a file nor a directory nor a link");
	return 0;
}

static int out_tree(
	struct copy *c, const char *path, int dir_fd, unsigned int depth, struct msb_err *err)
{
	return copy_walk(c, path, " of the sandbox", depth, out_entry, &dir_fd, err);
}

int copy_out_tree(struct copy *c, const char *path, int dir_fd, struct msb_err *err)
{
	return out_tree(c, path, dir_fd, 0, err);
}

ssize_t copy_source_read(void *arg, void *p, size_t n)
{
	int fd = *(int *)arg;
	ssize_t got;

	do {
		got = read(fd, p, n);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

int copy_in_file(struct copy *c, int fd, const struct guest_attr *attr, const char *path,
	struct msb_err *err)
{
	struct guest_attr whole = *attr;
	int r;

	if (c->resume)
		return copy_resume_in(c, fd, attr, path, err);
	whole.whole = true;
	r = guest_fs_write(c->guest, path, &whole, copy_source_read, &fd);
	if (r == -EBADMSG)
		(void)!guest_fs_unlink(c->guest, path);
	return r < 0 ? copy_error(err, r, "copy to", path) : 0;
}

static int in_tree(
	struct copy *c, int dir_fd, const char *path, unsigned int depth, struct msb_err *err);

static int in_link(
	struct copy *c, int dir_fd, const char *name, const char *path, struct msb_err *err)
{
	char target[LIMIT_PATH];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
	char q[200];
	int r;

	if (n < 0)
		return msb_err_errno(err, -errno, "link %s", quoted(name, q));
	target[n] = '\0';
	r = guest_fs_symlink(c->guest, path, target);
	return r < 0 ? msb_err_errno(err, r, "%s in the sandbox", quoted(path, q)) : 0;
}

static int in_entry(struct copy *c, int dir_fd, const char *name, const char *dir,
	unsigned int depth, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	struct guest_attr attr;
	char path[LIMIT_PATH];
	struct stat st;
	char q[200];
	int r = copy_count(c, err);

	if (r == 0)
		r = copy_join(path, dir, name);
	if (r < 0)
		return msb_err_errno(err, r, "%s", quoted(name, q));
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return msb_err_errno(err, -errno, "%s", quoted(name, q));
	if (S_ISLNK(st.st_mode))
		return in_link(c, dir_fd, name, path, err);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		copy_skip(c, dir, name, "neither a file nor a directory nor a link");
		return 0;
	}
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return msb_err_errno(err, -errno, "%s", quoted(name, q));
	attr = copy_host_attr(c, &st);
	if (S_ISREG(st.st_mode))
		return copy_in_file(c, fd, &attr, path, err);
	r = guest_fs_mkdir(c->guest, path, attr.mode);
	if (r < 0)
		return msb_err_errno(err, r, "%s in the sandbox", quoted(path, q));
	r = in_tree(c, fd, path, depth + 1, err);
	if (r < 0)
		return r;
	r = guest_fs_setattr(c->guest, path, &attr);
	return r < 0 ? msb_err_errno(err, r, "%s in the sandbox", quoted(path, q)) : 0;
}

static int in_tree(
	struct copy *c, int dir_fd, const char *path, unsigned int depth, struct msb_err *err)
{
	cleanup_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (depth > COPY_DEPTH_MAX)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"directories are nested more than %d deep", COPY_DEPTH_MAX);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return msb_err_errno(err, -errno, "reading a directory");
	(void)TAKE_FD(fd);
	while (r == 0 && (e = readdir(d))) {
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = in_entry(c, dir_fd, e->d_name, path, depth, err);
	}
	closedir(d);
	return r;
}

int copy_in_tree(struct copy *c, int dir_fd, const char *path, struct msb_err *err)
{
	return in_tree(c, dir_fd, path, 0, err);
}
