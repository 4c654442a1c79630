/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of msb share: the shape of a command, common options, output, places.
 *
 * A command is a table (src/base/opt.h) and a function. The function gets its filled argument
 * struct, whose first member is a struct cli_common, and returns the exit status of msb.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/opt.h"

#ifndef MSB_VERSION
#define MSB_VERSION "unknown"
#endif

enum {
	CLI_EXIT_TIMEOUT = 124,
	CLI_EXIT_FAILED = 125,
	CLI_TEXT_MAX = 1 << 20, /* longest text a command prints at once */
};

struct cli_common {
	bool help;
	bool tree;
	int log_level; /* enum log_level */
};

struct cli_command {
	struct opt_command table;
	size_t args_size;
	int (*run)(void *args, const struct opt_words *words);
};

/* Commands, one per cmd-<verb>.c. */
extern const struct cli_command cmd_run;
extern const struct cli_command cmd_create;
extern const struct cli_command cmd_exec;
extern const struct cli_command cmd_shell;
extern const struct cli_command cmd_start;
extern const struct cli_command cmd_stop;
extern const struct cli_command cmd_restart;
extern const struct cli_command cmd_rm;
extern const struct cli_command cmd_ls;
extern const struct cli_command cmd_ps;
extern const struct cli_command cmd_wait;
extern const struct cli_command cmd_logs;
extern const struct cli_command cmd_inspect;
extern const struct cli_command cmd_rename;
extern const struct cli_command cmd_modify;
extern const struct cli_command cmd_ping;
extern const struct cli_command cmd_touch;
extern const struct cli_command cmd_kill;
extern const struct cli_command cmd_cp;
extern const struct cli_command cmd_metrics;
extern const struct cli_command cmd_top;
extern const struct cli_command cmd_net_explain;
extern const struct cli_command cmd_net_events;
extern const struct cli_command cmd_net_verify;
extern const struct cli_command cmd_net_ca;
extern const struct cli_command cmd_pull;
extern const struct cli_command cmd_image_ls;
extern const struct cli_command cmd_image_inspect;
extern const struct cli_command cmd_image_rm;
extern const struct cli_command cmd_image_prune;
extern const struct cli_command cmd_snapshot_create;
extern const struct cli_command cmd_snapshot_ls;
extern const struct cli_command cmd_snapshot_inspect;
extern const struct cli_command cmd_snapshot_verify;
extern const struct cli_command cmd_snapshot_rm;
extern const struct cli_command cmd_snapshot_save;
extern const struct cli_command cmd_snapshot_load;
extern const struct cli_command cmd_registry_login;
extern const struct cli_command cmd_registry_logout;
extern const struct cli_command cmd_registry_ls;
extern const struct cli_command cmd_volume_create;
extern const struct cli_command cmd_volume_ls;
extern const struct cli_command cmd_volume_inspect;
extern const struct cli_command cmd_volume_rm;
extern const struct cli_command cmd_volume_prune;
extern const struct cli_command cmd_load;
extern const struct cli_command cmd_save;
extern const struct cli_command cmd_install;
extern const struct cli_command cmd_uninstall;
extern const struct cli_command cmd_config_show;
extern const struct cli_command cmd_doctor;
extern const struct cli_command cmd_help;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_completion;
extern const struct cli_command cmd_man; /* internal: prints man pages for the build */

/* The table of all of them. */
extern const struct opt_program cli_program;

/** cli_main - the whole of msb except for exit(); returns the exit status */
int cli_main(int argc, char **argv);

/** cli_started_ns - CLOCK_MONOTONIC when cli_main() began */
uint64_t cli_started_ns(void);

/** cli_fail - print "msb: what; how to fix" on stderr; returns the exit status of the error's kind
 */
int cli_fail(const struct msb_err *err);

/** cli_print - write to stdout; returns an exit status, 0 if all went out */
int cli_print(struct buf *text);

/** cli_print_name - a line of its own on stdout; returns an exit status */
int cli_print_name(const char *name);

/** cli_print_json - end the document and write it to stdout; returns an exit status */
int cli_print_json(struct json_out *out, struct buf *text);

/** cli_done - "   V Pulled       what" on stderr, V being a check mark */
void cli_done(const char *verb, const char *fmt, ...) MSB_PRINTF(2, 3);

/** cli_note - one line on stderr, "msb: " in front; what could move a cursor becomes '?' */
void cli_note(const char *fmt, ...) MSB_PRINTF(1, 2);

/** cli_console - last lines of a guest's console on stderr, if there are any */
void cli_console(const char *text);

/** cli_confirm - ask the user; 0 to go on, 1 for no, -EINVAL with @hint when there is nobody to ask
 */
int cli_confirm(const char *question, const char *hint, struct msb_err *err) MSB_MUST_CHECK;
