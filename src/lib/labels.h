/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of sandboxes, KEY or KEY=VALUE. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "sandbox/spec.h"

/** labels_check - KEY or KEY=VALUE each */
int labels_check(const struct opt_list *wanted, struct msb_err *err) MSB_MUST_CHECK;

/** labels_match - has @spec all of @wanted? */
bool labels_match(const struct sandbox_spec *spec, const struct opt_list *wanted);

/** labels_make - the list for a spec of what --label gave; labels_free(), NULL for an empty one */
int labels_make(const struct opt_list *given, struct sandbox_label **ret, struct msb_err *err)
	MSB_MUST_CHECK;
void labels_free(struct sandbox_label *labels);
