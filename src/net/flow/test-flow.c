/* SPDX-License-Identifier: Apache-2.0 */
/* Stack and flows between Linux's TCP over a TAP device and its sockets; see testbed.h. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/flow/testbed.h"

/* Servers: @fd listens. */
static int serve_bulk(int fd)
{
	int c = accept(fd, NULL, NULL);

	CHECK(recv_pattern(c, BULK) == 0); /* reads to the end, and then sends: half close */
	return send_pattern(c, BULK);
}

static int guest_bulk(int arg)
{
	int fd = connect_to(PORT);

	(void)arg;
	CHECK(fd >= 0);
	CHECK(send_pattern(fd, BULK) == 0);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	return recv_pattern(fd, BULK);
}

static void bulk(bool offload, bool lossy)
{
	int listener;
	pid_t server;

	bed_init(offload, 0);
	bed.lossy = lossy;
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_bulk, listener);
	play(guest_bulk, 0);
	reap(server);
	(void)close(listener);
	ASSERT_EQ(bed.opened, 1);
	ASSERT_EQ(bed.closed, 1);
	if (!lossy)
		ASSERT_EQ(bed.last_error, 0);
	bed_deinit();
}

TEST(bulk_with_offloads)
{
	bulk(true, false);
}

TEST(bulk_without_offloads)
{
	bulk(false, false);
}

TEST(bulk_over_a_lossy_link)
{
	bulk(true, true);
}

static int guest_refused(int arg)
{
	struct timespec a, b;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK(connect_to(CLOSED_PORT) < 0 && errno == ECONNREFUSED);
	CHECK(connect_to(DENIED_PORT) < 0 && errno == ECONNREFUSED);
	CHECK(connect_to(9) < 0 && errno == ENETUNREACH); /* our namespace has no route */
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK(b.tv_sec - a.tv_sec < 30); /* not by timeouts: one alone would be two minutes */
	return 0;
}

TEST(refusals_reach_the_guest)
{
	bed_init(true, 0);
	play(guest_refused, 0);
	ASSERT_EQ(bed.failed, 2);
	ASSERT_EQ(bed.denied, 1);
	bed_deinit();
}

/* The guest writes until nothing goes any more; then the server reads it all. */
static int serve_slowly(int fd)
{
	int c = accept(fd, NULL, NULL);

	CHECK(c >= 0);
	/* The guest's second connection is the sign to begin. */
	CHECK(accept(fd, NULL, NULL) >= 0);
	return recv_pattern(c, BULK);
}

static int guest_is_held_up(int arg)
{
	static uint8_t b[64 * 1024];
	int fd = connect_to(PORT), sign;
	size_t sent = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	(void)arg;
	CHECK(fd >= 0);
	CHECK(io_nonblock(fd, true) == 0);
	while (poll(&p, 1, 1000) == 1) { /* nothing for a second: held up */
		ssize_t n;

		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = pattern(sent + i);
		n = write(fd, b, sizeof(b));
		CHECK(n > 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		CHECK(sent < 64 * MIB); /* somebody swallows without bound */
	}
	CHECK(io_nonblock(fd, false) == 0);
	sign = connect_to(PORT);
	CHECK(sign >= 0);
	while (sent < BULK) {
		size_t part = MIN(sizeof(b), BULK - sent);

		for (size_t i = 0; i < part; i++)
			b[i] = pattern(sent + i);
		CHECK(io_write_full(fd, b, part) == 0);
		sent += part;
	}
	return 0;
}

TEST(a_slow_server_slows_the_guest)
{
	int listener;
	pid_t server;

	bed_init(true, 0);
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_slowly, listener);
	play(guest_is_held_up, 0);
	reap(server);
	(void)close(listener);
	bed_deinit();
}

