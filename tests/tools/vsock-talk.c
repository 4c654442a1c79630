/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest side of the tests of host sockets: connects to a port of the host (CID 2) and says on
 *stdout what came of it.
 *
 *	vsock-talk PORT echo BYTES	sends as much, wants the same back, meanwhile
 *	vsock-talk PORT send BYTES	sends, says that this was all, and prints what the host
 *answers vsock-talk PORT recv		prints length and sum of what comes, then sends "thanks"
 *	vsock-talk PORT many N		connects N times, keeps them open, says how many were taken
 *	vsock-talk PORT fill		sends until nothing more is taken for a while, says how much
 *	vsock-talk PORT connect [TYPE]	only that; TYPE is stream, dgram or seqpacket
 *	vsock-talk PORT cid CID		connects to somebody else
 */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/base.h"
#include "base/str.h"

enum { CHUNK = 64 * 1024, MANY_MAX = 1000, QUIET_MS = 1500, PATIENCE_S = 30 };

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static int dial(uint32_t cid, uint32_t port, int type)
{
	struct sockaddr_vm sa = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);

	/* The host may be busy with other tests; who is no host does not answer at all. */
	if (fd >= 0 && cid == VMADDR_CID_HOST && type == SOCK_STREAM)
		(void)setsockopt(
			fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int e = errno;

		fd_close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* The bytes of the tests: those of a simple generator, the same on the host. */
static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)((i * 2654435761u >> 7) ^ i >> 16);
}

static void fill(uint8_t *p, uint64_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = byte_at(at + i);
}

static bool same(const uint8_t *p, uint64_t at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != byte_at(at + i))
			return false;
	}
	return true;
}

static uint8_t buf[CHUNK];

/* More of @total, if it can go now. Return: bytes, or -1. */
static ssize_t send_some(int fd, uint64_t at, uint64_t total)
{
	size_t want = (size_t)MIN(total - at, (uint64_t)CHUNK);
	ssize_t n;

	fill(buf, at, want);
	n = send(fd, buf, want, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 && errno == EAGAIN ? 0 : n;
}

/* What there is of the same bytes. Return: how many, -1: there will be no more, or others. */
static ssize_t recv_some(int fd, uint64_t at)
{
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	if (same(buf, at, (size_t)n))
		return n;
	errno = EBADMSG;
	return -1;
}

static int echo(int fd, uint64_t total)
{
	uint64_t sent = 0;
	uint64_t got = 0;

	while (got < total) {
		struct pollfd p = {.fd = fd, .events = sent < total ? POLLIN | POLLOUT : POLLIN};
		ssize_t n = 0;

		if (poll(&p, 1, -1) < 0)
			return failed("poll");
		if (p.revents & POLLOUT)
			n = send_some(fd, sent, total);
		if (n < 0)
			return failed("send");
		sent += (uint64_t)n;
		n = p.revents & (POLLIN | POLLHUP | POLLERR) ? recv_some(fd, got) : 0;
		if (n < 0)
			return failed("recv");
		got += (uint64_t)n;
	}
	printf("echo %" PRIu64 "\n", got);
	return 0;
}

static int send_all(int fd, uint64_t total)
{
	ssize_t n;

	for (uint64_t sent = 0; sent < total; sent += (uint64_t)n) {
		size_t want = (size_t)MIN(total - sent, (uint64_t)CHUNK);

		fill(buf, sent, want);
		n = send(fd, buf, want, MSG_NOSIGNAL);
		if (n < 0)
			return failed("send");
	}
	if (shutdown(fd, SHUT_WR) < 0)
		return failed("shutdown");
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		(void)fwrite(buf, 1, (size_t)n, stdout);
	return n < 0 ? failed("recv") : 0;
}

static int recv_all(int fd)
{
	uint64_t got = 0;
	bool right = true;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		right = right && same(buf, got, (size_t)n);
		got += (uint64_t)n;
	}
	if (n < 0)
		return failed("recv");
	printf("recv %" PRIu64 " %s\n", got, right ? "right" : "wrong");
	return send(fd, "thanks", 6, MSG_NOSIGNAL) == 6 ? 0 : failed("send");
}

static int many(uint32_t port, uint64_t n)
{
	static int fds[MANY_MAX];
	unsigned int open = 0;
	unsigned int refused = 0;

	for (uint64_t i = 0; i < MIN(n, (uint64_t)MANY_MAX); i++) {
		int fd = dial(VMADDR_CID_HOST, port, SOCK_STREAM);

		if (fd < 0 && errno != ECONNRESET && errno != ECONNREFUSED)
			return failed("connect");
		if (fd < 0)
			refused++;
		else
			fds[open++] = fd;
	}
	printf("open %u refused %u\n", open, refused);
	/* The place of one that ends is for the next one, as soon as the host has heard of it. */
	while (open > 0)
		fd_close(fds[--open]);
	for (int tries = 0; tries < 1000; tries++) {
		int fd = dial(VMADDR_CID_HOST, port, SOCK_STREAM);

		if (fd >= 0) {
			fd_close(fd);
			printf("again\n");
			return 0;
		}
	}
	return failed("connect again");
}

static int fill_up(int fd)
{
	uint64_t sent = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		ssize_t n;

		if (poll(&p, 1, QUIET_MS) == 0)
			break;
		n = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return failed("send");
		sent += n > 0 ? (uint64_t)n : 0;
	}
	printf("filled %" PRIu64 "\n", sent);
	return 0;
}

static int type_of(const char *word)
{
	if (!word || streq(word, "stream"))
		return SOCK_STREAM;
	return streq(word, "dgram") ? SOCK_DGRAM : SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
	const char *more = argc > 3 ? argv[3] : NULL;
	uint64_t n = 0;
	uint32_t port;
	bool elsewhere;
	int fd;

	if (argc < 3 || str_to_u32(argv[1], 0, UINT32_MAX, &port) < 0)
		return 2;
	elsewhere = streq(argv[2], "cid");
	if (more && !streq(argv[2], "connect") && str_to_u64(more, &n) < 0)
		return 2;
	if (streq(argv[2], "many"))
		return many(port, n);
	fd = dial(elsewhere ? (uint32_t)n : VMADDR_CID_HOST, port,
		streq(argv[2], "connect") ? type_of(more) : SOCK_STREAM);
	if (fd < 0)
		return failed("connect");
	if (streq(argv[2], "echo"))
		return echo(fd, n);
	if (streq(argv[2], "send"))
		return send_all(fd, n);
	if (streq(argv[2], "recv"))
		return recv_all(fd);
	if (streq(argv[2], "fill"))
		return fill_up(fd);
	printf("connected\n");
	return 0;
}
