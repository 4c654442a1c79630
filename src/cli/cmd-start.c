/* SPDX-License-Identifier: Apache-2.0 */
/* msb start, msb restart: stopped sandboxes, and those that shall begin anew. */
#include "base/str.h"

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/names.h"
#include "lib/life.h"
#include "lib/where.h"

struct start_args {
	struct cli_common common;
	struct opt_list labels;
	uint64_t grace_ns;
	bool force;
	bool quiet;
};

#define AT(field) .offset = offsetof(struct start_args, field)

static const struct opt start_opts[] = {
	{.name = "label",
		.type = OPT_LIST,
		AT(labels),
		.arg = "KEY[=VALUE]",
		.help = "Also those with this label; given twice, with both"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt restart_opts[] = {
	{.name = "label",
		.type = OPT_LIST,
		AT(labels),
		.arg = "KEY[=VALUE]",
		.help = "Also those with this label; given twice, with both"},
	{.name = "timeout",
		.letter = 't',
		.type = OPT_DURATION,
		AT(grace_ns),
		.arg = "TIME",
		.def = "10",
		.help = "Time for processes to end by themselves"},
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Switch the machine off at once"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of a sandbox", .repeatable = true},
};

static const struct opt_example start_examples[] = {
	{"One sandbox", "msb start dev"},
	{"All of a project", "msb start --label project=web"},
};

static const struct opt_example restart_examples[] = {
	{"One sandbox", "msb restart dev"},
};

struct starting {
	const struct start_args *args;
	char home[PATH_MAX];
	char lib_dir[PATH_MAX];
};

static int start_one(const char *home, const char *name, void *arg, struct msb_err *err)
{
	const struct starting *s = arg;
	struct life_error le = {.console = ""};
	int r = interrupt_start(home, s->lib_dir, name, s->args->common.log_level, &le);

	*err = le.err;
	if (r < 0 && le.console[0]) {
		(void)msb_err_prefix(err, r, "failed to start '%s'", name);
		(void)msb_err_hint(
			err, r, "its console is in %s/sandboxes/%s/kernel.log", home, name);
	}
	return r;
}

static int restart_one(const char *home, const char *name, void *arg, struct msb_err *err)
{
	const struct starting *s = arg;
	int r = life_stop(home, name, life_grace_ms(s->args->grace_ns), s->args->force, err);

	return r < 0 ? r : start_one(home, name, arg, err);
}

static int run_each(struct start_args *a, const struct opt_words *words, bool restart)
{
	struct starting s = {.args = a};
	struct msb_err err = {0};
	const struct names n = {
		.home = s.home,
		.words = &words->operands,
		.labels = &a->labels,
		.done = restart ? "Restarted" : "Started",
		.quiet = a->quiet,
		.each = restart ? restart_one : start_one,
		.arg = &s,
	};

	if (sandbox_home_default(s.home, sizeof(s.home), &err) < 0 ||
		where_lib_dir(s.lib_dir, sizeof(s.lib_dir), &err) < 0)
		return cli_fail(&err);
	return names_each(&n);
}

static int run_start(void *args, const struct opt_words *words)
{
	return run_each(args, words, false);
}

static int run_restart(void *args, const struct opt_words *words)
{
	return run_each(args, words, true);
}

const struct cli_command cmd_start = {
	.table = {.name = "start",
		.summary = "Start stopped sandboxes",
		.description = "Boots the machine of each sandbox again, with its files as they "
			       "were, and returns when its guest is ready.",
		.group = "Sandboxes",
		.opts = start_opts,
		.n_opts = ARRAY_SIZE(start_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = start_examples,
		.n_examples = ARRAY_SIZE(start_examples)},
	.args_size = sizeof(struct start_args),
	.run = run_start,
};

const struct cli_command cmd_restart = {
	.table = {.name = "restart",
		.summary = "Stop sandboxes, then start them",
		.description = "As msb stop and msb start of each sandbox; one that does not run "
			       "is just started.",
		.group = "Sandboxes",
		.opts = restart_opts,
		.n_opts = ARRAY_SIZE(restart_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = restart_examples,
		.n_examples = ARRAY_SIZE(restart_examples)},
	.args_size = sizeof(struct start_args),
	.run = run_restart,
};
