/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a sandbox as they grow: see follow.h. */
#include "lib/follow.h"

#include <poll.h>
#include <sys/inotify.h>

enum { LOOK_AGAIN_MS = 500 };

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
