/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stack drops without a word to the guest, told once a second at most: packets with a
 * source that is not the sandbox's, malformed ones, fragments that do not fit, connections beyond
 * the limit. Somebody inside tries something, or something is broken; either way it should show.
 */
#pragma once

#include "base/loop.h"

#include "net/events.h"
#include "net/stack/stack.h"

enum { NET_DROPS_PERIOD_MS = 1000, NET_DROPS_KINDS = 4 };

struct net_drops {
	struct loop *loop;
	struct net_events *events;
	const struct stack_stats *stats;
	struct loop_timer timer; /* armed: told a moment ago */
	uint64_t told[NET_DROPS_KINDS];
};

/** net_drops_init - @stats of the stack, which must outlive it */
void net_drops_init(struct net_drops *d, struct loop *loop, struct net_events *events,
	const struct stack_stats *stats);

/** net_drops_look - after frames of the guest: tells, now or soon, if there is anything to tell */
void net_drops_look(struct net_drops *d);

void net_drops_deinit(struct net_drops *d);
