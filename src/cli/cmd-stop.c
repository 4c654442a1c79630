/* SPDX-License-Identifier: Apache-2.0 */
/* msb stop, msb rm, msb wait: the ends of sandboxes. */
#include <signal.h>

#include "base/signame.h"
#include "base/str.h"

#include "cli/names.h"

struct stop_args {
	struct cli_common common;
	struct opt_list labels;
	uint64_t time_ns; /* grace of stop, limit of wait */
	bool force;
	bool quiet;
	uint32_t signo; /* of kill, 0: none */
};

#define AT(field) .offset = offsetof(struct stop_args, field)
#define LABEL_OPT                                                                    \
	{                                                                            \
		.name = "label", .type = OPT_LIST, AT(labels), .arg = "KEY[=VALUE]", \
		.help = "Also those with this label; given twice, with both"         \
	}
#define QUIET_OPT                                                                                 \
	{                                                                                         \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices" \
	}

static const struct opt stop_opts[] = {
	LABEL_OPT,
	{.name = "timeout",
		.letter = 't',
		.type = OPT_DURATION,
		AT(time_ns),
		.arg = "TIME",
		.def = "10",
		.help = "Time for processes to end by themselves"},
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Switch the machine off at once; what was not synced is lost"},
	QUIET_OPT,
};

static const struct opt rm_opts[] = {
	LABEL_OPT,
	{.name = "force",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(force),
		.help = "Also those that run: switch their machines off"},
	QUIET_OPT,
};

static const struct opt wait_opts[] = {
	LABEL_OPT,
	{.name = "timeout",
		.letter = 't',
		.type = OPT_DURATION,
		AT(time_ns),
		.arg = "TIME",
		.min = 1,
		.help = "Give up after this long and exit with 124"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of a sandbox", .repeatable = true},
};

static const struct opt_example stop_examples[] = {
	{"With ten seconds for its processes", "msb stop dev"},
	{"At once", "msb stop --force dev"},
};

static const struct opt_example rm_examples[] = {
	{"A stopped sandbox with all its files", "msb rm dev"},
	{"Everything with a label", "msb rm --force --label job=42"},
};

static const struct opt_example wait_examples[] = {
	{"Until a job is done", "msb wait job && msb logs job"},
};

static int stop_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	const struct stop_args *a = arg;

	return a->force ? msb_kill(api->msb, name, SIGKILL, e)
			: msb_stop(api->msb, name, cli_api_ms(a->time_ns), e);
}

static int rm_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	const struct stop_args *a = arg;

	return msb_remove(api->msb, name, a->force, e);
}

static int wait_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	const struct stop_args *a = arg;

	return msb_wait(api->msb, name, (a->time_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, e);
}

static int run_each(struct stop_args *a, const struct opt_words *words, const char *done,
	int (*each)(struct cli_api *api, const char *name, void *arg, struct msb_error *e))
{
	const struct names n = {
		.common = &a->common,
		.words = &words->operands,
		.labels = &a->labels,
		.done = done,
		.quiet = a->quiet,
		.each = each,
		.arg = a,
	};

	return names_each(&n);
}

static int run_stop(void *args, const struct opt_words *words)
{
	return run_each(args, words, "Stopped", stop_one);
}

static int run_rm(void *args, const struct opt_words *words)
{
	return run_each(args, words, "Removed", rm_one);
}

static int run_wait(void *args, const struct opt_words *words)
{
	return run_each(args, words, NULL, wait_one);
}

const struct cli_command cmd_stop = {
	.table = {.name = "stop",
		.summary = "Stop running sandboxes",
		.description =
			"Asks the processes of each sandbox to end, kills those that do not in "
			"time, writes the file systems out and switches the machine off. Files of "
			"a named sandbox are there again after msb start. A sandbox that does not "
			"run is no error.",
		.group = "Sandboxes",
		.opts = stop_opts,
		.n_opts = ARRAY_SIZE(stop_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = stop_examples,
		.n_examples = ARRAY_SIZE(stop_examples)},
	.args_size = sizeof(struct stop_args),
	.run = run_stop,
};

const struct cli_command cmd_rm = {
	.table = {.name = "rm",
		.aliases = {"remove"},
		.summary = "Remove sandboxes with their files",
		.description = "Removes stopped sandboxes: their root disks, logs and settings. "
			       "One that runs is left alone, unless --force ends it first.",
		.group = "Sandboxes",
		.opts = rm_opts,
		.n_opts = ARRAY_SIZE(rm_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = rm_examples,
		.n_examples = ARRAY_SIZE(rm_examples)},
	.args_size = sizeof(struct stop_args),
	.run = run_rm,
};

const struct cli_command cmd_wait = {
	.table = {.name = "wait",
		.summary = "Wait until sandboxes do not run any more",
		.group = "Sandboxes",
		.opts = wait_opts,
		.n_opts = ARRAY_SIZE(wait_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = wait_examples,
		.n_examples = ARRAY_SIZE(wait_examples)},
	.args_size = sizeof(struct stop_args),
	.run = run_wait,
};

static int parse_signal(void *target, const char *value, struct msb_err *err)
{
	char quoted[120];
	int r = signame_parse(value, target);

	if (r == 0)
		return 0;
	(void)msb_err_set(err, r, MSB_USAGE, "%s is no signal",
		str_quote(quoted, sizeof(quoted), value, strlen(value)));
	return msb_err_hint(err, r, "write for example HUP, SIGUSR1 or 15");
}

static int kill_one(struct cli_api *api, const char *name, void *arg, struct msb_error *e)
{
	const struct stop_args *a = arg;

	return msb_kill(api->msb, name, (int)a->signo, e);
}

static int run_kill(void *args, const struct opt_words *words)
{
	const struct stop_args *a = args;

	return run_each(args, words, a->signo == SIGKILL ? "Killed" : "Signalled", kill_one);
}

static const struct opt kill_opts[] = {
	LABEL_OPT,
	{.name = "signal",
		.letter = 's',
		.type = OPT_PARSE,
		AT(signo),
		.parse = parse_signal,
		.arg = "SIGNAL",
		.def = "KILL",
		.help = "Send this signal to the main process; KILL switches the machine off"},
	QUIET_OPT,
};

static const struct opt_example kill_examples[] = {
	{"At once", "msb kill dev"},
	{"Read the configuration again", "msb kill -s HUP web"},
};

const struct cli_command cmd_kill = {
	.table = {.name = "kill",
		.summary = "Switch running sandboxes off at once, or signal them",
		.description =
			"As msb stop --force: what was not written out is lost. Another signal "
			"goes to the main process, the command of msb run; a sandbox that was made "
			"by msb create has none.",
		.group = "Sandboxes",
		.opts = kill_opts,
		.n_opts = ARRAY_SIZE(kill_opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = kill_examples,
		.n_examples = ARRAY_SIZE(kill_examples)},
	.args_size = sizeof(struct stop_args),
	.run = run_kill,
};
