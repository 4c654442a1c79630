/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes on their way: what there is to show, and those made in the background. */
#pragma once

#include "cli/api.h"
#include "cli/pull-show.h"
#include "lib/create-args.h"

struct creating_show {
	struct msb *msb; /* to be set before the options are used */
	bool quiet;
	int (*boot)(void *arg); /* the machine starts: who catches signals now; a negative errno */
	void *arg;
	struct pull_show pull;
	/* private */
	bool downloading;
};

/** creating_show_init - not to be moved afterwards; nothing to be undone */
void creating_show_init(struct creating_show *s, bool quiet, int (*boot)(void *arg), void *arg);

/** creating_show_options - those of the library with which it is told; @s is borrowed */
void creating_show_options(struct creating_show *s, struct msb_create_options *ret);

/**
 * creating_run - make it, and print its name if nobody has given one
 * @args: those of @config
 * @run: it ends with its command, see struct msb_create_options; its name is printed in any case
 *
 * Return: the exit status.
 */
int creating_run(const struct cli_common *common, const struct create_args *args,
	const struct msb_config *config, bool run);
