/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes away everything from the process that it does not need: see jail.h.
 *
 * Two ways lead into the namespaces. Real root makes them as root and then becomes nobody. Everyone
 * else makes a user namespace first, and so does a root whose container forbids the direct way.
 * Its id maps stay empty: no id inside means anything outside, and nothing inside can own a file.
 *
 * There is no PID namespace: entering one takes a second process that waits for the first, and it
 * would hide only what the filter already makes unreachable, since the one call that names another
 * process, tgkill, accepts no process but this one.
 */
#include "base/jail.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/landlock.h"

enum { NOBODY = 65534 };

/* Older C libraries lack the numbers and structures; they are the same on all architectures. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#define SYS_fsopen     430
#define SYS_fsconfig   431
#define SYS_fsmount    432
#endif

static int close_range_fallback(unsigned int first, unsigned int last)
{
	struct rlimit max;

	if (getrlimit(RLIMIT_NOFILE, &max) < 0)
		return -errno;
	for (rlim_t fd = first; fd <= last && fd < max.rlim_cur; fd++)
		close((int)fd);
	return 0;
}

static int close_between(unsigned int first, unsigned int last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return 0;
	return errno == ENOSYS ? close_range_fallback(first, last) : -errno;
}

int jail_close_fds(const int *keep, unsigned int n, struct msb_err *err)
{
	unsigned int next = STDERR_FILENO + 1;
	int r = 0;

	while (r == 0) {
		unsigned int kept = UINT_MAX;

		for (unsigned int i = 0; i < n; i++) {
			if (keep[i] >= 0 && (unsigned int)keep[i] >= next)
				kept = MIN(kept, (unsigned int)keep[i]);
		}
		if (kept == UINT_MAX) {
			r = close_between(next, UINT_MAX);
			break;
		}
		r = kept > next ? close_between(next, kept - 1) : 0;
		next = kept + 1;
	}
	return r < 0 ? msb_err_errno(err, r, "cannot close inherited descriptors") : 0;
}

/*
 * Puts an empty read-only file system in the place of the root. The new mount lands on top of "/",
 * where no path leads; the descriptor does. Then old and new root change places and the old one,
 * with every mount of the host below it, goes away.
 */
int jail_empty_root(void)
{
	cleanup_fd int fs = -EBADF;
	cleanup_fd int root = -EBADF;

	/* What we unmount must not vanish from the host: stop propagation to it first. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -errno;
	fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (root < 0)
		return -errno;
	/* pivot_root() moves root and working directory along; the old root then lies on top of
	 * the new one, which is where the last "." finds it. */
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
		fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH) < 0)
		return -errno;
	return 0;
}

/* Namespaces need capabilities: those of real root, or those that a user namespace comes with. */
static uint32_t enter_namespaces(int user_namespace, unsigned int keep)
{
	enum { NAMESPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS };
	int net = keep & JAIL_KEEP_NETWORK ? 0 : CLONE_NEWNET;
	uint32_t level = 0;

	if (unshare(NAMESPACES | net | user_namespace) < 0)
		return 0;
	level |= (net ? JAIL_NETNS : 0) | (user_namespace ? JAIL_USERNS : 0);
	if (jail_empty_root() == 0)
		level |= JAIL_MOUNTNS;
	return level;
}

static int become_nobody(void)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
		syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) < 0 ||
		syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

/*
 * Empties the sets (the ambient one follows) and locks the door behind: no exec and no change of
 * ids gives a capability back. Together with no_new_privs that leaves nothing for the bounding set
 * to bound; dropping it would take one call for each of its members, a third of all system calls
 * of the VMM's start. EPERM: an ordinary user had no capability to begin with.
 */
static int drop_capabilities(void)
{
	const unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
				     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
				     SECBIT_NO_CAP_AMBIENT_RAISE |
				     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (prctl(PR_SET_SECUREBITS, locked, 0, 0, 0) < 0 && errno != EPERM)
		return -errno;
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int jail_drop_privileges(struct msb_err *err)
{
	int r;

	r = drop_capabilities();
	if (r < 0)
		return msb_err_errno(err, r, "cannot drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return msb_err_errno(err, -errno, "cannot set no_new_privs");
	/* No ptrace and no look into /proc/PID from processes of the same user. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return msb_err_errno(err, -errno, "cannot make the process unreadable");
	/* A change of identity forgets it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return msb_err_errno(err, -errno, "cannot bind to the parent's life");
	return 0;
}

int jail_enter(uint32_t *ret_level, struct msb_err *err)
{
	return jail_enter_but(0, ret_level, err);
}

int jail_enter_but(unsigned int keep, uint32_t *ret_level, struct msb_err *err)
{
	bool root = geteuid() == 0;
	uint32_t level = root ? enter_namespaces(0, keep) : 0;
	int r;

	if (root) {
		/* In a container without the right to change ids we are nobody already, or stay
		 * what we are; the user namespace below then is what cuts the identity. */
		r = become_nobody();
		if (r == 0)
			level |= JAIL_USERNS;
		else if (r != -EPERM && r != -EINVAL)
			return msb_err_errno(err, r, "cannot give up root");
	}
	if (!(level & (keep & JAIL_KEEP_NETWORK ? JAIL_MOUNTNS : JAIL_NETNS)))
		level |= enter_namespaces(CLONE_NEWUSER, keep);
	if (getpid() == 1)
		level |= JAIL_PIDNS;
	r = jail_drop_privileges(err);
	if (r < 0)
		return r;
	level |= JAIL_NOCAPS;
	r = landlock_deny_but(NULL, 0, keep & JAIL_KEEP_NETWORK ? LANDLOCK_KEEP_NETWORK : 0);
	if (r == 0)
		level |= JAIL_LANDLOCK;
	else if (r != -ENOSYS && r != -EOPNOTSUPP)
		return msb_err_errno(err, r, "cannot restrict file access");
	*ret_level = level;
	return 0;
}

void jail_more_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

int jail_limit(int resource, uint64_t max, struct msb_err *err)
{
	/* The C libraries disagree about the type of the first argument of setrlimit(). */
	struct rlimit l = {.rlim_cur = max, .rlim_max = max};

	if (syscall(SYS_prlimit64, 0, resource, &l, NULL) < 0)
		return msb_err_errno(err, -errno, "cannot limit resources");
	return 0;
}

int jail_seccomp(const struct sock_filter *from, size_t n, unsigned int flags)
{
	struct sock_filter filter[JAIL_FILTER_MAX];
	struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};

	if (n > JAIL_FILTER_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		filter[i] = from[i];
		if (filter[i].k == SECCOMP_PID)
			filter[i].k = (uint32_t)getpid();
	}
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0 ? -errno : 0;
}
