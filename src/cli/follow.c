/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a sandbox as they grow: see follow.h. */
#include "cli/follow.h"

#include <poll.h>
#include <sys/inotify.h>

enum { LOOK_AGAIN_MS = 500 };

int follow_parse_time(
	const char *option, const char *value, char to[TIME_TEXT], struct msb_err *err)
{
	uint64_t ago;

	to[0] = '\0';
	if (!value)
		return 0;
	if (strchr(value, 'T')) {
		if (strlen(value) >= 19 && value[4] == '-' && value[10] == 'T' &&
			str_copy(to, TIME_TEXT, value) == 0)
			return 0;
	} else if (str_to_duration_ns(value, &ago) == 0) {
		uint64_t now = clock_real_ns();

		(void)time_rfc3339(now - MIN(ago, now), to);
		return 0;
	}
	return msb_err_set(err, -EINVAL, MSB_USAGE,
		"option --%s: a time is 30s, 5m, 2h or 1d ago, or 2026-11-21T05:45:06Z", option);
}

int follow_open(int dir_fd)
{
	cleanup_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF) < 0)
		return -EBADF;
	return TAKE_FD(fd);
}

void follow_wait(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char drop[4096];

	if (poll(&p, 1, LOOK_AGAIN_MS) == 1)
		(void)!read(fd, drop, sizeof(drop));
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
