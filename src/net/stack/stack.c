/* SPDX-License-Identifier: Apache-2.0 */
/* The stack as an object: configuration, time, and what happens when the outermost call returns. */
#include "net/stack/internal.h"

static const struct {
	uint16_t mtu;
	uint32_t max_tcp, max_udp, udp_idle_ms;
	size_t max_bytes;
} defaults = {1500, 256, 1024, 60000, 64 * MIB};

enum { MTU_MIN = 1280, MTU_MAX = 65520 };

/* A bijection of 64 bits that differs from stack to stack. */
uint64_t stack_mix(const struct stack *s, uint64_t v)
{
	v += s->cfg.seed;
	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31 ^ s->cfg.seed;
}

bool stack_rate(struct stack *s, unsigned int *counter, unsigned int max)
{
	uint64_t second = s->now / NSEC_PER_SEC;

	if (second != s->rate_second) {
		s->rate_second = second;
		s->rate_icmp = 0;
		s->rate_challenge = 0;
	}
	if (*counter >= max)
		return false;
	(*counter)++;
	return true;
}

void stack_enter(struct stack *s)
{
	if (s->depth++ == 0)
		s->now = s->ops->now(s->ctx);
}

void stack_leave(struct stack *s)
{
	struct stack_timer *t;

	if (s->depth > 1) {
		s->depth--;
		return;
	}
	tcp_flush(s);
	tcp_reap(s);
	udp_reap(s);
	s->depth--;
	s->stats.bytes_now = s->budget.used;
	t = timer_first(&s->heap);
	/* A timer that moved back leaves the armed one to fire early: cheaper than telling of each.
	 */
	if (t && t->at < s->armed) {
		s->armed = t->at;
		s->ops->arm(s->ctx, MAX(t->at, s->now));
	}
}

void stack_hold(struct stack *s)
{
	stack_enter(s);
}

void stack_release(struct stack *s, bool more)
{
	s->more = more;
	stack_leave(s);
}

void stack_tick(struct stack *s)
{
	struct stack_timer *t;

	stack_enter(s);
	s->more = false;
	s->armed = STACK_NEVER;
	while ((t = timer_first(&s->heap)) != NULL && t->at <= s->now) {
		timer_del(&s->heap, t);
		t->fn(s, t);
	}
	stack_leave(s);
}

void stack_link_ready(struct stack *s)
{
	stack_enter(s);
	s->blocked = false;
	stack_leave(s);
}

static bool config_ok(const struct stack_config *c)
{
	const struct net_addr *v4[] = {&c->guest4, &c->gateway4};
	const struct net_addr *v6[] = {&c->guest6, &c->gateway6};

	for (size_t i = 0; i < ARRAY_SIZE(v4); i++) {
		if (v4[i]->family != v4[0]->family || (v4[i]->family && v4[i]->family != NET_V4))
			return false;
		if (v6[i]->family != v6[0]->family || (v6[i]->family && v6[i]->family != NET_V6))
			return false;
	}
	if (!c->guest4.family && !c->guest6.family)
		return false;
	return c->mtu >= MTU_MIN && c->mtu <= MTU_MAX;
}

static void set_offload(struct stack_config *c, unsigned int offload)
{
	c->offload = offload & STACK_TX_CSUM ? offload : 0;
}

int stack_new(
	const struct stack_config *cfg, const struct stack_ops *ops, void *ctx, struct stack **ret)
{
	struct stack_config c = *cfg;
	struct stack *s;

	c.mtu = c.mtu ? c.mtu : defaults.mtu;
	c.max_tcp = c.max_tcp ? c.max_tcp : defaults.max_tcp;
	c.max_udp = c.max_udp ? c.max_udp : defaults.max_udp;
	c.max_bytes = c.max_bytes ? c.max_bytes : defaults.max_bytes;
	c.udp_idle_ms = c.udp_idle_ms ? c.udp_idle_ms : defaults.udp_idle_ms;
	set_offload(&c, c.offload);
	if (!config_ok(&c))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cfg = c;
	s->ops = ops;
	s->ctx = ctx;
	s->budget.max = c.max_bytes;
	s->armed = STACK_NEVER;
	s->ip_id = (uint16_t)stack_mix(s, 0);
	list_init(&s->ready);
	list_init(&s->starved);
	list_init(&s->udp_used);
	list_init(&s->frags);
	s->udp_timer.fn = udp_tick;
	s->frag_timer.fn = frag_tick;
	s->starved_timer.fn = tcp_starved;
	for (int i = 0; i < 3; i++) { /* the three timers of the stack itself; one allocation */
		if (!timer_promise(&s->heap)) {
			free(s);
			return -ENOMEM;
		}
	}
	*ret = s;
	return 0;
}

struct stack *stack_free(struct stack *s)
{
	if (!s)
		return NULL;
	assert(s->depth == 0);
	tcp_deinit(s);
	udp_deinit(s);
	frag_deinit(s);
	assert(s->budget.used == 0);
	timer_heap_deinit(&s->heap);
	free(s);
	return NULL;
}

const struct stack_stats *stack_stats(const struct stack *s)
{
	return &s->stats;
}

void stack_set_max_tcp(struct stack *s, uint32_t max)
{
	s->cfg.max_tcp = max ? max : defaults.max_tcp;
}

void stack_set_offload(struct stack *s, unsigned int offload)
{
	set_offload(&s->cfg, offload);
}
