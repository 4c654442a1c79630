/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: copies between the host and sandboxes, by the rules of docker cp. */
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "lib/api.h"
#include "lib/copy.h"
#include "msb/files.h"
#include "sandbox/state.h"

/* One end of the copy. */
struct end {
	char name[LIMIT_SANDBOX_NAME + 1]; /* "": the host */
	char path[LIMIT_PATH];
	bool slash; /* ends with one */
	bool contents; /* ends with /. */
	bool stdio;
	int fd; /* that @stdio means */
};

static int parse_end(const char *word, struct end *e, struct msb_err *err)
{
	const char *colon = strchr(word, ':');
	size_t len;
	int r = 0;

	*e = (struct end){.stdio = streq(word, "-")};
	/* What begins like a path is one, whatever follows. */
	if (colon && word[0] != '/' && word[0] != '.' && word[0] != '~' && colon > word &&
		!memchr(word, '/', (size_t)(colon - word))) {
		len = (size_t)(colon - word);
		if (len >= sizeof(e->name))
			return msb_err_set(
				err, -EINVAL, MSB_USAGE, "the sandbox's name is too long");
		memcpy(e->name, word, len);
		r = sandbox_name_check(e->name, err);
		if (r < 0)
			return r;
		word = colon + 1;
		if (word[0] != '/')
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"a path in a sandbox begins with /: %s:/...", e->name);
	}
	if (!word[0] || str_copy(e->path, sizeof(e->path), word) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "a path is empty or too long");
	len = strlen(e->path);
	e->contents = streq(e->path, ".") || (len >= 2 && streq(e->path + len - 2, "/."));
	e->slash = e->path[len - 1] == '/';
	return 0;
}

/* Last component of @path, "" for the root. */
static void last_part(const char *path, char to[NAME_MAX + 1])
{
	char copy[LIMIT_PATH];
	const char *base = "";

	if (str_copy(copy, sizeof(copy), path) == 0)
		base = basename(copy);
	if (streq(base, "/") || streq(base, ".") || streq(base, "..") ||
		str_copy(to, NAME_MAX + 1, base) < 0)
		to[0] = '\0';
}

static int join_path(char path[LIMIT_PATH], const char *name, struct msb_err *err)
{
	size_t len = strlen(path);
	int n = snprintf(
		path + len, LIMIT_PATH - len, "%s%s", len && path[len - 1] == '/' ? "" : "/", name);

	if (n < 0 || (size_t)n >= LIMIT_PATH - len)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "a path is too long");
	return 0;
}

static int guest_errno(int r, const struct end *e, struct msb_err *err)
{
	char q[200];

	return msb_err_errno(err, r, "%s in sandbox '%s'",
		str_quote(q, sizeof(q), e->path, strlen(e->path)), e->name);
}

/* Is it the link itself that is copied? With a slash behind it is what it points to. */
static bool takes_link(const struct copy *c, const struct end *src)
{
	return !c->follow && !src->slash && !src->contents && !src->stdio;
}

static int link_leads_out(const struct end *src, struct msb_err *err)
{
	char q[200];

	return msb_err_hint(err,
		msb_err_set(err, -EXDEV, MSB_FAIL, "the link %s leads to another directory",
			str_quote(q, sizeof(q), src->path, strlen(src->path))),
		"give --follow-link to copy what it points to");
}

/* Where a file or directory called @base goes in the guest. */
static int guest_target(struct guest_fs *guest, struct end *dst, const char *base, bool dir,
	bool contents, struct msb_err *err)
{
	struct msg_stat st;
	int r = guest_fs_stat(guest, dst->path, true, &st);

	if (r == -ENOENT && dst->slash && !dir)
		return guest_errno(r, dst, err);
	if (r < 0 && r != -ENOENT)
		return guest_errno(r, dst, err);
	if (r == 0 && !S_ISDIR(st.mode) && dir)
		return guest_errno(-ENOTDIR, dst, err);
	if (r == 0 && S_ISDIR(st.mode) && !contents) {
		if (!base[0])
			return msb_err_set(err, -EINVAL, MSB_USAGE, "the source has no name");
		return join_path(dst->path, base, err);
	}
	return 0;
}

