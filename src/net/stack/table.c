/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables of tuples. The hash is keyed with the seed of the stack: whoever does not know it
 * cannot choose ports that meet in one bucket.
 */
#include "net/stack/internal.h"

static uint32_t hash(const struct stack *s, const struct net_tuple *k)
{
	uint64_t h = (uint64_t)k->guest.port << 32 | (uint64_t)k->remote.port << 8 |
		     k->remote.addr.family;

	h = stack_mix(s, h);
	for (size_t i = 0; i < sizeof(k->remote.addr.b); i += 8) {
		uint64_t r, g;

		memcpy(&r, k->remote.addr.b + i, 8);
		memcpy(&g, k->guest.addr.b + i, 8);
		h = stack_mix(s, h ^ r);
		h = stack_mix(s, h + g);
	}
	return (uint32_t)h;
}

static bool same(const struct net_tuple *a, const struct net_tuple *b)
{
	return net_peer_equal(&a->guest, &b->guest) && net_peer_equal(&a->remote, &b->remote);
}

struct entry *table_find(const struct stack *s, const struct table *t, const struct net_tuple *k)
{
	uint32_t h = hash(s, k);
	struct entry *e = t->bucket[h % TABLE_SIZE];

	while (e && (e->hash != h || !same(&e->tuple, k)))
		e = e->next;
	return e;
}

void table_add(const struct stack *s, struct table *t, struct entry *e)
{
	struct entry **head;

	e->hash = hash(s, &e->tuple);
	head = &t->bucket[e->hash % TABLE_SIZE];
	e->next = *head;
	*head = e;
}

void table_del(struct table *t, struct entry *e)
{
	struct entry **at = &t->bucket[e->hash % TABLE_SIZE];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
}