static int serve_resets(int fd)
{
	int c = accept(fd, NULL, NULL);
	struct linger hard = {1, 0};
	char b[4];

	CHECK(read(c, b, 4) == 4);
	CHECK(setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	CHECK(close(c) == 0);
	c = accept(fd, NULL, NULL);
	CHECK(read(c, b, 4) == 4);
	CHECK(read(c, b, 4) < 0 && errno == ECONNRESET);
	return 0;
}

static int guest_resets(int arg)
{
	struct linger hard = {1, 0};
	int fd = connect_to(PORT);
	char b[4];

	(void)arg;
	CHECK(fd >= 0 && io_write_full(fd, "ping", 4) == 0);
	CHECK(read(fd, b, 4) < 0 && errno == ECONNRESET);
	fd = connect_to(PORT);
	CHECK(fd >= 0 && io_write_full(fd, "ping", 4) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	CHECK(close(fd) == 0);
	return 0;
}

TEST(resets_pass_both_ways)
{
	int listener;
	pid_t server;

	bed_init(true, 0);
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_resets, listener);
	play(guest_resets, 0);
	reap(server);
	(void)close(listener);
	bed_deinit();
}

enum { CROWD = 1000 };

static int serve_crowd(int fd)
{
	static int c[CROWD];
	char b[8];

	for (int i = 0; i < CROWD; i++) {
		c[i] = accept(fd, NULL, NULL);
		CHECK(c[i] >= 0);
	}
	for (int i = 0; i < CROWD; i++) {
		CHECK(read(c[i], b, 8) == 8);
		CHECK(io_write_full(c[i], b, 8) == 0);
		CHECK(read(c[i], b, 8) == 0);
		CHECK(close(c[i]) == 0);
	}
	return 0;
}

static int guest_crowd(int arg)
{
	static int c[CROWD];
	char b[8], want[9];

	(void)arg;
	for (int i = 0; i < CROWD; i++) {
		c[i] = connect_to(PORT);
		CHECK(c[i] >= 0);
		(void)snprintf(want, sizeof(want), "%08d", i);
		CHECK(io_write_full(c[i], want, 8) == 0);
	}
	CHECK(connect_to(PORT) < 0 && errno == ECONNREFUSED); /* one more than the limit */
	for (int i = 0; i < CROWD; i++) {
		(void)snprintf(want, sizeof(want), "%08d", i);
		CHECK(io_read_full(c[i], b, 8) == 0);
		CHECK(memcmp(b, want, 8) == 0);
		CHECK(close(c[i]) == 0);
	}
	return 0;
}

TEST(a_thousand_connections)
{
	int listener;
	pid_t server;

	bed_init(true, CROWD);
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_crowd, listener);
	play(guest_crowd, 0);
	reap(server);
	(void)close(listener);
	ASSERT_EQ(bed.opened, CROWD);
	ASSERT_EQ(bed.closed, CROWD);
	ASSERT_EQ(stack_stats(flows_stack(bed.flows))->bytes_now, 0);
	bed_deinit();
}

static int serve_datagrams(int fd)
{
	static uint8_t b[65536];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	for (int i = 0; i < 3; i++) {
		ssize_t n = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &len);

		CHECK(n >= 0);
		CHECK(sendto(fd, b, (size_t)n, 0, (struct sockaddr *)&from, len) == n);
	}
	return 0;
}

