/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for the sandbox's ledger and log: see events.h.
 *
 * #syscalls(net:loop): sendto
 */
#include "net/events.h"

#include <sys/socket.h>

#define COST_NS	 (NSEC_PER_SEC / EVENTS_PER_SECOND)
#define BURST_NS (EVENTS_BURST * COST_NS)
#define RETRY_NS (NSEC_PER_SEC / 10)
#define USED_NS	 (200 * NSEC_PER_MSEC)

static void on_timer(struct loop_timer *t);

void net_events_init(struct net_events *e, struct loop *l, int fd)
{
	*e = (struct net_events){.loop = l, .fd = fd};
	buf_init(&e->packet, NET_EVENT_MAX);
}

void net_events_deinit(struct net_events *e)
{
	loop_timer_del(&e->timer);
	buf_deinit(&e->packet);
	e->fd = fd_close(e->fd);
}

static bool put(struct net_events *e, const struct net_event *ev)
{
	size_t len;

	buf_consume(&e->packet, buf_len(&e->packet));
	if (net_event_put(&e->packet, ev) < 0)
		return false;
	len = buf_len(&e->packet);
	return send(e->fd, buf_data(&e->packet), len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static void count_later(struct net_events *e, uint64_t delay_ns)
{
	if (!e->timer.loop)
		loop_timer_set(e->loop, &e->timer, clock_mono_ns() + delay_ns, on_timer);
}

/* What is not in the ledger is told first: what follows it there comes later. */
static bool tell_lost(struct net_events *e)
{
	const struct net_event ev = {
		.kind = NET_EVENT_LOST, .lost = e->lost, .text = "too many events at once"};

	if (e->lost && !put(e, &ev))
		return false;
	e->lost = 0;
	return true;
}

static bool tell_left_out(struct net_events *e)
{
	struct net_event ev = {.kind = NET_EVENT_NOTE, .log = true};
	char text[96];

	(void)snprintf(text, sizeof(text), "%" PRIu64 " more were not told of: too many at once",
		e->left_out);
	ev.text = text;
	if (e->left_out && !put(e, &ev))
		return false;
	e->left_out = 0;
	return true;
}

static bool tell_answer(struct net_events *e)
{
	if (e->answer && send(e->fd, &e->answer, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return false;
	e->answer = 0;
	return true;
}

static void on_timer(struct loop_timer *t)
{
	struct net_events *e = container_of(t, struct net_events, timer);

	if (!tell_answer(e) || !tell_lost(e) || !tell_left_out(e))
		count_later(e, RETRY_NS);
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

void net_events_tell(struct net_events *e, const struct net_event *ev)
{
	struct net_event out = *ev;

	if (e->fd < 0)
		return;
	if (out.log && !may_say(e)) {
		out.log = false;
		e->left_out++;
		count_later(e, NSEC_PER_SEC);
		if (out.kind == NET_EVENT_NOTE)
			return;
	}
	if (tell_lost(e) && put(e, &out))
		return;
	if (out.log)
		e->left_out++;
	if (out.kind != NET_EVENT_NOTE)
		e->lost++;
	count_later(e, RETRY_NS);
}

void net_events_say(struct net_events *e, const char *text)
{
	const struct net_event ev = {.kind = NET_EVENT_NOTE, .log = true, .text = text};

	net_events_tell(e, &ev);
}

void net_events_answer(struct net_events *e, bool taken)
{
	if (e->fd < 0)
		return;
	e->answer = taken ? EVENTS_TAKEN : EVENTS_REFUSED;
	if (!tell_answer(e))
		count_later(e, RETRY_NS);
}

void net_events_used(struct net_events *e)
{
	const uint8_t used = EVENTS_USED;
	uint64_t now = clock_mono_ns();

	if (e->fd < 0 || (e->used_ns && now - e->used_ns < USED_NS))
		return;
	/* Full of lines: the next use will do. */
	if (send(e->fd, &used, sizeof(used), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(used))
		e->used_ns = now;
}
