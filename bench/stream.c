/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream ADDRESS PORT            serves
 * stream ADDRESS PORT out BYTES  sends so many to the server
 * stream ADDRESS PORT in BYTES   gets so many from it
 * stream ADDRESS PORT turn N     sends a byte and gets it back, N times
 *
 * The server serves one client after the other and prints for each the word, the number and the
 * seconds by its own clock, from the client's word to the last byte. Static, for guests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[128 * 1024];

struct order {
	char word[8];
	uint64_t n;
};

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t number(const char *text)
{
	uint64_t n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	must(*text == '\0', text);
	return n;
}

static void give(int fd, uint64_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, buffer, n < sizeof(buffer) ? (size_t)n : sizeof(buffer));

		must(r > 0, "write");
		n -= (uint64_t)r;
	}
}

static void get(int fd, uint64_t n)
{
	while (n > 0) {
		ssize_t r = read(fd, buffer, n < sizeof(buffer) ? (size_t)n : sizeof(buffer));

		must(r > 0, "read");
		n -= (uint64_t)r;
	}
}

/* One side of the work; the other one mirrors it. */
static void work(int fd, const struct order *o, int client)
{
	if (strcmp(o->word, "turn") == 0) {
		for (uint64_t i = 0; i < o->n; i++) {
			if (client)
				give(fd, 1);
			get(fd, 1);
			if (!client)
				give(fd, 1);
		}
	} else if ((strcmp(o->word, "out") == 0) == client) {
		give(fd, o->n);
		get(fd, 1);
	} else {
		get(fd, o->n);
		give(fd, 1);
	}
}

static void serve(int fd)
{
	must(listen(fd, 16) == 0, "listen");
	for (;;) {
		int c = accept(fd, NULL, NULL);
		const int on = 1;
		struct order o;
		double start;

		must(c >= 0, "accept");
		(void)setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		must(recv(c, &o, sizeof(o), MSG_WAITALL) == (ssize_t)sizeof(o), "order");
		start = now();
		work(c, &o, 0);
		printf("%.8s %llu %.6f\n", o.word, (unsigned long long)o.n, now() - start);
		(void)fflush(stdout);
		(void)close(c);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct order o = {0};
	const int on = 1;

	if ((argc != 3 && argc != 5) || inet_pton(AF_INET, argv[1], &a.sin_addr) != 1) {
		fprintf(stderr, "usage: stream ADDRESS PORT [out|in|turn NUMBER]\n");
		return 2;
	}
	a.sin_port = htons((uint16_t)number(argv[2]));
	must(fd >= 0, "socket");
	if (argc == 3) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "bind");
		serve(fd);
	}
	(void)snprintf(o.word, sizeof(o.word), "%s", argv[3]);
	o.n = number(argv[4]);
	must(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	must(write(fd, &o, sizeof(o)) == (ssize_t)sizeof(o), "order");
	work(fd, &o, 1);
	printf("done\n");
	return 0;
}
