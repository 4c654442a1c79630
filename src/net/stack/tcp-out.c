/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP towards the guest: segments, acknowledgements, timers (RFC 9293, RFC 6298 for the timeout).
 *
 * There is no congestion to control on this link, so the guest's window is the only limit. Loss is
 * rare (a guest short of memory, a firewall inside, a restore): three duplicate ACKs send one
 * segment again, the timer goes back to the first unacknowledged byte. A closed window is probed by
 * a segment without bytes, and so is a connection that has been silent for long.
 */
#include "net/stack/tcp-internal.h"

enum {
	SYN_TRIES = 6,
	PROBES_MAX = 9,
	RTO_SHIFT_MAX = 8,
	WINDOW_MAX = 65535,
	RCV_SCALE = 5,
	OUTPUT_LATER = 2
};
#define RTO_MIN	   (300 * NSEC_PER_MSEC)
#define RTO_MAX	   (60 * NSEC_PER_SEC)
#define GIVE_UP_NS (15 * 60 * NSEC_PER_SEC) /* without any segment of the guest */
#define KEEP_NS	   (2 * 60 * 60 * NSEC_PER_SEC)
#define TRIM_NS	   NSEC_PER_SEC
#define MORE_NS	   NSEC_PER_MSEC

uint32_t tcp_inflight(const struct stack_tcp *c)
{
	return c->snd_nxt - c->snd_una;
}

uint32_t tcp_window(const struct stack_tcp *c)
{
	const struct stack *s = c->stack;
	uint32_t cap = s->budget.used > s->budget.max / 2 ? 4 * RING_MIN : RING_MAX;

	if (s->cfg.max_window) {
		uint32_t share = s->cfg.max_window / (s->stats.tcp_now + !c->counted);

		share = MAX(share, (uint32_t)RING_MIN);
		cap = MIN(cap, share);
	}
	return cap;
}

uint32_t tcp_edge(const struct stack_tcp *c)
{
	uint32_t cap = tcp_window(c);
	uint32_t space = cap > c->rx.len ? cap - c->rx.len : 0;
	uint32_t edge;

	/* Only what the header can say is a promise, and a promise is not taken back. */
	space = MIN(space, (uint32_t)WINDOW_MAX << c->rcv_scale) >> c->rcv_scale << c->rcv_scale;
	edge = c->rcv_nxt + space;
	return seq_diff(edge, c->rcv_edge) > 0 ? edge : c->rcv_edge;
}

static uint64_t rto(const struct stack_tcp *c)
{
	uint64_t base = c->srtt ? MAX(c->srtt + 4 * c->rttvar, RTO_MIN) : NSEC_PER_SEC;

	base <<= c->backoff < RTO_SHIFT_MAX ? c->backoff : RTO_SHIFT_MAX;
	return base < RTO_MAX ? base : RTO_MAX;
}

void tcp_rto_start(struct stack_tcp *c)
{
	c->rto_at = c->stack->now + rto(c);
	tcp_rearm(c);
}

void tcp_rearm(struct stack_tcp *c)
{
	uint64_t at = MIN(c->rto_at, c->ack_at);

	at = MIN(at, c->trim_at);
	if (c->state == TCP_OPEN)
		at = MIN(at, c->last_rx + KEEP_NS + c->probes * 75 * NSEC_PER_SEC);
	if (at == STACK_NEVER || tcp_gone(c))
		return;
	at = MAX(at, c->stack->now + 1);
	/* One that is due earlier finds nothing to do and sets itself again. */
	if (c->timer.slot == 0 || at < c->timer.at)
		timer_set(&c->stack->heap, &c->timer, at);
}

static void put_tcp(struct out *o, const struct stack_tcp *c, uint32_t seq, uint8_t flags)
{
	const struct net_tuple *t = &c->entry.tuple;

	out_begin(o, &t->remote.addr, &t->guest.addr, IP_TCP);
	o->csum_offset = 16;
	o->l4_len = TCP_LEN;
	put16(o->l4, t->remote.port);
	put16(o->l4 + 2, t->guest.port);
	put32(o->l4 + 4, seq);
	o->l4[12] = TCP_LEN / 4 << 4;
	o->l4[13] = flags;
}

