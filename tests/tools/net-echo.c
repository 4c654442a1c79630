/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-echo PROTOCOL ADDRESS PORT: a service for tests of published ports, in guests that have none.
 *
 * Sends back whatever comes, of each peer in turn; a datagram with the peer's port and a colon in
 * front, so that a test sees which peers the service can tell apart. Says "ready" on stdout first.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/io.h"
#include "base/str.h"

enum { BYTES = 65536, HEAD = 8 };

static int listen_at(const char *address, uint32_t port, int type)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	bool v6 = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1;
	const int on = 1;
	int fd;

	if (!v6 && inet_pton(AF_INET, address, &in.sin_addr) != 1)
		return -1;
	fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
	if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -1;
	if (bind(fd, v6 ? (void *)&in6 : (void *)&in, v6 ? sizeof(in6) : sizeof(in)) < 0)
		return -1;
	return type == SOCK_STREAM && listen(fd, 16) < 0 ? -1 : fd;
}

static void streams(int fd)
{
	static char b[BYTES];

	for (;;) {
		cleanup_fd int c = accept(fd, NULL, NULL);
		ssize_t n;

		while (c >= 0 && (n = read(c, b, sizeof(b))) > 0 &&
			io_write_full(c, b, (size_t)n) == 0)
			;
	}
}

static void datagrams(int fd)
{
	static char b[HEAD + BYTES];

	for (;;) {
		struct sockaddr_in6 from = {0};
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, b + HEAD, BYTES, 0, (struct sockaddr *)&from, &len);
		char port[HEAD + 1];
		int head;

		if (n < 0)
			continue;
		/* The port is at the same place in both families. */
		head = snprintf(port, sizeof(port), "%u:", ntohs(from.sin6_port));
		memcpy(b + HEAD - head, port, (size_t)head);
		if (sendto(fd, b + HEAD - head, (size_t)(head + n), 0, (struct sockaddr *)&from,
			    len) < 0)
			perror("net-echo");
	}
}

int main(int argc, char **argv)
{
	bool udp = argc == 4 && streq(argv[1], "udp");
	uint32_t port;
	int fd;

	if (argc != 4 || (!udp && !streq(argv[1], "tcp")) ||
		str_to_u32(argv[3], 1, UINT16_MAX, &port) < 0) {
		(void)fprintf(stderr, "usage: net-echo tcp|udp ADDRESS PORT\n");
		return 2;
	}
	fd = listen_at(argv[2], port, udp ? SOCK_DGRAM : SOCK_STREAM);
	if (fd < 0) {
		perror("net-echo");
		return 1;
	}
	if (io_write_full(STDOUT_FILENO, "ready\n", 6) < 0)
		return 1;
	if (udp)
		datagrams(fd);
	else
		streams(fd);
	return 1;
}
