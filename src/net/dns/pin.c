/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: see pin.h. Entries are chained by the hash of their address. Slots are handed out from the
 * bottom, so the pages of a table that is hardly used are never touched.
 */
#include "net/dns/pin.h"

#include "base/str.h"

#include "net/policy/class.h"

enum { BUCKETS = 1024, NONE = -1 };

struct pin {
	struct net_addr addr;
	uint64_t ends_ns; /* 0: free */
	int next; /* in the bucket or the list of free ones */
	char name[DNS_NAME];
};

struct dns_pins {
	int buckets[BUCKETS];
	int used; /* slots handed out at least once */
	int free;
	struct pin pins[DNS_PINS_MAX];
};

/* The guest decides what is looked up, but not which addresses come out often: no key needed. */
static unsigned int bucket_of(const struct net_addr *a)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < net_addr_len(a); i++)
		h = (h ^ a->b[i]) * 16777619u;
	return (h ^ h >> 16) % BUCKETS;
}

struct dns_pins *dns_pins_new(void)
{
	struct dns_pins *t = calloc(1, sizeof(*t));

	if (t)
		dns_pins_clear(t);
	return t;
}

struct dns_pins *dns_pins_free(struct dns_pins *t)
{
	free(t);
	return NULL;
}

void dns_pins_clear(struct dns_pins *t)
{
	for (size_t i = 0; i < BUCKETS; i++)
		t->buckets[i] = NONE;
	t->used = 0;
	t->free = NONE;
}

static void unlink_pin(struct dns_pins *t, int i)
{
	int *link = &t->buckets[bucket_of(&t->pins[i].addr)];

	while (*link != i)
		link = &t->pins[*link].next;
	*link = t->pins[i].next;
	t->pins[i].next = t->free;
	t->pins[i].ends_ns = 0;
	t->free = i;
}

/* Rare: only when every slot is taken. */
static void make_room(struct dns_pins *t)
{
	int first = 0;

	for (int i = 1; i < t->used; i++) {
		if (t->pins[i].ends_ns < t->pins[first].ends_ns)
			first = i;
	}
	unlink_pin(t, first);
}

static int take_slot(struct dns_pins *t)
{
	int i;

	if (t->free == NONE && t->used < DNS_PINS_MAX)
		return t->used++;
	if (t->free == NONE)
		make_room(t);
	i = t->free;
	t->free = t->pins[i].next;
	return i;
}

void dns_pins_add(struct dns_pins *t, uint64_t now_ns, const char *name,
	const struct net_addr *addr, uint32_t ttl)
{
	struct net_addr a = net_addr_unmap(addr);
	int *bucket = &t->buckets[bucket_of(&a)];
	uint64_t ends = now_ns + MIN(ttl, (uint32_t)DNS_PIN_TTL_MAX) * NSEC_PER_SEC + DNS_PIN_GRACE;
	int i;

	for (i = *bucket; i != NONE; i = t->pins[i].next) {
		if (net_addr_equal(&t->pins[i].addr, &a) && streq(t->pins[i].name, name))
			break;
	}
	if (i == NONE) {
		i = take_slot(t);
		t->pins[i].addr = a;
		t->pins[i].ends_ns = 0;
		if (str_copy(t->pins[i].name, sizeof(t->pins[i].name), name) < 0) {
			t->pins[i].next = t->free;
			t->free = i;
			return;
		}
		t->pins[i].next = *bucket;
		*bucket = i;
	}
	t->pins[i].ends_ns = MAX(t->pins[i].ends_ns, ends);
}

size_t dns_pins_find(struct dns_pins *t, uint64_t now_ns, const struct net_addr *addr,
	const char **ret, size_t max)
{
	struct net_addr a = net_addr_unmap(addr);
	size_t n = 0;
	int next;

	for (int i = t->buckets[bucket_of(&a)]; i != NONE; i = next) {
		next = t->pins[i].next;
		if (t->pins[i].ends_ns <= now_ns)
			unlink_pin(t, i);
		else if (n < max && net_addr_equal(&t->pins[i].addr, &a))
			ret[n++] = t->pins[i].name;
	}
	return n;
}
