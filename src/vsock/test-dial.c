/* SPDX-License-Identifier: Apache-2.0 */
/* What a path leads to, where somebody else can write. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/io.h"

#include "vsock/dial.h"

#include "test.h"

static char dir[PATH_MAX];

static const char *at(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned int next;
	char *p = path[next++ % 4];

	(void)snprintf(p, PATH_MAX, "%.200s/%s", dir, name);
	return p;
}

static int listen_at(const char *name, int backlog)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%.100s", at(name));
	ASSERT_OK(fd);
	ASSERT_OK(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)));
	ASSERT_OK(listen(fd, backlog));
	return fd;
}

static void begin(void)
{
	cleanup_free char *real = realpath(test_tmpdir(), NULL);

	ASSERT_TRUE(real != NULL);
	(void)snprintf(dir, sizeof(dir), "%s", real);
}

TEST(a_socket_is_connected)
{
	char b[8];

	begin();
	cleanup_fd int service = listen_at("s", 4);
	cleanup_fd int fd = dial_path(at("s"));
	cleanup_fd int got = accept4(service, NULL, NULL, SOCK_CLOEXEC);

	ASSERT_OK(fd);
	ASSERT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ASSERT_EQ(send(fd, "hello", 5, 0), 5);
	ASSERT_EQ(recv(got, b, sizeof(b), 0), 5);
}

TEST(no_link_is_followed)
{
	begin();
	cleanup_fd int service = listen_at("s", 4);

	ASSERT_OK(service);
	ASSERT_OK(symlink(at("s"), at("link")));
	ASSERT_ERR(dial_path(at("link")), ELOOP);
	ASSERT_OK(symlink(dir, at("up")));
	ASSERT_ERR(dial_path(at("up/s")), ENOTDIR);
	ASSERT_OK(mkdir(at("d"), 0700));
	ASSERT_OK(symlink("../s", at("d/s")));
	ASSERT_ERR(dial_path(at("d/s")), ELOOP);
}

TEST(what_is_no_socket)
{
	begin();
	cleanup_fd int file = open(at("f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ASSERT_OK(file);
	ASSERT_OK(mkfifo(at("p"), 0600));
	ASSERT_ERR(dial_path(at("f")), ENOTSOCK);
	ASSERT_ERR(dial_path(at("p")), ENOTSOCK);
	ASSERT_ERR(dial_path(dir), ENOTSOCK);
	ASSERT_ERR(dial_path(at("nothing")), ENOENT);
	ASSERT_ERR(dial_path(at("f/s")), ENOTDIR);
}

TEST(nobody_listens)
{
	begin();
	fd_close(listen_at("s", 4));
	ASSERT_ERR(dial_path(at("s")), ECONNREFUSED);
}

TEST(a_full_queue_says_so)
{
	int fds[4] = {-EBADF, -EBADF, -EBADF, -EBADF};
	int r = 0;

	begin();
	cleanup_fd int service = listen_at("s", 1);

	ASSERT_OK(service);
	for (size_t i = 0; i < ARRAY_SIZE(fds) && r >= 0; i++)
		r = fds[i] = dial_path(at("s"));
	ASSERT_ERR(r, EAGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
}

struct served {
	int fd;
	char *path;
	int result;
};

static void *serve(void *arg)
{
	struct served *s = arg;

	s->result = dial_run(s->fd, &s->path, 1);
	return NULL;
}

static int asked(int fd, uint32_t route, uint32_t token, struct dial_answer *ret, int *ret_fd)
{
	struct dial_request q = {.route = route, .token = token};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {ret, sizeof(*ret)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c;
	ssize_t n;

	*ret_fd = -EBADF;
	ASSERT_EQ(send(fd, &q, sizeof(q), 0), (ssize_t)sizeof(q));
	n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (c)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return (int)n;
}

TEST(questions_and_answers)
{
	struct dial_answer a;
	struct served s;
	pthread_t thread;
	char path[PATH_MAX];
	int fds[2];
	int got;

	begin();
	cleanup_fd int service = listen_at("s", 4);

	(void)snprintf(path, sizeof(path), "%s", at("s"));
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	s = (struct served){.fd = fds[1], .path = path};
	ASSERT_EQ(pthread_create(&thread, NULL, serve, &s), 0);
	ASSERT_EQ(asked(fds[0], 0, 7, &a, &got), (int)sizeof(a));
	ASSERT_EQ(a.token, 7);
	ASSERT_EQ(a.error, 0);
	ASSERT_OK(got);
	fd_close(got);
	ASSERT_OK(shutdown(service, SHUT_RDWR));
	ASSERT_EQ(asked(fds[0], 0, 8, &a, &got), (int)sizeof(a));
	ASSERT_EQ(a.token, 8);
	ASSERT_EQ(a.error, -ECONNREFUSED);
	ASSERT_EQ(got, -EBADF);
	fd_close(fds[0]);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	ASSERT_EQ(s.result, 0);
	fd_close(fds[1]);
}

/* There is no path but those of the list. */
TEST(a_route_that_is_none)
{
	struct dial_request q = {.route = 1};
	char path[] = "/nothing";
	char *paths[] = {path};
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	ASSERT_EQ(send(fds[0], &q, sizeof(q), 0), (ssize_t)sizeof(q));
	ASSERT_ERR(dial_run(fds[1], paths, 1), EPROTO);
	ASSERT_EQ(send(fds[0], &q, 3, 0), 3);
	ASSERT_ERR(dial_run(fds[1], paths, 1), EPROTO);
	fd_close(fds[0]);
	fd_close(fds[1]);
}
