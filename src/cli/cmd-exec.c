/* SPDX-License-Identifier: Apache-2.0 */
/* msb exec, msb shell: commands in sandboxes that are there. */
#include "base/str.h"

#include "cli/detach-keys.h"
#include "cli/session.h"
#include "lib/env-file.h"
#include "lib/run-args.h"

/* Checked where they are read; the library gets them as they were written. */
struct rlimit_words {
	struct run_rlimits check;
	struct opt_list words;
};

struct exec_args {
	struct cli_common common;
	struct opt_list env;
	struct opt_list env_files;
	const char *workdir;
	const char *user;
	const char *shell;
	struct rlimit_words rlimits;
	int tty;
	bool stream;
	bool quiet;
	bool timing;
	uint64_t timeout_ns;
	bool detach;
	struct detach_keys detach_keys;
};

static int parse_rlimit(void *target, const char *value, struct msb_err *err)
{
	struct rlimit_words *r = target;
	int e = run_parse_rlimit(&r->check, value, err);

	if (e < 0)
		return e;
	e = opt_list_add(&r->words, value);
	return e < 0 ? msb_err_errno(err, e, "a limit") : 0;
}

#define AT(field) .offset = offsetof(struct exec_args, field)
#define PROCESS	  .group = "Command"
#define OUTPUT	  .group = "Running"
#define COMMON_OPTS                                                                                \
	{.name = "env",                                                                            \
		.letter = 'e',                                                                     \
		.type = OPT_LIST,                                                                  \
		AT(env),                                                                           \
		.arg = "NAME[=VALUE]",                                                             \
		PROCESS,                                                                           \
		.help = "Set an environment variable; NAME alone passes on the value from here"},  \
		{.name = "env-file",                                                               \
			.type = OPT_LIST,                                                          \
			AT(env_files),                                                             \
			.arg = "FILE",                                                             \
			PROCESS,                                                                   \
			.complete = OPT_COMPLETE_FILE,                                             \
			.help = "Set the variables of this file, one NAME=VALUE a line; -e wins"}, \
		{.name = "workdir",                                                                \
			.letter = 'w',                                                             \
			.type = OPT_STRING,                                                        \
			AT(workdir),                                                               \
			.arg = "DIR",                                                              \
			PROCESS,                                                                   \
			.help = "Working directory, the sandbox's by default"},                    \
		{.name = "user",                                                                   \
			.letter = 'u',                                                             \
			.type = OPT_STRING,                                                        \
			AT(user),                                                                  \
			.arg = "USER[:GROUP]",                                                     \
			PROCESS,                                                                   \
			.help = "Run as this user, the sandbox's by default"},                     \
		{.name = "rlimit",                                                                 \
			.type = OPT_PARSE,                                                         \
			AT(rlimits),                                                               \
			.parse = parse_rlimit,                                                     \
			.arg = "NAME=SOFT[:HARD]",                                                 \
			PROCESS,                                                                   \
			.repeatable = true,                                                        \
			.help = "Resource limit of the command, e.g. nofile=1024:2048"},           \
		SESSION_DETACH_KEYS_OPT(struct exec_args),                                         \
	{                                                                                          \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), OUTPUT,               \
		.help = "No progress and no notices"                                               \
	}

static const struct opt exec_opts[] = {
	COMMON_OPTS,
	{.name = "detach",
		.letter = 'd',
		.type = OPT_FLAG,
		AT(detach),
		OUTPUT,
		.excludes = "timeout",
		.help = "Return as soon as the command runs; it has no input, what it prints is in "
			"msb logs"},
	SESSION_TTY_OPTS(struct exec_args),
	/* Output is always streamed. */
	{.name = "stream", .type = OPT_FLAG, AT(stream), OUTPUT, .help = "", .hidden = true},
	SESSION_TIMING_OPT(struct exec_args),
};

