/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stack and flows between two real kernels: Linux's TCP over a TAP device on one side, its sockets
 * on the other.
 *
 * The test process keeps two network namespaces of its own. In one there is the TAP device, and a
 * child that plays the guest; in the other one a child that plays the Internet, and the flows under
 * test in this process. Every destination is dialled on the loopback of the second one.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"

#include "net/flow/flow.h"
#include "net/stack/wire.h"

#include "test.h"

enum {
	PATIENCE_S = 120,
	BULK = 100 * 1000 * 1000,
	PORT = 7000,
	CLOSED_PORT = 7001,
	DENIED_PORT = 7002
};

struct bed {
	struct loop loop;
	struct loop_fd tap_src;
	struct loop_fd done_src;
	int tap;
	int up_ns, guest_ns;
	struct flows *flows;
	unsigned int opened, closed, failed, denied;
	int last_error;
	uint64_t frames_in;
	bool lossy; /* drops every 50th frame to the guest */
	unsigned int tick;
};

static struct bed bed;
static const uint8_t guest_mac[6] = {2, 0x6d, 0x73, 0, 0, 2};
static const uint8_t gateway_mac[6] = {2, 0x6d, 0x73, 0, 0, 1};

static int on_emit(void *ctx, const struct iovec *iov, int n)
{
	struct bed *b = ctx;

	if (b->lossy && ++b->tick % 50 == 0)
		return 0;
	/* The queue of the device drops what it cannot take, as lossy as a link can be. */
	if (writev(b->tap, iov, n) < 0 && errno == EAGAIN)
		return -EAGAIN;
	return 0;
}

static void on_decide(void *ctx, const struct flow_query *q, struct flow_verdict *v)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};

	(void)ctx;
	if (q->tuple.remote.port == DENIED_PORT)
		return;
	v->action = FLOW_DIAL;
	if (q->tuple.remote.port == PORT || q->tuple.remote.port == CLOSED_PORT)
		v->dial.addr = net_addr_v4(loopback);
}

static void on_event(void *ctx, const struct flow_event *e)
{
	struct bed *b = ctx;

	b->opened += e->kind == FLOW_EVENT_OPENED;
	b->closed += e->kind == FLOW_EVENT_CLOSED;
	b->failed += e->kind == FLOW_EVENT_FAILED;
	b->denied += e->kind == FLOW_EVENT_DENIED;
	if (e->error)
		b->last_error = e->error;
}

static const struct flow_ops ops = {.emit = on_emit, .decide = on_decide, .event = on_event};

static void on_tap(struct loop_fd *src, uint32_t events)
{
	static uint8_t frame[VNET_LEN + ETH_LEN + 65536];
	ssize_t n;

	(void)events;
	for (int i = 0; i < 32 && (n = read(src->fd, frame, sizeof(frame))) > 0; i++) {
		bed.frames_in++;
		stack_input(flows_stack(bed.flows), frame, (size_t)n);
	}
}

static void on_done(struct loop_fd *src, uint32_t events)
{
	(void)events;
	loop_stop(src->loop, 0);
}

