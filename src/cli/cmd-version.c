/* SPDX-License-Identifier: Apache-2.0 */
/* msb version: also what --version prints. */
#include "cli/cli.h"

static int run_version(void *args, const struct opt_words *words)
{
	struct buf text;
	int status;

	buf_init(&text, 256);
	status =
		buf_printf(&text, "msb %s\n", MSB_VERSION) < 0 ? CLI_EXIT_FAILED : cli_print(&text);
	buf_deinit(&text);
	return status;
}

const struct cli_command cmd_version = {
	.table = {.name = "version", .summary = "Show the version", .group = "Other"},
	.args_size = sizeof(struct cli_common),
	.run = run_version,
};
