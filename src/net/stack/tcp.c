/* SPDX-License-Identifier: Apache-2.0 */
/* TCP handles: life and death of connections and the calls of their owners. */
#include "net/stack/tcp-internal.h"

enum { LINGER_MAX = 1024, MODEST = 64 * 1024 };
#define STARVED_NS (50 * NSEC_PER_MSEC)

struct stack_tcp *tcp_new(struct stack *s, const struct net_tuple *t)
{
	struct stack_tcp *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (!timer_promise(&s->heap)) {
		free(c);
		return NULL;
	}
	c->stack = s;
	c->entry.tuple = *t;
	list_init(&c->ready);
	list_init(&c->starved);
	c->timer.fn = tcp_timer;
	c->rto_at = STACK_NEVER;
	c->ack_at = STACK_NEVER;
	c->trim_at = STACK_NEVER;
	c->last_rx = s->now;
	table_add(s, &s->tcp, &c->entry);
	c->iss = (uint32_t)(stack_mix(s, c->entry.hash) + s->now / 64);
	c->snd_una = c->iss;
	c->snd_nxt = c->iss;
	c->snd_max = c->iss;
	c->counted = true;
	c->answers_wanted = ANSWERS_WANTED;
	s->stats.tcp_now++;
	s->stats.tcp_opened++;
	return c;
}

void tcp_make_ready(struct stack_tcp *c)
{
	if (list_empty(&c->ready) && !c->dead)
		list_add_tail(&c->stack->ready, &c->ready);
}

static void let_go(struct stack_tcp *c)
{
	struct stack *s = c->stack;

	if (c->counted)
		s->stats.tcp_now--;
	else
		s->n_linger--;
	c->counted = false;
	c->ops = NULL;
	c->cur_len = 0;
	ring_release(&c->tx, &s->budget);
	ring_release(&c->rx, &s->budget);
	list_del(&c->starved);
	timer_del(&s->heap, &c->timer);
}

void tcp_bury(struct stack_tcp *c)
{
	struct stack *s = c->stack;

	if (c->dead)
		return;
	let_go(c);
	c->dead = true;
	table_del(&s->tcp, &c->entry);
	list_del(&c->ready);
	c->next_dead = s->dead_tcp;
	s->dead_tcp = c;
}

void tcp_linger(struct stack_tcp *c)
{
	struct stack *s = c->stack;

	/* While the link is full a guest could make us keep any number of last words. */
	if ((!c->need_ack && !c->need_rst) || s->n_linger >= LINGER_MAX) {
		tcp_bury(c);
		return;
	}
	let_go(c);
	s->n_linger++;
	c->state = TCP_LINGER;
	tcp_make_ready(c);
}

void tcp_end(struct stack_tcp *c, enum stack_end why)
{
	const struct stack_tcp_ops *ops = c->ops;
	void *user = c->user;

	tcp_linger(c);
	if (ops)
		ops->closed(c, user, why);
}

bool tcp_finished(const struct stack_tcp *c)
{
	return c->state == TCP_OPEN && c->fin_in && c->fin_acked && c->rx.len == 0 &&
	       c->cur_len == 0;
}

bool tcp_finish(struct stack_tcp *c)
{
	if (!tcp_finished(c))
		return false;
	tcp_end(c, STACK_END_DONE);
	return true;
}

void tcp_reap(struct stack *s)
{
	while (s->dead_tcp) {
		struct stack_tcp *c = s->dead_tcp;

		s->dead_tcp = c->next_dead;
		timer_release(&s->heap);
		free(c);
	}
}

void tcp_deinit(struct stack *s)
{
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		while (s->tcp.bucket[i])
			tcp_bury(container_of(s->tcp.bucket[i], struct stack_tcp, entry));
	}
	tcp_reap(s);
}

