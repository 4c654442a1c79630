/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP of both families, and neighbour discovery.
 *
 * The gateway answers echo by itself; echo to others is the owner's question. Errors are built from
 * the tuple of a flow, not from a kept packet: the guest's kernel looks for nothing but the
 * headers. Of neighbour discovery there is only the answer for the gateway: the agent configures
 * addresses and routes, so routers are not advertised. Errors and echo replies are never answered.
 */
#include "net/stack/internal.h"

enum {
	ECHO4_REPLY = 0,
	UNREACHABLE4 = 3,
	ECHO4_REQUEST = 8,
	UNREACHABLE6 = 1,
	TOO_BIG6 = 2,
	ECHO6_REQUEST = 128,
	ECHO6_REPLY = 129,
	SOLICIT = 135,
	ADVERTISE = 136,

	CODE4_NEED_FRAG = 4,
	ND_TARGET = 24, /* bytes of a solicitation up to its options */
};

static const struct {
	uint8_t code4, code6;
} unreachable[] = {
	[STACK_REFUSED] = {3, 4},
	[STACK_PROHIBITED] = {13, 1},
	[STACK_HOST_UNREACHABLE] = {1, 3},
	[STACK_NET_UNREACHABLE] = {0, 0},
};

bool addr_multicast(const struct net_addr *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (a->family == NET_V6)
		return a->b[0] == 0xff;
	return (a->b[0] & 0xf0) == 0xe0 || memcmp(a->b, broadcast, 4) == 0;
}

/* The start of the guest's packet: its IP header without what nobody reads, and eight bytes more.
 */
static size_t put_quote(uint8_t *to, const struct quote *q)
{
	const struct net_tuple *t = q->tuple;

	if (t->guest.addr.family == NET_V4) {
		memset(to, 0, IP4_LEN);
		to[0] = 0x45;
		put16(to + 2, IP4_LEN + sizeof(q->l4));
		to[8] = 64;
		to[9] = q->proto;
		memcpy(to + 12, t->guest.addr.b, 4);
		memcpy(to + 16, t->remote.addr.b, 4);
		put16(to + 10, (uint16_t)~csum_fold(csum_add(0, to, IP4_LEN)));
		memcpy(to + IP4_LEN, q->l4, sizeof(q->l4));
		return IP4_LEN + sizeof(q->l4);
	}
	memset(to, 0, IP6_LEN);
	to[0] = 0x60;
	put16(to + 4, sizeof(q->l4));
	to[6] = q->proto;
	to[7] = 64;
	memcpy(to + 8, t->guest.addr.b, 16);
	memcpy(to + 24, t->remote.addr.b, 16);
	memcpy(to + IP6_LEN, q->l4, sizeof(q->l4));
	return IP6_LEN + sizeof(q->l4);
}

static void send_error(
	struct stack *s, const struct quote *q, uint8_t type, uint8_t code, uint32_t value)
{
	bool v4 = q->tuple->guest.addr.family == NET_V4;
	struct out o;

	if (addr_multicast(&q->tuple->remote.addr) ||
		!stack_rate(s, &s->rate_icmp, ICMP_ERRORS_PER_SEC))
		return;
	out_begin(&o, v4 ? &s->cfg.gateway4 : &s->cfg.gateway6, &q->tuple->guest.addr,
		v4 ? IP_ICMP : IP_ICMP6);
	o.csum_offset = 2;
	o.l4[0] = type;
	o.l4[1] = code;
	put32(o.l4 + 4, value);
	o.l4_len = ICMP_LEN + put_quote(o.l4 + ICMP_LEN, q);
	(void)out_send(s, &o);
}

void icmp_refuse(struct stack *s, const struct quote *q, enum stack_refusal how)
{
	bool v4 = q->tuple->guest.addr.family == NET_V4;

	if (how == STACK_SILENT)
		return;
	send_error(s, q, v4 ? UNREACHABLE4 : UNREACHABLE6,
		v4 ? unreachable[how].code4 : unreachable[how].code6, 0);
}

void icmp_too_big(struct stack *s, const struct quote *q, uint16_t mtu)
{
	if (q->tuple->guest.addr.family == NET_V4)
		send_error(s, q, UNREACHABLE4, CODE4_NEED_FRAG, mtu);
	else
		send_error(s, q, TOO_BIG6, 0, mtu);
}

static void echo_send(struct stack *s, const struct stack_echo *e)
{
	bool v4 = e->guest.family == NET_V4;
	struct out o;

	if (e->len > IP_MAX - IP4_LEN - ICMP_LEN)
		return;
	out_begin(&o, &e->remote, &e->guest, v4 ? IP_ICMP : IP_ICMP6);
	o.csum_offset = 2;
	o.l4[0] = v4 ? ECHO4_REPLY : ECHO6_REPLY;
	put16(o.l4 + 4, e->id);
	put16(o.l4 + 6, e->seq);
	o.l4_len = ICMP_LEN;
	o.body[0] = (struct iovec){.iov_base = (void *)(uintptr_t)e->data, .iov_len = e->len};
	o.n_body = 1;
	(void)out_send(s, &o);
}

