/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image store, references: refs/<host>/<path>/@<tag>.json, and @@<digits>.json for a reference by
 * digest.
 *
 * '@' cannot occur in a path component or a tag, so names of files and of directories never meet.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/store/internal.h"

enum { REF_FILE_MAX = REF_HOST_MAX + REF_PATH_MAX + REF_TAG_MAX + 32, REF_DEPTH_MAX = 130 };

static void ref_dir(const struct image_ref *ref, char path[REF_FILE_MAX])
{
	(void)snprintf(path, REF_FILE_MAX, "%s/%s", ref->host, ref->path);
}

static void ref_tag_file(const struct image_ref *ref, char path[REF_FILE_MAX])
{
	(void)snprintf(path, REF_FILE_MAX, "%s/%s/@%s.json", ref->host, ref->path, ref->tag);
}

static void ref_digest_file(const struct image_ref *ref, char path[REF_FILE_MAX])
{
	(void)snprintf(path, REF_FILE_MAX, "%s/%s/@@%s.json", ref->host, ref->path,
		digest_hex(ref->digest));
}

static int file_get(
	int refs_fd, const char *path, char ret_digest[REF_DIGEST_LEN + 1], struct msb_err *err)
{
	cleanup_json struct json *j = NULL;
	const char *digest = "";
	int r = json_read_file(refs_fd, path, &j, err);

	if (r == 0)
		r = json_get_str(j, "digest", &digest, err);
	if (r < 0)
		return r;
	if (!image_digest_check(digest))
		return msb_err_set(
			err, -EBADMSG, MSB_IO, "damaged reference in the image store: %s", path);
	memcpy(ret_digest, digest, REF_DIGEST_LEN + 1);
	return 0;
}

static int not_here(const struct image_ref *ref, struct msb_err *err)
{
	char text[REF_TEXT_MAX + 1];

	image_ref_short(ref, text);
	return msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "no image %.300s here", text);
}

