/* SPDX-License-Identifier: Apache-2.0 */
/* From the words of the command line to a command: the program's table and cli_main(). */
#include <fcntl.h>

#include "base/log.h"
#include "base/str.h"

#include "cli/cli.h"
#include "lib/config.h"
#include "sandbox/state.h"

static const struct opt common_opts[] = {
	{.name = "debug",
		.type = OPT_CONST,
		.offset = offsetof(struct cli_common, log_level),
		.value = LOG_DEBUG,
		.help = "Show diagnostics of all msb processes on stderr",
		.group = "General"},
	{.name = "trace",
		.type = OPT_CONST,
		.offset = offsetof(struct cli_common, log_level),
		.value = LOG_TRACE,
		.help = "Show even more",
		.group = "General",
		.hidden = true},
	{.name = "info",
		.type = OPT_CONST,
		.offset = offsetof(struct cli_common, log_level),
		.value = LOG_INFO,
		.help = "Show informational messages",
		.group = "General",
		.hidden = true},
	{.name = "warn",
		.type = OPT_CONST,
		.offset = offsetof(struct cli_common, log_level),
		.value = LOG_WARN,
		.help = "Show warnings",
		.group = "General",
		.hidden = true},
	{.name = "error",
		.type = OPT_CONST,
		.offset = offsetof(struct cli_common, log_level),
		.value = LOG_ERR,
		.help = "Show errors only",
		.group = "General",
		.hidden = true},
	{.name = "tree",
		.type = OPT_FLAG,
		.offset = offsetof(struct cli_common, tree),
		.help = "Show commands and options as a tree",
		.group = "General",
		.alone = true},
	{.name = "help",
		.letter = 'h',
		.type = OPT_FLAG,
		.offset = offsetof(struct cli_common, help),
		.help = "Show this help",
		.group = "General",
		.alone = true},
};

struct top_args {
	struct cli_common common;
	bool version;
};

static const struct opt top_opts[] = {
	{.name = "version",
		.letter = 'V',
		.type = OPT_FLAG,
		.offset = offsetof(struct top_args, version),
		.help = "Show the version",
		.group = "General"},
};

static const struct opt_command *const tables[] = {
	&cmd_run.table,
	&cmd_create.table,
	&cmd_exec.table,
	&cmd_shell.table,
	&cmd_start.table,
	&cmd_stop.table,
	&cmd_restart.table,
	&cmd_rm.table,
	&cmd_ls.table,
	&cmd_ps.table,
	&cmd_wait.table,
	&cmd_logs.table,
	&cmd_inspect.table,
	&cmd_modify.table,
	&cmd_rename.table,
	&cmd_ping.table,
	&cmd_touch.table,
	&cmd_kill.table,
	&cmd_cp.table,
	&cmd_metrics.table,
	&cmd_top.table,
	&cmd_net_explain.table,
	&cmd_net_events.table,
	&cmd_net_verify.table,
	&cmd_net_ca.table,
	&cmd_pull.table,
	&cmd_image_ls.table,
	&cmd_image_inspect.table,
	&cmd_image_rm.table,
	&cmd_image_prune.table,
	&cmd_load.table,
	&cmd_save.table,
	&cmd_registry_login.table,
	&cmd_registry_logout.table,
	&cmd_registry_ls.table,
	&cmd_volume_create.table,
	&cmd_volume_ls.table,
	&cmd_volume_inspect.table,
	&cmd_volume_rm.table,
	&cmd_volume_prune.table,
	&cmd_snapshot_create.table,
	&cmd_snapshot_ls.table,
	&cmd_snapshot_inspect.table,
	&cmd_snapshot_verify.table,
	&cmd_snapshot_rm.table,
	&cmd_snapshot_save.table,
	&cmd_snapshot_load.table,
	&cmd_install.table,
	&cmd_uninstall.table,
	&cmd_config_show.table,
	&cmd_doctor.table,
	&cmd_completion.table,
	&cmd_version.table,
	&cmd_help.table,
	&cmd_man.table,
};

static const struct opt_group groups[] = {
	{"config", "The configuration"},
	{"image", "Images in the local store"},
	{"snapshot", "Root disks to begin from"},
	{"registry", "Logins at image registries"},
	{"net", "What sandboxes may reach"},
	{"volume", "Directories and disks that outlive sandboxes"},
};

static const struct opt_variable variables[] = {
	{"MSB_HOME", "Where sandboxes and caches are kept, ~/.microsandbox by default"},
	{"MSB_CONFIG_PATH", "The configuration to use instead of MSB_HOME/config.json"},
	{"MSB_LIB", "Where msb finds its other programs, the guest kernel and the image base; by "
		    "default lib/msb beside the directory of the program"},
};

/* Read once, when the first option asks; its text is that of arguments. */
static struct config configuration;
static bool configuration_read;

static int configured(
	void *arg, const char *key, char number[OPT_NUMBER], const char **ret, struct msb_err *err)
{
	char home[PATH_MAX];
	int r;

	if (!configuration_read) {
		r = sandbox_home_default(home, sizeof(home), err);
		if (r == 0)
			r = config_load(home, &configuration, err);
		if (r < 0)
			return r;
		configuration_read = true;
	}
	return config_text(&configuration, key, number, ret, err);
}

