/* SPDX-License-Identifier: Apache-2.0 */
/* What the stack drops: see drops.h. */
#include "net/drops.h"

static const char *const words[NET_DROPS_KINDS] = {
	"from an address that is not the sandbox's",
	"malformed or of no known protocol",
	"fragments that do not fit",
	"connections beyond the limit",
};

static void count(const struct net_drops *d, uint64_t to[NET_DROPS_KINDS])
{
	to[0] = d->stats->spoofed;
	to[1] = d->stats->bad_frames;
	to[2] = d->stats->fragments_refused;
	to[3] = d->stats->tcp_refused_limit;
}

/* Tells what has come since the last time. Return: was there anything? */
static bool tell(struct net_drops *d)
{
	struct net_event e = {.kind = NET_EVENT_DROPPED, .log = true};
	uint64_t now[NET_DROPS_KINDS];
	char text[NET_EVENT_TEXT + 1];
	size_t at = 0;

	count(d, now);
	for (size_t i = 0; i < NET_DROPS_KINDS; i++) {
		uint64_t n = now[i] - d->told[i];
		int more;

		d->told[i] = now[i];
		if (n == 0)
			continue;
		e.lost += n;
		more = snprintf(text + at, sizeof(text) - at, "%s%" PRIu64 " %s",
			at ? ", " : "dropped: ", n, words[i]);
		if (more > 0)
			at = MIN(at + (size_t)more, sizeof(text) - 1);
	}
	if (e.lost == 0)
		return false;
	e.text = text;
	net_events_tell(d->events, &e);
	return true;
}

static void on_timer(struct loop_timer *t);

static void tell_and_wait(struct net_drops *d)
{
	if (tell(d))
		loop_timer_set(d->loop, &d->timer,
			clock_mono_ns() + NET_DROPS_PERIOD_MS * NSEC_PER_MSEC, on_timer);
}

static void on_timer(struct loop_timer *t)
{
	tell_and_wait(container_of(t, struct net_drops, timer));
}

void net_drops_init(struct net_drops *d, struct loop *loop, struct net_events *events,
	const struct stack_stats *stats)
{
	*d = (struct net_drops){.loop = loop, .events = events, .stats = stats};
	count(d, d->told);
}

void net_drops_look(struct net_drops *d)
{
	uint64_t now[NET_DROPS_KINDS];

	if (d->timer.loop)
		return;
	count(d, now);
	if (memcmp(now, d->told, sizeof(now)) != 0)
		tell_and_wait(d);
}

void net_drops_deinit(struct net_drops *d)
{
	loop_timer_del(&d->timer);
}
