/* SPDX-License-Identifier: Apache-2.0 */
/* msb rename: another name for a stopped sandbox. */
#include "cli/cli.h"
#include "lib/life.h"
#include "sandbox/state.h"

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of a stopped sandbox", .required = true},
	{.name = "NEW", .help = "Its new name", .required = true},
};

static int run_rename(void *args, const struct opt_words *words)
{
	const char *const *names = words->operands.items;
	struct msb_err err = {0};
	char home[PATH_MAX];
	int r = sandbox_home_default(home, sizeof(home), &err);

	if (r == 0)
		r = life_rename(home, names[0], names[1], &err);
	return r < 0 ? cli_fail(&err) : 0;
}

const struct cli_command cmd_rename = {
	.table = {.name = "rename",
		.summary = "Give a stopped sandbox another name",
		.group = "Sandboxes",
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands)},
	.args_size = sizeof(struct cli_common),
	.run = run_rename,
};