void tcp_starved(struct stack *s, struct stack_timer *t)
{
	struct list waiting = s->starved;

	if (list_empty(&s->starved))
		return;
	/* Take the list as it is: who finds nothing again is put on the new one. */
	waiting.next->prev = &waiting;
	waiting.prev->next = &waiting;
	list_init(&s->starved);
	while (!list_empty(&waiting)) {
		struct stack_tcp *c = container_of(waiting.next, struct stack_tcp, starved);

		list_del(&c->starved);
		if (c->ops && c->ops->writable)
			c->ops->writable(c, c->user);
	}
	if (!list_empty(&s->starved) && t->slot == 0)
		timer_set(&s->heap, t, s->now + STARVED_NS);
}

void stack_tcp_handle(struct stack_tcp *c, const struct stack_tcp_ops *ops, void *user)
{
	c->ops = ops;
	c->user = user;
}

const struct net_tuple *stack_tcp_tuple(const struct stack_tcp *c)
{
	return &c->entry.tuple;
}

void stack_tcp_accept(struct stack_tcp *c)
{
	stack_enter(c->stack);
	if (c->state == TCP_WANTED && !c->dead) {
		c->state = TCP_SYN_RCVD;
		c->need_syn = true;
		tcp_make_ready(c);
	}
	stack_leave(c->stack);
}

static void quote_syn(const struct stack_tcp *c, struct quote *q)
{
	*q = (struct quote){.tuple = &c->entry.tuple, .proto = IP_TCP};
	put16(q->l4, c->entry.tuple.guest.port);
	put16(q->l4 + 2, c->entry.tuple.remote.port);
	put32(q->l4 + 4, c->irs);
}

void stack_tcp_refuse(struct stack_tcp *c, enum stack_refusal how)
{
	struct stack *s = c->stack;
	struct quote q;

	stack_enter(s);
	if (!tcp_gone(c)) {
		c->need_ack = false;
		c->need_rst = how == STACK_REFUSED;
		if (how != STACK_REFUSED) {
			quote_syn(c, &q);
			icmp_refuse(s, &q, how);
		}
		tcp_linger(c);
	}
	stack_leave(s);
}

void stack_tcp_abort(struct stack_tcp *c)
{
	stack_enter(c->stack);
	if (!tcp_gone(c)) {
		c->need_ack = false;
		c->need_rst = true;
		tcp_linger(c);
	}
	stack_leave(c->stack);
}

struct stack_tcp *stack_tcp_connect(
	struct stack *s, const struct net_tuple *t, const struct stack_tcp_ops *ops, void *user)
{
	struct stack_tcp *c = NULL;

	stack_enter(s);
	if (table_find(s, &s->tcp, t)) {
		errno = EADDRINUSE;
	} else if (s->stats.tcp_now >= s->cfg.max_tcp) {
		errno = EAGAIN;
	} else if ((c = tcp_new(s, t)) == NULL) {
		errno = ENOMEM;
	} else {
		c->state = TCP_SYN_SENT;
		c->need_syn = true;
		stack_tcp_handle(c, ops, user);
		tcp_make_ready(c);
	}
	stack_leave(s);
	return c;
}

size_t stack_tcp_peek(struct stack_tcp *c, struct iovec *iov, int *ret_n)
{
	int n = ring_data(&c->rx, 0, c->rx.len, iov);

	if (c->cur_len > 0)
		iov[n++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)c->cur, .iov_len = c->cur_len};
	*ret_n = n;
	return (size_t)c->rx.len + c->cur_len;
}

/* The window grew by enough to be worth a word to the guest. */
static bool worth_update(const struct stack_tcp *c)
{
	int32_t growth = seq_diff(tcp_edge(c), c->rcv_edge);
	int32_t half = (int32_t)tcp_window(c) / 2;

	return growth >= MODEST || (c->rx.len == 0 && growth >= MIN(2 * c->mss, half));
}

