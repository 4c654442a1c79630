/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of the stack: a binary heap of pointers.
 *
 * Each object announces its timer when it is made (timer_promise) and takes that back when it goes,
 * so that setting one later never needs memory.
 */
#include "net/stack/internal.h"

bool timer_promise(struct timer_heap *h)
{
	if (h->promised == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : 64;
		struct stack_timer **v = realloc(h->v, cap * sizeof(struct stack_timer *));

		if (!v)
			return false;
		h->v = v;
		h->cap = cap;
	}
	h->promised++;
	return true;
}

void timer_release(struct timer_heap *h)
{
	assert(h->promised > h->n);
	h->promised--;
}

static void place(struct timer_heap *h, size_t i, struct stack_timer *t)
{
	h->v[i] = t;
	t->slot = i + 1;
}

static void sift_up(struct timer_heap *h, size_t i, struct stack_timer *t)
{
	for (; i > 0 && t->at < h->v[(i - 1) / 2]->at; i = (i - 1) / 2)
		place(h, i, h->v[(i - 1) / 2]);
	place(h, i, t);
}

static void sift_down(struct timer_heap *h, size_t i, struct stack_timer *t)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->n && h->v[child + 1]->at < h->v[child]->at)
			child++;
		if (child >= h->n || h->v[child]->at >= t->at)
			break;
		place(h, i, h->v[child]);
		i = child;
	}
	place(h, i, t);
}

void timer_set(struct timer_heap *h, struct stack_timer *t, uint64_t at)
{
	uint64_t before = t->at;

	t->at = at;
	if (t->slot == 0) {
		assert(h->n < h->promised);
		sift_up(h, h->n++, t);
	} else if (at < before) {
		sift_up(h, t->slot - 1, t);
	} else if (at > before) {
		sift_down(h, t->slot - 1, t);
	}
}

void timer_del(struct timer_heap *h, struct stack_timer *t)
{
	struct stack_timer *last;
	size_t i = t->slot;

	if (i == 0)
		return;
	t->slot = 0;
	last = h->v[--h->n];
	if (last == t)
		return;
	if (last->at < t->at)
		sift_up(h, i - 1, last);
	else
		sift_down(h, i - 1, last);
}

struct stack_timer *timer_first(const struct timer_heap *h)
{
	return h->n ? h->v[0] : NULL;
}

void timer_heap_deinit(struct timer_heap *h)
{
	free(h->v);
	*h = (struct timer_heap){0};
}