static const struct opt shell_opts[] = {
	COMMON_OPTS,
	{.name = "shell",
		.type = OPT_STRING,
		AT(shell),
		.arg = "PROGRAM",
		PROCESS,
		.help = "The shell, by default what the sandbox was made with, or /bin/sh"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
};

static const struct opt_example exec_examples[] = {
	{"A command", "msb exec dev -- uname -a"},
	{"With input", "tar c . | msb exec -w /srv dev -- tar x"},
	{"In the background", "msb exec -d dev -- python -m http.server"},
	{"As somebody else", "msb exec -u nobody -e LANG=C dev -- id"},
};

static const struct opt_example shell_examples[] = {
	{"A shell", "msb shell dev"},
	{"A line for the shell", "msb shell dev -- 'cd /srv && ls | wc -l'"},
};

static int check_workdir(const struct exec_args *a, struct msb_err *err)
{
	char quoted[120];

	if (!a->workdir || a->workdir[0] == '/')
		return 0;
	return msb_err_set(err, -EINVAL, MSB_USAGE, "option --workdir: %s is not an absolute path",
		str_quote(quoted, sizeof(quoted), a->workdir, strlen(a->workdir)));
}

/* @argv: NULL: what the sandbox runs by itself. */
static int enter_with(struct exec_args *a, const char *name, const char *const *argv)
{
	struct opt_list env = {.n = 0};
	struct msb_err err = {0};
	int status;

	if (env_make(&a->env_files, &a->env, &env, &err) < 0) {
		status = cli_fail(&err);
	} else {
		const struct session_opts so = {
			.common = &a->common,
			.name = name,
			.argv = argv,
			.env = &env,
			.user = a->user,
			.cwd = a->workdir,
			.rlimits = &a->rlimits.words,
			.tty = a->tty,
			.quiet = a->quiet,
			.timing = a->timing,
			.timeout_ns = a->timeout_ns,
			.detach = a->detach,
			.detach_keys = &a->detach_keys,
		};

		status = session_run(&so);
	}
	run_env_deinit(&env);
	return status;
}

static int run_exec(void *args, const struct opt_words *words)
{
	struct exec_args *a = args;
	struct opt_list argv = {.n = 0};
	struct msb_err err = {0};
	int status;
	int r = check_workdir(a, &err);

	for (size_t i = 0; i < words->n_command && r == 0; i++)
		r = opt_list_add(&argv, words->command[i]);
	if (r == -E2BIG)
		(void)msb_err_set(
			&err, r, MSB_USAGE, "the command has more than %u words", LIMIT_ARGV);
	else if (r < 0 && !err.msg[0])
		(void)msb_err_errno(&err, r, "reading the command line");
	status = r < 0 ? cli_fail(&err) : enter_with(a, words->operands.items[0], argv.items);
	free(argv.items);
	free(a->rlimits.words.items);
	return status;
}

/* The words as one line, as ssh does. */
static int join_words(const struct opt_words *words, struct buf *line)
{
	int r = 0;

	for (size_t i = 0; i < words->n_command && r == 0; i++)
		r = buf_printf(line, "%s%s", i ? " " : "", words->command[i]);
	return r == 0 && !buf_cstr(line) ? -ENOMEM : r;
}

/* The shell of the sandbox, as its description says; for free(). */
static char *find_shell(const struct exec_args *a, const char *name, int *ret_status)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_info *info = NULL;
	char *shell = NULL;
	struct cli_api api;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_inspect(api.msb, name, &info, &e);
	if (r == 0)
		shell = strdup(msb_info_shell(info));
	*ret_status = r < 0 ? cli_api_fail(&e) : CLI_EXIT_FAILED;
	(void)msb_info_free(info);
	cli_api_close(&api);
	return shell;
}

static int run_shell(void *args, const struct opt_words *words)
{
	struct exec_args *a = args;
	const char *name = words->operands.items[0];
	cleanup_free char *found = NULL;
	struct msb_err err = {0};
	struct buf line;
	int status = 0;
	int r = check_workdir(a, &err);

	if (r < 0)
		return cli_fail(&err);
	if (!a->shell) {
		found = find_shell(a, name, &status);
		if (!found)
			return status;
	}
	buf_init(&line, LIMIT_EXEC_BYTES);
	r = join_words(words, &line);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "reading the command line");
		status = cli_fail(&err);
	} else {
		const char *argv[] = {a->shell ? a->shell : found, words->n_command ? "-c" : NULL,
			buf_cstr(&line), NULL};

		status = enter_with(a, name, argv);
	}
	buf_deinit(&line);
	free(a->rlimits.words.items);
	return status;
}

#define EXIT_STATUS                                                                              \
	"That of the command; 128 plus the signal's number if a signal killed it; 124 when the " \
	"time limit passed; 126 when the program cannot be executed, 127 when it does not "      \
	"exist; 125 when msb or the host failed; 2 for options msb does not understand."

const struct cli_command cmd_exec = {
	.table = {.name = "exec",
		.summary = "Run a command in a sandbox",
		.description =
			"Runs the command beside whatever runs in the sandbox. Output comes as it "
			"is written; stdin, signals and the size of the terminal go to the "
			"command. A sandbox that does not run is started, and stopped when the "
			"command has ended. Without a command it is what the image runs by itself, "
			"or the sandbox's shell if the image names nothing.",
		.group = "Sandboxes",
		.opts = exec_opts,
		.n_opts = ARRAY_SIZE(exec_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.takes_command = true,
		.examples = exec_examples,
		.n_examples = ARRAY_SIZE(exec_examples),
		.exit_status = EXIT_STATUS},
	.args_size = sizeof(struct exec_args),
	.run = run_exec,
};

const struct cli_command cmd_shell = {
	.table = {.name = "shell",
		.summary = "Open a shell in a sandbox",
		.description = "Words behind -- are one line for the shell to run.",
		.group = "Sandboxes",
		.opts = shell_opts,
		.n_opts = ARRAY_SIZE(shell_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.takes_command = true,
		.examples = shell_examples,
		.n_examples = ARRAY_SIZE(shell_examples),
		.exit_status = EXIT_STATUS},
	.args_size = sizeof(struct exec_args),
	.run = run_shell,
};
