/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups of a guest made by hand, through a real stack, to a name server that is a socket here. */
#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"

#include "net/config.h"
#include "net/names.h"
#include "net/stack/internal.h"

#include "test.h"

enum {
	HEADS = VNET_LEN + ETH_LEN + IP4_LEN + UDP_LEN,
	MESSAGE_MAX = 512,
	FRAME_MAX = 2048,
	DNS_HEAD = 12,
	RCODE_NOERROR = 0,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
};

static const uint8_t question[] = "\3www\7example\0\0\1\0\1"; /* the final NUL is not sent */
static const uint8_t record[] = {
	0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 93, 184, 215, 14}; /* A, 60 s */

struct rig {
	struct loop loop;
	struct net_config config;
	struct names *names;
	struct stack *stack;
	struct net_events events;
	int heard; /* the other end of the events */
	int server;
	uint8_t answer[MESSAGE_MAX];
	size_t answer_len;
};

static int emit(void *ctx, const struct iovec *iov, int n)
{
	struct rig *g = ctx;
	uint8_t frame[FRAME_MAX];
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		ASSERT_TRUE(iov[i].iov_len <= sizeof(frame) - len);
		memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	if (len < HEADS || frame[VNET_LEN + ETH_LEN + 9] != IP_UDP)
		return 0;
	g->answer_len = MIN(len - HEADS, sizeof(g->answer));
	memcpy(g->answer, frame + HEADS, g->answer_len);
	return 0;
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
	names_take_tcp(((struct rig *)ctx)->names, c, t);
}

static void udp_wanted(void *ctx, struct stack_udp *u, const struct net_tuple *t)
{
	names_take_udp(((struct rig *)ctx)->names, u, t);
}

static const struct stack_ops ops = {
	.emit = emit, .now = now, .arm = arm, .tcp_wanted = tcp_wanted, .udp_wanted = udp_wanted};

