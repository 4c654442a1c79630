/* SPDX-License-Identifier: Apache-2.0 */
/* msb ping, msb touch: does the guest answer, and it shall not count as idle. */
#include "cli/names.h"

struct ping_args {
	struct cli_common common;
	struct opt_list labels;
	bool touch;
	bool quiet;
};

#define AT(field) .offset = offsetof(struct ping_args, field)
#define LABEL_OPT                                                                    \
	{                                                                            \
		.name = "label", .type = OPT_LIST, AT(labels), .arg = "KEY[=VALUE]", \
		.help = "Also those with this label; given twice, with both"         \
	}

static const struct opt ping_opts[] = {
	LABEL_OPT,
	{.name = "touch", .type = OPT_FLAG, AT(touch), .help = "As msb touch"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt touch_opts[] = {
	LABEL_OPT,
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of a sandbox", .repeatable = true},
};

static int ping_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	const struct ping_args *a = arg;
	uint64_t begin = clock_mono_ns();
	int r = msb_ping(api->msb, name, a->touch, e);

	if (r < 0 || a->quiet)
		return r;
	cli_done(a->touch ? "Touched" : "Reached", "%s (%.1f ms)", name,
		(double)(clock_mono_ns() - begin) / 1e6);
	return 0;
}

static int run_ping(void *args, const struct opt_words *words)
{
	struct ping_args *a = args;
	const struct names n = {
		.common = &a->common,
		.words = &words->operands,
		.labels = &a->labels,
		.each = ping_one,
		.arg = a,
	};

	return names_each(&n);
}

static int run_touch(void *args, const struct opt_words *words)
{
	struct ping_args *a = args;

	a->touch = true;
	return run_ping(args, words);
}

const struct cli_command cmd_ping = {
	.table = {.name = "ping",
		.summary = "See whether sandboxes answer",
		.description = "Asks the agent in each guest and waits for its answer. That is no "
			       "use of the sandbox as far as --idle-timeout goes.",
		.group = "Sandboxes",
		.opts = ping_opts,
		.n_opts = ARRAY_SIZE(ping_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands)},
	.args_size = sizeof(struct ping_args),
	.run = run_ping,
};

const struct cli_command cmd_touch = {
	.table = {.name = "touch",
		.summary = "Let the idle timeout of sandboxes begin anew",
		.group = "Sandboxes",
		.opts = touch_opts,
		.n_opts = ARRAY_SIZE(touch_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands)},
	.args_size = sizeof(struct ping_args),
	.run = run_touch,
};
