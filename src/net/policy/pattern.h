/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hosts an option means: NAME, *.SUFFIX (the suffix itself and everything below it), or * for
 * all of them.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "net/policy/policy.h"

struct name_pattern {
	bool below; /* also everything below .name */
	char name[POLICY_NAME_MAX]; /* lower case; "" with .below: every name */
};

/** name_pattern_parse - the message of @err is fit for the user */
int name_pattern_parse(const char *text, struct name_pattern *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** name_pattern_matches - @name is lower case, without final dot */
bool name_pattern_matches(const struct name_pattern *p, const char *name);

/** name_pattern_any - does one of @n patterns match? */
bool name_pattern_any(const struct name_pattern *p, size_t n, const char *name);
