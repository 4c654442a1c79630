/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attached command: start a sandbox, or connect to one that runs, run the command in it with our
 * own stdin, stdout and stderr, end the sandbox if it was started here, say how the command ended.
 *
 * The machine starts while the request waits in its channel. From `started` on stdin is read and,
 * with a terminal, raw mode is on. Signals to us are signals to the command; a second one ends the
 * sandbox, or, in one that ran before, the command. The function returns when the supervisor has
 * cleaned up, or after a limit.
 *
 * A command that is let go runs on: with it the sandbox, if it was started here, until the command
 * ends.
 */
#pragma once

#include "base/base.h"

#include "sandbox/spec.h"

struct sandbox_dir;
struct detach_keys;
struct preparation;

struct session_opts {
	const char *home;
	const char *name;
	const struct sandbox_spec *spec; /* of what is to be started; NULL: connect to @name */
	int image_fd; /* borrowed, -1: none; as for sandbox_spawn() */
	struct sandbox_dir
		*dir; /* locked: start this existing sandbox, and close; NULL: a new one */
	const struct preparation *prepare; /* of a new one, NULL: nothing to do first */
	bool *not_running; /* set, and nothing is said, when there is nothing to connect to */
	const char *user; /* of the command, NULL: the sandbox's */
	const char *cwd; /* absolute, NULL: the sandbox's */
	const struct msg_rlimit *rlimits;
	uint32_t n_rlimits;
	const char *const *argv;
	const char *const *env; /* for the command only, NULL-terminated */
	bool pty; /* the command gets a terminal */
	bool raw; /* ours on stdin goes into raw mode */
	bool use_stdin;
	bool quiet;
	bool timing;
	uint64_t timeout_ns; /* of the command, 0: none */
	bool detach; /* let go of the command as soon as it runs */
	const struct detach_keys *detach_keys; /* that let go of it, with @raw; NULL: none */
	void (*ready)(void *arg); /* the guest of a sandbox started here is ready; may be NULL */
	void *ready_arg;
};

/** session_run - returns the exit status of msb */
int session_run(const struct session_opts *opts);