static void set_addr(int sock, const char *name, unsigned long what, const char *addr)
{
	struct ifreq ifr = {0};
	struct sockaddr_in sin = {.sin_family = AF_INET};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ASSERT_EQ(inet_pton(AF_INET, addr, &sin.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	ASSERT_EQ(ioctl(sock, what, &ifr), 0);
}

static void set_up(int sock, const char *name)
{
	struct ifreq ifr = {0};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ASSERT_EQ(ioctl(sock, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	ASSERT_EQ(ioctl(sock, SIOCSIFFLAGS, &ifr), 0);
}

static void default_route(int sock)
{
	struct rtentry rt = {.rt_flags = RTF_UP | RTF_GATEWAY};
	struct sockaddr_in sin = {.sin_family = AF_INET};

	memcpy(&rt.rt_dst, &sin, sizeof(sin));
	memcpy(&rt.rt_genmask, &sin, sizeof(sin));
	ASSERT_EQ(inet_pton(AF_INET, "172.16.0.1", &sin.sin_addr), 1);
	memcpy(&rt.rt_gateway, &sin, sizeof(sin));
	ASSERT_EQ(ioctl(sock, SIOCADDRT, &rt), 0);
}

/* In the namespace of the guest: the device, its addresses, a route to everywhere. */
static void make_tap(bool offload)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	unsigned int features = offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
	int vnet = VNET_LEN, buffers = 4 * (int)MIB;
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	bed.tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (bed.tap < 0)
		SKIP("no /dev/net/tun");
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "eth0");
	if (ioctl(bed.tap, TUNSETIFF, &ifr) < 0)
		SKIP("TAP devices are not permitted");
	ASSERT_EQ(ioctl(bed.tap, TUNSETVNETHDRSZ, &vnet), 0);
	ASSERT_EQ(ioctl(bed.tap, TUNSETOFFLOAD, (unsigned long)features), 0);
	(void)ioctl(bed.tap, TUNSETSNDBUF, &buffers);
	memset(&ifr.ifr_hwaddr, 0, sizeof(ifr.ifr_hwaddr));
	ifr.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(ifr.ifr_hwaddr.sa_data, guest_mac, 6);
	ASSERT_EQ(ioctl(sock, SIOCSIFHWADDR, &ifr), 0);
	ifr.ifr_qlen = 10000;
	ASSERT_EQ(ioctl(sock, SIOCSIFTXQLEN, &ifr), 0);
	set_addr(sock, "eth0", SIOCSIFADDR, "172.16.0.2");
	set_addr(sock, "eth0", SIOCSIFNETMASK, "255.255.255.252");
	set_up(sock, "lo");
	set_up(sock, "eth0");
	default_route(sock);
}

static void bed_init(bool offload, uint32_t max_tcp)
{
	struct flow_config cfg = {
		.stack = {.guest4 = net_addr_v4((const uint8_t[]){172, 16, 0, 2}),
			.gateway4 = net_addr_v4((const uint8_t[]){172, 16, 0, 1}),
			.offload = offload ? STACK_TX_CSUM | STACK_TX_TSO4 | STACK_TX_TSO6 : 0,
			.max_tcp = max_tcp,
			.seed = 7},
	};
	struct rlimit files = {8192, 8192};
	cleanup_fd int sock = -EBADF;

	(void)alarm(PATIENCE_S);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (unshare(CLONE_NEWNET) < 0)
		SKIP("network namespaces are not permitted");
	bed.guest_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_TRUE(bed.guest_ns >= 0);
	make_tap(offload);
	ASSERT_OK(unshare(CLONE_NEWNET));
	bed.up_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_up(sock, "lo");
	memcpy(cfg.stack.guest_mac, guest_mac, 6);
	memcpy(cfg.stack.gateway_mac, gateway_mac, 6);
	ASSERT_OK(loop_init(&bed.loop));
	ASSERT_OK(flows_new(&bed.loop, &cfg, &ops, &bed, &bed.flows));
	ASSERT_OK(loop_fd_add(&bed.loop, &bed.tap_src, bed.tap, EPOLLIN, on_tap));
}

static void bed_deinit(void)
{
	bed.flows = flows_free(bed.flows);
	loop_fd_del(&bed.tap_src);
	loop_deinit(&bed.loop);
	(void)close(bed.tap);
	(void)close(bed.up_ns);
	(void)close(bed.guest_ns);
}

/* A child that runs @fn in the namespace @ns and exits with what it returns. */
static pid_t child(int ns, int (*fn)(int), int arg)
{
	pid_t pid = fork();

	ASSERT_TRUE(pid >= 0);
	if (pid == 0) {
		(void)alarm(PATIENCE_S);
		if (setns(ns, CLONE_NEWNET) < 0)
			_exit(99);
		_exit(fn(arg));
	}
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		test_fail(
			__FILE__, __LINE__, "a child ended with status %#x", (unsigned int)status);
}

/* Run flows until the guest @fn is done and its connections have ended. */
static void play(int (*fn)(int), int arg)
{
	pid_t pid = child(bed.guest_ns, fn, arg);
	int fd = io_pidfd_open(pid);

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(loop_fd_add(&bed.loop, &bed.done_src, fd, EPOLLIN, on_done));
	ASSERT_OK(loop_run(&bed.loop));
	loop_fd_del(&bed.done_src);
	(void)close(fd);
	reap(pid);
	/* What the guest has sent may still be under way. */
	while (stack_stats(flows_stack(bed.flows))->tcp_now > 0)
		ASSERT_OK(loop_once(&bed.loop, clock_mono_ns() + NSEC_PER_SEC));
}

/* What both children do; they return an exit status and say where. */
#define CHECK(x)                                                                               \
	do {                                                                                   \
		if (!(x)) {                                                                    \
			(void)fprintf(                                                         \
				stderr, "# line %d: %s: %s\n", __LINE__, #x, strerror(errno)); \
			return 1;                                                              \
		}                                                                              \
	} while (0)

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, "93.184.215.14", &sin.sin_addr);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int listen_at(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ASSERT_EQ(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ASSERT_EQ(listen(fd, 4096), 0);
	return fd;
}

static int send_pattern(int fd, size_t n)
{
	static uint8_t b[256 * 1024];

	for (size_t done = 0; done < n;) {
		size_t part = MIN(n - done, sizeof(b));

		for (size_t i = 0; i < part; i++)
			b[i] = pattern(done + i);
		CHECK(io_write_full(fd, b, part) == 0);
		done += part;
	}
	return 0;
}

static int recv_pattern(int fd, size_t n)
{
	static uint8_t b[256 * 1024];
	size_t done = 0;
	ssize_t got;

	while ((got = read(fd, b, sizeof(b))) > 0) {
		for (size_t i = 0; i < (size_t)got; i++)
			CHECK(b[i] == pattern(done + i));
		done += (size_t)got;
	}
	CHECK(got == 0);
	CHECK(done == n);
	return 0;
}

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
