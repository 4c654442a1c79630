/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandbox names and directories.
 *
 * Protocol between creators, supervisors and reapers, all of which may be killed at any point:
 *
 *   create  mkdir .new-XXXXXXXX, create and lock its `lock`, rename it to <name>. A name that can
 *	     be seen is therefore locked from its first moment by whoever made it. rename() replaces
 *	     an empty directory and nothing else.
 *   run     the supervisor that created the directory holds the lock until it ends.
 *   remove  only with the lock held: unlink the files, `lock` last, then rmdir by name.
 *   start   the client takes the lock of an existing directory and hands it to the supervisor that
 *	     it spawns: from there on as above.
 *   reap    open the directory, and only if spec.json is missing or says ephemeral, or there is
 *	     `unmade` (its creator was not done with the guest's files), take the lock
 *	     without waiting, look again, remove. A directory without `lock` is either about to be
 *	     locked by its creator or an almost finished removal: rmdir it if it is empty; the
 *	     creator notices (its rename fails) and takes another name.
 *   edit    replaces spec.json by exchanging it with another file (sandbox_spec_replace), which
 *	     fails when it is gone: an editor needs no lock to never bring back what is removed.
 *	     Editors keep out of each other's way by flock() on the directory.
 *
 * Locks are those of open file descriptions (F_OFD_SETLK): they pass to a supervisor with the
 * descriptor, end with the last holder, and whether somebody holds one can be asked without taking
 * it. Nothing here waits for a lock, so there is no order to break. Files are unlinked relative to
 *the descriptor of the locked directory and the final rmdir by name fails on a directory that
 *somebody else has put there meanwhile, because that one is never empty. Persistent sandboxes are
 *never locked by a reaper, so it cannot make another command believe they are running.
 *
 * A supervisor in its jail still removes its own directory:
 * #syscalls(sandbox:loop): unlinkat openat(2&O_ACCMODE=O_RDONLY) getdents64 lseek
 *	fcntl(1=F_SETFD) fcntl(1=F_GETFL) fstat newfstatat
 *
 * Nothing is opened through a symbolic link below $MSB_HOME/sandboxes. Subdirectories are not ours
 * and are not entered.
 */
#include "sandbox/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

enum { CREATE_ATTEMPTS = 64, REMOVE_ATTEMPTS = 64, NEW_NAME = 16 };

#define NEW_PREFIX ".new-"

static int name_char(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return !first && (c == '.' || c == '_' || c == '-');
}

static bool name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > LIMIT_SANDBOX_NAME)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!name_char(name[i], i == 0))
			return false;
	}
	return true;
}

int sandbox_name_check(const char *name, struct msb_err *err)
{
	char quoted[80];

	if (name_valid(name))
		return 0;
	(void)msb_err_set(err, -EINVAL, MSB_USAGE, "%s is not a sandbox name",
		str_quote(quoted, sizeof(quoted), name, strlen(name)));
	return msb_err_hint(err, -EINVAL,
		"use 1 to %u letters, digits, '.', '_' and '-', beginning with a letter or digit",
		LIMIT_SANDBOX_NAME);
}

static int random_u32(uint32_t *ret)
{
	/* Four bytes are never cut short, and the pool is ready long before any user is. */
	return getrandom(ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) ? 0 : -errno;
}

int sandbox_name_generate(char ret_name[SANDBOX_NAME_GENERATED])
{
	uint32_t v;
	int r = random_u32(&v);

	if (r < 0)
		return r;
	(void)snprintf(ret_name, SANDBOX_NAME_GENERATED, "msb-%08" PRIx32, v);
	return 0;
}

void sandbox_hostname(const char *name, char ret_hostname[LIMIT_HOSTNAME + 1])
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	if (str_copy(ret_hostname, LIMIT_HOSTNAME + 1, name) == 0)
		return;
	for (const char *at = name; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 16777619u;
	(void)snprintf(ret_hostname, LIMIT_HOSTNAME + 1, "%.55s-%08" PRIx32, name, hash);
}