static int copy_in_followed(
	struct copy *c, const struct end *src, struct end *dst, struct msb_err *err)
{
	cleanup_fd int fd = src->stdio
				    ? fcntl(src->fd, F_DUPFD_CLOEXEC, 3)
				    : open(src->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char base[NAME_MAX + 1];
	struct guest_attr attr;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "'%.300s'", src->path);
	last_part(src->path, base);
	if (src->stdio) {
		attr = (struct guest_attr){.mode = 0644};
		return copy_in_file(c, fd, &attr, dst->path, err);
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"'%.300s' is neither a file nor a directory", src->path);
	r = guest_target(c->guest, dst, base, S_ISDIR(st.st_mode), src->contents, err);
	if (r < 0)
		return r;
	attr = copy_host_attr(c, &st);
	if (S_ISREG(st.st_mode))
		return copy_in_file(c, fd, &attr, dst->path, err);
	r = guest_fs_mkdir(c->guest, dst->path, attr.mode);
	if (r < 0)
		return guest_errno(r, dst, err);
	r = copy_in_tree(c, fd, dst->path, err);
	if (r < 0 || src->contents)
		return r;
	r = guest_fs_setattr(c->guest, dst->path, &attr);
	return r < 0 ? guest_errno(r, dst, err) : 0;
}

/* 1: it is no link. */
static int copy_in_link(struct copy *c, const struct end *src, struct end *dst, struct msb_err *err)
{
	char target[LIMIT_PATH];
	char base[NAME_MAX + 1];
	ssize_t n = readlink(src->path, target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return 1;
	target[n] = '\0';
	last_part(src->path, base);
	r = guest_target(c->guest, dst, base, false, false, err);
	if (r < 0)
		return r;
	r = guest_fs_symlink(c->guest, dst->path, target);
	return r < 0 ? guest_errno(r, dst, err) : 0;
}

static int copy_in(struct copy *c, const struct end *src, struct end *dst, struct msb_err *err)
{
	int linked = takes_link(c, src) ? copy_in_link(c, src, dst, err) : 1;

	return linked == 1 ? copy_in_followed(c, src, dst, err) : linked;
}

static int to_fd(void *arg, const void *p, size_t n)
{
	const struct end *dst = arg;

	return io_write_full(dst->fd, p, n);
}

/* The directory that is written to, and the name in it: "" for the directory itself. */
static int host_target(const struct end *dst, const char *base, bool dir, bool contents,
	int *ret_fd, char ret_name[NAME_MAX + 1], struct msb_err *err)
{
	char copy[LIMIT_PATH];
	struct stat st;
	bool exists = stat(dst->path, &st) == 0;

	if (exists && S_ISDIR(st.st_mode)) {
		*ret_fd = open(dst->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*ret_fd < 0)
			return msb_err_errno(err, -errno, "'%.300s'", dst->path);
		if (!contents && !copy_name_check(base))
			return msb_err_set(err, -EINVAL, MSB_USAGE, "the source has no name");
		return str_copy(ret_name, NAME_MAX + 1, contents ? "" : base);
	}
	if ((exists && dir) || (dst->slash && !dir))
		return msb_err_errno(err, -ENOTDIR, "'%.300s'", dst->path);
	last_part(dst->path, ret_name);
	if (!ret_name[0])
		return msb_err_errno(err, -ENOENT, "'%.300s'", dst->path);
	(void)snprintf(copy, sizeof(copy), "%s", dst->path);
	*ret_fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? msb_err_errno(err, -errno, "'%.300s'", dst->path) : 0;
}

static int out_directory(struct copy *c, const struct end *src, const struct msg_stat *st,
	int parent_fd, const char *name, struct msb_err *err)
{
	cleanup_fd int fd = -EBADF;
	int r;

	if (!name[0])
		return copy_out_tree(c, src->path, parent_fd, err);
	if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST)
		return msb_err_errno(err, -errno, "directory '%s'", name);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return msb_err_errno(err, -errno, "directory '%s'", name);
	r = copy_out_tree(c, src->path, fd, err);
	if (r == 0) {
		r = copy_out_attr(c, fd, st);
		if (r < 0)
			(void)msb_err_errno(err, r, "directory '%s'", name);
	}
	return r;
}

