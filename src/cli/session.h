/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attached run: start a sandbox, run one command in it with our own stdin, stdout and stderr,
 * end it, say how the command ended.
 *
 * The machine starts while the request waits in its channel. From `started` on stdin is read and,
 * with a terminal, raw mode is on. Signals to us are signals to the command; a second one ends the
 * sandbox. The function returns when the supervisor has cleaned up, or after a limit.
 */
#pragma once

#include "base/base.h"

#include "sandbox/spec.h"

struct session_opts {
	const struct sandbox_spec *spec;
	int image_fd; /* borrowed, -1: none; as for sandbox_spawn() */
	const char *const *argv;
	const char *const *env; /* for the command only, NULL-terminated */
	bool pty; /* the command gets a terminal */
	bool raw; /* ours on stdin goes into raw mode */
	bool use_stdin;
	bool quiet;
	bool timing;
	uint64_t timeout_ns; /* of the command, 0: none */
};

/** session_run - returns the exit status of msb */
int session_run(const struct session_opts *opts);
