/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes made in the background, with what there is to show. */
#pragma once

#include "cli/api.h"
#include "lib/create-args.h"

/**
 * creating_run - make it, and print its name if nobody has given one
 * @args: those of @config
 * @run: it ends with its command, see struct msb_create_options; its name is printed in any case
 *
 * Return: the exit status.
 */
int creating_run(const struct cli_common *common, const struct create_args *args,
	const struct msb_config *config, bool run);
