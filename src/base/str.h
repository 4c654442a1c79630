/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers: strict number parsing, units, quoting of foreign strings. */
#pragma once

#include "base/base.h"

/** str_to_u64 - decimal digits only, no sign, no space; 0, -EINVAL or -ERANGE */
int str_to_u64(const char *s, uint64_t *ret) MSB_MUST_CHECK;

/** str_to_u32 - like str_to_u64, within @min and @max */
int str_to_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret) MSB_MUST_CHECK;

/**
 * str_to_mib - memory size to MiB: `512M`, `1G`, `1.5G`, a bare number is MiB
 *
 * Return: 0, -EINVAL for other forms, -ERANGE when it does not fit.
 */
int str_to_mib(const char *s, uint64_t *ret_mib) MSB_MUST_CHECK;

/** str_to_duration_ns - `500ms`, `30s`, `5m`, `1h`, `2d`, a bare number is seconds */
int str_to_duration_ns(const char *s, uint64_t *ret_ns) MSB_MUST_CHECK;

/** str_starts - does @s begin with @prefix */
static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/** str_copy - copy with truncation check; 0 or -ENAMETOOLONG (then @to is empty) */
int str_copy(char *to, size_t size, const char *from) MSB_MUST_CHECK;

/**
 * str_quote - @s in single quotes with control and non-ASCII bytes escaped, for messages
 *
 * Truncates with "..." instead of failing. Return: @to.
 */
const char *str_quote(char *to, size_t size, const char *s, size_t len);

/** str_distance - Damerau-Levenshtein distance of two short words, for "did you mean" */
unsigned int str_distance(const char *a, const char *b);

/**
 * str_utf8_char - length of the well-formed UTF-8 character at the head of @s (@len bytes)
 *
 * Return: 1 to 4; 0 for an empty, truncated, overlong or surrogate sequence.
 */
size_t str_utf8_char(const char *s, size_t len);

/** str_hex_value - of a hexadecimal digit; -1: it is none */
int str_hex_value(char c);

enum { TIME_TEXT = 40 };

/** time_rfc3339 - "2026-11-21T05:45:06.123Z" */
const char *time_rfc3339(uint64_t real_ns, char to[TIME_TEXT]);
