/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by name: see signame.h. */
#include "base/signame.h"

#include <strings.h>

#include "base/caps.h"
#include "base/str.h"

enum { RT_MIN = 34, RT_MAX = LIMIT_SIGNAL };

static const char *const names[RT_MIN] = {
	[1] = "HUP",
	[2] = "INT",
	[3] = "QUIT",
	[4] = "ILL",
	[5] = "TRAP",
	[6] = "ABRT",
	[7] = "BUS",
	[8] = "FPE",
	[9] = "KILL",
	[10] = "USR1",
	[11] = "SEGV",
	[12] = "USR2",
	[13] = "PIPE",
	[14] = "ALRM",
	[15] = "TERM",
	[16] = "STKFLT",
	[17] = "CHLD",
	[18] = "CONT",
	[19] = "STOP",
	[20] = "TSTP",
	[21] = "TTIN",
	[22] = "TTOU",
	[23] = "URG",
	[24] = "XCPU",
	[25] = "XFSZ",
	[26] = "VTALRM",
	[27] = "PROF",
	[28] = "WINCH",
	[29] = "IO",
	[30] = "PWR",
	[31] = "SYS",
};

static const struct {
	const char *name;
	uint32_t signo;
} others[] = {{"IOT", 6}, {"CLD", 17}, {"POLL", 29}};

/* RTMIN, RTMIN+N, RTMAX, RTMAX-N. */
static int parse_real_time(const char *text, uint32_t *ret)
{
	bool from_max = strncasecmp(text, "RTMAX", 5) == 0;
	uint32_t off = 0;

	if (!from_max && strncasecmp(text, "RTMIN", 5) != 0)
		return -EINVAL;
	text += 5;
	if (*text && (*text != (from_max ? '-' : '+') ||
			     str_to_u32(text + 1, 0, RT_MAX - RT_MIN, &off) < 0))
		return -EINVAL;
	*ret = from_max ? RT_MAX - off : RT_MIN + off;
	return 0;
}

int signame_parse(const char *text, uint32_t *ret)
{
	if (str_to_u32(text, 1, LIMIT_SIGNAL, ret) == 0)
		return 0;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (uint32_t i = 1; i < ARRAY_SIZE(names); i++) {
		if (names[i] && strcasecmp(text, names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strcasecmp(text, others[i].name) == 0) {
			*ret = others[i].signo;
			return 0;
		}
	}
	return parse_real_time(text, ret);
}

const char *signame_print(uint32_t signo, char to[SIGNAME_MAX])
{
	if (signo < RT_MIN && names[signo])
		(void)snprintf(to, SIGNAME_MAX, "SIG%s", names[signo]);
	else if (signo == RT_MIN)
		(void)snprintf(to, SIGNAME_MAX, "SIGRTMIN");
	else if (signo > RT_MIN && signo <= RT_MAX)
		(void)snprintf(to, SIGNAME_MAX, "SIGRTMIN+%" PRIu32, signo - RT_MIN);
	else
		(void)snprintf(to, SIGNAME_MAX, "%" PRIu32, signo);
	return to;
}
