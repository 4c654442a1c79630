/* SPDX-License-Identifier: Apache-2.0 */
/* msb create: a sandbox. */
#include "cli/creating.h"

struct create_cmd_args {
	struct cli_common common;
	struct create_args create;
};

static int run_create(void *args, const struct opt_words *words)
{
	struct create_cmd_args *a = args;
	/* The table of the command is that of the library: read once is enough. */
	const struct msb_config config = {.parsed = &a->create,
		.image = words->operands.n ? (char *)(uintptr_t)words->operands.items[0] : NULL};

	return creating_run(&a->common, &a->create, &config, false);
}

static const struct opt_example create_examples[] = {
	{"A sandbox to work in", "msb create --name dev -m 1G -c 2 && msb exec dev -- nproc"},
	{"One that ends by itself", "msb create --max-duration 1h --label job=42"},
};

const struct cli_command cmd_create = {
	.table = {.name = "create",
		.summary = "Create a sandbox and start it",
		.description =
			"Starts a sandbox in the background and returns when its guest is ready. "
			"It has a name and stays, with its files, until msb rm; msb exec and msb "
			"shell run commands in it. Without --name the generated one is printed.",
		.group = "Sandboxes",
		.opts = create_opts,
		.n_opts = OPT_ENDED,
		.opts_at = offsetof(struct create_cmd_args, create),
		.fill = conf_fill,
		.operands = create_operands,
		.n_operands = ARRAY_SIZE(create_operands),
		.examples = create_examples,
		.n_examples = ARRAY_SIZE(create_examples)},
	.args_size = sizeof(struct create_cmd_args),
	.run = run_create,
};
