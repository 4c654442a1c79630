/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup for the process of a machine: see cgroup.h. */
#include "engine/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "base/io.h"
#include "base/str.h"

static const char mount_point[] = "/sys/fs/cgroup";
static const char prefix[] = "msb-";

enum { FILE_MAX = 4096, SWEEP_MAX = 256 };

/* Is @word one of the words of the one line in @text? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += len) {
		bool begins = at == text || at[-1] == ' ';
		char after = at[len];

		if (begins && (after == ' ' || after == '\n' || after == '\0'))
			return true;
	}
	return false;
}

/* The parent of our own cgroup in the unified hierarchy, when that is what is mounted. */
static int open_parent(void)
{
	cleanup_free char *text = NULL;
	char path[PATH_MAX];
	struct statfs fs;
	char *line;
	int fd;
	int n;
	int r;

	if (statfs(mount_point, &fs) < 0)
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EOPNOTSUPP;
	r = io_read_file(AT_FDCWD, "/proc/self/cgroup", FILE_MAX, &text, NULL);
	if (r < 0)
		return r;
	line = str_starts(text, "0::/") ? text : strstr(text, "\n0::/");
	if (!line)
		return -ENOENT;
	line = strchr(line, '/');
	line[strcspn(line, "\n")] = '\0';
	/* The root's parent, if it has one, is not ours to see. */
	if (streq(line, "/") || str_starts(line, "/.."))
		return -EOPNOTSUPP;
	*strrchr(line, '/') = '\0';
	n = snprintf(path, sizeof(path), "%s%s", mount_point, line);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* systemd marks what it has given away; the rest of the tree is its own. */
static bool given_away(int fd)
{
	char mark = 0;

	if (access("/run/systemd/system", F_OK) < 0)
		return true;
	return (fgetxattr(fd, "user.delegate", &mark, 1) == 1 ||
		       fgetxattr(fd, "trusted.delegate", &mark, 1) == 1) &&
	       mark == '1';
}

/* Removes the directory @name if nobody holds it; one with processes in it resists by itself. */
static void remove_stale(int parent_fd, const char *name)
{
	cleanup_fd int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

static void sweep(int parent_fd)
{
	int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned int n = 0;

	if (!d) {
		fd_close(fd);
		return;
	}
	for (const struct dirent *e; n < SWEEP_MAX && (e = readdir(d));) {
		if (!str_starts(e->d_name, prefix))
			continue;
		remove_stale(parent_fd, e->d_name);
		n++;
	}
	closedir(d);
}

static int put(int dir_fd, const char *file, const char *value)
{
	cleanup_fd int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_write_full(fd, value, strlen(value));
}

static int put_u64(int dir_fd, const char *file, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return put(dir_fd, file, text);
}

/* Makes and locks the directory; between the two a sweeper may take it away, then again. */
static int make_dir(int parent_fd, struct cgroup *c)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;

		(void)snprintf(c->name, sizeof(c->name), "%s%ld-%d", prefix, (long)getpid(), i);
		if (mkdirat(parent_fd, c->name, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		c->dir_fd = openat(parent_fd, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (c->dir_fd >= 0 && flock(c->dir_fd, LOCK_EX | LOCK_NB) == 0 &&
			fstatat(parent_fd, c->name, &st, 0) == 0)
			return 0;
		c->dir_fd = fd_close(c->dir_fd);
		(void)unlinkat(parent_fd, c->name, AT_REMOVEDIR);
	}
	return -EAGAIN;
}

static int set_limits(
	const struct cgroup *c, const char *controllers, const struct cgroup_limits *l)
{
	int r = 0;

	if (has_word(controllers, "memory")) {
		r = put_u64(c->dir_fd, "memory.max", l->mem_bytes);
		/* One process less would be a machine without a processor: all or none. */
		if (r == 0)
			r = put(c->dir_fd, "memory.oom.group", "1");
	}
	if (r == 0 && has_word(controllers, "pids"))
		r = put_u64(c->dir_fd, "pids.max", l->processes);
	return r;
}

int cgroup_create_at(int parent_fd, const struct cgroup_limits *limits, struct cgroup *ret)
{
	cleanup_free char *controllers = NULL;
	struct cgroup c = CGROUP_NONE;
	struct stat st;
	int r;

	*ret = c;
	r = io_read_file(parent_fd, "cgroup.subtree_control", FILE_MAX, &controllers, NULL);
	if (r < 0)
		return r;
	if (!has_word(controllers, "memory") && !has_word(controllers, "pids"))
		return -EOPNOTSUPP;
	/* Ours by ownership and not by a capability: the supervisor has none left to clean up with.
	 */
	if (fstat(parent_fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || !(st.st_mode & S_IWUSR))
		return -EPERM;
	/* Moving a process takes the right to change the cgroup that both places are in. */
	if (faccessat(parent_fd, "cgroup.procs", W_OK, AT_EACCESS) < 0)
		return -errno;
	sweep(parent_fd);
	c.parent_fd = fcntl(parent_fd, F_DUPFD_CLOEXEC, 0);
	if (c.parent_fd < 0)
		return -errno;
	r = make_dir(c.parent_fd, &c);
	if (r < 0) {
		fd_close(c.parent_fd);
		return r;
	}
	r = set_limits(&c, controllers, limits);
	if (r < 0) {
		cgroup_remove(&c);
		return r;
	}
	*ret = c;
	return 0;
}

int cgroup_create(const struct cgroup_limits *limits, struct cgroup *ret)
{
	cleanup_fd int parent = open_parent();

	*ret = (struct cgroup)CGROUP_NONE;
	if (parent < 0)
		return parent;
	return given_away(parent) ? cgroup_create_at(parent, limits, ret) : -EPERM;
}

void cgroup_remove(struct cgroup *c)
{
	if (c->parent_fd >= 0)
		(void)unlinkat(c->parent_fd, c->name, AT_REMOVEDIR);
	c->dir_fd = fd_close(c->dir_fd);
	c->parent_fd = fd_close(c->parent_fd);
}
