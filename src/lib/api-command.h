/* SPDX-License-Identifier: Apache-2.0 */
/* What a struct msb_command is made of. */
#pragma once

#include "base/base.h"
#include "base/opt.h"

#include "lib/run-args.h"
#include "msb/exec.h"

struct msb_command {
	char **argv; /* NULL: what the sandbox runs by itself */
	struct opt_list env; /* owned */
	char *user;
	char *workdir;
	char *term; /* type of the terminal, NULL: nobody says */
	struct run_rlimits rlimits;
	uint64_t timeout_ns;
	uint16_t rows;
	uint16_t columns;
	bool terminal;
	bool start_sandbox;
	bool detach;
	bool lose_stderr;
	int (*output)(void *arg, int stream, const void *data, size_t n);
	void *output_arg;
	ssize_t (*input)(void *arg, void *to, size_t n);
	void *input_arg;
	int fds[3]; /* -1: none */
};
