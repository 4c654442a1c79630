/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a sandbox as they grow: see follow.h. */
#include "cli/follow.h"

#include <ctype.h>
#include <time.h>

/* +02:00 or -0530 as seconds; false when it is neither, nor Z or nothing. */
static bool parse_zone(const char *at, long *ret)
{
	long sign = *at == '-' ? -1 : 1;
	const char *digits = at + 1;
	int n[4];

	*ret = 0;
	if (!*at || streq(at, "Z") || streq(at, "z"))
		return true;
	if ((*at != '+' && *at != '-') || (strlen(digits) != 4 && strlen(digits) != 5))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
		if (i == 2 && *digits == ':')
			digits++;
		if (!isdigit((unsigned char)*digits))
			return false;
		n[i] = *digits++ - '0';
	}
	*ret = sign * ((n[0] * 10 + n[1]) * 3600L + (n[2] * 10 + n[3]) * 60L);
	return !*digits;
}

/* RFC 3339 in the form of the log, which has milliseconds and no zone but Z. */
static bool parse_rfc3339(const char *value, char to[TIME_TEXT])
{
	uint64_t digit = NSEC_PER_SEC / 10;
	struct tm tm = {0};
	uint64_t ns = 0;
	const char *at = strptime(value, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t s;
	long zone;

	if (!at)
		return false;
	if (*at == '.') {
		while (isdigit((unsigned char)*++at)) {
			ns += (uint64_t)(*at - '0') * digit;
			digit /= 10;
		}
	}
	s = timegm(&tm);
	if (!parse_zone(at, &zone) || s < zone)
		return false;
	(void)time_rfc3339((uint64_t)(s - zone) * NSEC_PER_SEC + ns, to);
	return true;
}

int follow_parse_time(
	const char *option, const char *value, char to[TIME_TEXT], struct msb_err *err)
{
	uint64_t ago;

	to[0] = '\0';
	if (!value)
		return 0;
	if (strchr(value, 'T')) {
		if (parse_rfc3339(value, to))
			return 0;
	} else if (str_to_duration_ns(value, &ago) == 0) {
		uint64_t now = clock_real_ns();

		(void)time_rfc3339(now - MIN(ago, now), to);
		return 0;
	}
	return msb_err_set(err, -EINVAL, MSB_USAGE,
		"option --%s: a time is 30s, 5m, 2h or 1d ago, or 2026-11-21T05:45:06Z", option);
}

void follow_cut_to_tail(struct buf *b, uint64_t n)
{
	const char *p = (const char *)buf_data(b);
	size_t at = buf_len(b);
	uint64_t lines = 0;

	while (n > 0 && at > 0) {
		/* A newline ends the line before it, the last one included. */
		if (p[at - 1] == '\n' && at != buf_len(b) && ++lines == n)
			break;
		at--;
	}
	buf_consume(b, at);
}
