/* SPDX-License-Identifier: Apache-2.0 */
/* msb rename: another name for a stopped sandbox. */
#include "cli/api.h"

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of a stopped sandbox", .required = true},
	{.name = "NEW", .help = "Its new name", .required = true},
};

static int run_rename(void *args, const struct opt_words *words)
{
	const char *const *names = words->operands.items;
	struct msb_error e = MSB_ERROR_INIT;
	struct cli_api api;
	int r = cli_api_open(&api, args, &e);

	if (r == 0)
		r = msb_rename(api.msb, names[0], names[1], &e);
	cli_api_close(&api);
	return r < 0 ? cli_api_fail(&e) : 0;
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