/* Acknowledge what is there; notes it only when the link took the segment. */
static int send_segment(struct stack_tcp *c, struct out *o)
{
	uint32_t edge = tcp_edge(c);
	int32_t room;
	int r;

	put32(o->l4 + 8, c->rcv_nxt);
	/* A FIN lies beyond the edge; the unit rounds down: less than promised, but more is taken.
	 */
	room = MAX(seq_diff(edge, c->rcv_nxt), 0);
	put16(o->l4 + 14, (uint16_t)((uint32_t)room >> c->rcv_scale));
	r = out_send(c->stack, o);
	if (r < 0)
		return r;
	c->rcv_edge = edge;
	c->rcv_acked = c->rcv_nxt;
	c->need_ack = false;
	c->ack_at = STACK_NEVER;
	return 0;
}

static uint16_t mss_own(const struct stack_tcp *c)
{
	bool v4 = c->entry.tuple.guest.addr.family == NET_V4;

	return (uint16_t)(c->stack->cfg.mtu - TCP_LEN - (v4 ? IP4_LEN : IP6_LEN));
}

/* SYN to call the guest, SYN-ACK to answer it. */
static int send_syn(struct stack_tcp *c)
{
	bool answer = c->state == TCP_SYN_RCVD;
	uint32_t window;
	struct out o;
	int r;

	put_tcp(&o, c, c->iss, answer ? TCP_SYN | TCP_ACK : TCP_SYN);
	o.l4[20] = 2;
	o.l4[21] = 4;
	put16(o.l4 + 22, mss_own(c));
	o.l4_len = 24;
	if (!answer || c->snd_scale != UINT8_MAX)
		c->rcv_scale = RCV_SCALE;
	if (c->rcv_scale) {
		o.l4[24] = 1;
		o.l4[25] = 3;
		o.l4[26] = 3;
		o.l4[27] = c->rcv_scale;
		o.l4_len = 28;
	}
	o.l4[12] = (uint8_t)(o.l4_len / 4 << 4);
	if (answer)
		put32(o.l4 + 8, c->rcv_nxt);
	window = MIN((uint32_t)WINDOW_MAX, tcp_window(c));
	put16(o.l4 + 14, (uint16_t)window); /* never scaled in a SYN */
	r = out_send(c->stack, &o);
	if (r < 0)
		return r;
	c->rcv_edge = c->rcv_nxt + window;
	c->rcv_acked = c->rcv_nxt;
	c->need_syn = false;
	c->snd_nxt = c->iss + 1;
	c->snd_max = c->snd_nxt;
	tcp_rto_start(c);
	return 0;
}

static int send_reset(struct stack_tcp *c)
{
	bool virgin = c->snd_max == c->iss; /* we never said a number */
	struct out o;

	put_tcp(&o, c, virgin ? 0 : c->snd_max, TCP_RST | TCP_ACK);
	put32(o.l4 + 8, c->rcv_nxt);
	return out_send(c->stack, &o);
}

void tcp_reset_reply(struct stack *s, const struct seg *g)
{
	const uint8_t *in = g->pkt->l4;
	struct out o;

	if ((g->flags & TCP_RST) || addr_multicast(&g->pkt->dst))
		return;
	out_begin(&o, &g->pkt->dst, &g->pkt->src, IP_TCP);
	o.csum_offset = 16;
	o.l4_len = TCP_LEN;
	memcpy(o.l4, in + 2, 2);
	memcpy(o.l4 + 2, in, 2);
	o.l4[12] = TCP_LEN / 4 << 4;
	if (g->flags & TCP_ACK) {
		put32(o.l4 + 4, g->ack);
		o.l4[13] = TCP_RST;
	} else {
		put32(o.l4 + 8, g->seq + g->len + !!(g->flags & TCP_SYN) + !!(g->flags & TCP_FIN));
		o.l4[13] = TCP_RST | TCP_ACK;
	}
	(void)out_send(s, &o);
}

/* How many bytes one frame may carry. */
static uint32_t segment_max(const struct stack_tcp *c)
{
	bool v4 = c->entry.tuple.guest.addr.family == NET_V4;
	uint32_t room = IP_MAX - IP6_LEN - TCP_LEN;

	if (c->stack->cfg.max_segment)
		room = MIN(room, c->stack->cfg.max_segment);
	if (!(c->stack->cfg.offload & (v4 ? STACK_TX_TSO4 : STACK_TX_TSO6)))
		return c->mss;
	return MAX(room / c->mss * c->mss, (uint32_t)c->mss);
}

static uint32_t unsent(const struct stack_tcp *c)
{
	uint32_t sent = tcp_inflight(c); /* maybe with the FIN */

	return c->tx.len - MIN(sent, c->tx.len);
}

static bool fin_unsent(const struct stack_tcp *c)
{
	return c->fin_out && !c->fin_acked && tcp_inflight(c) <= c->tx.len;
}

