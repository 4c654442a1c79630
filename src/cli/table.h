/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people: a header in capitals, columns padded with spaces, four between them. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

enum { TABLE_COLUMNS_MAX = 10 };

struct table {
	size_t columns;
	char **cells; /* row by row, the header first */
	size_t n;
	int error;
};

/** table_init - a table with its header; failures are told by table_format() */
void table_init(struct table *t, const char *const *header, size_t columns);
void table_deinit(struct table *t);

/** table_add - next cell; what is not printable is shown as '?', what is longer than @max (0: any)
 * ends with "..." */
void table_add(struct table *t, const char *text, size_t max);

/** table_format - append the lines; 0, -ENOBUFS or -ENOMEM, also of the calls before */
int table_format(const struct table *t, struct buf *out) MSB_MUST_CHECK;

/** time_local - "2026-11-21 05:45:06" in the local time zone, "-" for 0 */
const char *time_local(uint64_t real_ns, char to[TIME_TEXT]);
