/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about a sandbox, for programs. */
#pragma once

#include "base/base.h"
#include "base/buf.h"

#include "msb/sandbox.h"
#include "sandbox/info.h"

/** info_port - published port @i as it is now: of a sandbox that runs, one that the host chose is
 * known; false: there are fewer */
bool info_port(const struct sandbox_info *info, size_t i, struct msb_port *ret);

/** info_json - all as one JSON object with a newline behind it; 0 or a negative errno */
int info_json(const struct sandbox_info *info, struct buf *out) MSB_MUST_CHECK;