const struct opt_program cli_program = {
	.name = "msb",
	.version = MSB_VERSION,
	.summary = "Run untrusted code in microVMs with a Linux kernel of their own",
	.description =
		"msb starts small virtual machines: each sandbox boots its own Linux kernel, "
		"so nothing inside shares a kernel with the host. On hosts without usable "
		"KVM the machine is emulated by QEMU.",
	.common = common_opts,
	.n_common = ARRAY_SIZE(common_opts),
	.commands = tables,
	.n_commands = ARRAY_SIZE(tables),
	.groups = groups,
	.n_groups = ARRAY_SIZE(groups),
	.top = top_opts,
	.n_top = ARRAY_SIZE(top_opts),
	.configured = configured,
	.variables = variables,
	.n_variables = ARRAY_SIZE(variables),
	.exit_status =
		"0 on success, 2 for words that msb does not understand, 125 when msb or the "
		"host failed. For msb run see msb-run(1).",
};

/* Set once, before anything else runs. */
static uint64_t started_ns;

uint64_t cli_started_ns(void)
{
	return started_ns;
}

/* What a text is about: a command, a group, or with neither the program. */
typedef int text_fn(const struct opt_program *prog, const struct opt_command *cmd, struct buf *out);
typedef int group_text_fn(
	const struct opt_program *prog, const struct opt_group *group, struct buf *out);

static int print_made(int r, struct buf *text)
{
	struct msb_err err = {0};
	int status;

	if (r < 0) {
		(void)msb_err_errno(&err, r, "writing the text");
		status = cli_fail(&err);
	} else {
		status = cli_print(text);
	}
	buf_deinit(text);
	return status;
}

static int print_text(text_fn *fn, const struct opt_command *table)
{
	struct buf text;

	buf_init(&text, CLI_TEXT_MAX);
	return print_made(fn(&cli_program, table, &text), &text);
}

static int print_group_text(group_text_fn *fn, const struct opt_group *group)
{
	struct buf text;

	buf_init(&text, CLI_TEXT_MAX);
	return print_made(fn(&cli_program, group, &text), &text);
}

static int run_command(
	const struct cli_command *cmd, const struct cli_common *common, int argc, char **argv)
{
	const struct opt_command *table = &cmd->table;
	cleanup_free void *args = calloc(1, cmd->args_size);
	struct cli_common *own = args;
	struct opt_words words;
	struct msb_err err = {0};
	int status;
	int r;

	if (!args) {
		(void)msb_err_errno(&err, -ENOMEM, "starting");
		return cli_fail(&err);
	}
	*own = *common;
	if (opt_parse(&cli_program, table, argc, argv, args, &words, &err) < 0)
		return cli_fail(&err);
	log_init("msb", (enum log_level)own->log_level);
	if (own->help) {
		status = print_text(opt_help, table);
	} else if (own->tree) {
		status = print_text(opt_tree, table);
	} else {
		r = opt_check_operands(&cli_program, table, &words, &err);
		status = r < 0 ? cli_fail(&err) : cmd->run(args, &words);
	}
	opt_words_deinit(&words);
	opt_deinit(&cli_program, table, args);
	return status;
}

static int unknown_command(const struct opt_found *found, char **words)
{
	const char *group = found->group ? found->group->name : NULL;
	const char *word = words[group ? 1 : 0];
	struct msb_err err = {0};
	char quoted[80];
	int r = msb_err_set(&err, -EINVAL, MSB_USAGE, "unknown command %s%s%s", group ? group : "",
		group ? " " : "", str_quote(quoted, sizeof(quoted), word, strlen(word)));

	if (found->near)
		(void)msb_err_hint(&err, r, "did you mean 'msb %s'?", found->near);
	else
		(void)msb_err_hint(
			&err, r, "see 'msb %s%s--help'", group ? group : "", group ? " " : "");
	return cli_fail(&err);
}

/* A group's name without a command of it: `msb image`, `msb image --help`. */
static int run_group(const struct opt_found *found, char **words, size_t n, bool tree)
{
	if (n > 1 && streq(words[1], "--tree"))
		tree = true;
	else if (n > 1 && !streq(words[1], "--help") && !streq(words[1], "-h"))
		return unknown_command(found, words);
	return print_group_text(tree ? opt_group_tree : opt_group_help, found->group);
}

/* Options before the command: none of them takes a value, so the first other word is the command.
 */
static int split_top(int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0')
		i++;
	return i;
}

/* A closed stdin, stdout or stderr would be the number of the next file we open. */
static void fill_std_fds(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* NOLINTNEXTLINE(android-cloexec-open): standard descriptors are inherited */
		if (open("/dev/null", O_RDWR | O_NOCTTY) < 0)
			return;
	}
}

int cli_main(int argc, char **argv)
{
	struct top_args top = {.common.log_level = LOG_WARN};
	int at = split_top(argc, argv);
	struct opt_found found;
	struct opt_words words;
	struct msb_err err = {0};

	started_ns = clock_mono_ns();
	fill_std_fds();
	log_init("msb", LOG_WARN);
	if (opt_parse(&cli_program, NULL, at > 1 ? at - 1 : 0, argv + 1, &top, &words, &err) < 0)
		return cli_fail(&err);
	opt_words_deinit(&words);
	if (top.version)
		return cmd_version.run(&top.common, NULL);
	if (at >= argc)
		return print_text(top.common.tree ? opt_tree : opt_help, NULL);

	argv += at;
	argc -= at;
	opt_find(&cli_program, (const char *const *)argv, (size_t)argc, &found);
	if (found.cmd)
		return run_command(container_of(found.cmd, struct cli_command, table), &top.common,
			argc - (int)found.used, argv + found.used);
	return found.group ? run_group(&found, argv, (size_t)argc, top.common.tree)
			   : unknown_command(&found, argv);
}
