/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree that a guest has made: see volume-tree.h. */
#include "sandbox/volume-tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/str.h"

struct removal {
	int top_fd;
	uint64_t moved; /* names for what is moved up */
};

/* @ret_more: was there anything? */
typedef int each_fn(struct removal *rm, int dir_fd, const char *name);

static int each(struct removal *rm, int dir_fd, each_fn *fn, bool *ret_more)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		fd_close(fd);
		return -ENOMEM;
	}
	*ret_more = false;
	while (r == 0 && (e = readdir(d))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		*ret_more = true;
		r = fn(rm, dir_fd, e->d_name);
	}
	closedir(d);
	return r;
}

/* An entry of a directory of the tree. */
static int move_up(struct removal *rm, int dir_fd, const char *name)
{
	char to[32];

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	/* Moving a directory changes it. */
	(void)!fchmodat(dir_fd, name, 0700, 0);
	do {
		(void)snprintf(to, sizeof(to), "d%" PRIu64, rm->moved++);
	} while (faccessat(rm->top_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
	return renameat(dir_fd, name, rm->top_fd, to) < 0 ? -errno : 0;
}

/* An entry of the top directory. */
static int remove_entry(struct removal *rm, int dir_fd, const char *name)
{
	cleanup_fd int fd = -EBADF;
	bool more = true;
	int r = 0;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* For those without the right to read or change it. */
	(void)!fchmodat(dir_fd, name, 0700, 0);
	while (r == 0 && more)
		r = each(rm, fd, move_up, &more);
	if (r == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int volume_tree_remove(int parent_fd, const char *name)
{
	cleanup_fd int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct removal rm = {.top_fd = fd};
	bool more = true;
	int r = 0;

	if (fd < 0)
		return -errno;
	while (r == 0 && more)
		r = each(&rm, fd, remove_entry, &more);
	if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}
