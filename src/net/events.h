/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-net tells of: one line per event, to the supervisor, who keeps the sandbox's log.
 *
 * A guest decides how often something is denied, so it cannot decide how much is told: EVENTS_BURST
 * lines at once, EVENTS_PER_SECOND on the average. What is left out is counted, and the number is
 * told once a second. Telling never waits: a supervisor that is slow gets the number, too.
 */
#pragma once

#include "base/loop.h"

enum { EVENTS_BURST = 50, EVENTS_PER_SECOND = 10, EVENTS_LINE_MAX = 640 };

struct net_events {
	struct loop *loop;
	int fd; /* a socket that keeps lines apart, owned; negative: nobody listens */
	uint64_t full_ns; /* when the burst is whole again */
	uint64_t left_out; /* since the last number was told */
	struct loop_timer timer;
};

/** net_events_init - @fd is owned from here on; negative for nobody */
void net_events_init(struct net_events *e, struct loop *l, int fd);
void net_events_deinit(struct net_events *e);

/**
 * net_events_say - tell @text, or count it
 * @text: without newline; of names that strangers choose it holds letters, digits, '-', '_' and '.'
 *	(struct policy_query)
 */
void net_events_say(struct net_events *e, const char *text);
