/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on several sandboxes: names, or --label, or both together.
 *
 * Every one is tried; those that fail are reported and the command goes on.
 */
#pragma once

#include "cli/api.h"

struct names {
	const struct cli_common *common;
	const struct opt_list *words; /* names given */
	const struct opt_list *labels;
	const char *done; /* "Stopped"; NULL prints nothing */
	bool quiet;
	/* One sandbox; a negative errno with a message. */
	int (*each)(struct cli_api *api, const char *name, void *arg, struct msb_error *err);
	void *arg;
};

/** names_each - returns the exit status: 0 when all went well, else that of the last failure */
int names_each(const struct names *n);