void stack_tcp_consume(struct stack_tcp *c, size_t n)
{
	uint32_t stored = (uint32_t)MIN(n, (size_t)c->rx.len);

	stack_enter(c->stack);
	if (!tcp_gone(c)) {
		ring_drop(&c->rx, stored);
		n -= stored;
		assert(n <= c->cur_len);
		if (n > 0) /* otherwise there may be none */
			c->cur += n;
		c->cur_len -= (uint32_t)n;
		c->rcv_nxt += (uint32_t)n;
		if (c->state == TCP_OPEN && !c->fin_in && stored && worth_update(c)) {
			c->need_ack = true;
			tcp_make_ready(c);
		}
		if (tcp_finished(c)) /* `closed` comes from the next stack_tick(), not from here */
			timer_set(&c->stack->heap, &c->timer, c->stack->now);
	}
	stack_leave(c->stack);
}

bool stack_tcp_eof(const struct stack_tcp *c)
{
	return c->fin_in && c->rx.len == 0 && c->cur_len == 0;
}

/* Make space where there is none, as long as there is budget; past a modest size only half of it.
 */
static void tx_grow(struct stack_tcp *c)
{
	struct ring_budget *b = &c->stack->budget;

	if (c->tx.cap >= MODEST && b->used > b->max / 2)
		return;
	if (c->tx.cap < RING_MAX)
		(void)!ring_grow(&c->tx, b, c->tx.cap ? 2 * c->tx.cap : RING_MIN);
}

size_t stack_tcp_reserve(struct stack_tcp *c, struct iovec *iov, int *ret_n)
{
	struct stack *s = c->stack;

	*ret_n = 0;
	if (tcp_gone(c) || c->fin_out)
		return 0;
	if (ring_space(&c->tx) <= c->tx.cap / 4)
		tx_grow(c);
	if (c->trim_at == STACK_NEVER && c->tx.cap) {
		stack_enter(s);
		c->trim_at = s->now + NSEC_PER_SEC;
		tcp_rearm(c);
		stack_leave(s);
	}
	/* A little space is none: many small reads cost more than a wait. */
	if (ring_space(&c->tx) > c->tx.cap / 4) {
		*ret_n = ring_free_space(&c->tx, iov);
		return ring_space(&c->tx);
	}
	c->want_space = true;
	if (c->tx.cap == 0 && list_empty(&c->starved)) {
		stack_enter(s);
		list_add_tail(&s->starved, &c->starved);
		if (s->starved_timer.slot == 0)
			timer_set(&s->heap, &s->starved_timer, s->now + STARVED_NS);
		stack_leave(s);
	}
	return 0;
}

void stack_tcp_commit(struct stack_tcp *c, size_t n)
{
	stack_enter(c->stack);
	if (!tcp_gone(c) && n > 0) {
		assert(n <= ring_space(&c->tx));
		c->tx.len += (uint32_t)n;
		c->last_use = c->stack->now;
		/* There may be more. What is read in one turn is what fits: with less room than the
		 * others a connection would get less of the link, whatever the guest takes. */
		if (ring_space(&c->tx) == 0)
			tx_grow(c);
		tcp_make_ready(c);
	}
	stack_leave(c->stack);
}

size_t stack_tcp_write(struct stack_tcp *c, const void *p, size_t n)
{
	const uint8_t *from = p;
	size_t done = 0;

	stack_enter(c->stack);
	while (done < n) {
		struct iovec iov[2];
		size_t part;
		int pieces;

		if (stack_tcp_reserve(c, iov, &pieces) == 0)
			break;
		part = MIN(n - done, iov[0].iov_len);
		memcpy(iov[0].iov_base, from + done, part);
		stack_tcp_commit(c, part);
		done += part;
	}
	stack_leave(c->stack);
	return done;
}

void stack_tcp_shutdown(struct stack_tcp *c)
{
	stack_enter(c->stack);
	if (!tcp_gone(c) && !c->fin_out) {
		c->fin_out = true;
		tcp_make_ready(c);
	}
	stack_leave(c->stack);
}
