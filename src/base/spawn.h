/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a child process with exactly the descriptors and rights it needs.
 *
 * The child gets the listed descriptors at the listed numbers and nothing else, an explicit
 * argument and environment list, default signal dispositions and an empty signal mask. It dies with
 * its parent thread unless asked otherwise. The child runs between vfork and exec in this file
 * only, so it is safe from processes with threads.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"

/* Every extent of a machine's disks, and a dozen others. */
enum { SPAWN_FDS_MAX = LIMIT_EXTENTS + 24, SPAWN_FD_FIRST = 3 };

struct spawn_fd {
	int from; /* descriptor of the parent, borrowed */
	int to; /* number in the child */
};

struct spawn {
	const char *path; /* absolute path of the program */
	char *const *argv;
	char *const *envp;
	struct spawn_fd fds[SPAWN_FDS_MAX]; /* 0, 1, 2 not listed become /dev/null */
	unsigned int n_fds;
	bool outlive_parent; /* no PR_SET_PDEATHSIG */
	bool orphan; /* no child of ours, nobody has to wait for it; needs outlive_parent */
	bool new_session; /* setsid(): away from the terminal of the user */
	bool no_new_privs;
	uint64_t core_limit; /* RLIMIT_CORE */
	int cgroup_fd; /* cgroup v2 directory to start in, -1: the parent's */
	int namespaces; /* CLONE_NEW* of namespaces of its own */
	bool drop_root; /* a child of root becomes nobody; of anybody else: no effect */
	/* Called in the child just before exec, async-signal-safe code only; errno on failure. */
	int (*in_child)(void *arg);
	void *in_child_arg;
};

/**
 * spawn_run - start the program
 * @ret_pid: process id
 * @ret_pidfd: owned by the caller, may be NULL
 *
 * Return: 0, or the negative errno of the step that failed in parent or child, the exec included.
 */
int spawn_run(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd) MSB_MUST_CHECK;

/** spawn_add_fd - give the child @from as @to */
void spawn_add_fd(struct spawn *s, int from, int to);