/* How many bytes go out next; 0 when the window or good manners forbid. */
static uint32_t sendable(const struct stack_tcp *c)
{
	uint32_t flight = tcp_inflight(c);
	uint32_t left = unsent(c);
	uint32_t room = c->snd_wnd > flight ? c->snd_wnd - flight : 0;
	uint32_t n = MIN(left, room);

	assert(c->mss > 0); /* syn_options() */
	n = MIN(n, segment_max(c));
	if (n < left && n >= c->mss)
		n = n / c->mss * c->mss;
	else if (n < left && flight > 0)
		n = 0; /* a small piece of much: wait for the acknowledgement */
	return n;
}

/* New bytes go out: were they the answer to something? */
static void note_answer(struct stack_tcp *c)
{
	if (!c->asked)
		return;
	c->asked = false;
	if (c->stack->now - c->last_rx >= DELAYED_ACK_NS)
		c->answers = 0;
	else if (c->answers < UINT8_MAX)
		c->answers++;
}

/* An acknowledgement was held back for an answer that did not come: believe that less easily. */
static void note_late(struct stack_tcp *c)
{
	if (c->answers >= c->answers_wanted)
		c->answers_wanted =
			(uint8_t)MIN(4u * c->answers_wanted, (unsigned int)ANSWERS_WANTED_MAX);
	c->answers = 0;
}

/* @n bytes at @offset of tx, with the FIN if it follows them. */
static int send_data(struct stack_tcp *c, uint32_t offset, uint32_t n)
{
	bool last = offset + n == c->tx.len;
	bool fin = last && c->fin_out && !c->fin_acked;
	uint32_t end = c->snd_una + offset + n + fin;
	struct out o;
	int r;

	put_tcp(&o, c, c->snd_una + offset,
		(uint8_t)(TCP_ACK | (last ? TCP_PSH : 0) | (fin ? TCP_FIN : 0)));
	o.n_body = ring_data(&c->tx, offset, n, o.body);
	if (n > c->mss)
		o.gso_size = c->mss;
	r = send_segment(c, &o);
	if (r < 0)
		return r;
	if (seq_diff(end, c->snd_nxt) > 0)
		c->snd_nxt = end;
	if (seq_diff(end, c->snd_max) > 0) {
		if (c->rtt_start == 0) {
			c->rtt_start = c->stack->now;
			c->rtt_seq = end;
		}
		c->snd_max = end;
		note_answer(c);
	} else {
		c->stack->stats.tcp_retransmits++;
		c->rtt_start = 0; /* Karn: its ACK would not tell which copy it is for */
	}
	if (c->rto_at == STACK_NEVER)
		tcp_rto_start(c);
	return 0;
}

static int send_bare(struct stack_tcp *c, uint32_t seq)
{
	struct out o;

	put_tcp(&o, c, seq, TCP_ACK);
	return send_segment(c, &o);
}

static int send_probe(struct stack_tcp *c)
{
	int r = send_bare(c, c->snd_una - 1);

	if (r == 0)
		c->need_probe = false;
	return r;
}

/* The first segment again, and nothing else moves. */
static int send_again(struct stack_tcp *c)
{
	uint32_t n = MIN(c->tx.len, tcp_inflight(c));
	int r;

	n = MIN(n, segment_max(c));
	r = n > 0 || c->fin_out ? send_data(c, 0, n) : 0;
	if (r == 0)
		c->resend = false;
	return r;
}

/*
 * Bytes wait and nothing is in flight that would be acknowledged: the window is closed. The timer
 * asks again until it opens.
 */
static void persist(struct stack_tcp *c)
{
	if (unsent(c) > 0 && tcp_inflight(c) == 0 && c->rto_at == STACK_NEVER)
		tcp_rto_start(c);
}

/* While frames come and come an acknowledgement is due for much of the window, not for each. */
static bool ack_may_wait(const struct stack_tcp *c)
{
	return c->stack->more && c->rcv_nxt - c->rcv_acked < tcp_window(c) / 4;
}

/* One frame for @c. 1: there may be more, 0: no more, OUTPUT_LATER: with the next ones of the
 * guest, -EAGAIN: no room. */
