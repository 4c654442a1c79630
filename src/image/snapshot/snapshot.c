/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of snapshots: see snapshot.h. */
#include "image/snapshot/snapshot.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/snapshot/internal.h"

enum { PREFIX_MIN = 6 }; /* digits of a digest that may name a snapshot */

static bool name_valid(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len >= 1 && len <= LIMIT_SANDBOX_NAME && strspn(name, letters) == len &&
	       !strchr("._-", name[0]);
}

int snapshot_name_check(const char *name, struct msb_err *err)
{
	char quoted[80];
	int r;

	if (name_valid(name))
		return 0;
	r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s is not a name of a snapshot",
		str_quote(quoted, sizeof(quoted), name, strlen(name)));
	return msb_err_hint(err, r,
		"use 1 to %u letters, digits, '.', '_' and '-', beginning with a letter or digit",
		LIMIT_SANDBOX_NAME);
}

int snapshots_dir(const char *home, char ret[PATH_MAX], struct msb_err *err)
{
	int n = snprintf(ret, PATH_MAX, "%s/snapshots", home);

	return n < 0 || n >= PATH_MAX ? msb_err_errno(err, -ENAMETOOLONG, "%.200s", home) : 0;
}

/* Reads the manifest; s->fd is open. */
static int read_manifest(struct snapshot *s, struct msb_err *err)
{
	cleanup_fd int fd = openat(s->fd, SNAPSHOT_MANIFEST,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_free char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, SNAPSHOT_MANIFEST);
	if (!S_ISREG(st.st_mode) || st.st_size > SNAPSHOT_MANIFEST_MAX)
		return msb_err_set(
			err, -EINVAL, MSB_FAIL, SNAPSHOT_MANIFEST " is not what msb has written");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return msb_err_errno(err, -ENOMEM, SNAPSHOT_MANIFEST);
	r = io_read_full(fd, text, (size_t)st.st_size);
	if (r < 0)
		return msb_err_errno(err, r, SNAPSHOT_MANIFEST);
	digest_of(text, (size_t)st.st_size, s->digest);
	return snapshot_manifest_parse(text, (size_t)st.st_size, &s->m, err);
}

/* @name: the last part of s->path. */
static int open_at(int parent_fd, const char *name, struct snapshot *s, struct msb_err *err)
{
	char quoted[200];
	int r;

	(void)str_quote(quoted, sizeof(quoted), s->path, strlen(s->path));
	s->fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0)
		return errno == ENOENT ? -ENOENT
				       : msb_err_errno(err, -errno, "snapshot %s", quoted);
	r = read_manifest(s, err);
	if (r == -ENOENT)
		return msb_err_set(err, -EINVAL, MSB_FAIL, "%s is no snapshot", quoted);
	return r < 0 ? msb_err_prefix(err, r, "snapshot %s", quoted) : 0;
}

static int open_path(const char *word, struct snapshot *s, struct msb_err *err)
{
	char *real = realpath(word, NULL);
	const char *last;
	int r;

	if (!real)
		return errno == ENOENT ? -ENOENT : msb_err_errno(err, -errno, "%.200s", word);
	last = strrchr(real, '/') + 1;
	r = str_copy(s->path, sizeof(s->path), real);
	/* For listings and messages only. */
	(void)snprintf(s->name, sizeof(s->name), "%s", last);
	free(real);
	return r < 0 ? msb_err_errno(err, r, "%.200s", word) : open_at(AT_FDCWD, s->path, s, err);
}

static int open_name(const char *home, const char *name, struct snapshot *s, struct msb_err *err)
{
	int r = snapshots_dir(home, s->path, err);
	size_t at = r < 0 ? 0 : strlen(s->path);

	if (r == 0 && snprintf(s->path + at, PATH_MAX - at, "/%s", name) >= (int)(PATH_MAX - at))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = str_copy(s->name, sizeof(s->name), name);
	return r < 0 ? r : open_at(AT_FDCWD, s->path, s, err);
}

