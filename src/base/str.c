/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers: see str.h. */
#include "base/str.h"

#include <time.h>

int str_to_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s == '\0')
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int str_to_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v;
	int r = str_to_u64(s, &v);

	if (r < 0)
		return r;
	if (v < min || v > max)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

/* Reads `123` or `1.5` as thousandths; @end is the first byte behind it. */
static int str_to_milli(const char *s, uint64_t *ret, const char **end)
{
	uint64_t v = 0;
	uint64_t scale = 1000;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (v > UINT64_MAX / 10000 - 10)
			return -ERANGE;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	v *= 1000;
	if (*s == '.') {
		s++;
		if (*s < '0' || *s > '9')
			return -EINVAL;
		for (; *s >= '0' && *s <= '9'; s++) {
			scale /= 10;
			v += scale * (uint64_t)(*s - '0');
		}
	}
	*ret = v;
	*end = s;
	return 0;
}

int str_to_mib(const char *s, uint64_t *ret_mib)
{
	const char *unit;
	uint64_t milli;
	uint64_t factor;
	int r = str_to_milli(s, &milli, &unit);

	if (r < 0)
		return r;
	if (streq(unit, "") || streq(unit, "M") || streq(unit, "m") || streq(unit, "MiB"))
		factor = 1;
	else if (streq(unit, "G") || streq(unit, "g") || streq(unit, "GiB"))
		factor = 1024;
	else
		return -EINVAL;
	if (__builtin_mul_overflow(milli, factor, &milli))
		return -ERANGE;
	if (milli % 1000)
		return -EINVAL;
	*ret_mib = milli / 1000;
	return 0;
}

int str_to_duration_ns(const char *s, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{"ms", NSEC_PER_MSEC},
		{"", NSEC_PER_SEC},
		{"s", NSEC_PER_SEC},
		{"m", 60 * NSEC_PER_SEC},
		{"h", 3600 * NSEC_PER_SEC},
		{"d", 86400 * NSEC_PER_SEC},
	};
	const char *unit;
	uint64_t milli;
	int r = str_to_milli(s, &milli, &unit);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!streq(unit, units[i].unit))
			continue;
		if (__builtin_mul_overflow(milli, units[i].ns / 1000, &milli))
			return -ERANGE;
		*ret_ns = milli;
		return 0;
	}
	return -EINVAL;
}

int str_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size) {
		if (size)
			to[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(to, from, len + 1);
	return 0;
}

const char *str_quote(char *to, size_t size, const char *s, size_t len)
{
	size_t at = 0;

	assert(size >= 8);
	to[at++] = '\'';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '\'' && c != '\\';

		/* Longest piece is 4 bytes; "...'" and NUL must still fit behind it. */
		if (at + 4 + 5 > size) {
			memcpy(to + at, "...", 3);
			at += 3;
			break;
		}
		if (plain)
			to[at++] = (char)c;
		else
			at += (size_t)snprintf(to + at, size - at, "\\x%02x", c);
	}
	to[at++] = '\'';
	to[at] = '\0';
	return to;
}

unsigned int str_distance(const char *a, const char *b)
{
	enum { WORD = 40 };
	unsigned int rows[3][WORD + 1];
	size_t la = strlen(a);
	size_t lb = strlen(b);

	if (la > WORD || lb > WORD)
		return WORD;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *cur = rows[i % 3];
		const unsigned int *prev = rows[(i - 1) % 3];

		cur[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int best = prev[j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, prev[j] + 1);
			best = MIN(best, cur[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, rows[(i - 2) % 3][j - 2] + 1);
			cur[j] = best;
		}
	}
	return rows[la % 3][lb];
}

/* Table 3-7 of the Unicode standard: the second byte has a narrower range behind some first bytes.
 */
size_t str_utf8_char(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t n;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (len < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return n;
}

const char *time_rfc3339(uint64_t real_ns, char to[TIME_TEXT])
{
	time_t s = (time_t)(real_ns / NSEC_PER_SEC);
	unsigned int ms = (unsigned int)(real_ns / NSEC_PER_MSEC % 1000);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&s, &tm))
		memset(&tm, 0, sizeof(tm));
	n = strftime(to, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(to + n, TIME_TEXT - n, ".%03uZ", ms);
	return to;
}

int str_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
