/* SPDX-License-Identifier: Apache-2.0 */
/* msb modify: another description for a sandbox that is there. */
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "lib/modify.h"

enum { VALUE_WIDTH = 40 };

struct modify_cli_args {
	struct cli_common common;
	struct modify_args change;
	bool dry_run;
	bool next_start;
	bool restart;
	bool quiet;
};

#define AT(field) .offset = offsetof(struct modify_cli_args, field)

/* Behind those of modify_opts. */
static const struct opt opts[] = {
	{.name = "next-start",
		.type = OPT_FLAG,
		AT(next_start),
		.excludes = "restart",
		.help = "What a running sandbox cannot take may wait for its next start"},
	{.name = "restart",
		.type = OPT_FLAG,
		AT(restart),
		.help = "Restart a running sandbox if that is what it takes"},
	{.name = "dry-run", .type = OPT_FLAG, AT(dry_run), .help = "Only show what would change"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "No notices"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
};

static const struct opt_example examples[] = {
	{"More machine, at once if it was made with --max-cpus and --max-memory",
		"msb modify -c 4 -m 2G dev"},
	{"Another machine", "msb modify --restart --max-cpus 8 dev"},
	{"Another address, at once", "msb modify --net-rule allow@10.0.0.5:tcp:5432 dev"},
	{"The value that TOKEN has here, for new connections",
		"msb modify --secret TOKEN@api.example.com dev"},
	{"A label, at once", "msb modify --label state=done job"},
};

static int print_plan(const struct msb_plan *plan)
{
	static const char *const header[] = {"FIELD", "BEFORE", "AFTER", "EFFECT"};
	int status = CLI_EXIT_FAILED;
	struct table table;
	struct buf text;

	table_init(&table, header, ARRAY_SIZE(header));
	for (size_t i = 0; i < msb_plan_size(plan); i++) {
		const char *before = msb_plan_before(plan, i);
		const char *after = msb_plan_after(plan, i);

		table_add(&table, msb_plan_field(plan, i), 0);
		table_add(&table, before ? before : "-", VALUE_WIDTH);
		table_add(&table, after ? after : "-", VALUE_WIDTH);
		table_add(&table, msb_plan_at_once(plan, i) ? "at once" : "next start", 0);
	}
	buf_init(&text, CLI_TEXT_MAX);
	if (table_format(&table, &text) == 0)
		status = cli_print(&text);
	buf_deinit(&text);
	table_deinit(&table);
	return status;
}

static int show(const struct modify_cli_args *a, const struct msb_plan *plan)
{
	if (msb_plan_size(plan) == 0 && !a->quiet)
		cli_note("nothing changes");
	else if (msb_plan_size(plan) && (a->dry_run || !a->quiet))
		return print_plan(plan);
	return 0;
}

static int run_modify(void *args, const struct opt_words *words)
{
	struct modify_cli_args *a = args;
	const struct msb_change change = {.parsed = &a->change};
	enum msb_modify_how how = a->dry_run	  ? MSB_MODIFY_DRY_RUN
				  : a->restart	  ? MSB_MODIFY_RESTART
				  : a->next_start ? MSB_MODIFY_NEXT_START
						  : MSB_MODIFY_NOW;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_plan *plan = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = cli_api_catch(&api, &e);
	if (r == 0) {
		r = msb_modify(api.msb, words->operands.items[0], &change, how, &plan, &e);
		cli_api_release(&api, r, &e);
	}
	if (plan && msb_plan_warning(plan)[0])
		cli_note("%s", msb_plan_warning(plan));
	status = r < 0 ? cli_api_fail(&e) : show(a, plan);
	(void)msb_plan_free(plan);
	cli_api_close(&api);
	modify_args_deinit(&a->change);
	return status;
}

const struct cli_command cmd_modify = {
	.table = {.name = "modify",
		.aliases = {"mod"},
		.summary = "Change the settings of a sandbox",
		.description =
			"Labels and rules of the network change at once; connections that the "
			"rules do not allow any more are reset. Secrets change for new connections "
			"where TLS is intercepted already. Environment and working directory "
			"change for commands that start from then on. Processors and memory of a "
			"running sandbox "
			"change at once up to the maximum it was started with (--max-cpus, "
			"--max-memory), if its guest does as it is told within a minute. "
			"Everything else changes with --restart, or with --next-start when it is "
			"started the next time. All changes are made or none.",
		.group = "Sandboxes",
		.opts = modify_opts,
		.n_opts = OPT_ENDED,
		.opts_at = offsetof(struct modify_cli_args, change),
		.more = opts,
		.n_more = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct modify_cli_args),
	.run = run_modify,
};