/* A link of a guest: its target on the other side, which is hostile like the guest itself. */
static int guest_link(struct copy *c, const struct end *src, char target[LIMIT_PATH],
	char base[NAME_MAX + 1], struct msb_err *err)
{
	char raw[LIMIT_PATH];
	int r = copy_read_link(c, src->path, raw, err);

	if (r < 0)
		return r;
	last_part(src->path, base);
	/* There is no tree to take an absolute one as inside of. */
	if (raw[0] == '/' || copy_link_target(raw, 0, target, LIMIT_PATH) < 0)
		return link_leads_out(src, err);
	return 0;
}

static int copy_out_link(
	struct copy *c, const struct end *src, const struct end *dst, struct msb_err *err)
{
	cleanup_fd int dir_fd = -EBADF;
	char name[NAME_MAX + 1] = "";
	char target[LIMIT_PATH];
	char base[NAME_MAX + 1];
	int r = guest_link(c, src, target, base, err);

	if (r == 0)
		r = host_target(dst, base, false, false, &dir_fd, name, err);
	return r < 0 ? r : copy_make_link(target, dir_fd, name, err);
}

static int copy_out(
	struct copy *c, const struct end *src, const struct end *dst, struct msb_err *err)
{
	bool link = takes_link(c, src) && !dst->stdio;
	cleanup_fd int dir_fd = -EBADF;
	char name[NAME_MAX + 1] = "";
	char base[NAME_MAX + 1];
	struct msg_stat st;
	int r = guest_fs_stat(c->guest, src->path, !link, &st);

	if (r == 0 && S_ISLNK(st.mode))
		return copy_out_link(c, src, dst, err);
	if (r == 0 && !S_ISDIR(st.mode) && !S_ISREG(st.mode))
		r = -EOPNOTSUPP;
	if (r == 0 && dst->stdio && S_ISDIR(st.mode))
		r = -EISDIR;
	if (r < 0)
		return guest_errno(r, src, err);
	if (dst->stdio) {
		r = guest_fs_read(c->guest, src->path, to_fd, (void *)(uintptr_t)dst);
		return r < 0 ? guest_errno(r, src, err) : 0;
	}
	last_part(src->path, base);
	r = host_target(dst, base, S_ISDIR(st.mode), src->contents, &dir_fd, name, err);
	if (r < 0)
		return r;
	if (S_ISDIR(st.mode))
		return out_directory(c, src, &st, dir_fd, name, err);
	return copy_out_file(c, src->path, &st, dir_fd, name, err);
}

static bool is_inside(const struct end *src, const struct end *dst)
{
	size_t n = strlen(src->path);

	return streq(src->name, dst->name) && strncmp(src->path, dst->path, n) == 0 &&
	       (dst->path[n] == '/' || dst->path[n] == '\0' || src->path[n - 1] == '/');
}

static int copy_across_link(
	struct copy *c, const struct end *src, struct end *dst, struct msb_err *err)
{
	char target[LIMIT_PATH];
	char base[NAME_MAX + 1];
	int r = guest_link(c, src, target, base, err);

	if (r == 0)
		r = guest_target(c->to, dst, base, false, false, err);
	if (r < 0)
		return r;
	r = guest_fs_symlink(c->to, dst->path, target);
	return r < 0 ? guest_errno(r, dst, err) : 0;
}

static int copy_across(struct copy *c, const struct end *src, struct end *dst, struct msb_err *err)
{
	char base[NAME_MAX + 1];
	struct guest_attr attr;
	struct msg_stat st;
	int r = guest_fs_stat(c->guest, src->path, !takes_link(c, src), &st);

	if (r == 0 && S_ISLNK(st.mode))
		return copy_across_link(c, src, dst, err);
	if (r == 0 && !S_ISDIR(st.mode) && !S_ISREG(st.mode))
		r = -EOPNOTSUPP;
	if (r < 0)
		return guest_errno(r, src, err);
	last_part(src->path, base);
	r = guest_target(c->to, dst, base, S_ISDIR(st.mode), src->contents, err);
	if (r < 0)
		return r;
	if (is_inside(src, dst))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the destination is the source itself, or inside it");
	if (S_ISREG(st.mode))
		return copy_across_file(c, src->path, &st, dst->path, err);
	attr = copy_guest_attr(c, &st);
	r = guest_fs_mkdir(c->to, dst->path, attr.mode | 0700);
	if (r < 0)
		return guest_errno(r, dst, err);
	r = copy_across_tree(c, src->path, dst->path, err);
	if (r < 0 || src->contents)
		return r;
	r = guest_fs_setattr(c->to, dst->path, &attr);
	return r < 0 ? guest_errno(r, dst, err) : 0;
}

