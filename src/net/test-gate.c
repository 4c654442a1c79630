/* SPDX-License-Identifier: Apache-2.0 */
/* The default policy, asked as flows are. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

#include "net/divert.h"
#include "net/gate.h"
#include "net/intercept/wire.h"

#include "test.h"

static struct net_config config(void)
{
	struct net_config c;

	net_config_init(&c, 0, true);
	ASSERT_OK(policy_init(&c.policy));
	c.policy.gateway4 = c.gateway4;
	c.policy.gateway6 = c.gateway6;
	return c;
}

static struct flow_verdict ask(
	const struct net_config *c, enum flow_proto proto, const char *remote, uint16_t port)
{
	struct flow_query q = {.proto = proto, .tuple.remote.port = port};
	struct flow_verdict v = {.action = FLOW_DENY};

	ASSERT_OK(net_addr_parse(remote, &q.tuple.remote.addr));
	v.dial = q.tuple.remote;
	net_gate_decide(&(struct net_gate){.config = c}, &q, &v);
	return v;
}

TEST(public_addresses_only)
{
	static const char *const refused[] = {"10.0.0.1", "172.16.0.9", "192.168.1.1", "127.0.0.1",
		"169.254.169.254", "224.0.0.1", "255.255.255.255", "100.64.0.1", "0.0.0.0", "::1",
		"fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1",
		"64:ff9b::a00:1", "2002:7f00:1::", "::"};
	struct net_config c = config();

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		ASSERT_EQ(ask(&c, FLOW_TCP, refused[i], 80).action, FLOW_DENY);
		ASSERT_EQ(ask(&c, FLOW_UDP, refused[i], 53).action, FLOW_DENY);
		ASSERT_EQ(ask(&c, FLOW_ECHO, refused[i], 0).action, FLOW_DENY);
	}
	ASSERT_EQ(ask(&c, FLOW_TCP, "1.1.1.1", 443).action, FLOW_DIAL);
	ASSERT_EQ(ask(&c, FLOW_UDP, "2606:4700::1111", 443).action, FLOW_DIAL);
	ASSERT_EQ(ask(&c, FLOW_ECHO, "9.9.9.9", 0).action, FLOW_DIAL);
	net_config_deinit(&c);
}

TEST(the_gateway_is_the_host_where_that_is_allowed)
{
	struct net_config c = config();
	struct policy_rule host = {.action = POLICY_ALLOW,
		.directions = 1u << POLICY_EGRESS,
		.target = POLICY_GROUP,
		.group = NET_CLASS_HOST};
	struct flow_verdict v = ask(&c, FLOW_TCP, "172.16.0.1", 8080);
	struct net_addr loopback;

	ASSERT_EQ(v.action, FLOW_DENY);
	ASSERT_OK(policy_add(&c.policy, &host));
	v = ask(&c, FLOW_TCP, "172.16.0.1", 8080);
	ASSERT_EQ(v.action, FLOW_DIAL);
	ASSERT_OK(net_addr_parse("127.0.0.1", &loopback));
	ASSERT_TRUE(net_addr_equal(&v.dial.addr, &loopback));
	ASSERT_EQ(v.dial.port, 8080);
	v = ask(&c, FLOW_TCP, "fd42:6d73:62::1", 8080);
	ASSERT_OK(net_addr_parse("::1", &loopback));
	ASSERT_TRUE(net_addr_equal(&v.dial.addr, &loopback));
	/* The name server of the host is not the gateway's. */
	ASSERT_EQ(ask(&c, FLOW_UDP, "172.16.0.1", 53).action, FLOW_DENY);
	ASSERT_EQ(ask(&c, FLOW_TCP, "172.16.0.1", 53).action, FLOW_DENY);
	net_config_deinit(&c);
}

static const char hello_good[] = "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n";
static const char hello_bad[] = "GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n";

static enum flow_action inspect(
	const struct net_config *c, const char *bytes, size_t len, bool last)
{
	const struct net_gate g = {.config = c};
	struct flow_query q = {.proto = FLOW_TCP, .tuple.remote.port = 80};
	uint32_t tag = 0;

	ASSERT_OK(net_addr_parse("1.1.1.1", &q.tuple.remote.addr));
	return net_gate_inspect(&g, &q, bytes, len, last, &tag);
}

