/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the process of an exec: see child.h. */
#include "child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

/* What the agent raised for itself, and what programs get unless told otherwise: the usual soft
 * limit for select(), and room to raise it. */
static const struct msg_rlimit default_nofile = {RLIMIT_NOFILE, 1024, 524288};

static int child_rlimits(const struct msg_rlimit *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		/* The kernel's own form: 64 bits, all ones for no limit, as on the wire. */
		const struct {
			uint64_t cur;
			uint64_t max;
		} lim = {v[i].soft, v[i].hard};

		if (syscall(SYS_prlimit64, 0, v[i].resource, &lim, NULL) < 0)
			return -errno;
	}
	return 0;
}

/* Bare system calls: libc's versions synchronise threads, which the shared memory forbids. */
static int child_user(const struct user *u)
{
	if (syscall(SYS_setgroups, u->n_groups, u->groups) < 0 ||
		syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0 ||
		syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
		return -errno;
	return 0;
}

static int child_stdio(struct child *c)
{
	c->stage = STAGE_FORK;
	if (setsid() < 0)
		return -errno;
	if (c->pty) {
		c->stage = STAGE_PTY;
		if (ioctl(c->stdio[0], TIOCSCTTY, 0) < 0)
			return -errno;
	}
	/* The agent keeps its own 0, 1 and 2 open, so no source is among the targets. */
	c->stage = STAGE_IO;
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(c->stdio[fd], fd) < 0)
			return -errno;
	}
	/* All of ours are close-on-exec; what somebody left to us as well. */
	(void)syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/*
 * What administers the machine, or reaches PID 1 or the kernel, which still can. Dropped for good:
 * whatever is executed later, no program gets it back.
 */
static int child_restrict(void)
{
	static const int dropped[] = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE, CAP_SYS_RAWIO,
		CAP_BPF, CAP_PERFMON, CAP_CHECKPOINT_RESTORE, CAP_SYSLOG, CAP_MAC_ADMIN};

	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		/* A kernel of the user may know fewer. */
		if (prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0) < 0 && errno != EINVAL)
			return -errno;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int child_rights(struct child *c)
{
	int r;

	c->stage = STAGE_RLIMIT;
	/* Only a guest's root may raise it; as an ordinary process it stays as inherited. */
	(void)child_rlimits(&default_nofile, 1);
	r = 0;
	for (int i = 0; i < 2 && r == 0; i++)
		r = child_rlimits(c->rlimits[i], c->n_rlimits[i]);
	if (r < 0)
		return r;
	c->stage = STAGE_USER;
	/*
	 * Nobody switches the machine off past PID 1: without its goodbye that looks like a crash,
	 * and a halt would look like nothing at all. `reboot`, `poweroff` and `halt` ask PID 1.
	 */
	(void)prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0);
	r = c->restricted ? child_restrict() : 0;
	if (r == 0)
		r = child_user(c->user);
	if (r < 0)
		return r;
	c->stage = STAGE_CWD;
	return chdir(c->cwd) < 0 ? -errno : 0;
}

/* Runs @file of @dir, or looks whether it is there. Returns from running only on failure. */
static int child_try(struct child *c, const char *dir, size_t dir_len, const char *file, bool run)
{
	size_t len = strlen(file);
	size_t at = 0;

	if (dir_len + 1 + len + 1 > sizeof(c->what))
		return -ENAMETOOLONG;
	if (dir_len) {
		memcpy(c->what, dir, dir_len);
		at = dir_len;
		if (c->what[at - 1] != '/')
			c->what[at++] = '/';
	}
	memcpy(c->what + at, file, len + 1);
	if (!run)
		return faccessat(AT_FDCWD, c->what, F_OK, 0) < 0 ? -errno : 0;
	execve(c->what, c->argv, c->envp);
	return -errno;
}

/*
 * The program where PATH says, with @run; without, only a look whether it is there.
 *
 * Return: the error of the attempt that counts; 0: it is there, c->what says where.
 */
static int child_search(struct child *c, bool run)
{
	bool denied = false;

	for (const char *dir = c->path;;) {
		size_t len = strcspn(dir, ":");
		int r = child_try(c, len ? dir : ".", len ? len : 1, c->argv[0], run);

		if (r == -EACCES)
			denied = true;
		else if (r != -ENOENT && r != -ENOTDIR && r != -ENAMETOOLONG)
			return r;
		if (dir[len] == '\0')
			return denied ? -EACCES : -ENOENT;
		dir += len + 1;
	}
}

static int child_exec(struct child *c)
{
	const char *file = c->argv[0];
	bool is_path = strchr(file, '/') != NULL;
	int r = -ENOENT;

	c->stage = STAGE_EXEC;
	if (*file == '\0')
		return r;
	r = is_path ? child_try(c, NULL, 0, file, true) : child_search(c, true);
	/* Some directory has it, but which one would be a guess. */
	if (r == -EACCES && !is_path)
		c->what[0] = '\0';
	if (r != -ENOENT)
		return r;
	/* A program whose interpreter or loader is missing gives the same error as none. */
	c->no_interpreter =
		(is_path ? child_try(c, NULL, 0, file, false) : child_search(c, false)) == 0;
	if (!c->no_interpreter)
		c->what[0] = '\0';
	return r;
}

static int child_run(struct child *c)
{
	sigset_t none;
	int r = child_stdio(c);

	if (r == 0)
		r = child_rights(c);
	if (r < 0)
		return r;
	umask(022);
	/* The agent has no handlers, only blocked signals. */
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) {
		c->stage = STAGE_FORK;
		return -errno;
	}
	return child_exec(c);
}

int child_spawn(struct child *c, pid_t *ret_pid)
{
	volatile int failed = 0;
	sigset_t all;
	sigset_t old;
	pid_t pid;

	c->stage = STAGE_FORK;
	c->no_interpreter = false;
	c->what[0] = '\0';
	/* A signal for the agent must not kill the child half way. */
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &old) < 0)
		return -errno;
	pid = vfork();
	if (pid == 0) {
		failed = child_run(c);
		_exit(127);
	}
	if (pid < 0)
		failed = -errno;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (failed < 0) {
		/* One that exec'ed is reaped by the loop; this one is no exec of anybody. */
		if (pid > 0)
			(void)waitpid(pid, NULL, 0);
		return failed;
	}
	*ret_pid = pid;
	return 0;
}
