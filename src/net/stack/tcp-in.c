/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP from the guest (RFC 9293 3.10.7, with the answers of RFC 5961 to blind attacks).
 *
 * A RST counts only with the very next number; other ones inside the window, SYNs on an open
 * connection and absurd acknowledgements are answered by a rate-limited ACK. Bytes on a SYN are not
 * taken (they come again). Urgent data is ordinary data.
 */
#include "net/stack/tcp-internal.h"

enum { CHALLENGES_PER_SEC = 100, MSS_MIN = 216, MSS_DEFAULT = 536, SCALE_MAX = 14, ACK_BYTES = 2 };

static void options_parse(struct seg *g, const uint8_t *o, size_t n)
{
	while (n > 0 && o[0] != 0) {
		size_t len;

		if (o[0] == 1) {
			o++;
			n--;
			continue;
		}
		if (n < 2 || o[1] < 2 || o[1] > n)
			return;
		len = o[1];
		if (o[0] == 2 && len == 4)
			g->mss = get16(o + 2);
		else if (o[0] == 3 && len == 3)
			g->scale = MIN(o[2], SCALE_MAX);
		o += len;
		n -= len;
	}
}

static bool seg_parse(struct seg *g, const struct pkt *p)
{
	size_t head;

	if (p->l4_len < TCP_LEN)
		return false;
	head = (size_t)(p->l4[12] >> 4) * 4;
	if (head < TCP_LEN || head > p->l4_len || get16(p->l4) == 0 || get16(p->l4 + 2) == 0)
		return false;
	*g = (struct seg){
		.pkt = p,
		.seq = get32(p->l4 + 4),
		.ack = get32(p->l4 + 8),
		.flags = p->l4[13],
		.wnd = get16(p->l4 + 14),
		.data = p->l4 + head,
		.len = (uint32_t)(p->l4_len - head),
		.scale = -1,
	};
	if (g->flags & TCP_SYN)
		options_parse(g, p->l4 + TCP_LEN, head - TCP_LEN);
	return true;
}

static void syn_options(struct stack_tcp *c, const struct seg *g)
{
	bool v4 = c->entry.tuple.guest.addr.family == NET_V4;
	uint16_t own = (uint16_t)(c->stack->cfg.mtu - TCP_LEN - (v4 ? IP4_LEN : IP6_LEN));
	uint16_t mss = g->mss ? g->mss : (uint16_t)MSS_DEFAULT;

	mss = mss < MSS_MIN ? (uint16_t)MSS_MIN : mss;
	c->mss = mss < own ? mss : own;
	c->snd_scale = g->scale < 0 ? UINT8_MAX : (uint8_t)g->scale; /* UINT8_MAX: not offered */
	c->snd_wnd = g->wnd; /* not scaled in a SYN */
	c->snd_wnd_max = g->wnd;
	c->irs = g->seq;
	c->rcv_nxt = g->seq + 1;
	c->snd_wl1 = g->seq;
	c->snd_wl2 = g->ack;
}

static void syn_input(struct stack *s, const struct seg *g, const struct net_tuple *t)
{
	struct stack_tcp *c;

	if (s->stats.tcp_now >= s->cfg.max_tcp) {
		s->stats.tcp_refused_limit++;
		tcp_reset_reply(s, g);
		return;
	}
	c = tcp_new(s, t);
	if (!c) {
		tcp_reset_reply(s, g);
		return;
	}
	c->state = TCP_WANTED;
	syn_options(c, g);
	s->ops->tcp_wanted(s->ctx, c, &c->entry.tuple);
}

static void answer(struct stack_tcp *c)
{
	c->need_ack = true;
	tcp_make_ready(c);
}

static void challenge(struct stack_tcp *c)
{
	if (!stack_rate(c->stack, &c->stack->rate_challenge, CHALLENGES_PER_SEC))
		return;
	answer(c);
}