static int guest_datagrams(int arg)
{
	static const size_t sizes[] = {1, 1472, 30000};
	static uint8_t out[30000], in[65536];
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct pollfd p = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), .events = POLLIN};

	(void)arg;
	(void)inet_pton(AF_INET, "9.9.9.9", &sin.sin_addr);
	CHECK(connect(p.fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = pattern(i);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CHECK(send(p.fd, out, sizes[i], 0) == (ssize_t)sizes[i]);
		CHECK(poll(&p, 1, 60000) == 1);
		CHECK(recv(p.fd, in, sizeof(in), 0) == (ssize_t)sizes[i]);
		CHECK(memcmp(in, out, sizes[i]) == 0);
	}
	/* Nobody listens there: the kernel of the guest hears of it. */
	sin.sin_port = htons(CLOSED_PORT);
	CHECK(connect(p.fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(send(p.fd, out, 1, 0) == 1);
	CHECK(poll(&p, 1, 60000) == 1);
	CHECK(recv(p.fd, in, sizeof(in), 0) < 0 && errno == ECONNREFUSED);
	/* Denied: prohibited. */
	sin.sin_port = htons(DENIED_PORT);
	CHECK(connect(p.fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(send(p.fd, out, 1, 0) == 1);
	CHECK(poll(&p, 1, 60000) == 1);
	CHECK(recv(p.fd, in, sizeof(in), 0) < 0 && errno == EHOSTUNREACH);
	return 0;
}

TEST(datagrams_small_and_large)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	pid_t server;
	int fd;

	bed_init(true, 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	server = child(bed.up_ns, serve_datagrams, fd);
	play(guest_datagrams, 0);
	reap(server);
	(void)close(fd);
	bed_deinit();
}

/* A service inside, called from outside through a published port. */
static int guest_serves(int ready)
{
	int fd = listen_at(PORT);
	int c;

	CHECK(io_write_full(ready, "r", 1) == 0);
	c = accept(fd, NULL, NULL);
	CHECK(recv_pattern(c, 1000000) == 0);
	return send_pattern(c, 1000000);
}

static int client_calls(int ready)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(8080)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char b;

	CHECK(io_read_full(ready, &b, 1) == 0);
	(void)inet_pton(AF_INET, "127.0.0.1", &sin.sin_addr);
	CHECK(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(send_pattern(fd, 1000000) == 0);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	return recv_pattern(fd, 1000000);
}

TEST(published_port)
{
	int listener, ready[2];
	pid_t client;

	bed_init(true, 0);
	ASSERT_OK(io_pipe(0, ready));
	listener = listen_at(8080);
	ASSERT_OK(io_nonblock(listener, true));
	ASSERT_OK(flows_listen_tcp(bed.flows, listener, PORT));
	client = child(bed.up_ns, client_calls, ready[0]);
	play(guest_serves, ready[1]);
	reap(client);
	ASSERT_EQ(bed.closed, 1);
	ASSERT_EQ(bed.last_error, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
	bed_deinit();
}

/* As the agent does by netlink. */
static int route_loopback(void)
{
	int fd = open("/proc/sys/net/ipv4/conf/eth0/route_localnet", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(io_write_full(fd, "1", 1) == 0);
	return close(fd);
}

static int on_loopback(int type, struct sockaddr_in *sin)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	*sin = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
	(void)inet_pton(AF_INET, "127.0.0.1", &sin->sin_addr);
	return fd;
}

/* Services of the guest that listen on its 127.0.0.1 only. */
static int guest_serves_itself(int ready)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int tcp = on_loopback(SOCK_STREAM, &sin);
	int udp = on_loopback(SOCK_DGRAM, &sin);
	char b[16];
	int c;

	CHECK(route_loopback() == 0);
	CHECK(bind(tcp, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(tcp, 1) == 0);
	CHECK(bind(udp, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(io_write_full(ready, "r", 1) == 0);
	c = accept(tcp, NULL, NULL);
	CHECK(recv_pattern(c, 100000) == 0 && send_pattern(c, 100000) == 0 && close(c) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(recvfrom(udp, b, sizeof(b), 0, (struct sockaddr *)&sin, &len) == 4);
		CHECK(sendto(udp, b, 4, 0, (struct sockaddr *)&sin, len) == 4);
	}
	return 0;
}

static int client_of_both(int ready)
{
	struct sockaddr_in sin;
	int tcp = on_loopback(SOCK_STREAM, &sin);
	int udp = on_loopback(SOCK_DGRAM, &sin);
	struct pollfd p = {.fd = udp, .events = POLLIN};
	char b[16];

	sin.sin_port = htons(8080);
	CHECK(io_read_full(ready, b, 1) == 0);
	CHECK(connect(tcp, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(send_pattern(tcp, 100000) == 0 && shutdown(tcp, SHUT_WR) == 0);
	CHECK(recv_pattern(tcp, 100000) == 0);
	CHECK(connect(udp, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	for (int i = 0; i < 3; i++) { /* the first one finds nobody, and is sent again */
		CHECK(send(udp, "ping", 4, 0) == 4);
		CHECK(poll(&p, 1, 60000) == 1);
		CHECK(recv(udp, b, sizeof(b), 0) == 4 && memcmp(b, "ping", 4) == 0);
	}
	return 0;
}

TEST(services_of_the_loopback)
{
	struct sockaddr_in sin;
	int listener, udp, ready[2];
	pid_t client;

	bed_init(true, 0);
	ASSERT_OK(io_pipe(0, ready));
	listener = listen_at(8080);
	udp = on_loopback(SOCK_DGRAM, &sin);
	sin.sin_port = htons(8080);
	ASSERT_EQ(bind(udp, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ASSERT_OK(io_nonblock(listener, true));
	ASSERT_OK(io_nonblock(udp, true));
	ASSERT_OK(flows_listen_tcp(bed.flows, listener, PORT));
	ASSERT_OK(flows_listen_udp(bed.flows, udp, PORT));
	client = child(bed.up_ns, client_of_both, ready[0]);
	play(guest_serves_itself, ready[1]);
	reap(client);
	ASSERT_EQ(bed.failed, 0);
	ASSERT_EQ(bed.opened, 2);
	ASSERT_TRUE(bed.used > 2);
	(void)close(ready[0]);
	(void)close(ready[1]);
	bed_deinit();
}

static int serve_until_reset(int fd)
{
	char b[16];
	int c = accept(fd, NULL, NULL);

	CHECK(io_read_full(c, b, 5) == 0 && io_write_full(c, "1", 1) == 0);
	CHECK(io_read_full(c, b, 1) == 0 && io_write_full(c, "2", 1) == 0);
	CHECK(read(c, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

static int guest_outlives_one_change(int order)
{
	char b[2];
	int fd = connect_to(PORT);

	CHECK(fd >= 0 && io_write_full(fd, "good!", 5) == 0 && io_read_full(fd, b, 1) == 0);
	CHECK(io_write_full(order, "s", 1) == 0);
	CHECK(io_write_full(fd, "x", 1) == 0 && io_read_full(fd, b, 1) == 0);
	CHECK(io_write_full(order, "n", 1) == 0);
	CHECK(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

static void on_change(struct loop_fd *src, uint32_t events)
{
	char b;

	(void)events;
	ASSERT_EQ(read(src->fd, &b, 1), 1);
	bed.never = b == 'n';
	flows_redecide(bed.flows);
}

/* The policy still wants to see the first bytes: they are remembered. */
TEST(what_is_open_is_asked_about_again)
{
	struct loop_fd src = {0};
	int listener, order[2];
	pid_t server;

	bed_init(true, 0);
	bed.inspect = true;
	ASSERT_OK(io_pipe(0, order));
	ASSERT_OK(loop_fd_add(&bed.loop, &src, order[0], EPOLLIN, on_change));
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_until_reset, listener);
	play(guest_outlives_one_change, order[1]);
	reap(server);
	ASSERT_EQ(bed.denied, 1);
	ASSERT_EQ(bed.last_error, -EACCES);
	loop_fd_del(&src);
	(void)close(listener);
	(void)close(order[0]);
	(void)close(order[1]);
	bed_deinit();
}

static int serve_inspected(int fd)
{
	char b[16] = {0};
	int c = accept(fd, NULL, NULL);

	CHECK(io_read_full(c, b, 9) == 0);
	CHECK(memcmp(b, "good!more", 9) == 0);
	CHECK(io_write_full(c, "ok", 2) == 0);
	for (int i = 0; i < 2; i++) { /* connected, and not a byte of theirs */
		c = accept(fd, NULL, NULL);
		CHECK(read(c, b, sizeof(b)) <= 0);
	}
	return 0;
}

static int guest_inspected(int arg)
{
	char b[2];
	int fd = connect_to(PORT);

	(void)arg;
	CHECK(fd >= 0 && io_write_full(fd, "go", 2) == 0);
	CHECK(io_write_full(fd, "od!more", 7) == 0);
	CHECK(io_read_full(fd, b, 2) == 0 && memcmp(b, "ok", 2) == 0);
	fd = connect_to(PORT);
	CHECK(fd >= 0 && io_write_full(fd, "wrong", 5) == 0);
	CHECK(read(fd, b, 1) < 0 && errno == ECONNRESET);
	fd = connect_to(PORT); /* ends before it has said enough */
	CHECK(fd >= 0 && io_write_full(fd, "go", 2) == 0);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

TEST(first_bytes_decide)
{
	int listener;
	pid_t server;

	bed_init(true, 0);
	bed.inspect = true;
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_inspected, listener);
	play(guest_inspected, 0);
	reap(server);
	(void)close(listener);
	ASSERT_EQ(bed.opened, 3);
	ASSERT_EQ(bed.closed, 3);
	ASSERT_EQ(bed.denied, 2);
	bed_deinit();
}

enum { SHORT_MS = 200 };

/* Speaks first, and tells what it has been told. */
static int serve_waiting(int fd)
{
	char b[16] = {0};

	for (int i = 0; i < 3; i++) {
		int c = accept(fd, NULL, NULL);

		CHECK(io_write_full(c, "hi", 2) == 0);
		if (i > 0) {
			CHECK(read(c, b, sizeof(b)) <= 0); /* not a byte */
			continue;
		}
		CHECK(io_read_full(c, b, 5) == 0 && memcmp(b, "good!", 5) == 0);
		CHECK(io_write_full(c, "ok", 2) == 0);
	}
	return 0;
}

/* A connection that has said nothing for longer than first bytes are waited for. */
static int silent(void)
{
	int fd = connect_to(PORT);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char b[2];

	if (fd < 0 || io_read_full(fd, b, 2) < 0 || memcmp(b, "hi", 2) != 0)
		return -1;
	return poll(&p, 1, 3 * SHORT_MS) == 0 ? fd : -1;
}

static int guest_waits(int arg)
{
	char b[2];
	int fd = silent();

	(void)arg;
	CHECK(fd >= 0 && io_write_full(fd, "good!", 5) == 0);
	CHECK(io_read_full(fd, b, 2) == 0 && memcmp(b, "ok", 2) == 0);
	fd = silent();
	CHECK(fd >= 0 && io_write_full(fd, "wrong", 5) == 0);
	CHECK(read(fd, b, 1) < 0 && errno == ECONNRESET);
	fd = silent(); /* says half of it and waits again */
	CHECK(fd >= 0 && io_write_full(fd, "go", 2) == 0);
	CHECK(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

TEST(first_bytes_decide_whenever_they_come)
{
	int listener;
	pid_t server;

	bed.inspect_ms = SHORT_MS;
	bed_init(true, 0);
	bed.inspect = true;
	listener = listen_at(PORT);
	server = child(bed.up_ns, serve_waiting, listener);
	play(guest_waits, 0);
	reap(server);
	(void)close(listener);
	ASSERT_EQ(bed.opened, 3);
	ASSERT_EQ(bed.denied, 2);
	bed_deinit();
}
