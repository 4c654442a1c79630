/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's questions about names: between the stack, the forwarder (net/dns/forward.h) and the
 * sockets to the host's name servers.
 *
 * Takes over every flow of the guest to a port 53 that the gate hands to it, whatever address it
 * is for. A query over UDP is a datagram; over TCP each has its length in front.
 */
#pragma once

#include "base/loop.h"

#include "net/dns/forward.h"
#include "net/events.h"
#include "net/stack/tcp.h"

struct names;

/** names_new - @config is copied, @policy borrowed, @events, too (NULL: nobody hears of what is
 * denied); 0 or -ENOMEM */
int names_new(struct loop *l, const struct dns_config *config, const struct policy *policy,
	struct net_events *events, struct names **ret) MSB_MUST_CHECK;

/** names_free - before the stack; NULL is fine; returns NULL */
struct names *names_free(struct names *n);

/** names_take_udp, names_take_tcp - flow_verdict.hand_udp and .hand_tcp; @user is struct names */
void names_take_udp(void *user, struct stack_udp *u, const struct net_tuple *t);
void names_take_tcp(void *user, struct stack_tcp *c, const struct net_tuple *t);

/** names_of - what lookups have bound to @addr, at most @max; borrowed until the next lookup */
size_t names_of(struct names *n, const struct net_addr *addr, const char **ret, size_t max);
