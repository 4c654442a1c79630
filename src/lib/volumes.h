/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a named volume, and the end of those that nobody has. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "sandbox/info.h"

/** volume_used_by - does @info need the volume? One whose description cannot be read may need
 * anything */
bool volume_used_by(const struct sandbox_info *info, const char *name);

/** volume_user - name of a sandbox that needs it, NULL if none does */
const char *volume_user(const struct sandbox_list *sandboxes, const char *name);

/** volume_prune - remove all that no sandbox has; @removed is told of each, may be NULL */
int volume_prune(const char *home, void (*removed)(void *arg, const char *name), void *arg,
	struct msb_err *err) MSB_MUST_CHECK;
