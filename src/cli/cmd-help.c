/* SPDX-License-Identifier: Apache-2.0 */
/* msb help [COMMAND]. */
#include "cli/cli.h"

static int run_help(void *args, const struct opt_words *words)
{
	char help[] = "--help";
	char program[] = "msb";
	char *argv[] = {program, NULL, NULL, NULL, NULL};
	int argc = 1;

	/* The same text, and the same complaint about an unknown name, as COMMAND --help. */
	for (size_t i = 0; i < words->operands.n; i++)
		argv[argc++] = (char *)(uintptr_t)words->operands.items[i];
	argv[argc++] = help;
	return cli_main(argc, argv);
}

static const struct opt_operand operands[] = {
	{.name = "COMMAND", .help = "Command to explain"},
	{.name = "WORD", .help = "Second word of the command: msb help image ls"},
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
