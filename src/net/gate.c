/* SPDX-License-Identifier: Apache-2.0 */
/* From the policy's answer to what becomes of a flow: see gate.h. */
#include "net/gate.h"

#include "net/policy/peek.h"
#include "net/tell.h"

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

/* What is known of a flow before it says anything. */
struct question {
	struct policy_query q;
	const char *names[DNS_PIN_NAMES_MAX];
};

static void ask_about(const struct net_gate *g, const struct flow_query *q, struct question *ret)
{
	const struct net_peer *remote = &q->tuple.remote;

	ret->q = (struct policy_query){
		.direction = q->ingress ? POLICY_INGRESS : POLICY_EGRESS,
		.proto = proto_of(q),
		.addr = remote->addr,
		.port = q->ingress ? q->tuple.guest.port : remote->port,
	};
	if (!g->names || q->ingress)
		return;
	ret->q.n_names = names_of(g->names, &remote->addr, ret->names, ARRAY_SIZE(ret->names));
	ret->q.names = ret->names;
}

/* A name that is certain is better than its address: the proxy may be nearer to another one. */
static void dial(const struct net_gate *g, const struct flow_query *q, const struct question *ask,
	struct flow_verdict *v)
{
	if (q->ingress)
		return;
	if (is_gateway(g->config, &q->tuple.remote.addr)) {
		v->dial.addr = loopback(q->tuple.remote.addr.family);
	} else if (g->config->proxy.kind != NET_PROXY_NONE) {
		v->proxy = &g->config->proxy;
		v->proxy_name = ask->q.n_names == 1 ? ask->names[0] : NULL;
	}
}

/* Past the proxy nothing leaves, and it takes TCP only. */
static bool is_past_proxy(const struct net_gate *g, const struct flow_query *q)
{
	return g->config->proxy.kind != NET_PROXY_NONE && q->proto != FLOW_TCP && !q->ingress &&
	       !is_gateway(g->config, &q->tuple.remote.addr);
}

/* Questions about names are for the forwarder, wherever the guest sends them: it asks the policy
 * about the name and about a resolver that is not the gateway. */
static void hand_over(const struct net_gate *g, struct flow_verdict *v)
{
	if (!g->names)
		return;
	v->action = FLOW_HAND;
	v->hand_tcp = names_take_tcp;
	v->hand_udp = names_take_udp;
	v->user = g->names;
}

static bool is_quic(const struct net_gate *g, const struct flow_query *q)
{
	return q->proto == FLOW_UDP && !q->ingress && !g->config->tls.allow_quic &&
	       net_config_has_tls(g->config, q->tuple.remote.port);
}

/* TLS and HTTP that msb-tls is to speak with the server; the policy allows them. */
static bool is_intercepted(const struct net_gate *g, const struct flow_query *q)
{
	return q->proto == FLOW_TCP && !q->ingress &&
	       net_config_has_tls(g->config, q->tuple.remote.port);
}

/* What is known of whom a flow is for. */
static const char *name_of(const struct question *ask)
{
	if (ask->q.authority)
		return ask->q.authority;
	return ask->q.n_names ? ask->names[0] : NULL;
}

/* Denied for a reason that is none of the policy's. */
static void tell_why(const struct net_gate *g, const struct flow_query *q, const char *why)
{
	const struct net_peer *remote = &q->tuple.remote;
	bool v6 = remote->addr.family == NET_V6;
	char addr[NET_ADDR_TEXT];
	char text[NET_ADDR_TEXT + 160];

	(void)snprintf(text, sizeof(text), "egress %s %s%s%s:%u: denied: %s",
		policy_proto_name(proto_of(q)), v6 ? "[" : "", net_addr_text(&remote->addr, addr),
		v6 ? "]" : "", remote->port, why);
	tell_refused(g->events, q, text, NULL);
}

void net_gate_decide(const struct net_gate *g, const struct flow_query *q, struct flow_verdict *v)
{
	struct policy_verdict answer;
	struct question ask;

	if (!q->ingress && q->proto != FLOW_ECHO && q->tuple.remote.port == PORT_DNS) {
		hand_over(g, v);
		return;
	}
	ask_about(g, q, &ask);
	policy_decide(&g->config->policy, &ask.q, &answer);
	v->tag = (uint32_t)answer.rule;
	switch (answer.action) {
	case POLICY_ALLOW:
		if (is_quic(g, q)) {
			tell_why(g, q, "QUIC would go around the interception of TLS");
			return;
		}
		if (is_past_proxy(g, q)) {
			tell_why(g, q, "the proxy carries TCP only");
			return;
		}
		v->action = FLOW_DIAL;
		break;
	case POLICY_INSPECT:
		v->action = FLOW_INSPECT;
		v->tag = (uint32_t)-1; /* no rule has let it through yet */
		v->hold_down = g->config->policy.strict;
		break;
	case POLICY_DENY:
		tell_verdict(g->events, &g->config->policy, q, &answer, name_of(&ask));
		return;
	}
	if (is_intercepted(g, q)) {
		v->action = FLOW_INSPECT;
		v->hold_down = true;
	}
	dial(g, q, &ask, v);
}

/* The policy allows the flow that begins with what was @seen: straight on, or by way of msb-tls? */
static enum flow_action way(
	const struct net_gate *g, const struct flow_query *q, const struct peek *seen)
{
	const struct net_tls *t = &g->config->tls;

	if (!is_intercepted(g, q) || seen->kind == PEEK_MORE)
		return FLOW_DIAL;
	if (seen->named && name_pattern_any(t->bypass, t->n_bypass, seen->name))
		return FLOW_DIAL;
	if (seen->kind == PEEK_TLS || seen->kind == PEEK_HTTP)
		return FLOW_DIVERT;
	tell_why(g, q, "neither TLS nor HTTP, on a port whose TLS is intercepted");
	return FLOW_DENY;
}

enum flow_action net_gate_inspect(const struct net_gate *g, const struct flow_query *q,
	const void *data, size_t len, bool last, uint32_t *tag)
{
	struct policy_verdict answer;
	struct question ask;
	struct peek seen;

	peek_bytes(data, len, &seen);
	if (seen.kind == PEEK_MORE && !last)
		return FLOW_INSPECT;
	/* Half a hello hides as much as a bad one. Nothing at all says nothing. */
	if (seen.kind == PEEK_BAD || (seen.kind == PEEK_MORE && len > 0)) {
		tell_why(g, q, "the first bytes do not say clearly whom they want");
		return FLOW_DENY;
	}
	ask_about(g, q, &ask);
	peek_apply(&seen, &ask.q);
	policy_decide(&g->config->policy, &ask.q, &answer);
	*tag = (uint32_t)answer.rule;
	tell_verdict(g->events, &g->config->policy, q, &answer, name_of(&ask));
	return answer.action == POLICY_ALLOW ? way(g, q, &seen) : FLOW_DENY;
}

void net_gate_event(const struct net_gate *g, const struct flow_event *e)
{
	struct question ask;

	ask_about(g, &e->query, &ask);
	tell_flow(g->events, &g->config->policy, e, name_of(&ask));
}
