/* SPDX-License-Identifier: Apache-2.0 */
/* --volume: directories and files of the host in the sandbox. */
#pragma once

#include "base/base.h"
#include "base/caps.h"
#include "base/err.h"

#include "sandbox/share.h"

struct run_volumes {
	uint32_t n;
	struct sandbox_share list[LIMIT_SHARES];
	char *storage[LIMIT_SHARES][2]; /* the strings of @list */
};

/** run_parse_volume - HOST:GUEST[:OPTION,...]; appends to the struct run_volumes @target */
int run_parse_volume(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
void run_volumes_deinit(struct run_volumes *v);
