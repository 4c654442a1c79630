/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte ring that grows by doubling up to a maximum and is charged to the budget of its stack.
 *
 * Bytes never move except when it grows, so a connection can fill one end with readv() and send
 * from the other. The charge is the capacity, not the content.
 */
#pragma once

#include <sys/uio.h>

#include "base/base.h"

struct ring {
	uint8_t *base;
	uint32_t cap; /* 0 or a power of two */
	uint32_t head; /* index of the first byte */
	uint32_t len;
};

/* What all rings of one stack may take together. */
struct ring_budget {
	size_t used;
	size_t max;
};

enum { RING_MIN = 16 * 1024, RING_MAX = 1024 * 1024 };

static inline uint32_t ring_space(const struct ring *r)
{
	return r->cap - r->len;
}

/** ring_grow - room for @need bytes in all; false: over RING_MAX, over budget or out of memory */
bool ring_grow(struct ring *r, struct ring_budget *b, uint32_t need) MSB_MUST_CHECK;

/** ring_release - give the storage back; what it holds is lost */
void ring_release(struct ring *r, struct ring_budget *b);

/** ring_data - up to @n bytes from @offset as one or two pieces; how many pieces */
int ring_data(const struct ring *r, uint32_t offset, uint32_t n, struct iovec iov[2]);

/** ring_free_space - all free bytes as at most two pieces; how many pieces */
int ring_free_space(struct ring *r, struct iovec iov[2]);

/** ring_push - copy @n bytes that fit to the end */
void ring_push(struct ring *r, const void *p, uint32_t n);

/** ring_drop - forget the first @n bytes */
void ring_drop(struct ring *r, uint32_t n);
