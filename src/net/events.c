/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the sandbox's log: see events.h.
 *
 * #syscalls(net:loop): sendto
 */
#include "net/events.h"

#include <sys/socket.h>

#define COST_NS	 (NSEC_PER_SEC / EVENTS_PER_SECOND)
#define BURST_NS (EVENTS_BURST * COST_NS)

static void on_timer(struct loop_timer *t);

void net_events_init(struct net_events *e, struct loop *l, int fd)
{
	*e = (struct net_events){.loop = l, .fd = fd};
}

void net_events_deinit(struct net_events *e)
{
	loop_timer_del(&e->timer);
	e->fd = fd_close(e->fd);
}

static bool put(struct net_events *e, const char *text)
{
	size_t len = MIN(strlen(text), (size_t)EVENTS_LINE_MAX);

	return send(e->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static void count_later(struct net_events *e)
{
	if (!e->timer.loop)
		loop_timer_set(e->loop, &e->timer, clock_mono_ns() + NSEC_PER_SEC, on_timer);
}

static void on_timer(struct loop_timer *t)
{
	struct net_events *e = container_of(t, struct net_events, timer);
	char text[96];

	(void)snprintf(text, sizeof(text), "%" PRIu64 " more were not told of: too many at once",
		e->left_out);
	if (put(e, text))
		e->left_out = 0;
	else
		count_later(e);
}

/* Every line puts the time at which all may be said again off by its share. */
static bool may_say(struct net_events *e)
{
	uint64_t now = clock_mono_ns();
	uint64_t full = MAX(e->full_ns, now) + COST_NS;

	if (full - now > BURST_NS)
		return false;
	e->full_ns = full;
	return true;
}

void net_events_say(struct net_events *e, const char *text)
{
	if (e->fd < 0 || (may_say(e) && put(e, text)))
		return;
	e->left_out++;
	count_later(e);
}