void stack_echo_reply(struct stack *s, const struct stack_echo *e)
{
	stack_enter(s);
	echo_send(s, e);
	stack_leave(s);
}

void stack_echo_refuse(struct stack *s, const struct stack_echo *e, enum stack_refusal how)
{
	bool v4 = e->guest.family == NET_V4;
	struct net_tuple t = {.guest.addr = e->guest, .remote.addr = e->remote};
	struct quote q = {.tuple = &t, .proto = v4 ? IP_ICMP : IP_ICMP6};

	q.l4[0] = v4 ? ECHO4_REQUEST : ECHO6_REQUEST;
	put16(q.l4 + 4, e->id);
	put16(q.l4 + 6, e->seq);
	stack_enter(s);
	icmp_refuse(s, &q, how);
	stack_leave(s);
}

static void echo_input(struct stack *s, const struct pkt *p)
{
	struct stack_echo e = {
		.guest = p->src,
		.remote = p->dst,
		.id = get16(p->l4 + 4),
		.seq = get16(p->l4 + 6),
		.data = p->l4 + ICMP_LEN,
		.len = p->l4_len - ICMP_LEN,
	};

	if (net_addr_equal(&p->dst, &s->cfg.gateway4) || net_addr_equal(&p->dst, &s->cfg.gateway6))
		echo_send(s, &e);
	else if (s->ops->echo && !addr_multicast(&p->dst))
		s->ops->echo(s->ctx, &e);
}

/* "Port unreachable" quotes the datagram it is about: one that we sent. */
static void refused_input(struct stack *s, const struct pkt *p)
{
	const uint8_t *ip = p->l4 + ICMP_LEN;
	struct net_tuple t;

	if (p->l4_len < ICMP_LEN + IP4_LEN + UDP_LEN || ip[0] != 0x45) {
		s->stats.bad_frames++;
		return;
	}
	if (ip[9] != IP_UDP)
		return;
	t.remote = (struct net_peer){net_addr_v4(ip + 12), get16(ip + IP4_LEN)};
	t.guest = (struct net_peer){net_addr_v4(ip + 16), get16(ip + IP4_LEN + 2)};
	udp_refused(s, &t);
}

void icmp4_input(struct stack *s, const struct pkt *p)
{
	if (p->l4_len < ICMP_LEN)
		s->stats.bad_frames++;
	else if (p->l4[0] == UNREACHABLE4 && p->l4[1] == unreachable[STACK_REFUSED].code4)
		refused_input(s, p);
	else if (p->l4[0] == ECHO4_REQUEST && p->l4[1] == 0 && !addr_loopback4(&p->src))
		echo_input(s, p);
}

/* Neighbour solicitation (RFC 4861 7.1.1) for the gateway. */
static void solicit_input(struct stack *s, const struct pkt *p)
{
	static const uint8_t zero[16];
	struct net_addr target, to = p->src;
	struct out o;

	if (p->hops != 255 || p->l4[1] != 0 || p->l4_len < ND_TARGET) {
		s->stats.bad_frames++;
		return;
	}
	target = net_addr_v6(p->l4 + 8);
	if (!net_addr_equal(&target, &s->cfg.gateway6))
		return;
	if (memcmp(to.b, zero, sizeof(zero)) == 0) { /* somebody wants our address: tell all */
		memset(to.b, 0, sizeof(to.b));
		to.b[0] = 0xff;
		to.b[1] = 0x02;
		to.b[15] = 0x01;
	}
	out_begin(&o, &s->cfg.gateway6, &to, IP_ICMP6);
	o.csum_offset = 2;
	o.l4[0] = ADVERTISE;
	o.l4[4] = addr_multicast(&to) ? 0xa0 : 0xe0; /* router, solicited, override */
	memcpy(o.l4 + 8, target.b, 16);
	o.l4[24] = 2; /* target link-layer address, eight bytes */
	o.l4[25] = 1;
	memcpy(o.l4 + 26, s->cfg.gateway_mac, 6);
	o.l4_len = 32;
	(void)out_send(s, &o);
}

void icmp6_input(struct stack *s, const struct pkt *p)
{
	if (p->l4_len < ICMP_LEN)
		s->stats.bad_frames++;
	else if (p->l4[0] == SOLICIT)
		solicit_input(s, p);
	else if (p->l4[0] == ECHO6_REQUEST && p->l4[1] == 0 &&
		 net_addr_equal(&p->src, &s->cfg.guest6))
		echo_input(s, p);
}