TEST(first_bytes_decide_where_a_name_does)
{
	struct net_config c = config();
	struct policy_rule bad = {.action = POLICY_DENY,
		.directions = 1u << POLICY_EGRESS,
		.target = POLICY_DOMAIN,
		.name = "bad.example"};

	ASSERT_OK(policy_insert(&c.policy, 0, &bad));
	ASSERT_EQ(ask(&c, FLOW_TCP, "1.1.1.1", 80).action, FLOW_INSPECT);
	ASSERT_EQ(inspect(&c, hello_good, strlen(hello_good), false), FLOW_DIAL);
	ASSERT_EQ(inspect(&c, hello_bad, strlen(hello_bad), false), FLOW_DENY);
	ASSERT_EQ(inspect(&c, hello_good, 20, false), FLOW_INSPECT);
	ASSERT_EQ(inspect(&c, hello_good, 20, true), FLOW_DENY);
	ASSERT_EQ(inspect(&c, "SSH-2.0-x\r\n", 11, false), FLOW_DIAL);
	net_config_deinit(&c);
}

/* The next one; its strings live until the one after it. */
static struct net_event next_event(int fd)
{
	static uint8_t packet[NET_EVENT_MAX];
	struct net_event e;
	ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);

	ASSERT_TRUE(n > 0);
	ASSERT_OK(net_event_get(packet, (size_t)n, &e));
	return e;
}

static void expect_told(int fd, const char *begin)
{
	struct net_event e = next_event(fd);

	ASSERT_TRUE(e.log && e.kind == NET_EVENT_DENIED);
	if (strncmp(e.text, begin, strlen(begin)) != 0)
		test_fail(__FILE__, __LINE__, "'%s' does not begin with '%s'", e.text, begin);
}

/* With the rule that their tag says, if there still is one. */
static void what_flows_do_is_told(const struct net_gate *g, const struct flow_query *q, int fd)
{
	struct flow_event f = {.kind = FLOW_EVENT_FAILED, .query = *q, .error = -ECONNREFUSED};
	struct net_event e;

	f.query.id = 9;
	net_gate_event(g, &f);
	e = next_event(fd);
	ASSERT_TRUE(e.kind == NET_EVENT_FAILED && e.error == ECONNREFUSED && e.flow == 9);
	ASSERT_TRUE(e.rule == 1 && !e.log && e.remote.port == 80);
	ASSERT_STREQ(e.rule_text, "allow@dns");
	f = (struct flow_event){.kind = FLOW_EVENT_CLOSED, .query = *q, .up = 5, .down = 6};
	f.tag = 1000;
	net_gate_event(g, &f);
	e = next_event(fd);
	ASSERT_TRUE(e.kind == NET_EVENT_CLOSE && e.up == 5 && e.down == 6 && e.rule == 0);
	f.kind = FLOW_EVENT_DENIED;
	net_gate_event(g, &f);
	ASSERT_TRUE(recv(fd, &e, sizeof(e), MSG_DONTWAIT) < 0);
}

TEST(what_is_denied_is_told)
{
	struct net_config c = config();
	struct flow_query q = {.proto = FLOW_TCP, .tuple.remote.port = 80};
	struct flow_verdict v = {.action = FLOW_DENY};
	struct net_events events;
	struct net_gate g = {.config = &c, .events = &events};
	struct loop l;
	uint32_t tag = 0;
	int fds[2];

	ASSERT_OK(loop_init(&l));
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	net_events_init(&events, &l, fds[0]);
	ASSERT_OK(net_addr_parse("1.1.1.1", &q.tuple.remote.addr));
	net_gate_decide(&g, &q, &v);
	ASSERT_EQ(v.action, FLOW_DIAL);
	ASSERT_EQ(net_gate_inspect(&g, &q, "GET \n", 5, false, &tag), FLOW_DENY);
	ASSERT_OK(net_addr_parse("fe80::1", &q.tuple.remote.addr));
	net_gate_decide(&g, &q, &v);
	expect_told(fds[1], "egress tcp 1.1.1.1:80: denied: the first bytes");
	expect_told(fds[1], "egress tcp [fe80::1]:80 (link-local): denied by default");
	ASSERT_TRUE(recv(fds[1], &tag, sizeof(tag), MSG_DONTWAIT) < 0);
	what_flows_do_is_told(&g, &q, fds[1]);
	net_events_deinit(&events);
	loop_deinit(&l);
	(void)close(fds[1]);
	net_config_deinit(&c);
}