/* While the owner thinks: the guest may repeat its SYN or take it back. */
static void wanted_input(struct stack_tcp *c, const struct seg *g)
{
	if ((g->flags & TCP_RST) && seq_diff(g->seq, c->irs) >= 0 &&
		seq_diff(g->seq, c->irs + 1) <= 0)
		tcp_end(c, STACK_END_RESET);
	else if ((g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN)
		syn_options(c, g); /* the last SYN counts: an abandoned one leaves without a word */
}

static void syn_sent_input(struct stack_tcp *c, const struct seg *g)
{
	bool acked = (g->flags & TCP_ACK) && g->ack == c->iss + 1 && c->snd_nxt == c->iss + 1;
	uint32_t promised = c->rcv_edge - c->rcv_nxt;

	if ((g->flags & TCP_ACK) && !acked) {
		tcp_reset_reply(c->stack, g);
	} else if (g->flags & TCP_RST) {
		if (acked)
			tcp_end(c, STACK_END_RESET);
	} else if (acked && (g->flags & TCP_SYN)) {
		syn_options(c, g);
		if (c->snd_scale == UINT8_MAX)
			c->rcv_scale = 0;
		c->rcv_edge = c->rcv_nxt + promised;
		c->state = TCP_SYN_RCVD; /* one way through the handshake for both directions */
		c->need_ack = true;
	}
}

static void opened(struct stack_tcp *c)
{
	if (c->snd_scale == UINT8_MAX)
		c->snd_scale = 0;
	c->state = TCP_OPEN;
	c->snd_una = c->iss + 1;
	c->snd_nxt = c->snd_una;
	c->snd_max = c->snd_una;
	c->need_syn = false;
	c->backoff = 0;
	c->rto_at = STACK_NEVER;
	tcp_make_ready(c);
	if (c->ops && c->ops->connected)
		c->ops->connected(c, c->user);
}

static void rtt_sample(struct stack_tcp *c, uint32_t ack)
{
	uint64_t rtt, delta;

	if (c->rtt_start == 0 || seq_diff(ack, c->rtt_seq) < 0)
		return;
	rtt = MAX(c->stack->now - c->rtt_start, UINT64_C(1));
	c->rtt_start = 0;
	if (c->srtt == 0) {
		c->srtt = rtt;
		c->rttvar = rtt / 2;
		return;
	}
	delta = rtt > c->srtt ? rtt - c->srtt : c->srtt - rtt;
	c->rttvar = (3 * c->rttvar + delta) / 4;
	c->srtt = (7 * c->srtt + rtt) / 8;
}

static void ack_advance(struct stack_tcp *c, uint32_t ack)
{
	uint32_t n = ack - c->snd_una;
	uint32_t bytes = MIN(n, c->tx.len);

	ring_drop(&c->tx, bytes);
	if (n > bytes)
		c->fin_acked = true;
	c->snd_una = ack;
	if (seq_diff(c->snd_nxt, ack) < 0)
		c->snd_nxt = ack;
	rtt_sample(c, ack);
	c->backoff = 0;
	c->dupacks = 0;
	c->rto_at = STACK_NEVER;
	if (tcp_inflight(c) > 0)
		tcp_rto_start(c);
}

static void window_update(struct stack_tcp *c, const struct seg *g)
{
	int32_t newer = seq_diff(g->seq, c->snd_wl1);
	uint32_t wnd = g->wnd << c->snd_scale;

	if (newer < 0 || (newer == 0 && seq_diff(g->ack, c->snd_wl2) < 0))
		return;
	if (c->snd_wnd == 0 && wnd > 0 && tcp_inflight(c) == 0) {
		c->rto_at = STACK_NEVER; /* no more probing */
		c->backoff = 0;
	}
	c->snd_wnd = wnd;
	c->snd_wnd_max = MAX(c->snd_wnd_max, wnd);
	c->snd_wl1 = g->seq;
	c->snd_wl2 = g->ack;
}

/* The acknowledgement; false when the segment is not to be looked at any further. */
static bool ack_input(struct stack_tcp *c, const struct seg *g)
{
	bool plain = g->len == 0 && !(g->flags & TCP_FIN);

	if (seq_diff(g->ack, c->snd_max) > 0 ||
		seq_diff(g->ack, c->snd_una) < -(int32_t)MIN(c->snd_wnd_max, (uint32_t)INT32_MAX)) {
		challenge(c);
		return false;
	}
	if (seq_diff(g->ack, c->snd_una) > 0) {
		ack_advance(c, g->ack);
	} else if (g->ack == c->snd_una && plain && tcp_inflight(c) > 0 &&
		   g->wnd << c->snd_scale == c->snd_wnd) {
		if (++c->dupacks == 3)
			c->resend = true;
	}
	window_update(c, g);
	tcp_make_ready(c);
	if (c->want_space && ring_space(&c->tx) > c->tx.cap / 4) {
		c->want_space = false;
		if (c->ops && c->ops->writable)
			c->ops->writable(c, c->user);
	}
	return !tcp_gone(c);
}

/* What the owner left of the frame goes into the buffer; what finds no room is not acknowledged. */
static void store_rest(struct stack_tcp *c)
{
	struct stack *s = c->stack;
	uint32_t n = c->cur_len;

	if (n == 0)
		return;
	if (!ring_grow(&c->rx, &s->budget, c->rx.len + n)) {
		n = MIN(n, ring_space(&c->rx));
		s->stats.budget_drops++;
	}
	if (c->trim_at == STACK_NEVER && c->rx.cap)
		c->trim_at = s->now + NSEC_PER_SEC;
	if (n > 0)
		ring_push(&c->rx, c->cur, n);
	c->rcv_nxt += n;
	c->cur_len = 0;
}

/*
 * An acknowledgement is due: now when it is about much or the sender waits, soon otherwise. Who
 * sends a request and waits for its answer does not wait for this.
 */
static void ack_later(struct stack_tcp *c, const struct seg *g)
{
	bool waits = (g->flags & TCP_PSH) && c->answers < c->answers_wanted;
	uint32_t much = MIN(ACK_BYTES * (uint32_t)c->mss, tcp_window(c) / 2);

	c->asked = true;
	if (waits || c->rcv_nxt - c->rcv_acked >= much)
		c->need_ack = true;
	else if (c->ack_at == STACK_NEVER)
		c->ack_at = c->stack->now + DELAYED_ACK_NS;
	tcp_make_ready(c);
}

static void data_input(struct stack_tcp *c, const struct seg *g)
{
	bool fin = g->flags & TCP_FIN;
	uint32_t end = g->seq + g->len;

	if (g->len > 0) {
		c->cur = g->data;
		c->cur_len = g->len;
		if (c->ops)
			c->ops->readable(c, c->user);
		if (tcp_gone(c))
			return;
		store_rest(c);
		ack_later(c, g);
	}
	if (fin && c->rcv_nxt == end) {
		c->fin_in = true;
		c->rcv_nxt++;
		c->need_ack = true;
		tcp_make_ready(c);
		if (c->ops)
			c->ops->readable(c, c->user);
	} else if (fin || c->rcv_nxt != end) {
		c->need_ack = true;
	}
}

/*
 * Cut @g to what is new and inside the window; false when nothing of it counts, not even its
 * acknowledgement. Whoever sends what we do not take is told where we are.
 */
static bool trim_segment(struct stack_tcp *c, struct seg *g)
{
	int32_t early = seq_diff(c->rcv_nxt, g->seq);
	int32_t room = seq_diff(c->rcv_edge, c->rcv_nxt);
	uint32_t span = g->len + !!(g->flags & TCP_FIN);

	room = MAX(room, 0);
	if (early > 0 && (uint32_t)early >= span) { /* all of it old: a repetition or a keepalive */
		answer(c);
		return false;
	}
	if (early < -room) {
		c->stack->stats.tcp_out_of_window++;
		answer(c);
		return false;
	}
	if (early < 0) {
		if (span)
			answer(c);
		c->stack->stats.tcp_out_of_order += !!span;
		g->len = 0;
		g->flags &= (uint8_t)~TCP_FIN;
	} else {
		g->data += early;
		g->len -= (uint32_t)early;
	}
	g->seq = c->rcv_nxt;
	if (g->len > (uint32_t)room) {
		c->stack->stats.tcp_out_of_window++;
		g->len = (uint32_t)room;
		g->flags &= (uint8_t)~TCP_FIN;
		answer(c);
	}
	return true;
}

static void reset_input(struct stack_tcp *c, const struct seg *g)
{
	if (g->seq == c->rcv_nxt) {
		c->need_ack = false;
		tcp_end(c, STACK_END_RESET);
	} else if (seq_diff(g->seq, c->rcv_nxt) > 0 && seq_diff(g->seq, c->rcv_edge) < 0) {
		c->stack->stats.tcp_bad_reset++;
		challenge(c);
	} else {
		c->stack->stats.tcp_bad_reset++;
	}
}

static void synchronized_input(struct stack_tcp *c, struct seg *g)
{
	if (g->flags & TCP_RST) {
		reset_input(c, g);
		return;
	}
	if (g->flags & TCP_SYN) {
		if (c->state == TCP_SYN_RCVD && g->seq == c->irs && c->snd_nxt != c->iss) {
			c->need_syn = true;
			tcp_make_ready(c);
		} else {
			challenge(c);
		}
		return;
	}
	if (!(g->flags & TCP_ACK))
		return;
	if (c->state == TCP_SYN_RCVD) {
		if (g->ack != c->iss + 1 || c->snd_nxt == c->iss) {
			tcp_reset_reply(c->stack, g);
			return;
		}
		opened(c);
		if (tcp_gone(c))
			return;
	}
	c->last_rx = c->stack->now;
	c->probes = 0;
	if (!trim_segment(c, g) || !ack_input(c, g))
		return;
	if (c->fin_in) {
		g->len = 0; /* nothing follows an end */
		g->flags &= (uint8_t)~TCP_FIN;
	}
	data_input(c, g);
}

void tcp_input(struct stack *s, const struct pkt *p)
{
	struct net_tuple t = {.guest.addr = p->src, .remote.addr = p->dst};
	struct stack_tcp *c = NULL;
	struct entry *e;
	struct seg g;

	if (!seg_parse(&g, p) || addr_multicast(&p->dst)) {
		s->stats.bad_frames++;
		return;
	}
	t.guest.port = get16(p->l4);
	t.remote.port = get16(p->l4 + 2);
	e = table_find(s, &s->tcp, &t);
	if (e)
		c = container_of(e, struct stack_tcp, entry);
	if (c && c->state == TCP_LINGER && (g.flags & (TCP_SYN | TCP_RST))) {
		tcp_bury(c);
		c = NULL;
	}
	if (!c && addr_loopback4(&p->src)) {
		s->stats.spoofed++;
		return;
	}
	if (!c) {
		if ((g.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
			syn_input(s, &g, &t);
		else
			tcp_reset_reply(s, &g);
		return;
	}
	switch (c->state) {
	case TCP_WANTED:
		wanted_input(c, &g);
		break;
	case TCP_SYN_SENT:
		syn_sent_input(c, &g);
		if (c->dead || c->state != TCP_SYN_RCVD)
			break;
		opened(c);
		break;
	case TCP_SYN_RCVD:
	case TCP_OPEN:
		synchronized_input(c, &g);
		break;
	case TCP_LINGER:
		return;
	}
	if (!tcp_gone(c) && !tcp_finish(c))
		tcp_rearm(c);
}