static int output_open(struct stack_tcp *c)
{
	uint32_t n;
	int r;

	if (c->resend)
		return (r = send_again(c)) < 0 ? r : 1;
	n = sendable(c);
	if (n > 0 || (fin_unsent(c) && unsent(c) == 0)) {
		r = send_data(c, tcp_inflight(c), n);
		return r < 0 ? r : 1;
	}
	persist(c);
	if (c->need_probe)
		return (r = send_probe(c)) < 0 ? r : 1;
	if (!c->need_ack)
		return 0;
	if (!ack_may_wait(c))
		return send_bare(c, c->snd_nxt);
	/* In case that nothing comes after all. */
	if (c->ack_at == STACK_NEVER) {
		c->ack_at = c->stack->now + MORE_NS;
		tcp_rearm(c);
	}
	return OUTPUT_LATER;
}

static int output_linger(struct stack_tcp *c)
{
	int r = c->need_rst ? send_reset(c) : send_bare(c, c->snd_nxt);

	if (r == 0)
		tcp_bury(c);
	return r;
}

static int output(struct stack_tcp *c)
{
	switch (c->state) {
	case TCP_LINGER:
		return output_linger(c);
	case TCP_SYN_SENT:
	case TCP_SYN_RCVD:
		return c->need_syn ? send_syn(c) : 0;
	case TCP_OPEN:
		return output_open(c);
	case TCP_WANTED:
		break;
	}
	return 0;
}

/* Everybody in turn, a frame each, until nobody has anything or the link is full. */
void tcp_flush(struct stack *s)
{
	struct list later;

	list_init(&later);
	while (!s->blocked && !list_empty(&s->ready)) {
		struct stack_tcp *c = container_of(s->ready.next, struct stack_tcp, ready);
		int r = output(c);

		if (r < 0)
			break; /* stays the first */
		list_del(&c->ready);
		if (r == OUTPUT_LATER)
			list_add_tail(&later, &c->ready);
		else if (r > 0)
			tcp_make_ready(c);
	}
	while (!list_empty(&later)) {
		struct stack_tcp *c = container_of(later.next, struct stack_tcp, ready);

		list_del(&c->ready);
		list_add_tail(&s->ready, &c->ready);
	}
}

/* Give back the buffers of a connection that does not use them. */
static void trim(struct stack_tcp *c)
{
	struct stack *s = c->stack;

	c->trim_at = STACK_NEVER;
	if (s->now - MAX(c->last_use, c->last_rx) >= TRIM_NS) {
		if (c->tx.len == 0)
			ring_release(&c->tx, &s->budget);
		if (c->rx.len == 0)
			ring_release(&c->rx, &s->budget);
	}
	if (c->tx.cap || c->rx.cap)
		c->trim_at = s->now + TRIM_NS;
}

/* The retransmission timer; false when the connection ended. */
static bool on_rto(struct stack_tcp *c)
{
	struct stack *s = c->stack;

	c->rto_at = STACK_NEVER;
	c->backoff++;
	if (c->state != TCP_OPEN) {
		if (c->backoff > SYN_TRIES) {
			c->need_rst = true;
			tcp_end(c, STACK_END_TIMEOUT);
			return false;
		}
		c->need_syn = true;
		return true;
	}
	if (s->now - c->last_rx > GIVE_UP_NS) {
		c->need_rst = true;
		tcp_end(c, STACK_END_TIMEOUT);
		return false;
	}
	if (tcp_inflight(c) > 0) {
		c->snd_nxt = c->snd_una;
		c->rtt_start = 0;
		c->dupacks = 0;
		if (c->snd_wnd == 0) {
			c->need_probe = true;
			tcp_rto_start(c);
		}
	} else if (c->tx.len > 0) {
		c->need_probe = true;
		tcp_rto_start(c);
	}
	return true;
}

static bool on_silence(struct stack_tcp *c)
{
	struct stack *s = c->stack;

	if (c->state != TCP_OPEN || s->now < c->last_rx + KEEP_NS + c->probes * 75 * NSEC_PER_SEC)
		return true;
	if (c->probes >= PROBES_MAX) {
		c->need_rst = true;
		tcp_end(c, STACK_END_TIMEOUT);
		return false;
	}
	c->probes++;
	c->need_probe = true;
	return true;
}

void tcp_timer(struct stack *s, struct stack_timer *t)
{
	struct stack_tcp *c = container_of(t, struct stack_tcp, timer);

	if (tcp_finish(c))
		return;
	if (c->rto_at <= s->now && !on_rto(c))
		return;
	if (!on_silence(c))
		return;
	if (c->ack_at <= s->now) {
		c->ack_at = STACK_NEVER;
		c->need_ack = true;
		note_late(c);
	}
	if (c->trim_at <= s->now)
		trim(c);
	tcp_make_ready(c);
	tcp_rearm(c);
}
