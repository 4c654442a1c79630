/* SPDX-License-Identifier: Apache-2.0 */
/* Commands with our terminal: what run, exec and shell have in common. */
#pragma once

#include "base/base.h"
#include "base/log.h"
#include "base/opt.h"

#include "cli/session.h"

/**
 * attach_run - session_run() with what our stdin and stdout are
 * @so: pty, raw, use_stdin and env are filled in here
 * @tty: 1: a terminal, -1: none, 0: as stdin and stdout are
 * @words: what the user gave with -e: the terminal's type goes with the terminal, unless it is
 * there
 * @env: NAME=VALUE for the command, or NULL
 */
int attach_run(
	struct session_opts *so, int tty, const struct opt_list *words, const struct opt_list *env);

struct enter_opts {
	const char *home;
	const char *lib_dir;
	const char *name;
	const char *const *argv;
	const struct opt_list *env; /* NAME=VALUE */
	const char *user;
	const char *cwd;
	const struct msg_rlimit *rlimits;
	uint32_t n_rlimits;
	int tty;
	bool quiet;
	bool timing;
	uint64_t timeout_ns;
	bool detach;
	const struct detach_keys *detach_keys;
	enum log_level log_level;
};

/** enter - a command in an existing sandbox, which is started for it if it does not run, and
 * stopped again then; returns the exit status */
int enter(const struct enter_opts *o);
