/* SPDX-License-Identifier: Apache-2.0 */
/* Patches of the root file system: see patch.h. */
#include "lib/patch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/str.h"

#include "lib/copy.h"

enum { QUOTED = 200 };

/* The agent's, or file systems of the guest's kernel. */
static const char *const no_place[] = {"/proc", "/sys", "/dev", "/.msb"};

static const char *quote(char to[QUOTED], const char *s)
{
	return str_quote(to, QUOTED, s, strlen(s));
}

int patch_mode(const char *text, int *ret, struct msb_err *err)
{
	size_t n = strspn(text, "01234567");
	char quoted[QUOTED];
	int mode = 0;

	if (n == 0 || n > 4 || text[n])
		return msb_err_hint(err, msb_err_usage(err, "%s is no mode", quote(quoted, text)),
			"write it in octal, e.g. 0644");
	for (size_t i = 0; i < n; i++)
		mode = mode * 8 + (text[i] - '0');
	*ret = mode;
	return 0;
}

static int bad_path(const char *path, const char *what, struct msb_err *err)
{
	char quoted[QUOTED];

	return msb_err_usage(err, "%s %s", quote(quoted, path), what);
}

/* One form for each path, so that it can be compared. malloc'ed. */
static int clean_path(const char *path, char **ret, struct msb_err *err)
{
	cleanup_free char *to = malloc(strlen(path) + 2);
	size_t n = 0;

	if (!to)
		return msb_err_errno(err, -ENOMEM, "reading a path");
	if (path[0] != '/')
		return bad_path(path, "is not an absolute path", err);
	if (strlen(path) >= LIMIT_PATH)
		return msb_err_usage(err, "a path is too long");
	for (const char *p = path; *p;) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return bad_path(path, "has a '..'", err);
		if (len && !(len == 1 && p[0] == '.')) {
			to[n++] = '/';
			memcpy(to + n, p, len);
			n += len;
		}
		p += len;
	}
	if (n == 0)
		return bad_path(path, "is the root itself", err);
	to[n] = '\0';
	*ret = TAKE_PTR(to);
	return 0;
}

/* dst/ is a directory that gets the source under its own name. */
static int name_inside(struct run_patch *one, struct msb_err *err)
{
	cleanup_free char *real = realpath(one->source, NULL);
	char quoted[QUOTED];
	const char *name;
	char *path;

	if (!real)
		return msb_err_errno(err, -errno, "%s", quote(quoted, one->source));
	/* As it was called, unless that is no name. */
	name = strrchr(one->source, '/');
	name = name ? name + 1 : one->source;
	if (!copy_name_check(name))
		name = strrchr(real, '/') + 1;
	if (!copy_name_check(name))
		return bad_path(one->source, "has no name", err);
	if (asprintf(&path, "%s/%s", one->path, name) < 0)
		return msb_err_errno(err, -ENOMEM, "reading a path");
	free(one->path);
	one->path = path;
	return strlen(path) < LIMIT_PATH ? 0 : msb_err_usage(err, "a path is too long");
}

static void patch_free(struct run_patch *one)
{
	free(one->path);
	free(one->source);
	free(one->text);
}

static int patch_fill(struct run_patch *one, const char *path, const char *source, const char *text,
	struct msb_err *err)
{
	/* "/" with something behind it is a place, alone it is none. */
	bool top = source && path[0] == '/' && path[strspn(path, "/")] == '\0' && path[0];
	size_t len = strlen(path);
	int r = 0;

	one->into = source && len && path[len - 1] == '/';
	one->path = top ? strdup("") : NULL;
	if (!top)
		r = clean_path(path, &one->path, err);
	if (r < 0)
		return r;
	if (source) {
		if (!source[0])
			return msb_err_usage(err, "the source is empty");
		one->source = strdup(source);
	}
	if (text) {
		one->text = strdup(text);
		one->text_len = strlen(text);
	}
	if (!one->path || (source && !one->source) || (text && !one->text))
		return msb_err_errno(err, -ENOMEM, "reading a patch");
	return one->into ? name_inside(one, err) : 0;
}