/* A name server on a port of this host. */
static int listen_here(struct net_peer *ret)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct net_peer here = {.addr = net_addr_v4(loopback)};
	struct sockaddr_storage sa;
	socklen_t len = net_peer_to_sockaddr(&here, &sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(bind(fd, (const struct sockaddr *)&sa, len), 0);
	len = sizeof(sa);
	ASSERT_EQ(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	ASSERT_OK(net_peer_from_sockaddr(&sa, ret));
	return fd;
}

static void rig_init(struct rig *g)
{
	struct dns_config dns = {.n_servers = 1, .timeout_ms = DNS_TIMEOUT_MAX_MS, .has_v4 = true};
	struct stack_config stack = {.seed = 7};
	int fds[2];

	*g = (struct rig){.server = listen_here(&dns.servers[0])};
	net_config_init(&g->config, 0, false);
	ASSERT_OK(policy_init(&g->config.policy));
	g->config.policy.gateway4 = g->config.gateway4;
	memcpy(stack.guest_mac, g->config.guest_mac, sizeof(stack.guest_mac));
	memcpy(stack.gateway_mac, g->config.gateway_mac, sizeof(stack.gateway_mac));
	stack.guest4 = g->config.guest4;
	stack.gateway4 = g->config.gateway4;
	ASSERT_OK(loop_init(&g->loop));
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	net_events_init(&g->events, &g->loop, fds[0]);
	g->heard = fds[1];
	ASSERT_OK(names_new(&g->loop, &dns, &g->config.policy, &g->events, &g->names));
	ASSERT_OK(stack_new(&stack, &ops, g, &g->stack));
}

static void rig_deinit(struct rig *g)
{
	names_free(g->names);
	stack_free(g->stack);
	net_events_deinit(&g->events);
	loop_deinit(&g->loop);
	net_config_deinit(&g->config);
	(void)close(g->heard);
	(void)fd_close(g->server);
}

/* The guest asks the gateway for the address of www.example. */
static void ask(struct rig *g)
{
	static const uint8_t head[DNS_HEAD] = {0x12, 0x34, 1, 0, 0, 1};
	uint8_t f[HEADS + DNS_HEAD + sizeof(question) - 1] = {0};
	uint8_t *eth = f + VNET_LEN;
	uint8_t *ip = eth + ETH_LEN;
	uint8_t *udp = ip + IP4_LEN;

	memcpy(eth, g->config.gateway_mac, 6);
	memcpy(eth + 6, g->config.guest_mac, 6);
	put16(eth + 12, ETH_IP4);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(sizeof(f) - VNET_LEN - ETH_LEN));
	ip[8] = 64;
	ip[9] = IP_UDP;
	memcpy(ip + 12, g->config.guest4.b, 4);
	memcpy(ip + 16, g->config.gateway4.b, 4);
	put16(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
	put16(udp, 40000);
	put16(udp + 2, DNS_PORT);
	put16(udp + 4, (uint16_t)(sizeof(f) - (size_t)(udp - f)));
	memcpy(udp + UDP_LEN, head, sizeof(head));
	memcpy(udp + UDP_LEN + DNS_HEAD, question, sizeof(question) - 1);
	stack_input(g->stack, f, sizeof(f));
}

/* Waits for the answer. Return: its code. */
static unsigned int answered(struct rig *g)
{
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;

	while (g->answer_len == 0) {
		ASSERT_TRUE(clock_mono_ns() < deadline);
		ASSERT_OK(loop_once(&g->loop, clock_mono_ns() + NSEC_PER_SEC));
	}
	ASSERT_TRUE(g->answer_len >= DNS_HEAD && g->answer[0] == 0x12 && g->answer[1] == 0x34);
	return g->answer[3] & 15;
}

/* The name server gets the question and answers with one address. */
static void serve(struct rig *g)
{
	struct pollfd p = {.fd = g->server, .events = POLLIN};
	uint8_t msg[MESSAGE_MAX];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	size_t len = DNS_HEAD + sizeof(question) - 1;
	ssize_t n;

	ASSERT_EQ(poll(&p, 1, 30000), 1);
	n = recvfrom(g->server, msg, sizeof(msg) - sizeof(record), 0, (struct sockaddr *)&from,
		&from_len);
	ASSERT_TRUE(n >= (ssize_t)len);
	msg[2] |= 0x80;
	msg[3] = 0x80;
	put16(msg + 6, 1);
	memset(msg + 8, 0, 4);
	memcpy(msg + len, record, sizeof(record));
	len += sizeof(record);
	ASSERT_EQ(sendto(g->server, msg, len, 0, (struct sockaddr *)&from, from_len), (ssize_t)len);
}

static struct net_event next_event(const struct rig *g)
{
	static uint8_t packet[NET_EVENT_MAX];
	struct net_event e;
	ssize_t n = recv(g->heard, packet, sizeof(packet), MSG_DONTWAIT);

	ASSERT_TRUE(n > 0);
	ASSERT_OK(net_event_get(packet, (size_t)n, &e));
	return e;
}

TEST(an_answer_reaches_the_guest_and_binds_its_name)
{
	static const uint8_t addr[4] = {93, 184, 215, 14};
	struct net_addr a = net_addr_v4(addr);
	const char *names[DNS_PIN_NAMES_MAX];
	struct net_event e;
	struct rig g;

	rig_init(&g);
	ASSERT_EQ(names_of(g.names, &a, names, ARRAY_SIZE(names)), 0);
	ask(&g);
	serve(&g);
	ASSERT_EQ(answered(&g), RCODE_NOERROR);
	ASSERT_TRUE(g.answer_len > 4 && memcmp(g.answer + g.answer_len - 4, addr, 4) == 0);
	ASSERT_EQ(names_of(g.names, &a, names, ARRAY_SIZE(names)), 1);
	ASSERT_STREQ(names[0], "www.example");
	e = next_event(&g);
	ASSERT_TRUE(e.kind == NET_EVENT_DNS && !e.log && e.qtype == DNS_A && e.rcode == 0);
	ASSERT_STREQ(e.name, "www.example");
	ASSERT_STREQ(e.result, "answered");
	ASSERT_TRUE(e.n_addrs == 1 && net_addr_equal(&e.addrs[0], &a));
	rig_deinit(&g);
}

TEST(a_denied_name_goes_nowhere_and_is_told)
{
	struct policy_rule deny = {.action = POLICY_DENY,
		.directions = 1u << POLICY_EGRESS,
		.target = POLICY_DOMAIN,
		.name = "www.example"};
	struct rig g;
	char text[64];
	struct net_event e;

	rig_init(&g);
	ASSERT_OK(policy_insert(&g.config.policy, 0, &deny));
	ask(&g);
	ASSERT_EQ(answered(&g), RCODE_NXDOMAIN);
	ASSERT_TRUE(recv(g.server, text, sizeof(text), MSG_DONTWAIT) < 0);
	e = next_event(&g);
	ASSERT_TRUE(e.kind == NET_EVENT_DNS && e.log && e.rule == 1);
	ASSERT_STREQ(e.rule_text, "deny@www.example");
	ASSERT_TRUE(strncmp(e.text, "lookup of www.example: denied by rule 1", 39) == 0);
	rig_deinit(&g);
}

TEST(a_server_that_is_not_there_fails_the_lookup)
{
	struct rig g;

	rig_init(&g);
	g.server = fd_close(g.server);
	ask(&g);
	ASSERT_EQ(answered(&g), RCODE_SERVFAIL);
	rig_deinit(&g);
}

TEST(the_end_comes_with_lookups_under_way)
{
	struct rig g;

	rig_init(&g);
	ask(&g);
	rig_deinit(&g); /* leaks nothing, says the harness */
}
