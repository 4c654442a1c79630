/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the virtio-console port that is the channel: see port.h. */
#include "port.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/str.h"

enum { REMIND_MS = 10000 };

static bool is_ours(int class_fd, const char *entry)
{
	static const char want[] = PORT_NAME "\n";
	char path[NAME_MAX + 8];
	char name[sizeof(want)];
	cleanup_fd int fd = -EBADF;
	int n = snprintf(path, sizeof(path), "%s/name", entry);

	if (n < 0 || (size_t)n >= sizeof(path))
		return false;
	/* The console port has no name; neither has one whose name is still on its way. */
	fd = openat(class_fd, path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, name, sizeof(name)) == (ssize_t)strlen(want) &&
	       memcmp(name, want, strlen(want)) == 0;
}

/* Return: descriptor, -ENOENT when there is no such port (yet), another negative errno. */
static int port_find(const char *sysfs)
{
	char path[PATH_MAX];
	const struct dirent *e;
	DIR *d;
	int r = -ENOENT;

	(void)snprintf(path, sizeof(path), "%s/class/virtio-ports", sysfs);
	d = opendir(path);
	if (!d)
		return -errno;
	while (r == -ENOENT && (e = readdir(d))) {
		if (e->d_name[0] == '.' || !is_ours(dirfd(d), e->d_name))
			continue;
		(void)snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		r = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (r < 0)
			r = -errno;
	}
	closedir(d);
	return r;
}

/* The kernel announces a port when it appears and again when it has got its name. */
static int wait_announcement(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char message[4096];
	int n;

	while ((n = poll(&p, 1, REMIND_MS)) == 0)
		log_err("still waiting for the port '" PORT_NAME "'");
	if (n < 0 && errno != EINTR)
		return -errno;
	/* What it says does not matter, nor that some were lost: we look again. */
	if (recv(fd, message, sizeof(message), MSG_DONTWAIT) < 0 && errno != ENOBUFS &&
		errno != EAGAIN)
		return -errno;
	return 0;
}

int port_open(const char *sysfs)
{
	const struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
	cleanup_fd int fd = -EBADF;
	int r = port_find(sysfs);

	if (r != -ENOENT)
		return r;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&group, sizeof(group)) < 0)
		return -errno;
	/* Listening first, looking second: nothing falls in between. */
	for (;;) {
		r = port_find(sysfs);
		if (r != -ENOENT)
			return r;
		r = wait_announcement(fd);
		if (r < 0)
			return r;
	}
}
