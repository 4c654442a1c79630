/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files of a sandbox from some time on, and while they grow. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/**
 * follow_parse_time - 5m, 2h, 1d ago, or RFC 3339 (UTC without a zone); both become text that sorts
 * by time
 * @option: for the message
 * @value: NULL gives ""
 */
int follow_parse_time(const char *option, const char *value, char to[TIME_TEXT],
	struct msb_err *err) MSB_MUST_CHECK;

/** follow_cut_to_tail - of the lines in @b only the last @n */
void follow_cut_to_tail(struct buf *b, uint64_t n);
