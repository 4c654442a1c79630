/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the process of an exec: its own session and process group, its terminal, limits, user and
 * directory, then the program, searched in PATH with the rights of the user.
 *
 * The child shares memory with the agent between vfork and exec: child.c calls nothing there that
 * allocates, locks or keeps state, and what failed comes back in the struct. Every descriptor of
 * the agent is close-on-exec.
 */
#pragma once

#include "base/base.h"

#include "agent/ops/user.h"
#include "proto/msg.h"

struct child {
	char *const *argv;
	char *const *envp;
	const char *path; /* value of PATH */
	const char *cwd;
	const struct user *user;
	const struct msg_rlimit *rlimits[2]; /* configured, then the request's */
	uint32_t n_rlimits[2];
	int stdio[3]; /* borrowed */
	bool restricted; /* see struct msg_config */
	bool pty; /* stdio[0] becomes the controlling terminal */

	/* Set on failure. */
	enum msg_stage stage;
	bool no_interpreter; /* the program exists, what should run it does not */
	char what[PATH_MAX]; /* the path tried last, "" when none fits */
};

/** child_spawn - 0, or the negative errno of step c->stage, in the agent or in the child */
int child_spawn(struct child *c, pid_t *ret_pid) MSB_MUST_CHECK;
