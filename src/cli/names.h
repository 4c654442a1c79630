/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on several sandboxes: names, or --label, or both together.
 *
 * Every one is tried; those that fail are reported and the command goes on.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "sandbox/info.h"

/** labels_check - KEY or KEY=VALUE each */
int labels_check(const struct opt_list *wanted, struct msb_err *err) MSB_MUST_CHECK;

/** labels_match - has @spec all of @wanted? */
bool labels_match(const struct sandbox_spec *spec, const struct opt_list *wanted);

/** labels_make - the list for a spec of what --label gave; labels_free(), NULL for an empty one */
int labels_make(const struct opt_list *given, struct sandbox_label **ret, struct msb_err *err)
	MSB_MUST_CHECK;
void labels_free(struct sandbox_label *labels);

struct names {
	const char *home;
	const struct opt_list *words; /* names given */
	const struct opt_list *labels;
	const char *done; /* "Stopped"; NULL prints nothing */
	bool quiet;
	/* One sandbox; a negative errno with a message. */
	int (*each)(const char *home, const char *name, void *arg, struct msb_err *err);
	void *arg;
};

/** names_each - returns the exit status: 0 when all went well, else that of the last failure */
int names_each(const struct names *n);
