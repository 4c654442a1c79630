/* SPDX-License-Identifier: Apache-2.0 */
/* The wire with a real stack behind it and the test in the place of the machine. */
#include <sys/socket.h>

#include "base/io.h"

#include "net/link.h"
#include "proto/netframe.h"

#include "test.h"

enum { ARP = NETFRAME_ETH + 28 };

struct rig {
	struct loop loop;
	struct net_wire wire;
	struct stack *stack;
	struct net_config config;
	enum net_link link;
	int fd;
	int machine;
};

static int emit(void *ctx, const struct iovec *iov, int n)
{
	struct rig *g = ctx;

	return net_wire_emit(&g->wire, iov, n);
}

static uint64_t now(void *ctx)
{
	(void)ctx;
	return clock_mono_ns();
}

static void arm(void *ctx, uint64_t deadline_ns)
{
	(void)ctx;
	(void)deadline_ns;
}

static void tcp_wanted(void *ctx, struct stack_tcp *c, const struct net_tuple *t)
{
	(void)ctx;
	(void)c;
	(void)t;
}

static void udp_wanted(void *ctx, struct stack_udp *u, const struct net_tuple *t)
{
	(void)ctx;
	(void)u;
	(void)t;
}

static const struct stack_ops ops = {
	.emit = emit, .now = now, .arm = arm, .tcp_wanted = tcp_wanted, .udp_wanted = udp_wanted};

