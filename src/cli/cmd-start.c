/* SPDX-License-Identifier: Apache-2.0 */
/* msb start, msb restart: stopped sandboxes, and those that shall begin anew. */
#include <signal.h>

#include "cli/names.h"

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

static int start_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	int r = cli_api_catch(api, e);

	if (r < 0)
		return r;
	r = msb_start(api->msb, name, e);
	cli_api_release(api, r, e);
	if (r < 0 && e->console[0]) {
		cli_api_prefix(e, "failed to start '%s'", name);
		(void)snprintf(e->hint, sizeof(e->hint),
			"its console is in %s/sandboxes/%s/kernel.log", msb_home(api->msb), name);
	}
	return r;
}

static int restart_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	const struct start_args *a = arg;
	int r = a->force ? msb_kill(api->msb, name, SIGKILL, e)
			 : msb_stop(api->msb, name, cli_api_ms(a->grace_ns), e);

	return r < 0 ? r : start_one(api, name, arg, e);
}

static int run_each(struct start_args *a, const struct opt_words *words, bool restart)
{
	const struct names n = {
		.common = &a->common,
		.words = &words->operands,
		.labels = &a->labels,
		.done = restart ? "Restarted" : "Started",
		.quiet = a->quiet,
		.each = restart ? restart_one : start_one,
		.arg = a,
	};

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
