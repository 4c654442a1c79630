/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a child process with exactly the descriptors and rights it needs: see spawn.h. */
#include "base/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"

enum { KERNEL_SIGNALS = 64 };

enum { NOBODY = 65534, CHILD_STACK = 64 * 1024 };

void spawn_add_fd(struct spawn *s, int from, int to)
{
	assert(s->n_fds < SPAWN_FDS_MAX);
	s->fds[s->n_fds++] = (struct spawn_fd){.from = from, .to = to};
}

/*
 * Moves the descriptors to their numbers in two passes: first all sources above every target, so
 * that no target overwrites a source that is still needed, then down. Whatever is not listed is
 * closed.
 */
static int child_fds(const struct spawn *s)
{
	int high[SPAWN_FDS_MAX];
	bool std[3] = {false, false, false};
	int above = SPAWN_FD_FIRST;
	int null_low;
	int null_fd;

	for (unsigned int i = 0; i < s->n_fds; i++)
		above = MAX(above, s->fds[i].to + 1);
	for (unsigned int i = 0; i < s->n_fds; i++) {
		high[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, above);
		if (high[i] < 0)
			return -errno;
	}
	/* Up with it too: the number open() chose may be a target. */
	null_low = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_low < 0)
		return -errno;
	null_fd = fcntl(null_low, F_DUPFD_CLOEXEC, above);
	if (null_fd < 0)
		return -errno;
	for (unsigned int i = 0; i < s->n_fds; i++) {
		if (dup2(high[i], s->fds[i].to) < 0)
			return -errno;
		if (s->fds[i].to < 3)
			std[s->fds[i].to] = true;
	}
	for (int fd = 0; fd < 3; fd++) {
		if (!std[fd] && dup2(null_fd, fd) < 0)
			return -errno;
	}
	return 0;
}

/* One by one, for kernels before 5.11 (EINVAL) and before 5.9 (ENOSYS). */
static int cloexec_each(unsigned int first, unsigned int last)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	for (unsigned int fd = first; fd <= last && fd < limit.rlim_cur; fd++)
		(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int cloexec_range(unsigned int first, unsigned int last)
{
	if (syscall(SYS_close_range, first, last, 4 /* CLOSE_RANGE_CLOEXEC */) == 0)
		return 0;
	return errno == ENOSYS || errno == EINVAL ? cloexec_each(first, last) : -errno;
}

/* Everything without a place in the list, and not already close-on-exec, is closed by the exec. */
static int child_close_rest(const struct spawn *s)
{
	int next = 3;

	/* The list is short: walk the gaps between the kept numbers in ascending order. */
	for (;;) {
		int kept = INT_MAX;

		for (unsigned int i = 0; i < s->n_fds; i++) {
			if (s->fds[i].to >= next)
				kept = MIN(kept, s->fds[i].to);
		}
		if (kept == INT_MAX)
			break;
		if (kept > next) {
			int r = cloexec_range((unsigned int)next, (unsigned int)kept - 1);

			if (r < 0)
				return r;
		}
		next = kept + 1;
	}
	return cloexec_range((unsigned int)next, ~0u);
}

/*
 * Handlers end with the exec, but what is ignored stays ignored, also the two real-time signals
 * that C libraries keep for themselves and do not let sigaction() touch: hence the system call. All
 * zeroes is the default action.
 */
static int child_signals(void)
{
	static const uint64_t dfl[4];
	sigset_t none;

	for (int sig = 1; sig <= KERNEL_SIGNALS; sig++) {
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)syscall(SYS_rt_sigaction, sig, dfl, NULL, KERNEL_SIGNALS / 8);
	}
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* By system call: the C library's functions would reach for the threads of the parent. */
static int become_nobody(void)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
		syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) < 0 ||
		syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

static int child_setup(const struct spawn *s, pid_t parent)
{
	struct rlimit core = {.rlim_cur = s->core_limit, .rlim_max = s->core_limit};
	int r = s->drop_root && geteuid() == 0 ? become_nobody() : 0;

	if (r < 0)
		return r;
	/* After the change of identity, which forgets it. */
	if (!s->outlive_parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			return -errno;
		/* The parent may have died before the line above took effect. */
		if (getppid() != parent)
			return -ECHILD;
	}
	if (s->new_session && setsid() < 0)
		return -errno;
	r = child_fds(s);
	if (r < 0)
		return r;
	r = child_close_rest(s);
	if (r < 0)
		return r;
	if (setrlimit(RLIMIT_CORE, &core) < 0)
		return -errno;
	if (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (s->in_child) {
		r = s->in_child(s->in_child_arg);
		if (r < 0)
			return r;
	}
	return child_signals();
}

static int spawn_join_cgroup(int cgroup_fd)
{
	cleanup_fd int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, "0", 1) < 0 ? -errno : 0;
}

struct child {
	const struct spawn *spawn;
	pid_t parent;
	int failed; /* negative errno of the step that failed, written by the child */
	pid_t orphan; /* written by the process between us and it */
};

static int child_main(void *p)
{
	volatile struct child *c = p;
	const struct spawn *s = c->spawn;
	int r = s->cgroup_fd >= 0 ? spawn_join_cgroup(s->cgroup_fd) : 0;

	if (r == 0)
		r = child_setup(s, c->parent);
	if (r == 0) {
		execve(s->path, s->argv, s->envp);
		r = -errno;
	}
	c->failed = r;
	_exit(127);
}

/* Like vfork(), but with namespaces; the child has a stack of its own in the parent's memory. */
static pid_t start_child(volatile struct child *c)
{
	char stack[CHILD_STACK] __attribute__((aligned(16)));

	return clone(child_main, stack + sizeof(stack),
		CLONE_VM | CLONE_VFORK | SIGCHLD | c->spawn->namespaces, (void *)(uintptr_t)c);
}

static int between_main(void *p)
{
	volatile struct child *c = p;
	pid_t pid = start_child(c);

	if (pid < 0)
		c->failed = -errno;
	c->orphan = pid;
	_exit(0);
}

/* The process between us and the child ends at once, and init inherits the child. */
static pid_t start_orphan(volatile struct child *c)
{
	char stack[2 * CHILD_STACK] __attribute__((aligned(16)));
	pid_t pid = clone(between_main, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
		(void *)(uintptr_t)c);

	if (pid < 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return c->orphan;
}

int spawn_run(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	volatile struct child c = {.spawn = s, .parent = getpid()};
	int failed;
	sigset_t all;
	sigset_t old;
	int pidfd;
	pid_t pid;

	/* No handler of the parent may run in the child while both share memory. */
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &old) < 0)
		return -errno;
	pid = s->orphan ? start_orphan(&c) : start_child(&c);
	failed = c.failed < 0 ? c.failed : pid < 0 ? -errno : 0;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return failed;
	if (failed < 0) {
		if (!s->orphan)
			(void)waitpid(pid, NULL, 0);
		return failed;
	}
	if (ret_pidfd) {
		pidfd = io_pidfd_open(pid);
		if (pidfd < 0) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
			return pidfd;
		}
		*ret_pidfd = pidfd;
	}
	*ret_pid = pid;
	return 0;
}
