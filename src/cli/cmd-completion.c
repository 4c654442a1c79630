/* SPDX-License-Identifier: Apache-2.0 */
/* msb completion SHELL. */
#include "cli/cli.h"

static const char *const shells[] = {
	[OPT_BASH] = "bash", [OPT_ZSH] = "zsh", [OPT_FISH] = "fish", NULL};

static int run_completion(void *args, const struct opt_words *words)
{
	struct msb_err err = {0};
	struct buf text;
	int shell = 0;
	int status;
	int r;

	/* opt_check_operands() has seen that it is one of them. */
	while (shells[shell + 1] && !streq(shells[shell], words->operands.items[0]))
		shell++;
	buf_init(&text, CLI_TEXT_MAX);
	r = opt_completion(&cli_program, (enum opt_shell)shell, &text);
	if (r < 0)
		(void)msb_err_errno(&err, r, "writing the completion");
	status = r < 0 ? cli_fail(&err) : cli_print(&text);
	buf_deinit(&text);
	return status;
}

static const struct opt_operand operands[] = {
	{.name = "SHELL", .help = "bash, zsh or fish", .choices = shells, .required = true},
};

static const struct opt_example examples[] = {
	{"Bash, for this session", "source <(msb completion bash)"},
	{"Zsh, in ~/.zshrc behind compinit", "source <(msb completion zsh)"},
	{"Fish, for good", "msb completion fish > ~/.config/fish/completions/msb.fish"},
};

const struct cli_command cmd_completion = {
	.table = {.name = "completion",
		.summary = "Print a script that completes msb's words in a shell",
		.group = "Other",
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct cli_common),
	.run = run_completion,
};
