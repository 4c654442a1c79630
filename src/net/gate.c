/* SPDX-License-Identifier: Apache-2.0 */
/* From the policy's answer to what becomes of a flow: see gate.h. */
#include "net/gate.h"

enum { PORT_DNS = 53 };

static enum policy_proto proto_of(const struct flow_query *q)
{
	switch (q->proto) {
	case FLOW_TCP:
		return POLICY_TCP;
	case FLOW_UDP:
		return POLICY_UDP;
	case FLOW_ECHO:
		break;
	}
	return q->tuple.remote.addr.family == NET_V6 ? POLICY_ICMPV6 : POLICY_ICMPV4;
}

static bool is_gateway(const struct net_config *c, const struct net_addr *a)
{
	return (c->gateway4.family && net_addr_equal(a, &c->gateway4)) ||
	       (c->gateway6.family && net_addr_equal(a, &c->gateway6));
}

/* Who calls the gateway means the host, which is at home at its own loopback address. */
static struct net_addr loopback(uint8_t family)
{
	static const uint8_t v4[4] = {127, 0, 0, 1};
	static const uint8_t v6[16] = {[15] = 1};

	return family == NET_V6 ? net_addr_v6(v6) : net_addr_v4(v4);
}

void net_gate_decide(const struct net_config *c, const struct flow_query *q, struct flow_verdict *v)
{
	const struct net_peer *remote = &q->tuple.remote;
	struct policy_query ask = {
		.direction = q->ingress ? POLICY_INGRESS : POLICY_EGRESS,
		.proto = proto_of(q),
		.addr = remote->addr,
		.port = q->ingress ? q->tuple.guest.port : remote->port,
		.inspected = true,
	};
	struct policy_verdict answer;

	policy_decide(&c->policy, &ask, &answer);
	v->tag = (uint32_t)answer.rule;
	if (answer.action != POLICY_ALLOW)
		return;
	if (q->ingress) {
		v->action = FLOW_DIAL;
		return;
	}
	if (is_gateway(c, &remote->addr)) {
		/* Questions about names are for the forwarder, never for whoever listens there on
		 * the host. */
		if (remote->port == PORT_DNS && q->proto != FLOW_ECHO)
			return;
		v->dial.addr = loopback(remote->addr.family);
	}
	v->action = FLOW_DIAL;
}