/* By the beginning of a digest; -ENOENT without a message. */
static int open_digest(const char *home, const char *word, struct snapshot *s, struct msb_err *err)
{
	const char *digits = str_starts(word, "sha256:") ? word + strlen("sha256:") : word;
	struct snapshot_list list = {.n = 0};
	size_t found = 0;
	size_t which = 0;
	int r;

	if (strlen(digits) < PREFIX_MIN || digits[strspn(digits, "0123456789abcdef")])
		return -ENOENT;
	r = snapshot_list_get(home, &list, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++) {
		if (str_starts(list.items[i].digest + strlen("sha256:"), digits)) {
			found++;
			which = i;
		}
	}
	if (found > 1)
		r = msb_err_set(
			err, -EINVAL, MSB_USAGE, "%zu snapshots begin with %.80s", found, word);
	else
		r = found ? open_name(home, list.items[which].name, s, err) : -ENOENT;
	snapshot_list_deinit(&list);
	return r;
}

int snapshot_open(const char *home, const char *word, struct snapshot *ret, struct msb_err *err)
{
	char quoted[160];
	int r = -ENOENT;

	*ret = (struct snapshot){.fd = -EBADF, .m.parent = ""};
	if (strchr(word, '/'))
		r = open_path(word, ret, err);
	else if (name_valid(word))
		r = open_name(home, word, ret, err);
	if (r == -ENOENT && !strchr(word, '/'))
		r = open_digest(home, word, ret, err);
	if (r != -ENOENT)
		return r;
	r = msb_err_set(err, r, MSB_NOT_FOUND, "there is no snapshot %s",
		str_quote(quoted, sizeof(quoted), word, strlen(word)));
	return msb_err_hint(err, r, "'msb snapshot ls' lists those that are here");
}

int snapshot_open_disk(const struct snapshot *s, int *ret_fd, struct msb_err *err)
{
	cleanup_fd int fd = openat(
		s->fd, SNAPSHOT_DISK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "disk of snapshot '%s'", s->name);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != s->m.size_bytes)
		return msb_err_set(err, -EINVAL, MSB_FAIL,
			"the disk of snapshot '%s' is damaged: it has another size", s->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void snapshot_close(struct snapshot *s)
{
	s->fd = fd_close(s->fd);
	snapshot_manifest_deinit(&s->m);
}

static int add_damaged(struct snapshot_list *list, const char *name)
{
	void *more = realloc(list->damaged, (list->n_damaged + 1) * sizeof(list->damaged[0]));

	if (!more)
		return -ENOMEM;
	list->damaged = more;
	return str_copy(list->damaged[list->n_damaged++], sizeof(list->damaged[0]), name);
}

static int add_one(const char *home, struct snapshot_list *list, const char *name)
{
	struct snapshot s = {.fd = -EBADF};
	struct snapshot *more;
	int r = open_name(home, name, &s, NULL);

	s.fd = fd_close(s.fd);
	if (r < 0) {
		snapshot_close(&s);
		/* It has gone meanwhile. */
		return r == -ENOENT ? 0 : add_damaged(list, name);
	}
	/* Room for twice as many whenever their number is a power of two. */
	if ((list->n & (list->n - 1)) == 0) {
		more = realloc(list->items, (list->n ? list->n * 2 : 1) * sizeof(*more));
		if (!more) {
			snapshot_close(&s);
			return -ENOMEM;
		}
		list->items = more;
	}
	list->items[list->n++] = s;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct snapshot *x = a;
	const struct snapshot *y = b;

	return strcmp(x->name, y->name);
}

struct collect {
	const char *home;
	struct snapshot_list list;
};

static int collect_one(int parent_fd, const char *name, void *arg)
{
	struct collect *c = arg;

	(void)parent_fd;
	return name_valid(name) ? add_one(c->home, &c->list, name) : 0;
}

int snapshot_list_get(const char *home, struct snapshot_list *ret, struct msb_err *err)
{
	struct collect c = {.home = home};
	char path[PATH_MAX];
	int r = snapshots_dir(home, path, err);

	if (r < 0)
		return r;
	r = snapshot_each_entry(path, collect_one, &c);
	if (r < 0) {
		snapshot_list_deinit(&c.list);
		return msb_err_errno(err, r, "%.200s", path);
	}
	if (c.list.n)
		qsort(c.list.items, c.list.n, sizeof(c.list.items[0]), by_name);
	*ret = c.list;
	return 0;
}

void snapshot_list_deinit(struct snapshot_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		snapshot_close(&list->items[i]);
	free(list->items);
	free(list->damaged);
	*list = (struct snapshot_list){.n = 0};
}
