/* SPDX-License-Identifier: Apache-2.0 */
/* msb help [COMMAND]. */
#include "cli/cli.h"

static int run_help(void *args, const struct opt_words *words)
{
	char help[] = "--help";
	char program[] = "msb";
	char *argv[] = {program, help, NULL, NULL};

	if (words->operands.n == 0)
		return cli_main(2, argv);
	/* The same text, and the same complaint about an unknown name, as COMMAND --help. */
	argv[1] = (char *)(uintptr_t)words->operands.items[0];
	argv[2] = help;
	return cli_main(3, argv);
}

static const struct opt_operand operands[] = {
	{.name = "COMMAND", .help = "Command to explain"},
};

const struct cli_command cmd_help = {
	.table = {.name = "help",
		.summary = "Explain msb or one of its commands",
		.group = "Other",
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands)},
	.args_size = sizeof(struct cli_common),
	.run = run_help,
};