static void rig_init(struct rig *g, enum net_link link)
{
	struct stack_config c = {.mtu = 1500};
	int fds[2];

	*g = (struct rig){.link = link};
	net_config_init(&g->config, 0, false);
	memcpy(c.guest_mac, g->config.guest_mac, 6);
	memcpy(c.gateway_mac, g->config.gateway_mac, 6);
	c.guest4 = g->config.guest4;
	c.gateway4 = g->config.gateway4;
	ASSERT_OK(io_socketpair(
		(link == NET_BARE ? SOCK_DGRAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, fds));
	g->fd = fds[0];
	g->machine = fds[1];
	ASSERT_OK(loop_init(&g->loop));
	ASSERT_OK(net_wire_init(&g->wire, &g->loop, g->fd, link));
	ASSERT_OK(stack_new(&c, &ops, g, &g->stack));
	g->wire.stack = g->stack;
}

static void rig_deinit(struct rig *g)
{
	stack_free(g->stack);
	net_wire_deinit(&g->wire);
	loop_deinit(&g->loop);
	net_config_deinit(&g->config);
	fd_close(g->fd);
	fd_close(g->machine);
}

static size_t header(const struct rig *g)
{
	return g->link == NET_BARE ? 0 : NETFRAME_HEADER;
}

/* Who has the gateway's address? */
static ssize_t ask(struct rig *g)
{
	static const uint8_t kind[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t m[NETFRAME_HEADER + ARP] = {0};
	uint8_t *f = m + header(g);

	memset(f, 0xff, 6);
	memcpy(f + 6, g->config.guest_mac, 6);
	memcpy(f + 12, kind, sizeof(kind));
	memcpy(f + 22, g->config.guest_mac, 6);
	memcpy(f + 28, g->config.guest4.b, 4);
	memcpy(f + 38, g->config.gateway4.b, 4);
	return send(g->machine, m, header(g) + ARP, 0);
}

static bool answered(struct rig *g)
{
	uint8_t m[256];
	ssize_t n = recv(g->machine, m, sizeof(m), 0);

	return n == (ssize_t)header(g) + ARP &&
	       memcmp(m + header(g), g->config.guest_mac, 6) == 0 &&
	       memcmp(m + header(g) + 22, g->config.gateway_mac, 6) == 0;
}

static void one_frame_each_way(enum net_link link)
{
	struct rig g;

	rig_init(&g, link);
	ASSERT_TRUE(ask(&g) > 0);
	ASSERT_OK(loop_once(&g.loop, 0));
	ASSERT_TRUE(answered(&g));
	ASSERT_TRUE(!answered(&g));
	rig_deinit(&g);
}

TEST(frames_with_headers)
{
	one_frame_each_way(NET_HEADERS);
}

TEST(bare_frames)
{
	one_frame_each_way(NET_BARE);
}

TEST(frames_one_by_one_and_many_at_once)
{
	struct rig g;

	rig_init(&g, NET_HEADERS);
	for (int i = 0; i < 20; i++) {
		ASSERT_TRUE(ask(&g) > 0);
		ASSERT_OK(loop_once(&g.loop, 0));
		ASSERT_TRUE(answered(&g));
	}
	/* None of them waits for another one, or for the wire's end. */
	for (int i = 0; i < 20; i++)
		ASSERT_TRUE(ask(&g) > 0);
	for (int i = 0; i < 20; i++)
		ASSERT_OK(loop_once(&g.loop, 0));
	for (int i = 0; i < 20; i++)
		ASSERT_TRUE(answered(&g));
	ASSERT_TRUE(!answered(&g));
	rig_deinit(&g);
}

TEST(what_is_no_frame_does_no_harm)
{
	static uint8_t m[NETFRAME_MAX + 10];
	struct rig g;

	rig_init(&g, NET_HEADERS);
	for (size_t len = 1; len <= sizeof(m); len = len * 2 + 1)
		ASSERT_EQ(send(g.machine, m, len, 0), (ssize_t)len);
	ASSERT_OK(loop_once(&g.loop, 0));
	ASSERT_TRUE(ask(&g) > 0);
	ASSERT_OK(loop_once(&g.loop, 0));
	ASSERT_TRUE(answered(&g));
	rig_deinit(&g);
}

TEST(the_end_of_the_machine_ends_the_loop)
{
	struct rig g;

	rig_init(&g, NET_HEADERS);
	g.machine = fd_close(g.machine);
	ASSERT_EQ(loop_run(&g.loop), 0);
	ASSERT_TRUE(!g.wire.src.loop);
	rig_deinit(&g);
}

TEST(a_full_wire_is_waited_for)
{
	struct rig g;
	unsigned int before = 0;
	unsigned int after = 0;

	rig_init(&g, NET_HEADERS);
	while (!g.wire.blocked && before < 100000) {
		ASSERT_TRUE(ask(&g) > 0);
		ASSERT_OK(loop_once(&g.loop, 0));
		before++;
	}
	ASSERT_TRUE(g.wire.blocked);
	while (answered(&g))
		after++;
	ASSERT_TRUE(after > 0);
	ASSERT_OK(loop_once(&g.loop, 0));
	ASSERT_TRUE(!g.wire.blocked);
	ASSERT_TRUE(ask(&g) > 0);
	ASSERT_OK(loop_once(&g.loop, 0));
	ASSERT_TRUE(answered(&g));
	rig_deinit(&g);
}

/* Runs the loop until @n answers have come. Return: how long that took. */
static uint64_t wait_answers(struct rig *g, unsigned int n)
{
	uint64_t begin = clock_mono_ns();
	unsigned int got = 0;

	while (got < n) {
		ASSERT_TRUE(clock_mono_ns() < begin + 30 * NSEC_PER_SEC);
		ASSERT_OK(loop_once(&g->loop, clock_mono_ns() + NSEC_PER_SEC));
		while (answered(g))
			got++;
	}
	ASSERT_EQ(got, n);
	return clock_mono_ns() - begin;
}

static void limit(struct net_rate *r, uint64_t n, uint64_t window_ns)
{
	*r = (struct net_rate){.size = n, .window_ns = window_ns};
}

/* What is more than may be sent waits in the socket, and nothing of it is lost. */
TEST(a_guest_that_sends_too_much_waits)
{
	struct net_limits l = {0};
	struct rig g;

	rig_init(&g, NET_HEADERS);
	limit(&l.egress.packets, 5, 100 * NSEC_PER_MSEC);
	net_wire_limit(&g.wire, &l);
	for (int i = 0; i < 20; i++)
		ASSERT_TRUE(ask(&g) > 0);
	ASSERT_OK(loop_once(&g.loop, 0));
	for (int i = 0; i < 5; i++)
		ASSERT_TRUE(answered(&g));
	ASSERT_TRUE(!answered(&g));
	ASSERT_TRUE(g.wire.egress_timer.loop);
	/* 15 more at 20 ms each. */
	ASSERT_TRUE(wait_answers(&g, 15) >= 14 * 20 * NSEC_PER_MSEC);
	ASSERT_EQ(g.wire.lost, 0);
	rig_deinit(&g);
}

/* Frames that no connection keeps wait in a queue. */
TEST(what_is_too_much_for_the_guest_waits)
{
	struct net_limits l = {0};
	struct rig g;

	rig_init(&g, NET_BARE);
	limit(&l.ingress.bytes, 5 * ARP, 100 * NSEC_PER_MSEC);
	net_wire_limit(&g.wire, &l);
	for (int i = 0; i < 8; i++) {
		ASSERT_TRUE(ask(&g) > 0);
		ASSERT_OK(loop_once(&g.loop, 0));
	}
	for (int i = 0; i < 5; i++)
		ASSERT_TRUE(answered(&g));
	ASSERT_TRUE(wait_answers(&g, 3) >= 2 * 20 * NSEC_PER_MSEC);
	ASSERT_TRUE(g.wire.lost == 0 && g.wire.queued == 0 && !g.wire.first);
	rig_deinit(&g);
}

/* The queue is bounded, and goes with the wire. */
TEST(the_queue_is_no_bottomless_pit)
{
	struct net_limits l = {0};
	struct rig g;

	rig_init(&g, NET_HEADERS);
	limit(&l.ingress.packets, 1, 3600 * NSEC_PER_SEC);
	net_wire_limit(&g.wire, &l);
	for (int i = 0; i < WIRE_QUEUE_BYTES / ARP + 10; i++) {
		ASSERT_TRUE(ask(&g) > 0);
		ASSERT_OK(loop_once(&g.loop, 0));
	}
	ASSERT_TRUE(g.wire.lost > 0 && g.wire.queued <= WIRE_QUEUE_BYTES);
	ASSERT_TRUE(g.wire.queued > WIRE_QUEUE_BYTES - 2 * (NETFRAME_HEADER + ARP));
	g.machine = fd_close(g.machine);
	ASSERT_EQ(loop_run(&g.loop), 0);
	ASSERT_TRUE(!g.wire.first && !g.wire.ingress_timer.loop);
	rig_deinit(&g);
}
