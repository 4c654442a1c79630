/* SPDX-License-Identifier: Apache-2.0 */
/* What msb-pull says, as libmsb tells it. */
#pragma once

#include "base/base.h"

#include "lib/pull.h"
#include "msb/registry.h"

/** api_pull_event - @ret: points into @e. Return: false for what is not told */
bool api_pull_event(const struct pull_event *e, struct msb_pull_event *ret);
