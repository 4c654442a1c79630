/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram flows: one per pair of ends, forgotten after a time without datagrams.
 *
 * The flows stand in a list by last use. One timer serves the head of it, and when there are too
 * many the head gives way.
 */
#include "net/stack/internal.h"

static struct stack_udp *flow_of(struct list *l)
{
	return container_of(l, struct stack_udp, link);
}

/* Out of table and list; the memory goes when the outermost call returns. */
static void bury(struct stack_udp *u)
{
	struct stack *s = u->stack;

	if (u->dead)
		return;
	u->dead = true;
	table_del(&s->udp, &u->entry);
	list_del(&u->link);
	s->stats.udp_now--;
	u->next_dead = s->dead_udp;
	s->dead_udp = u;
}

static void end(struct stack_udp *u, enum stack_end why)
{
	bury(u);
	if (u->ops)
		u->ops->closed(u, u->user, why);
}

void udp_reap(struct stack *s)
{
	while (s->dead_udp) {
		struct stack_udp *u = s->dead_udp;

		s->dead_udp = u->next_dead;
		free(u);
	}
}

void udp_deinit(struct stack *s)
{
	while (!list_empty(&s->udp_used))
		bury(flow_of(s->udp_used.next));
	udp_reap(s);
}

static uint64_t idle_deadline(const struct stack *s, const struct stack_udp *u)
{
	return u->last_ns + s->cfg.udp_idle_ms * NSEC_PER_MSEC;
}

void udp_tick(struct stack *s, struct stack_timer *t)
{
	while (!list_empty(&s->udp_used)) {
		struct stack_udp *u = flow_of(s->udp_used.next);

		if (idle_deadline(s, u) > s->now) {
			timer_set(&s->heap, t, idle_deadline(s, u));
			break;
		}
		end(u, STACK_END_IDLE);
	}
}

static void touch(struct stack_udp *u)
{
	struct stack *s = u->stack;

	u->last_ns = s->now;
	list_del(&u->link);
	list_add_tail(&s->udp_used, &u->link);
}

static struct stack_udp *flow_new(struct stack *s, const struct net_tuple *t)
{
	struct stack_udp *u;

	if (s->stats.udp_now >= s->cfg.max_udp) {
		s->stats.udp_evicted++;
		end(flow_of(s->udp_used.next), STACK_END_IDLE);
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->stack = s;
	u->entry.tuple = *t;
	u->last_ns = s->now;
	table_add(s, &s->udp, &u->entry);
	list_add_tail(&s->udp_used, &u->link);
	s->stats.udp_now++;
	s->stats.udp_opened++;
	if (s->udp_timer.slot == 0)
		timer_set(&s->heap, &s->udp_timer, idle_deadline(s, u));
	return u;
}

static struct stack_udp *flow_find(struct stack *s, const struct net_tuple *t)
{
	struct entry *e = table_find(s, &s->udp, t);

	return e ? container_of(e, struct stack_udp, entry) : NULL;
}

void udp_input(struct stack *s, const struct pkt *p)
{
	struct net_tuple t = {.guest.addr = p->src, .remote.addr = p->dst};
	struct stack_udp *u;
	size_t len;

	if (p->l4_len < UDP_LEN || get16(p->l4 + 4) < UDP_LEN || get16(p->l4 + 4) > p->l4_len ||
		get16(p->l4 + 2) == 0) {
		s->stats.bad_frames++;
		return;
	}
	t.guest.port = get16(p->l4);
	t.remote.port = get16(p->l4 + 2);
	len = get16(p->l4 + 4) - (size_t)UDP_LEN;
	u = flow_find(s, &t);
	if (!u && addr_loopback4(&p->src)) {
		s->stats.spoofed++;
		return;
	}
	if (!u) {
		u = flow_new(s, &t);
		if (!u)
			return;
		s->ops->udp_wanted(s->ctx, u, &u->entry.tuple);
		if (!u->dead && !u->ops)
			bury(u);
	}
	if (u->dead)
		return;
	touch(u);
	u->whole = p->whole;
	u->ops->datagram(u, u->user, p->l4 + UDP_LEN, len);
}

void udp_refused(struct stack *s, const struct net_tuple *t)
{
	struct stack_udp *u = flow_find(s, t);

	if (u && !u->dead && u->ops && u->ops->refused)
		u->ops->refused(u, u->user);
}

void stack_udp_handle(struct stack_udp *u, const struct stack_udp_ops *ops, void *user)
{
	u->ops = ops;
	u->user = user;
}

static void quote_fill(const struct stack_udp *u, struct quote *q)
{
	*q = (struct quote){.tuple = &u->entry.tuple, .proto = IP_UDP};
	put16(q->l4, u->entry.tuple.guest.port);
	put16(q->l4 + 2, u->entry.tuple.remote.port);
	put16(q->l4 + 4, UDP_LEN);
}

void stack_udp_refuse(struct stack_udp *u, enum stack_refusal how)
{
	struct stack *s = u->stack;
	struct quote q;

	stack_enter(s);
	quote_fill(u, &q);
	icmp_refuse(s, &q, how);
	bury(u);
	stack_leave(s);
}

void stack_udp_too_big(struct stack_udp *u, uint16_t mtu)
{
	struct stack *s = u->stack;
	struct quote q;

	stack_enter(s);
	quote_fill(u, &q);
	icmp_too_big(s, &q, mtu);
	stack_leave(s);
}

struct stack_udp *stack_udp_open(
	struct stack *s, const struct net_tuple *t, const struct stack_udp_ops *ops, void *user)
{
	struct stack_udp *u = NULL;

	stack_enter(s);
	if (flow_find(s, t)) {
		errno = EADDRINUSE;
	} else {
		u = flow_new(s, t);
		if (u)
			stack_udp_handle(u, ops, user);
		else
			errno = ENOMEM;
	}
	stack_leave(s);
	return u;
}

void stack_udp_send(struct stack_udp *u, const void *data, size_t len)
{
	struct stack *s = u->stack;
	const struct net_tuple *t = &u->entry.tuple;
	struct out o;

	if (u->dead || len > IP_MAX - IP4_LEN - UDP_LEN)
		return;
	stack_enter(s);
	touch(u);
	out_begin(&o, &t->remote.addr, &t->guest.addr, IP_UDP);
	o.csum_offset = 6;
	o.l4_len = UDP_LEN;
	put16(o.l4, t->remote.port);
	put16(o.l4 + 2, t->guest.port);
	put16(o.l4 + 4, (uint16_t)(UDP_LEN + len));
	o.body[0] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	o.n_body = 1;
	(void)out_send(s, &o);
	stack_leave(s);
}

bool stack_udp_whole(const struct stack_udp *u)
{
	return u->whole;
}

void stack_udp_close(struct stack_udp *u)
{
	struct stack *s = u->stack;

	stack_enter(s);
	bury(u);
	stack_leave(s);
}

const struct net_tuple *stack_udp_tuple(const struct stack_udp *u)
{
	return &u->entry.tuple;
}
