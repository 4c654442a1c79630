/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree step by step: see tree.h. */
#include "tree.h"

#include <fcntl.h>

#include "base/str.h"

/* Opens @name below @dirfd as the next level. A symbolic link is -ENOTDIR. */
static int tree_push(struct tree *t, int dirfd, const char *name, bool top)
{
	struct tree_level *l = &t->levels[t->depth];
	cleanup_fd int fd = -EBADF;

	if (t->depth == TREE_DEPTH_MAX)
		return -ENAMETOOLONG;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (str_copy(l->name, sizeof(l->name), top ? "" : name) < 0)
		return -ENAMETOOLONG;
	l->dir = fdopendir(fd);
	if (!l->dir)
		return -errno;
	(void)TAKE_FD(fd);
	t->depth++;
	return 0;
}

struct tree *tree_open(const char *path)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return NULL;
	r = str_copy(t->path, sizeof(t->path), path);
	if (r == 0)
		r = tree_push(t, AT_FDCWD, path, true);
	if (r < 0) {
		tree_free(t);
		errno = -r;
		return NULL;
	}
	return t;
}

/* The top level is read to its end: remove the directory itself. */
static int tree_pop(struct tree *t)
{
	struct tree_level *l = &t->levels[--t->depth];
	int r;

	closedir(l->dir);
	l->dir = NULL;
	if (t->depth == 0)
		r = rmdir(t->path);
	else
		r = unlinkat(dirfd(t->levels[t->depth - 1].dir), l->name, AT_REMOVEDIR);
	/* Somebody else may have been faster. */
	if (r < 0 && errno != ENOENT)
		return -errno;
	t->removed++;
	return t->depth > 0;
}

static int tree_entry(struct tree *t)
{
	struct tree_level *l = &t->levels[t->depth - 1];
	const struct dirent *e;

	errno = 0;
	e = readdir(l->dir);
	if (!e)
		return errno ? -errno : tree_pop(t);
	if (streq(e->d_name, ".") || streq(e->d_name, ".."))
		return 1;
	if (unlinkat(dirfd(l->dir), e->d_name, 0) == 0) {
		t->removed++;
		return 1;
	}
	if (errno == ENOENT)
		return 1;
	if (errno == EISDIR || errno == EPERM) {
		int error = errno;
		int r = tree_push(t, dirfd(l->dir), e->d_name, false);

		/* Not a directory after all: the first answer counts. */
		if (r == -ENOTDIR && error == EPERM)
			return -EPERM;
		return r < 0 && r != -ENOENT && r != -ENOTDIR ? r : 1;
	}
	return -errno;
}

int tree_step(struct tree *t)
{
	int r = 1;

	for (int i = 0; i < TREE_BATCH && r > 0; i++)
		r = tree_entry(t);
	return r;
}

void tree_free(struct tree *t)
{
	while (t->depth)
		closedir(t->levels[--t->depth].dir);
	free(t);
}
