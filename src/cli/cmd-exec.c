/* SPDX-License-Identifier: Apache-2.0 */
/* msb exec, msb shell: commands in sandboxes that are there. */
#include "base/str.h"

#include "cli/attach.h"
#include "cli/cli.h"
#include "cli/detach-keys.h"
#include "lib/env-file.h"
#include "lib/image-config.h"
#include "lib/run-args.h"
#include "lib/run-config.h"
#include "lib/where.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

struct exec_args {
	struct cli_common common;
	struct opt_list env;
	struct opt_list env_files;
	const char *workdir;
	const char *user;
	const char *shell;
	struct run_rlimits rlimits;
	int tty;
	bool stream;
	bool quiet;
	bool timing;
	uint64_t timeout_ns;
	bool detach;
	struct detach_keys detach_keys;
};

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
			.parse = run_parse_rlimit,                                                 \
			.arg = "NAME=SOFT[:HARD]",                                                 \
			PROCESS,                                                                   \
			.repeatable = true,                                                        \
			.help = "Resource limit of the command, e.g. nofile=1024:2048"},           \
		{.name = "detach-keys",                                                            \
			.type = OPT_PARSE,                                                         \
			AT(detach_keys),                                                           \
			.parse = detach_keys_parse,                                                \
			.arg = "KEYS",                                                             \
			OUTPUT,                                                                    \
			.def = "ctrl-]",                                                           \
			.help = "Keys that leave the terminal while the command goes on, e.g. "    \
				"ctrl-p,ctrl-q, or none"},                                         \
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
	{.name = "tty",
		.letter = 't',
		.type = OPT_CONST,
		AT(tty),
		.value = 1,
		OUTPUT,
		.excludes = "no-tty",
		.help = "Give the command a terminal; done by itself when stdin and stdout are "
			"one"},
	{.name = "no-tty",
		.type = OPT_CONST,
		AT(tty),
		.value = -1,
		OUTPUT,
		.help = "No terminal: stdout and stderr stay apart"},
	{.name = "timeout",
		.type = OPT_DURATION,
		AT(timeout_ns),
		.arg = "TIME",
		OUTPUT,
		.min = 1,
		.help = "Kill the command after this long (30s, 5m) and exit with 124"},
	/* Output is always streamed. */
	{.name = "stream", .type = OPT_FLAG, AT(stream), OUTPUT, .help = "", .hidden = true},
	{.name = "timing",
		.type = OPT_FLAG,
		AT(timing),
		OUTPUT,
		.help = "Show on stderr when each phase of the run ended"},
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

struct place {
	char home[PATH_MAX];
	char lib_dir[PATH_MAX];
};

static int find_place(const struct exec_args *a, struct place *p, struct msb_err *err)
{
	char quoted[120];
	int r = sandbox_home_default(p->home, sizeof(p->home), err);

	if (r == 0)
		r = where_lib_dir(p->lib_dir, sizeof(p->lib_dir), err);
	if (r == 0 && a->workdir && a->workdir[0] != '/')
		r = msb_err_set(err, -EINVAL, MSB_USAGE,
			"option --workdir: %s is not an absolute path",
			str_quote(quoted, sizeof(quoted), a->workdir, strlen(a->workdir)));
	return r;
}

static int enter_with(const struct exec_args *a, const struct place *p, const char *name,
	const struct opt_list *argv)
{
	struct opt_list env = {.n = 0};
	struct msb_err err = {0};
	int status;

	if (env_make(&a->env_files, &a->env, &env, &err) < 0) {
		status = cli_fail(&err);
	} else {
		const struct enter_opts eo = {
			.home = p->home,
			.lib_dir = p->lib_dir,
			.name = name,
			.argv = argv->items,
			.env = &env,
			.user = a->user,
			.cwd = a->workdir,
			.rlimits = a->rlimits.list,
			.n_rlimits = a->rlimits.n,
			.tty = a->tty,
			.quiet = a->quiet,
			.timing = a->timing,
			.timeout_ns = a->timeout_ns,
			.detach = a->detach,
			.detach_keys = &a->detach_keys,
			.log_level = (enum log_level)a->common.log_level,
		};

		status = enter(&eo);
	}
	run_env_deinit(&env);
	return status;
}

