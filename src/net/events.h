/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-net tells of: one event (net/event-msg.h) per packet, to the supervisor, who keeps the
 * sandbox's ledger and log.
 *
 * Every event is for the ledger; telling never waits, so of a burst that the supervisor does not
 * take in time the rest is counted, and the number told once there is room. A guest decides how
 * often something is denied, so it cannot decide how much is in the log for people: EVENTS_BURST
 * lines at once, EVENTS_PER_SECOND on the average. What is left out there is counted, and the
 * number told once a second.
 *
 * A packet of one byte is no event: with EVENTS_USED somebody uses a published port; EVENTS_TAKEN
 * and EVENTS_REFUSED answer an order of the supervisor, which gives one at a time.
 */
#pragma once

#include "base/loop.h"

#include "net/event-msg.h"

enum { EVENTS_BURST = 50, EVENTS_PER_SECOND = 10, EVENTS_USED = 1 };
enum { EVENTS_TAKEN = 2, EVENTS_REFUSED = 3 };

struct net_events {
	struct loop *loop;
	int fd; /* a socket that keeps packets apart, owned; negative: nobody listens */
	struct buf packet;
	uint64_t full_ns; /* when the burst is whole again */
	uint64_t left_out; /* lines of the log, since the last number was told */
	uint64_t lost; /* events, the same */
	uint8_t answer; /* to be told when there is room; 0: none */
	uint64_t used_ns; /* when the last use was told */
	struct loop_timer timer;
};

/** net_events_init - @fd is owned from here on; negative for nobody */
void net_events_init(struct net_events *e, struct loop *l, int fd);
void net_events_deinit(struct net_events *e);

/** net_events_tell - tell @ev, or count it; with .log its text becomes a line of the log, as far as
 * there is room for one */
void net_events_tell(struct net_events *e, const struct net_event *ev);

/**
 * net_events_say - a line for the log alone, or count it
 * @text: without newline; of names that strangers choose it holds letters, digits, '-', '_' and '.'
 *	(struct policy_query)
 */
void net_events_say(struct net_events *e, const char *text);

/** net_events_answer - an order was carried out, or not; told when there is room */
void net_events_answer(struct net_events *e, bool taken);

/** net_events_used - a published port is used: told a few times a second, however often */
void net_events_used(struct net_events *e);