int patch_add(struct run_patches *p, enum patch_kind kind, const char *path, const char *source,
	const char *text, struct run_patch **ret, struct msb_err *err)
{
	struct run_patch one = {.kind = kind, .mode = -1};
	struct run_patch *more;
	int r;

	if (p->n == PATCHES_MAX)
		return msb_err_usage(
			err, "more than %d changes of the root file system", PATCHES_MAX);
	r = patch_fill(&one, path, source, text, err);
	if (r < 0) {
		patch_free(&one);
		return r;
	}
	more = realloc(p->list, (p->n + 1) * sizeof(*more));
	if (!more) {
		patch_free(&one);
		return msb_err_errno(err, -ENOMEM, "reading a patch");
	}
	p->list = more;
	more[p->n] = one;
	if (ret)
		*ret = &more[p->n];
	p->n++;
	return 0;
}

/* mode=0644,replace */
static int parse_options(struct run_patch *one, char *text, bool copy, struct msb_err *err)
{
	char quoted[QUOTED];
	char *save = NULL;
	int r = 0;

	for (char *o = strtok_r(text, ",", &save); o && r == 0; o = strtok_r(NULL, ",", &save)) {
		if (str_starts(o, "mode="))
			r = patch_mode(o + strlen("mode="), &one->mode, err);
		else if (copy && streq(o, "replace"))
			one->replace = true;
		else
			r = msb_err_hint(err,
				msb_err_usage(err, "unknown option %s", quote(quoted, o)),
				copy ? "there are mode=OCTAL and replace" : "there is mode=OCTAL");
	}
	return r;
}

static int parse_copy(
	struct run_patches *p, enum patch_kind kind, const char *value, struct msb_err *err)
{
	cleanup_free char *text = strdup(value);
	struct run_patch *one = NULL;
	char *options;
	char *colon;
	int r;

	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	/* The first ':' before a '/' ends the host's path: it may hold others. */
	colon = strstr(text, ":/");
	if (!colon || colon == text)
		return msb_err_hint(err,
			msb_err_usage(err, "the absolute path in the sandbox is missing"),
			"write SRC:DST[:OPTION,...], e.g. ./app.conf:/etc/app.conf:mode=0600");
	*colon = '\0';
	options = strchr(colon + 1, ':');
	if (options)
		*options++ = '\0';
	r = patch_add(p, kind, colon + 1, text, NULL, &one, err);
	return r < 0 || !options || !one ? r : parse_options(one, options, true, err);
}

int run_parse_copy(void *target, const char *value, struct msb_err *err)
{
	return parse_copy(target, PATCH_COPY, value, err);
}

int run_parse_copy_file(void *target, const char *value, struct msb_err *err)
{
	return parse_copy(target, PATCH_COPY_FILE, value, err);
}

int run_parse_copy_dir(void *target, const char *value, struct msb_err *err)
{
	return parse_copy(target, PATCH_COPY_DIR, value, err);
}

int run_parse_mkdir(void *target, const char *value, struct msb_err *err)
{
	cleanup_free char *text = strdup(value);
	struct run_patch *one = NULL;
	char *options;
	int r;

	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	options = strchr(text, ':');
	if (options)
		*options++ = '\0';
	r = patch_add(target, PATCH_MKDIR, text, NULL, NULL, &one, err);
	return r < 0 || !options || !one ? r : parse_options(one, options, false, err);
}

int run_parse_rm(void *target, const char *value, struct msb_err *err)
{
	return patch_add(target, PATCH_REMOVE, value, NULL, NULL, NULL, err);
}

/* Before the machine. */

