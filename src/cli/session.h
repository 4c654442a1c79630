/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attached command, in a sandbox that is there or in a new one: run it with our own stdin,
 * stdout and stderr, end the sandbox if it was started for it, say how the command ended.
 *
 * The machine starts while the request waits. When the command runs stdin is read and, with a
 * terminal, raw mode is on. Signals to us are signals to the command; a second one ends the
 * sandbox, or, in one that ran before, the command. The function returns when everything is cleaned
 * up, or after a limit.
 *
 * A command that is let go runs on: with it the sandbox, if it was started here, until the command
 * ends.
 */
#pragma once

#include "base/opt.h"

#include "cli/api.h"
#include "cli/detach-keys.h"

struct session_opts {
	const struct cli_common *common;
	const char *name; /* of a sandbox that is there; NULL: @config counts */
	const struct msb_config *config; /* of a new one */
	const char *const *argv; /* NULL: what the sandbox runs by itself */
	const struct opt_list *env; /* NAME=VALUE for the command only; NULL: none */
	const char *user; /* of the command, NULL: the sandbox's */
	const char *cwd; /* absolute, NULL: the sandbox's */
	const struct opt_list *rlimits; /* NULL: none */
	int tty; /* 1: a terminal, -1: none, 0: as stdin and stdout are */
	bool quiet;
	bool timing;
	uint64_t timeout_ns; /* of the command, 0: none */
	bool detach; /* let go of the command as soon as it runs */
	const struct detach_keys *detach_keys; /* that let go of it in raw mode; NULL: none */
};

/** session_run - returns the exit status of msb */
int session_run(const struct session_opts *opts);

/* Entries of a table of options; @T has tty, timeout_ns, detach_keys and timing, as above. */
#define SESSION_TTY_OPTS(T)                                                                      \
	{.name = "tty",                                                                          \
		.letter = 't',                                                                   \
		.type = OPT_CONST,                                                               \
		.offset = offsetof(T, tty),                                                      \
		.value = 1,                                                                      \
		.group = "Running",                                                              \
		.excludes = "no-tty",                                                            \
		.help = "Give the command a terminal; done by itself when stdin and stdout are " \
			"one"},                                                                  \
		{.name = "no-tty",                                                               \
			.type = OPT_CONST,                                                       \
			.offset = offsetof(T, tty),                                              \
			.value = -1,                                                             \
			.group = "Running",                                                      \
			.help = "No terminal: stdout and stderr stay apart"},                    \
	{                                                                                        \
		.name = "timeout", .type = OPT_DURATION, .offset = offsetof(T, timeout_ns),      \
		.arg = "TIME", .group = "Running", .min = 1,                                     \
		.help = "Kill the command after this long (30s, 5m) and exit with 124"           \
	}

#define SESSION_DETACH_KEYS_OPT(T)                                                              \
	{                                                                                       \
		.name = "detach-keys", .type = OPT_PARSE, .offset = offsetof(T, detach_keys),   \
		.parse = detach_keys_parse, .arg = "KEYS", .group = "Running", .def = "ctrl-]", \
		.help = "Keys that leave the terminal while the command goes on, e.g. "         \
			"ctrl-p,ctrl-q, or none"                                                \
	}

#define SESSION_TIMING_OPT(T)                                                                 \
	{                                                                                     \
		.name = "timing", .type = OPT_FLAG, .offset = offsetof(T, timing),            \
		.group = "Running", .help = "Show on stderr when each phase of the run ended" \
	}
