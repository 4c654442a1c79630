/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-fs: see jail.h.
 *
 * System calls of the C library and of the end:
 * #syscalls(fs:serve): brk mmap(2&PROT_EXEC=0) mprotect(2&PROT_EXEC=0) munmap mremap madvise futex
 * exit_group
 *
 * What a sanitizer does besides, in its builds only:
 * #syscalls(fs:serve:asan): mprotect sigaltstack gettid getpid sched_yield prlimit64 write read
 * readlink fstat newfstatat prctl clone rt_sigaction rt_sigprocmask wait4
 */
#include "fs/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/jail.h"
#include "base/landlock.h"

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_serve) <= JAIL_FILTER_MAX, "room for the filter");

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

enum { APART = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS };

/* Rights below the share; those of files alone for a share of one. */
enum {
	RIGHTS_FILE = LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE,
	RIGHTS_DIR = 0x1fff | LANDLOCK_REFER | LANDLOCK_TRUNCATE,
};

static int write_file(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_write_full(fd, text, strlen(text));
}

/* In a user namespace the server is who it was: files keep their owner. */
static int map_self(uid_t uid, gid_t gid)
{
	char map[64];
	int r;

	(void)snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	r = write_file("/proc/self/uid_map", map);
	if (r == 0)
		r = write_file("/proc/self/setgroups", "deny");
	if (r < 0)
		return r;
	(void)snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return write_file("/proc/self/gid_map", map);
}

static uint32_t enter_namespaces(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0 && unshare(APART) == 0)
		return JAIL_NETNS;
	if (unshare(APART | CLONE_NEWUSER) < 0)
		return 0;
	/* Without a map everything would belong to nobody, and nothing could be made. */
	return map_self(uid, gid) < 0 ? UINT32_MAX : JAIL_NETNS | JAIL_USERNS;
}

/*
 * In a namespace of its own the directory can be cut out of its file system, so that no ".." leads
 * from it to the rest of /proc.
 */
static int open_proc(void)
{
	long fd = syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | O_CLOEXEC);

	if (fd < 0)
		fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* Nothing above the share exists any more for this process. */
static uint32_t cut_root(int share_fd, bool is_dir)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return 0;
	if (!is_dir)
		return jail_empty_root() == 0 ? JAIL_MOUNTNS : 0;
	return fchdir(share_fd) == 0 && chroot(".") == 0 ? JAIL_MOUNTNS : 0;
}

static int become_owner(const struct stat *st)
{
	if (geteuid() != 0 || st->st_uid == 0)
		return 0;
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
		syscall(SYS_setresgid, st->st_gid, st->st_gid, st->st_gid) < 0 ||
		syscall(SYS_setresuid, st->st_uid, st->st_uid, st->st_uid) < 0)
		return -errno;
	return 0;
}

static int restrict_paths(int share_fd, bool is_dir, uint32_t level)
{
	struct landlock_allow allow = {share_fd, is_dir ? RIGHTS_DIR : RIGHTS_FILE};
	int version = landlock_version();

	if (version < 0)
		return version;
	/* The first version forbids every rename between directories, whatever is allowed. */
	if (version < 2) {
		if (level & JAIL_MOUNTNS)
			return -EOPNOTSUPP;
		allow.rights &= ~(uint64_t)LANDLOCK_REFER;
	}
	return landlock_deny_but(&allow, 1, 0);
}

int fs_jail_enter(int share_fd, int *ret_proc_fd, uint32_t *ret_level, struct msb_err *err)
{
	uint32_t level = enter_namespaces();
	struct stat st;
	int r;

	if (level == UINT32_MAX)
		return msb_err_set(
			err, -EPERM, MSB_PERMISSION, "cannot keep the identity in a jail");
	if (fstat(share_fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot use the shared directory");
	*ret_proc_fd = open_proc();
	if (*ret_proc_fd < 0)
		return msb_err_errno(err, *ret_proc_fd, "cannot open /proc/self/fd");
	if (level & JAIL_NETNS)
		level |= cut_root(share_fd, S_ISDIR(st.st_mode));
	/* A user namespace has no other identity to take. */
	r = level & JAIL_USERNS ? 0 : become_owner(&st);
	if (r < 0)
		return msb_err_errno(err, r, "cannot become the owner of the shared directory");
	r = jail_drop_privileges(err);
	if (r < 0)
		return r;
	level |= JAIL_NOCAPS;
	r = restrict_paths(share_fd, S_ISDIR(st.st_mode), level);
	if (r == 0)
		level |= JAIL_LANDLOCK;
	else if (r != -ENOSYS && r != -EOPNOTSUPP)
		return msb_err_errno(err, r, "cannot restrict file access");
	if (fchdir(*ret_proc_fd) < 0)
		return msb_err_errno(err, -errno, "cannot use /proc/self/fd");
	(void)umask(0);
	*ret_level = level;
	return 0;
}

uint32_t fs_jail_fds(void)
{
	enum { FEW = 256, MANY = 1 << 18, OURS = 16 };
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return FEW;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur < FEW + OURS)
		return FEW / 2;
	return (uint32_t)MIN(l.rlim_cur - OURS, (rlim_t)MANY);
}

int fs_jail_lock(struct msb_err *err)
{
	int r = jail_limit(RLIMIT_CORE, 0, err);

	if (r < 0)
		return r;
	(void)signal(SIGXFSZ, SIG_IGN);
	r = jail_seccomp(seccomp_serve, ARRAY_SIZE(seccomp_serve), 0);
	return r < 0 ? msb_err_errno(err, r, "cannot confine the process") : 0;
}
