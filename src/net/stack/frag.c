/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly of what the guest fragmented: UDP and ICMP; TCP that fragments is refused.
 *
 * A fragment that overlaps another one refuses the whole datagram (RFC 5722), and so do a length
 * that is no multiple of eight, an end that is not the end, and one that would exceed a packet. At
 * most FRAG_SETS datagrams and FRAG_BYTES bytes are under way, each for ten seconds; the oldest
 * gives way.
 */
#include "net/stack/internal.h"

enum { BLOCKS = 65536 / 8, BITMAP_WORDS = BLOCKS / 64 };
#define FRAG_NS (10 * NSEC_PER_SEC)

static struct frag_set *set_of(struct list *l)
{
	return container_of(l, struct frag_set, link);
}

static void set_drop_data(struct stack *s, struct frag_set *f)
{
	s->frag_bytes -= f->cap;
	f->cap = 0;
	free(f->data);
	free(f->blocks);
	f->data = NULL;
	f->blocks = NULL;
}

static void set_free(struct stack *s, struct frag_set *f)
{
	set_drop_data(s, f);
	list_del(&f->link);
	s->n_frags--;
	free(f);
}

static void refuse(struct stack *s, struct frag_set *f)
{
	set_drop_data(s, f);
	f->refused = true;
	s->stats.fragments_refused++;
}

void frag_deinit(struct stack *s)
{
	while (!list_empty(&s->frags))
		set_free(s, set_of(s->frags.next));
}

void frag_tick(struct stack *s, struct stack_timer *t)
{
	while (!list_empty(&s->frags) && set_of(s->frags.next)->deadline <= s->now)
		set_free(s, set_of(s->frags.next));
	if (!list_empty(&s->frags))
		timer_set(&s->heap, t, set_of(s->frags.next)->deadline);
}

static struct frag_set *set_find(struct stack *s, const struct pkt *p, uint32_t id)
{
	for (struct list *l = s->frags.next; l != &s->frags; l = l->next) {
		struct frag_set *f = set_of(l);

		if (f->id == id && f->proto == p->proto && net_addr_equal(&f->dst, &p->dst) &&
			net_addr_equal(&f->src, &p->src))
			return f;
	}
	return NULL;
}

static struct frag_set *set_new(struct stack *s, const struct pkt *p, uint32_t id)
{
	struct frag_set *f;

	if (s->n_frags == FRAG_SETS) {
		set_free(s, set_of(s->frags.next));
		s->stats.fragments_refused++;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->blocks = calloc(BITMAP_WORDS, sizeof(uint64_t));
	if (!f->blocks) {
		free(f);
		return NULL;
	}
	f->src = p->src;
	f->dst = p->dst;
	f->proto = p->proto;
	f->id = id;
	f->deadline = s->now + FRAG_NS;
	list_add_tail(&s->frags, &f->link);
	s->n_frags++;
	if (s->frag_timer.slot == 0)
		timer_set(&s->heap, &s->frag_timer, f->deadline);
	return f;
}

static bool make_room(struct stack *s, struct frag_set *f, uint32_t end)
{
	uint32_t cap = MAX(f->cap, 4096u);
	uint8_t *data;

	if (end <= f->cap)
		return true;
	while (cap < end)
		cap *= 2;
	while (s->frag_bytes - f->cap + cap > FRAG_BYTES) {
		struct frag_set *oldest = set_of(s->frags.next);

		if (oldest == f)
			return false;
		set_free(s, oldest);
		s->stats.fragments_refused++;
	}
	data = realloc(f->data, cap);
	if (!data)
		return false;
	s->frag_bytes += cap - f->cap;
	f->data = data;
	f->cap = cap;
	return true;
}

/* Mark the blocks of a fragment; false if one is there already. */
static bool claim(struct frag_set *f, uint32_t offset, size_t len)
{
	uint32_t last = (uint32_t)((offset + len - 1) / 8);

	for (uint32_t b = offset / 8; b <= last; b++) {
		uint64_t bit = UINT64_C(1) << b % 64;

		if (f->blocks[b / 64] & bit)
			return false;
		f->blocks[b / 64] |= bit;
	}
	return true;
}

static bool shape_ok(const struct frag_set *f, uint32_t offset, bool more, size_t len)
{
	if (len == 0 || offset + len > IP_MAX || (more && len % 8 != 0))
		return false;
	if (f->total && (offset + len > f->total || (!more && offset + len != f->total)))
		return false;
	return true;
}

/* An end that comes after bytes that lie behind it. */
static bool beyond_end(const struct frag_set *f)
{
	for (uint32_t b = (f->total + 7) / 8; b < BLOCKS; b++) {
		if (f->blocks[b / 64] & UINT64_C(1) << b % 64)
			return true;
	}
	return false;
}

static void deliver(struct stack *s, struct frag_set *f, const struct pkt *last)
{
	struct pkt p = *last;
	uint8_t *data = f->data;

	p.frame = NULL;
	p.whole = false;
	p.csum_partial = false; /* nobody vouches for the whole */
	p.l4 = data;
	p.l4_len = f->total;
	f->data = NULL;
	s->frag_bytes -= f->cap;
	f->cap = 0;
	set_free(s, f);
	transport_input(s, &p);
	free(data);
}

void frag_input(struct stack *s, const struct pkt *p, uint32_t id, uint32_t offset, bool more,
	const uint8_t *data, size_t len)
{
	struct frag_set *f;

	if (p->proto != IP_UDP && p->proto != IP_ICMP && p->proto != IP_ICMP6) {
		s->stats.fragments_refused++;
		return;
	}
	f = set_find(s, p, id);
	if (!f)
		f = set_new(s, p, id);
	if (!f || f->refused)
		return;
	if (!shape_ok(f, offset, more, len) || !make_room(s, f, (uint32_t)(offset + len)) ||
		!claim(f, offset, len)) {
		refuse(s, f);
		return;
	}
	memcpy(f->data + offset, data, len);
	f->have += (uint32_t)len;
	if (!more) {
		f->total = (uint32_t)(offset + len);
		if (beyond_end(f)) {
			refuse(s, f);
			return;
		}
	}
	if (f->total && f->have == f->total)
		deliver(s, f, p);
}