/* The words behind @first, which may be NULL. */
static int add_words(struct opt_list *argv, const struct opt_words *words, struct msb_err *err)
{
	int r = 0;

	for (size_t i = 0; i < words->n_command && r == 0; i++)
		r = opt_list_add(argv, words->command[i]);
	if (r == -E2BIG)
		return msb_err_set(
			err, r, MSB_USAGE, "the command has more than %u words", LIMIT_ARGV);
	return r < 0 ? msb_err_errno(err, r, "reading the command line") : 0;
}

/* The shell of the sandbox; @info holds the text. */
static int find_shell(const struct place *p, const char *name, struct sandbox_info *info,
	const char **ret, struct msb_err *err)
{
	int r = sandbox_info_get(p->home, name, info, err);

	if (r < 0)
		return r;
	*ret = info->spec.shell && info->spec.shell[0] ? info->spec.shell : "/bin/sh";
	return 0;
}

/* What a command without words runs, and the owners of its strings. */
struct usual {
	struct sandbox_info info;
	struct oci_config image;
	struct run_config config;
};

/* What the image of the sandbox runs by itself, or else the sandbox's shell. */
static int find_usual(const struct place *p, const char *name, struct usual *u, struct msb_err *err)
{
	struct run_wish wish = {.entrypoint = NULL};
	int r = find_shell(p, name, &u->info, &wish.shell, err);
	bool store = r == 0 && u->info.spec.image_kind == IMAGE_OCI;

	if (store)
		r = image_config_load(p->home, u->info.spec.image_digest, &u->image, err);
	return r < 0 ? r : run_config_merge(store ? &u->image : NULL, &wish, &u->config, err);
}

static int run_exec(void *args, const struct opt_words *words)
{
	const struct exec_args *a = args;
	const char *name = words->operands.items[0];
	struct opt_list argv = {.n = 0};
	struct usual usual = {.config = {.user = ""}};
	struct msb_err err = {0};
	struct place p;
	int status;
	int r = find_place(a, &p, &err);

	sandbox_spec_init(&usual.info.spec);
	if (r == 0 && words->n_command == 0)
		r = find_usual(&p, name, &usual, &err);
	else if (r == 0)
		r = add_words(&argv, words, &err);
	status = r < 0 ? cli_fail(&err)
		       : enter_with(a, &p, name, argv.n ? &argv : &usual.config.argv);
	run_config_deinit(&usual.config);
	oci_config_deinit(&usual.image);
	sandbox_info_deinit(&usual.info);
	free(argv.items);
	return status;
}

/* The words as one line, as ssh does. */
static int join_words(const struct opt_words *words, struct buf *line)
{
	int r = 0;

	for (size_t i = 0; i < words->n_command && r == 0; i++)
		r = buf_printf(line, "%s%s", i ? " " : "", words->command[i]);
	return r;
}

static int run_shell(void *args, const struct opt_words *words)
{
	const struct exec_args *a = args;
	const char *name = words->operands.items[0];
	struct opt_list argv = {.n = 0};
	struct sandbox_info info;
	struct msb_err err = {0};
	const char *shell = a->shell;
	struct place p;
	struct buf line;
	int status;
	int r = find_place(a, &p, &err);

	sandbox_spec_init(&info.spec);
	buf_init(&line, LIMIT_EXEC_BYTES);
	if (r == 0 && !shell)
		r = find_shell(&p, name, &info, &shell, &err);
	if (r == 0) {
		r = opt_list_add(&argv, shell);
		if (r == 0 && words->n_command)
			r = opt_list_add(&argv, "-c");
		if (r == 0 && words->n_command)
			r = join_words(words, &line);
		if (r == 0 && words->n_command)
			r = buf_cstr(&line) ? opt_list_add(&argv, buf_cstr(&line)) : -ENOMEM;
		if (r < 0)
			(void)msb_err_errno(&err, r, "reading the command line");
	}
	status = r < 0 ? cli_fail(&err) : enter_with(a, &p, name, &argv);
	sandbox_info_deinit(&info);
	buf_deinit(&line);
	free(argv.items);
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
