/* SPDX-License-Identifier: Apache-2.0 */
/* What msb-pull says, as libmsb tells it. */
#pragma once

#include "base/base.h"

#include "lib/pull.h"
#include "msb/registry.h"

/** api_pull_event - @ret: points into @e. Return: false for what is not told */
bool api_pull_event(const struct pull_event *e, struct msb_pull_event *ret);

/* A caller's watch as src/lib has it; not to be moved. */
struct api_watching {
	struct msb_pull_watch watch;
	struct pull_watch inner;
};

/** api_watching_init - @watch: NULL: nobody looks on; @cancel: NULL: none */
void api_watching_init(
	struct api_watching *w, const struct msb_pull_watch *watch, const struct cancel *cancel);

/** api_pull_result - @ret: its size counts; the reference is @ref's */
void api_pull_result(
	const struct pull_result *from, const struct image_ref *ref, struct msb_pull_result *ret);
