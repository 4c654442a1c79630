/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names this sandbox's lookups have bound to which addresses.
 *
 * A fixed number of pins; the one that ends first makes room. A pin outlives its record by
 * DNS_PIN_GRACE, because a connection begins later than its lookup.
 */
#pragma once

#include "base/base.h"

#include "net/addr.h"
#include "net/dns/msg.h"

enum {
	DNS_PINS_MAX = 4096,
	DNS_PIN_NAMES_MAX = 32, /* names of one address that are told */
	DNS_PIN_TTL_MAX = 24 * 3600,
};
#define DNS_PIN_GRACE (10 * NSEC_PER_SEC)

struct dns_pins;

/** dns_pins_new - empty table, or NULL: out of memory */
struct dns_pins *dns_pins_new(void) MSB_MUST_CHECK;
struct dns_pins *dns_pins_free(struct dns_pins *t);
DEFINE_CLEANUP(struct dns_pins *, dns_pins_free);

/** dns_pins_add - @name is @addr for @ttl seconds from @now_ns */
void dns_pins_add(struct dns_pins *t, uint64_t now_ns, const char *name,
	const struct net_addr *addr, uint32_t ttl);

/**
 * dns_pins_find - names of @addr, at most @max of them
 * @ret: borrowed until the table changes
 */
size_t dns_pins_find(struct dns_pins *t, uint64_t now_ns, const struct net_addr *addr,
	const char **ret, size_t max);

/** dns_pins_clear - forget everything */
void dns_pins_clear(struct dns_pins *t);
