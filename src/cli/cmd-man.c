/* SPDX-License-Identifier: Apache-2.0 */
/* msb __man [COMMAND]: prints a man page; the build installs them. Not for users. */
#include "cli/cli.h"

static int run_man(void *args, const struct opt_words *words)
{
	struct opt_found found = {.cmd = NULL};
	struct msb_err err = {0};
	struct buf text;
	int status;
	int r;

	opt_find(&cli_program, words->operands.items, words->operands.n, &found);
	if (words->operands.n && (!found.cmd || found.used != words->operands.n)) {
		(void)msb_err_set(&err, -EINVAL, MSB_USAGE, "there is no such command");
		return cli_fail(&err);
	}
	buf_init(&text, CLI_TEXT_MAX);
	r = opt_man(&cli_program, found.cmd, &text);
	if (r < 0)
		(void)msb_err_errno(&err, r, "writing the man page");
	status = r < 0 ? cli_fail(&err) : cli_print(&text);
	buf_deinit(&text);
	return status;
}

static const struct opt_operand operands[] = {
	{.name = "COMMAND", .help = "Command of the page, none for msb itself"},
	{.name = "WORD", .help = "Second word of the command"},
};

const struct cli_command cmd_man = {
	.table = {.name = "__man",
		.summary = "Print a man page",
		.group = "Other",
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.hidden = true},
	.args_size = sizeof(struct cli_common),
	.run = run_man,
};
