/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting to sockets of the host: see dial.h.
 *
 * #syscalls(vsock:dial): recvmsg sendmsg openat(2&O_PATH=O_PATH) newfstatat fstat statx
 * socket(0=AF_UNIX) connect close exit_group restart_syscall
 */
#include "vsock/dial.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vsock/route.h"

/* One part of a path at a time: no kernel is too old for that. */
static int open_beneath(const char *path)
{
	cleanup_fd int at = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0 && *path) {
		char part[VSOCK_PATH_SIZE];
		size_t len = strcspn(path, "/");
		int next;

		if (len == 0) {
			path++;
			continue;
		}
		if (len >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, len);
		part[len] = '\0';
		path += len;
		next = openat(
			at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC | (*path ? O_DIRECTORY : 0));
		if (next < 0)
			return -errno;
		fd_close(at);
		at = next;
	}
	return at < 0 ? -errno : TAKE_FD(at);
}

int dial_path(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	cleanup_fd int file = open_beneath(path);
	cleanup_fd int fd = -EBADF;
	struct stat st;

	if (file < 0)
		return file;
	if (fstat(file, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d", file);
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int answer(int fd, uint32_t token, int got)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct dial_answer a = {.token = token, .error = MIN(got, 0)};
	struct iovec iov = {&a, sizeof(a)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (got >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &got, sizeof(int));
	}
	while (sendmsg(fd, &m, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int dial_run(int fd, char *const *paths, uint32_t n)
{
	for (;;) {
		struct dial_request q;
		struct iovec iov = {&q, sizeof(q)};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		cleanup_fd int got = -EBADF;
		ssize_t len = recvmsg(fd, &m, 0);
		int r;

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return len < 0 && errno != ECONNRESET ? -errno : 0;
		if (len != (ssize_t)sizeof(q) || q.route >= n)
			return -EPROTO;
		got = dial_path(paths[q.route]);
		r = answer(fd, q.token, got);
		if (r < 0)
			return r == -EPIPE || r == -ECONNRESET ? 0 : r;
	}
}