int sandbox_home_default(char *to, size_t size, struct msb_err *err)
{
	const char *home = getenv("MSB_HOME");
	const char *below = "";
	char cwd[PATH_MAX] = "";
	int n;

	if (!home || !home[0]) {
		home = getenv("HOME");
		below = "/.microsandbox";
		if (!home || home[0] != '/')
			return msb_err_hint(err,
				msb_err_set(err, -ENOENT, MSB_FAIL,
					"no place for state: HOME is not set"),
				"set MSB_HOME to a directory");
	}
	if (home[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return msb_err_errno(err, -errno, "current directory");
	n = snprintf(to, size, "%s%s%s%s", cwd, cwd[0] ? "/" : "", home, below);
	if (n < 0 || (size_t)n >= size)
		return msb_err_set(err, -ENAMETOOLONG, MSB_USAGE, "MSB_HOME is too long");
	return 0;
}

/* The parent of all sandbox directories, made on first use. */
static int open_parent(const char *home, bool make, int *ret_fd)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/sandboxes", home);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make) {
		int r = io_mkdir_p(path, 0700);

		if (r < 0)
			return r;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int open_dir(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Returns the descriptor of the lock, -EWOULDBLOCK when somebody holds it. */
static int lock_dir(int dir_fd, int flags)
{
	cleanup_fd int fd = openat(dir_fd, SANDBOX_LOCK,
		O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &(struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}) < 0)
		return errno == EACCES ? -EWOULDBLOCK : -errno;
	return TAKE_FD(fd);
}

int sandbox_lock_open(int dir_fd)
{
	int fd = openat(
		dir_fd, SANDBOX_LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool sandbox_lock_held(int lock_fd)
{
	struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return lock_fd >= 0 && fcntl(lock_fd, F_OFD_GETLK, &query) == 0 && query.l_type != F_UNLCK;
}

bool sandbox_dir_alive(int dir_fd)
{
	cleanup_fd int fd = sandbox_lock_open(dir_fd);

	return sandbox_lock_held(fd);
}

/* Unlinks everything that is not a directory, `lock` last. */
static int empty_dir(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	bool removed;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		fd_close(fd);
		return -ENOMEM;
	}
	do {
		removed = false;
		rewinddir(d);
		while ((e = readdir(d))) {
			if (!streq(e->d_name, ".") && !streq(e->d_name, "..") &&
				!streq(e->d_name, SANDBOX_LOCK))
				removed |= unlinkat(dir_fd, e->d_name, 0) == 0;
		}
		/* What is removed while it is read may hide what comes behind it. */
	} while (removed);
	closedir(d);
	return unlinkat(dir_fd, SANDBOX_LOCK, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Is @name (still) the directory behind @dir_fd? */
static bool is_named(int parent_fd, int dir_fd, const char *name)
{
	struct stat a;
	struct stat b;

	return fstat(dir_fd, &a) == 0 && fstatat(parent_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * The lock of @dir_fd is held. Whoever is killed in here leaves what a reaper takes: without
 * spec.json, which goes first, nobody wants it, and as long as there are files there is the lock.
 */
static int remove_dir(int parent_fd, int dir_fd, const char *name)
{
	int r = -EBUSY;

	(void)unlinkat(dir_fd, SANDBOX_SPEC, 0);
	for (unsigned int i = 0; i < REMOVE_ATTEMPTS; i++) {
		r = empty_dir(dir_fd);
		if (r < 0 || unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return r;
		r = -errno;
		if (r != -ENOTEMPTY && r != -EEXIST)
			return r;
		/* Emptied by us, it may have been replaced by a new one at once. */
		if (!is_named(parent_fd, dir_fd, name))
			return 0;
		/* What an editor is writing beside spec.json came in between; it stays one file. */
	}
	return r;
}

bool sandbox_dir_unmade(int dir_fd)
{
	struct stat st;

	return fstatat(dir_fd, SANDBOX_UNMADE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * Does the directory outlive its supervisor? Only a readable spec.json says no; one that cannot be
 * read is somebody's data.
 */
static bool is_persistent(int dir_fd)
{
	cleanup_fd int fd = openat(
		dir_fd, SANDBOX_SPEC, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_json struct json *doc = NULL;
	cleanup_free char *text = NULL;
	bool ephemeral = false;
	struct stat st;

	if (fd < 0)
		return errno != ENOENT;
	if (sandbox_dir_unmade(dir_fd))
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > LIMIT_JSON_BYTES)
		return true;
	text = malloc((size_t)st.st_size + 1);
	if (!text || io_read_full(fd, text, (size_t)st.st_size) < 0)
		return true;
	if (json_parse(text, (size_t)st.st_size, &doc, NULL) < 0)
		return true;
	return json_get_bool(doc, "ephemeral", &ephemeral, NULL) < 0 || !ephemeral;
}

/* Returns whether @name was removed. */
static bool reap_one(int parent_fd, const char *name)
{
	cleanup_fd int dir_fd = open_dir(parent_fd, name);
	cleanup_fd int lock_fd = -EBADF;

	if (dir_fd < 0 || is_persistent(dir_fd))
		return false;
	lock_fd = lock_dir(dir_fd, 0);
	if (lock_fd == -ENOENT)
		return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
	if (lock_fd < 0)
		return false;
	/* Its creator may have made it persistent and left since the look above. */
	return !is_persistent(dir_fd) && remove_dir(parent_fd, dir_fd, name) == 0;
}

int sandbox_reap_stale(const char *home)
{
	int parent_fd = -EBADF;
	struct dirent *e;
	int removed = 0;
	DIR *d;
	int r = open_parent(home, false, &parent_fd);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	d = fdopendir(parent_fd);
	if (!d) {
		fd_close(parent_fd);
		return -ENOMEM;
	}
	while ((e = readdir(d))) {
		if (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
			continue;
		if (!name_valid(e->d_name) && !str_starts(e->d_name, NEW_PREFIX))
			continue;
		removed += reap_one(dirfd(d), e->d_name);
	}
	closedir(d);
	return removed;
}

/* A locked directory with a name nobody else uses. -EAGAIN: a reaper was faster, try another one.
 */
static int make_new(int parent_fd, char *ret_name, int *ret_fd, int *ret_lock_fd)
{
	char name[NEW_NAME];
	cleanup_fd int fd = -EBADF;
	cleanup_fd int lock_fd = -EBADF;
	uint32_t v;
	int r = random_u32(&v);

	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), NEW_PREFIX "%08" PRIx32, v);
	if (mkdirat(parent_fd, name, 0700) < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	fd = open_dir(parent_fd, name);
	if (fd < 0) {
		r = fd;
		goto undo;
	}
	lock_fd = lock_dir(fd, O_CREAT);
	if (lock_fd < 0) {
		r = lock_fd;
		goto undo;
	}
	(void)memcpy(ret_name, name, sizeof(name));
	*ret_fd = TAKE_FD(fd);
	*ret_lock_fd = TAKE_FD(lock_fd);
	return 0;
undo:
	/* Gone, or in the hands of a reaper that will remove it. */
	if (r == -ENOENT || r == -EWOULDBLOCK)
		return -EAGAIN;
	if (fd >= 0)
		(void)unlinkat(fd, SANDBOX_LOCK, 0);
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
	return r;
}

/* @name is taken: 0 when it was left-over and is gone now. */
static int clear_name(int parent_fd, const char *name, struct msb_err *err)
{
	cleanup_fd int dir_fd = open_dir(parent_fd, name);
	cleanup_fd int lock_fd = -EBADF;
	struct stat st;

	if (dir_fd == -ENOENT)
		return 0;
	if (dir_fd < 0)
		return msb_err_errno(err, dir_fd, "sandbox '%s'", name);
	if (is_persistent(dir_fd))
		return msb_err_set(err, -EEXIST, MSB_EXISTS, "sandbox '%s' exists already", name);
	/* Without a lock it is being removed; making one now would only disturb that. */
	lock_fd = lock_dir(dir_fd, 0);
	if (lock_fd == -EWOULDBLOCK)
		return msb_err_set(err, -EEXIST, MSB_EXISTS, "sandbox '%s' is running", name);
	if (lock_fd == -ENOENT)
		return 0;
	if (lock_fd < 0)
		return msb_err_errno(err, lock_fd, "lock of sandbox '%s'", name);
	/* Removed by somebody else between open and lock: what has the name now is another one. */
	if (fstat(lock_fd, &st) == 0 && st.st_nlink == 0)
		return 0;
	if (is_persistent(dir_fd))
		return msb_err_set(err, -EEXIST, MSB_EXISTS, "sandbox '%s' exists already", name);
	return remove_dir(parent_fd, dir_fd, name) < 0
		       ? msb_err_set(err, -EEXIST, MSB_EXISTS,
				 "the left-over directory of sandbox '%s' cannot be removed", name)
		       : 0;
}

/* Gives the locked directory @new_name its name. */
static int claim_name(int parent_fd, const char *new_name, const char *name, struct msb_err *err)
{
	for (unsigned int i = 0; i < CREATE_ATTEMPTS; i++) {
		int r;

		if (renameat(parent_fd, new_name, parent_fd, name) == 0)
			return 0;
		if (errno == ENOENT)
			return -EAGAIN;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return msb_err_errno(err, -errno, "directory of sandbox '%s'", name);
		r = clear_name(parent_fd, name, err);
		if (r < 0)
			return r;
	}
	return msb_err_set(
		err, -EBUSY, MSB_BUSY, "directory '%s' is in use, or is not a sandbox's", name);
}

static int create_at(int parent_fd, const char *name, struct sandbox_dir *ret, struct msb_err *err)
{
	for (unsigned int i = 0; i < CREATE_ATTEMPTS; i++) {
		char new_name[NEW_NAME];
		int r = make_new(parent_fd, new_name, &ret->fd, &ret->lock_fd);

		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return msb_err_errno(err, r, "directory of sandbox '%s'", name);
		r = claim_name(parent_fd, new_name, name, err);
		if (r == 0)
			return 0;
		(void)remove_dir(parent_fd, ret->fd, new_name);
		ret->fd = fd_close(ret->fd);
		ret->lock_fd = fd_close(ret->lock_fd);
		if (r != -EAGAIN)
			return r;
	}
	return msb_err_set(err, -EBUSY, MSB_BUSY, "directory of sandbox '%s' cannot be made", name);
}

int sandbox_dir_create(
	const char *home, const char *name, struct sandbox_dir *ret, struct msb_err *err)
{
	struct sandbox_dir d = {.parent_fd = -EBADF, .fd = -EBADF, .lock_fd = -EBADF};
	int r = sandbox_name_check(name, err);

	if (r < 0)
		return r;
	r = str_copy(d.name, sizeof(d.name), name);
	if (r == 0)
		r = open_parent(home, true, &d.parent_fd);
	if (r < 0)
		return msb_err_errno(err, r, "%s/sandboxes", home);
	r = create_at(d.parent_fd, name, &d, err);
	if (r < 0) {
		d.parent_fd = fd_close(d.parent_fd);
		return r;
	}
	*ret = d;
	return 0;
}

int sandbox_dir_remove(struct sandbox_dir *d)
{
	if (d->fd < 0)
		return 0;
	return remove_dir(d->parent_fd, d->fd, d->name);
}

void sandbox_dir_close(struct sandbox_dir *d)
{
	d->fd = fd_close(d->fd);
	d->parent_fd = fd_close(d->parent_fd);
	d->lock_fd = fd_close(d->lock_fd);
}

static int no_such(const char *name, struct msb_err *err)
{
	return msb_err_hint(err,
		msb_err_set(err, -ENOENT, MSB_NOT_FOUND, "no sandbox is named '%s'", name),
		"'msb ls' lists what there is");
}

int sandbox_dir_find(const char *home, const char *name, int *ret_fd, struct msb_err *err)
{
	cleanup_fd int parent_fd = -EBADF;
	int r = sandbox_name_check(name, err);

	if (r < 0)
		return r;
	r = open_parent(home, false, &parent_fd);
	if (r == 0)
		r = open_dir(parent_fd, name);
	if (r == -ENOENT)
		return no_such(name, err);
	if (r < 0)
		return msb_err_errno(err, r, "sandbox '%s'", name);
	*ret_fd = r;
	return 0;
}

int sandbox_dir_lock(
	const char *home, const char *name, struct sandbox_dir *ret, struct msb_err *err)
{
	struct sandbox_dir d = {.parent_fd = -EBADF, .fd = -EBADF, .lock_fd = -EBADF};
	int r = sandbox_dir_find(home, name, &d.fd, err);

	if (r < 0)
		return r;
	r = open_parent(home, false, &d.parent_fd);
	if (r == 0)
		r = str_copy(d.name, sizeof(d.name), name);
	if (r == 0 && is_persistent(d.fd))
		r = d.lock_fd = lock_dir(d.fd, 0);
	else if (r == 0)
		r = sandbox_dir_alive(d.fd) ? -EWOULDBLOCK : -ENOENT;
	/* Removed between open and lock: gone, or another one that has taken the name. */
	if (r >= 0 && !is_named(d.parent_fd, d.fd, name))
		r = -ENOENT;
	if (r >= 0) {
		*ret = d;
		return 0;
	}
	sandbox_dir_close(&d);
	if (r == -EWOULDBLOCK)
		return msb_err_set(err, r, MSB_BUSY, "sandbox '%s' is running", name);
	return r == -ENOENT ? no_such(name, err) : msb_err_errno(err, r, "sandbox '%s'", name);
}

/*
 * The directory's name is the sandbox's, whatever spec.json says, so one rename is all there is to
 * be killed in.
 */
int sandbox_dir_rename(struct sandbox_dir *d, const char *name, struct msb_err *err)
{
	int r = sandbox_name_check(name, err);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		/* Replaces an empty directory at most. */
		if (renameat(d->parent_fd, d->name, d->parent_fd, name) == 0) {
			r = str_copy(d->name, sizeof(d->name), name);
			return r < 0 ? msb_err_errno(err, r, "new name") : 0;
		}
		if (errno != EEXIST && errno != ENOTEMPTY)
			return msb_err_errno(err, -errno, "new name '%s'", name);
		/* Perhaps only left-over. */
		r = clear_name(d->parent_fd, name, err);
		if (r < 0)
			return r;
	}
	return msb_err_set(err, -EEXIST, MSB_EXISTS, "sandbox '%s' exists already", name);
}

int sandbox_dir_adopt(const char *home, const char *name, int dir_fd, int lock_fd,
	struct sandbox_dir *ret, struct msb_err *err)
{
	struct sandbox_dir d = {.parent_fd = -EBADF, .fd = dir_fd, .lock_fd = lock_fd};
	int r = str_copy(d.name, sizeof(d.name), name);

	if (r == 0)
		r = open_parent(home, false, &d.parent_fd);
	if (r < 0)
		return msb_err_errno(err, r, "sandbox '%s'", name);
	*ret = d;
	return 0;
}

int sandbox_each(const char *home, sandbox_each_fn *fn, void *arg)
{
	int parent_fd = -EBADF;
	struct dirent *e;
	DIR *d;
	int r = open_parent(home, false, &parent_fd);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	d = fdopendir(parent_fd);
	if (!d) {
		fd_close(parent_fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(d))) {
		cleanup_fd int fd = -EBADF;

		if ((e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) || !name_valid(e->d_name))
			continue;
		fd = open_dir(dirfd(d), e->d_name);
		if (fd >= 0)
			r = fn(e->d_name, fd, arg);
	}
	closedir(d);
	return r;
}