static int check_source(const struct run_patch *one, struct msb_err *err)
{
	char quoted[QUOTED];
	struct stat st;
	bool dir;

	(void)quote(quoted, one->source);
	if (stat(one->source, &st) < 0)
		return msb_err_errno(err, -errno, "%s", quoted);
	dir = S_ISDIR(st.st_mode);
	if (!dir && !S_ISREG(st.st_mode))
		return msb_err_usage(err, "%s is neither a file nor a directory", quoted);
	if (one->kind == PATCH_COPY_FILE && dir)
		return msb_err_usage(err, "%s is a directory", quoted);
	if (one->kind == PATCH_COPY_DIR && !dir)
		return msb_err_usage(err, "%s is not a directory", quoted);
	if (dir && one->mode >= 0)
		return msb_err_usage(
			err, "%s is a directory, what is in it has modes of its own", quoted);
	if (access(one->source, dir ? R_OK | X_OK : R_OK) < 0)
		return msb_err_errno(err, -errno, "%s", quoted);
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Nobody means the files of a volume by the root file system, least of all when removing. */
static int check_mount(const struct run_patch *one, const char *mount, struct msb_err *err)
{
	cleanup_free char *clean = NULL;
	char quoted[QUOTED];

	/* What is no path is complained about elsewhere. */
	if (clean_path(mount, &clean, NULL) < 0 || !clean)
		return 0;
	if (!is_below(one->path, clean) &&
		!(one->kind == PATCH_REMOVE && is_below(clean, one->path)))
		return 0;
	return msb_err_usage(err, "%s: %.200s is mounted, this is not the root file system's",
		quote(quoted, one->path), clean);
}

int run_patches_check(const struct run_patches *p, const struct run_tmpfs *tmpfs,
	const struct run_volumes *volumes, struct msb_err *err)
{
	int r = 0;

	for (size_t i = 0; i < p->n && r == 0; i++) {
		const struct run_patch *one = &p->list[i];

		for (size_t j = 0; j < ARRAY_SIZE(no_place) && r == 0; j++)
			r = check_mount(one, no_place[j], err);
		for (uint32_t j = 0; j < tmpfs->n && r == 0; j++)
			r = check_mount(one, tmpfs->list[j].path, err);
		for (uint32_t j = 0; j < volumes->n && r == 0; j++)
			r = check_mount(one, volumes->list[j].path, err);
		if (r == 0 && one->source)
			r = check_source(one, err);
	}
	return r;
}

/* In the guest. */

static int failed(int r, const struct run_patch *one, struct msb_err *err)
{
	char quoted[QUOTED];

	return msb_err_errno(err, r, "%s in the sandbox", quote(quoted, one->path));
}

static int make_parents(struct guest_fs *g, const struct run_patch *one, struct msb_err *err)
{
	cleanup_free char *dir = strdup(one->path);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	int r;

	if (!slash)
		return msb_err_errno(err, -ENOMEM, "patching");
	*slash = '\0';
	r = dir[0] ? guest_fs_mkdir(g, dir, 0755) : 0;
	return r < 0 ? failed(r, one, err) : 0;
}

/* The place is free, or made so. */
static int make_room(struct guest_fs *g, const struct run_patch *one, struct msb_err *err)
{
	struct msg_stat st;
	char quoted[QUOTED];
	int r = make_parents(g, one, err);

	if (r < 0)
		return r;
	r = guest_fs_stat(g, one->path, false, &st);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && !one->replace)
		return msb_err_hint(err,
			msb_err_set(err, -EEXIST, MSB_EXISTS, "%s exists in the image",
				quote(quoted, one->path)),
			"say 'replace' behind it, or remove it first");
	if (r == 0)
		r = guest_fs_remove(g, one->path);
	return r < 0 ? failed(r, one, err) : 0;
}

/* A tree that lacks something is not what was asked for. */
static void skipped(void *arg, const char *path, const char *why)
{
	struct msb_err *err = arg;

	(void)msb_err_set(err, -EOPNOTSUPP, MSB_UNSUPPORTED, "%.300s: %s", path, why);
}