TEST(without_rules_nothing)
{
	struct net_config c;

	net_config_init(&c, 0, false);
	ASSERT_EQ(ask(&c, FLOW_TCP, "1.1.1.1", 443).action, FLOW_DENY);
	net_config_deinit(&c);
}

TEST(tls_ports_lead_to_msb_tls)
{
	struct net_config c = config();
	const struct tls_settings s = {.on = true,
		.n_ports = 1,
		.ports = {80},
		.n_bypass = 1,
		.bypass = {"*.bad.example"}};

	ASSERT_EQ(ask(&c, FLOW_UDP, "1.1.1.1", 80).action, FLOW_DIAL);
	ASSERT_OK(net_config_intercept(&c, &s));
	ASSERT_EQ(ask(&c, FLOW_TCP, "1.1.1.1", 80).action, FLOW_INSPECT);
	ASSERT_TRUE(ask(&c, FLOW_TCP, "1.1.1.1", 80).hold_down);
	ASSERT_EQ(ask(&c, FLOW_TCP, "1.1.1.1", 443).action, FLOW_DIAL);
	ASSERT_EQ(ask(&c, FLOW_TCP, "10.0.0.1", 80).action, FLOW_DENY);
	ASSERT_EQ(ask(&c, FLOW_UDP, "1.1.1.1", 80).action, FLOW_DENY);
	ASSERT_EQ(inspect(&c, hello_good, strlen(hello_good), false), FLOW_DIVERT);
	ASSERT_EQ(inspect(&c, hello_bad, strlen(hello_bad), false), FLOW_DIAL);
	ASSERT_EQ(inspect(&c, "SSH-2.0-x\r\n", 11, false), FLOW_DENY);
	ASSERT_EQ(inspect(&c, "", 0, true), FLOW_DIAL);
	c.tls.allow_quic = true;
	ASSERT_EQ(ask(&c, FLOW_UDP, "1.1.1.1", 80).action, FLOW_DIAL);
	net_config_deinit(&c);
}

TEST(a_diverted_flow_takes_its_sockets_along)
{
	struct net_config c = config();
	const struct net_gate g = {.config = &c};
	struct flow_query q = {.proto = FLOW_TCP, .tuple.remote.port = 80};
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(INTERCEPT_FDS * sizeof(int))];
	} control = {};
	struct intercept_flow got = {.version = 0};
	struct iovec iov = {.iov_base = &got, .iov_len = sizeof(got)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room)};
	int upstream[2];
	int guest = -EBADF;
	char byte;
	int fds[2];
	int two[INTERCEPT_FDS];

	ASSERT_OK(net_addr_parse("1.1.1.1", &q.tuple.remote.addr));
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	ASSERT_OK(io_socketpair(SOCK_STREAM, upstream));
	ASSERT_OK(net_divert(&g, fds[0], &q, hello_good, strlen(hello_good), upstream[0], &guest));
	ASSERT_EQ(recvmsg(fds[1], &msg, 0), sizeof(got));
	memcpy(two, CMSG_DATA(&control.head), sizeof(two));
	ASSERT_EQ(got.kind, INTERCEPT_HTTP);
	ASSERT_EQ(got.port, 80);
	ASSERT_EQ(got.pinned, 0);
	ASSERT_STREQ(got.addr, "1.1.1.1");
	ASSERT_STREQ(got.authority, "good.example");
	ASSERT_EQ(write(guest, "g", 1), 1);
	ASSERT_EQ(read(two[0], &byte, 1), 1);
	ASSERT_EQ(byte, 'g');
	ASSERT_EQ(write(upstream[1], "s", 1), 1);
	ASSERT_EQ(read(two[1], &byte, 1), 1);
	ASSERT_EQ(byte, 's');
	(void)close(two[0]);
	(void)close(two[1]);
	(void)close(guest);

	/* Nobody takes it: its server sees the end. */
	(void)close(fds[1]);
	ASSERT_OK(io_socketpair(SOCK_STREAM, two));
	ASSERT_EQ(
		net_divert(&g, fds[0], &q, hello_good, strlen(hello_good), two[0], &guest), -EPIPE);
	ASSERT_EQ(read(two[1], &byte, 1), 0);
	(void)close(two[1]);
	(void)close(upstream[1]);
	(void)close(fds[0]);
	net_config_deinit(&c);
}