/* With both ends open. */
static int copy_with(struct copy *c, const struct end *src, struct end *dst, struct msb_err *err)
{
	int r = c->to	       ? copy_across(c, src, dst, err)
		: src->name[0] ? copy_out(c, src, dst, err)
			       : copy_in(c, src, dst, err);

	/* The connection's end is the better reason. */
	if (r == -ENOTCONN && c->guest->over)
		*err = c->guest->lost;
	else if (r == -ENOTCONN && c->to && c->to->over)
		*err = c->to->lost;
	return r;
}

static int copy_between(const struct msb *m, const struct msb_copy_options *o,
	const struct end *src, struct end *dst, unsigned int *ret_skipped, struct msb_err *err)
{
	struct guest_fs guest = {.sb = NULL};
	struct guest_fs to = {.sb = NULL};
	struct copy c = {.guest = &guest,
		.archive = o->archive != 0,
		.follow = o->follow != 0,
		.resume = o->resume != 0,
		.skip = o->skipped,
		.skip_arg = o->arg,
		.resumed = o->resumed,
		.resumed_arg = o->arg};
	struct reach how = {.home = m->home,
		.lib_dir = api_lib_dir(m, err),
		.name = src->name[0] ? src->name : dst->name,
		.log_level = m->log_level,
		.orphan = true,
		.files_only = true};
	int r = how.lib_dir ? guest_fs_open(&guest, &how, err) : -ENOENT;
	int e;

	if (r < 0)
		return r;
	guest.checked = true;
	if (src->name[0] && dst->name[0]) {
		how.name = dst->name;
		r = guest_fs_open(&to, &how, err);
		c.to = r == 0 ? &to : NULL;
		to.checked = true;
	}
	if (r == 0)
		r = copy_with(&c, src, dst, err);
	if (c.to) {
		e = guest_fs_close(&to, r == 0 ? err : NULL);
		r = r < 0 ? r : e;
	}
	e = guest_fs_close(&guest, r == 0 ? err : NULL);
	*ret_skipped = c.skipped;
	return r < 0 ? r : e;
}

static int copy(const struct msb *m, const char *from, const char *to,
	const struct msb_copy_options *o, unsigned int *ret_skipped, struct msb_err *err)
{
	struct end src = {.fd = -1};
	struct end dst = {.fd = -1};
	int r = parse_end(from, &src, err);

	if (r == 0)
		r = parse_end(to, &dst, err);
	if (r < 0)
		return r;
	src.fd = o->in;
	dst.fd = o->out;
	if (o->resume && (src.stdio || dst.stdio))
		return msb_err_usage(
			err, "--resume needs files: what goes through a pipe cannot be read again");
	if (!src.name[0] && !dst.name[0])
		return msb_err_hint(err, msb_err_usage(err, "neither end is in a sandbox"),
			"at least one of both is NAME:/path");
	if ((src.stdio && src.fd < 0) || (dst.stdio && dst.fd < 0))
		return msb_err_usage(err, "there is no descriptor that - could mean");
	return copy_between(m, o, &src, &dst, ret_skipped, err);
}

int msb_copy(struct msb *m, const char *from, const char *to,
	const struct msb_copy_options *options, unsigned int *ret_skipped, struct msb_error *error)
{
	struct msb_copy_options o = MSB_COPY_OPTIONS_INIT;
	struct api_sigpipe sigpipe;
	struct msb_err err = {0};
	unsigned int skipped = 0;
	int r;

	if (options)
		memcpy(&o, options, MIN(options->size, sizeof(o)));
	api_sigpipe_begin(&sigpipe);
	r = copy(m, from, to, &o, &skipped, &err);
	api_sigpipe_end(&sigpipe);
	if (ret_skipped)
		*ret_skipped = skipped;
	return api_result(error, &err, r);
}