static int apply_copy(struct guest_fs *g, const struct run_patch *one, struct msb_err *err)
{
	cleanup_fd int fd = open(one->source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct copy c = {.guest = g, .skip = skipped, .skip_arg = err};
	struct guest_attr attr;
	char quoted[QUOTED];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "%s", quote(quoted, one->source));
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return msb_err_usage(
			err, "%s is neither a file nor a directory", quote(quoted, one->source));
	attr = copy_host_attr(&c, &st);
	r = make_room(g, one, err);
	if (r < 0)
		return r;
	if (S_ISREG(st.st_mode)) {
		if (one->mode >= 0)
			attr.mode = (uint32_t)one->mode;
		return copy_in_file(&c, fd, &attr, one->path, err);
	}
	r = guest_fs_mkdir(g, one->path, 0700);
	if (r == 0) {
		r = copy_in_tree(&c, fd, one->path, err);
		if (r < 0 || c.skipped)
			return r < 0 ? r : -EOPNOTSUPP;
		r = guest_fs_setattr(g, one->path, &attr);
	}
	return r < 0 ? failed(r, one, err) : 0;
}

static int apply_mkdir(struct guest_fs *g, const struct run_patch *one, struct msb_err *err)
{
	struct guest_attr attr = {.mode = (uint32_t)MAX(one->mode, 0), .exact = true};
	struct msg_stat st;
	int r = guest_fs_mkdir(g, one->path, 0755);

	if (r == 0)
		r = guest_fs_stat(g, one->path, true, &st);
	if (r == 0 && one->mode >= 0) {
		attr.mtime_ns = clock_real_ns();
		r = guest_fs_setattr(g, one->path, &attr);
	}
	return r < 0 ? failed(r, one, err) : 0;
}

struct text_source {
	const char *at;
	size_t left;
};

static ssize_t read_text(void *arg, void *p, size_t n)
{
	struct text_source *s = arg;

	n = MIN(n, s->left);
	memcpy(p, s->at, n);
	s->at += n;
	s->left -= n;
	return (ssize_t)n;
}

static int apply_text(struct guest_fs *g, const struct run_patch *one, struct msb_err *err)
{
	struct text_source source = {.at = one->text, .left = one->text_len};
	struct guest_attr attr = {
		.mode = one->mode >= 0 ? (uint32_t)one->mode : 0644,
		.append = one->kind == PATCH_APPEND,
	};
	int r = attr.append ? make_parents(g, one, err) : make_room(g, one, err);

	if (r < 0)
		return r;
	if (!attr.append) {
		attr.exact = true;
		attr.mtime_ns = clock_real_ns();
	}
	r = guest_fs_write(g, one->path, &attr, read_text, &source);
	return r < 0 ? failed(r, one, err) : 0;
}

static int apply_one(struct guest_fs *g, const struct run_patch *one, struct msb_err *err)
{
	int r;

	switch (one->kind) {
	case PATCH_MKDIR:
		return apply_mkdir(g, one, err);
	case PATCH_REMOVE:
		r = guest_fs_remove(g, one->path);
		return r < 0 && r != -ENOENT ? failed(r, one, err) : 0;
	case PATCH_TEXT:
	case PATCH_APPEND:
		return apply_text(g, one, err);
	case PATCH_SYMLINK:
		r = make_room(g, one, err);
		if (r < 0)
			return r;
		r = guest_fs_symlink(g, one->path, one->text);
		return r < 0 ? failed(r, one, err) : 0;
	case PATCH_COPY:
	case PATCH_COPY_FILE:
	case PATCH_COPY_DIR:
	default:
		return apply_copy(g, one, err);
	}
}

int run_patches_apply(const struct run_patches *p, struct guest_fs *g, struct loop *loop,
	struct sandbox *sb, struct msb_err *err)
{
	int r = 0;

	guest_fs_borrow(g, loop, sb);
	for (size_t i = 0; i < p->n && r == 0; i++)
		r = apply_one(g, &p->list[i], err);
	if (r == 0) {
		r = guest_fs_prepared(g);
		if (r < 0)
			(void)msb_err_errno(err, r, "end of the preparation");
	}
	if (r == -ECANCELED)
		(void)msb_err_set(err, r, MSB_FAIL, "interrupted");
	/* A broken off one may still be called for its stream. */
	if (r == 0)
		guest_fs_return(g);
	return r;
}

void run_patches_deinit(struct run_patches *p)
{
	for (size_t i = 0; i < p->n; i++)
		patch_free(&p->list[i]);
	free(p->list);
	*p = (struct run_patches){.n = 0};
}