int store_ref_get(const struct store *s, const struct image_ref *ref,
	char ret_digest[REF_DIGEST_LEN + 1], struct msb_err *err)
{
	char path[REF_FILE_MAX];
	struct stat st;
	int r;

	if (!ref->digest[0]) {
		ref_tag_file(ref, path);
		r = file_get(s->refs_fd, path, ret_digest, err);
		return r == -ENOENT ? not_here(ref, err) : r;
	}
	/* The digest may be that of an index, which the registry resolved to our platform's
	 * manifest. */
	ref_digest_file(ref, path);
	r = file_get(s->refs_fd, path, ret_digest, err);
	if (r != -ENOENT)
		return r;
	if (fstatat(s->manifests_fd, digest_hex(ref->digest), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return not_here(ref, err);
	memcpy(ret_digest, ref->digest, REF_DIGEST_LEN + 1);
	return 0;
}

static int make_dirs(int refs_fd, const char *dir)
{
	char path[REF_FILE_MAX];
	size_t len = strlen(dir);

	for (size_t i = 0; i <= len; i++) {
		if (i < len && dir[i] != '/')
			continue;
		memcpy(path, dir, i);
		path[i] = '\0';
		if (mkdirat(refs_fd, path, 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* Moves @w/ref to its place. A concurrent removal of another tag may take the empty directory away:
 * once more. */
static int file_publish(struct store_work *w, const char *dir, const char *path)
{
	cleanup_fd int dir_fd = -EBADF;
	int r = -ENOENT;

	for (int tries = 0; tries < 2 && r == -ENOENT; tries++) {
		r = make_dirs(w->s->refs_fd, dir);
		if (r == 0 && renameat(w->fd, "ref", w->s->refs_fd, path) < 0)
			r = -errno;
	}
	if (r < 0)
		return r;
	dir_fd = openat(w->s->refs_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 || fsync(dir_fd) < 0 ? -errno : 0;
}

/* Made in tmp/, where the leavings of a killed process are found. */
static int file_set(
	struct store *s, const char *dir, const char *path, const char *digest, struct msb_err *err)
{
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	cleanup_fd int fd = -EBADF;
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"digest\":\"%s\"}\n", digest);
	int r = work_begin(s, &w, err);

	if (r == 0)
		r = work_file(w, "ref", &fd, err);
	if (r < 0)
		return r;
	r = io_write_full(fd, text, (size_t)n);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = file_publish(w, dir, path);
	return r < 0 ? msb_err_errno(err, r, "cannot write a reference to the image store") : 0;
}

int store_ref_set(
	struct store *s, const struct image_ref *ref, const char *digest, struct msb_err *err)
{
	char dir[REF_FILE_MAX];
	char path[REF_FILE_MAX];
	int r = 0;

	ref_dir(ref, dir);
	if (ref->digest[0]) {
		ref_digest_file(ref, path);
		r = file_set(s, dir, path, digest, err);
	}
	if (r == 0 && ref->tag[0]) {
		ref_tag_file(ref, path);
		r = file_set(s, dir, path, digest, err);
	}
	return r;
}

int store_ref_remove(struct store *s, const struct image_ref *ref, struct msb_err *err)
{
	char path[REF_FILE_MAX];
	char *slash;

	if (ref->digest[0])
		ref_digest_file(ref, path);
	else
		ref_tag_file(ref, path);
	if (unlinkat(s->refs_fd, path, 0) < 0)
		return errno == ENOENT ? not_here(ref, err)
				       : msb_err_errno(err, -errno, "cannot remove a reference");
	/* Directories go with their last reference; one that is not empty says no. */
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (unlinkat(s->refs_fd, path, AT_REMOVEDIR) < 0)
			break;
	}
	return 0;
}

struct ref_walk {
	const struct store *s;
	int (*fn)(void *arg, const struct image_ref *ref, const char *digest);
	void *arg;
	char path[REF_FILE_MAX];
};

/* Path of a reference's file back to the reference; false for files that are not ours. */
static bool ref_of_file(const char *path, struct image_ref *ret)
{
	char text[REF_TEXT_MAX + 1];
	const char *file = strrchr(path, '/');
	size_t len = file ? strlen(file + 1) : 0;
	bool digest;

	if (len < sizeof("@x.json") - 1 || file[1] != '@' || !streq(file + 1 + len - 5, ".json"))
		return false;
	digest = file[2] == '@';
	if (snprintf(text, sizeof(text), "%.*s%s%.*s", (int)(file - path), path,
		    digest ? "@sha256:" : ":", (int)(len - 6 - digest),
		    file + 2 + digest) >= (int)sizeof(text))
		return false;
	return image_ref_parse(text, ret, NULL) == 0;
}

static int walk_refs(struct ref_walk *w, int at_fd, size_t len, unsigned int depth);

static int open_dir(int at_fd, const char *name)
{
	int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int walk_entry(struct ref_walk *w, int fd, const char *name, size_t len, unsigned int depth)
{
	int n = snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "/" : "", name);
	char digest[REF_DIGEST_LEN + 1];
	struct image_ref ref;
	struct stat st;
	int r;

	if (n < 0 || (size_t)n >= sizeof(w->path) - len ||
		fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return walk_refs(w, open_dir(fd, name), len + (size_t)n, depth + 1);
	if (!ref_of_file(w->path, &ref))
		return 0;
	r = file_get(w->s->refs_fd, w->path, digest, NULL);
	if (r < 0)
		return r == -ENOENT || r == -EBADMSG ? 0 : r;
	return w->fn(w->arg, &ref, digest);
}

/*
 * @at_fd is consumed, a negative one is -errno. Something that vanishes while it is looked at is no
 * error; something that cannot be read is one: a collection would take its image for unused.
 */
static int walk_refs(struct ref_walk *w, int at_fd, size_t len, unsigned int depth)
{
	DIR *d;
	const struct dirent *e;
	int r = 0;

	if (at_fd < 0)
		return at_fd == -ENOENT ? 0 : at_fd;
	d = depth > REF_DEPTH_MAX ? NULL : fdopendir(at_fd);
	if (!d) {
		fd_close(at_fd);
		return depth > REF_DEPTH_MAX ? 0 : -ENOMEM;
	}
	while (r >= 0 && (e = readdir(d))) {
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = walk_entry(w, dirfd(d), e->d_name, len, depth);
		w->path[len] = '\0';
	}
	closedir(d);
	return r;
}

int store_ref_each(const struct store *s,
	int (*fn)(void *arg, const struct image_ref *ref, const char *digest), void *arg)
{
	struct ref_walk w = {.s = s, .fn = fn, .arg = arg};

	return walk_refs(&w, open_dir(s->refs_fd, "."), 0, 0);
}

static void tidy(int at_fd, unsigned int depth)
{
	DIR *d = at_fd < 0 || depth > REF_DEPTH_MAX ? NULL : fdopendir(at_fd);
	const struct dirent *e;

	if (!d) {
		fd_close(at_fd);
		return;
	}
	while ((e = readdir(d))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		tidy(open_dir(dirfd(d), e->d_name), depth + 1);
		/* What is no empty directory says no. */
		(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

void store_refs_tidy(const struct store *s)
{
	tidy(open_dir(s->refs_fd, "."), 0);
}
