/* SPDX-License-Identifier: Apache-2.0 */
/* Byte ring with a budget; the contract stands in ring.h. */
#include "net/stack/ring.h"

bool ring_grow(struct ring *r, struct ring_budget *b, uint32_t need)
{
	uint32_t cap = MAX(r->cap, (uint32_t)RING_MIN);
	struct iovec iov[2];
	uint8_t *base;
	uint32_t at = 0;
	int n;

	if (need <= r->cap)
		return true;
	if (need > RING_MAX)
		return false;
	while (cap < need)
		cap *= 2;
	if (b->used - r->cap + cap > b->max)
		return false;
	base = malloc(cap);
	if (!base)
		return false;
	n = ring_data(r, 0, r->len, iov);
	for (int i = 0; i < n; i++) {
		memcpy(base + at, iov[i].iov_base, iov[i].iov_len);
		at += (uint32_t)iov[i].iov_len;
	}
	free(r->base);
	b->used += cap - r->cap;
	r->base = base;
	r->cap = cap;
	r->head = 0;
	return true;
}

void ring_release(struct ring *r, struct ring_budget *b)
{
	b->used -= r->cap;
	free(r->base);
	*r = (struct ring){0};
}

int ring_data(const struct ring *r, uint32_t offset, uint32_t n, struct iovec iov[2])
{
	uint32_t at, first;

	assert(offset <= r->len && n <= r->len - offset);
	if (n == 0)
		return 0;
	at = (r->head + offset) & (r->cap - 1);
	first = MIN(n, r->cap - at);
	iov[0] = (struct iovec){.iov_base = r->base + at, .iov_len = first};
	if (first == n)
		return 1;
	iov[1] = (struct iovec){.iov_base = r->base, .iov_len = n - first};
	return 2;
}

int ring_free_space(struct ring *r, struct iovec iov[2])
{
	uint32_t n = ring_space(r);
	uint32_t at, first;

	if (n == 0)
		return 0;
	if (r->len == 0)
		r->head = 0; /* one piece, and the memory that is warm */
	at = (r->head + r->len) & (r->cap - 1);
	first = MIN(n, r->cap - at);
	iov[0] = (struct iovec){.iov_base = r->base + at, .iov_len = first};
	if (first == n)
		return 1;
	iov[1] = (struct iovec){.iov_base = r->base, .iov_len = n - first};
	return 2;
}

void ring_push(struct ring *r, const void *p, uint32_t n)
{
	const uint8_t *from = p;
	struct iovec iov[2];
	int pieces = ring_free_space(r, iov);

	assert(n <= ring_space(r));
	for (int i = 0; i < pieces && n > 0; i++) {
		uint32_t part = MIN(n, (uint32_t)iov[i].iov_len);

		memcpy(iov[i].iov_base, from, part);
		from += part;
		n -= part;
		r->len += part;
	}
}

void ring_drop(struct ring *r, uint32_t n)
{
	assert(n <= r->len);
	r->len -= n;
	if (n > 0)
		r->head = (r->head + n) & (r->cap - 1);
}
