/* SPDX-License-Identifier: Apache-2.0 */
/* XXH64: see checksum.h. The steps and constants are those of the public description of xxHash. */
#include "base/checksum.h"

#include <endian.h>

enum { BLOCK = 32, LANES = 4 };

static const uint64_t prime[5] = {0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
	0x85ebca77c2b2ae63, 0x27d4eb2f165667c5};

static inline uint64_t rol(uint64_t v, unsigned int n)
{
	return v << n | v >> (64 - n);
}

static inline uint64_t le64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline uint64_t step(uint64_t lane, uint64_t word)
{
	return rol(lane + word * prime[1], 31) * prime[0];
}

void checksum_init(struct checksum *c)
{
	*c = (struct checksum){.lane = {prime[0] + prime[1], prime[1], 0, 0 - prime[0]}};
}

static void add_blocks(struct checksum *c, const uint8_t *p, size_t n)
{
	uint64_t a = c->lane[0];
	uint64_t b = c->lane[1];
	uint64_t d = c->lane[2];
	uint64_t e = c->lane[3];

	for (; n >= BLOCK; p += BLOCK, n -= BLOCK) {
		a = step(a, le64_at(p));
		b = step(b, le64_at(p + 8));
		d = step(d, le64_at(p + 16));
		e = step(e, le64_at(p + 24));
	}
	c->lane[0] = a;
	c->lane[1] = b;
	c->lane[2] = d;
	c->lane[3] = e;
}

void checksum_add(struct checksum *c, const void *p, size_t n)
{
	size_t held = (size_t)(c->len % BLOCK);
	const uint8_t *at = p;

	if (n == 0)
		return;
	c->len += n;
	if (held) {
		size_t part = MIN(n, BLOCK - held);

		memcpy(c->block + held, at, part);
		at += part;
		n -= part;
		if (held + part < BLOCK)
			return;
		add_blocks(c, c->block, BLOCK);
	}
	add_blocks(c, at, n);
	memcpy(c->block, at + n - n % BLOCK, n % BLOCK);
}

/* What the bytes of the last, incomplete block do. */
static uint64_t add_rest(uint64_t h, const uint8_t *p, size_t n)
{
	uint32_t half;

	for (; n >= 8; p += 8, n -= 8)
		h = rol(h ^ step(0, le64_at(p)), 27) * prime[0] + prime[3];
	if (n >= sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		h = rol(h ^ le32toh(half) * prime[0], 23) * prime[1] + prime[2];
		p += sizeof(half);
		n -= sizeof(half);
	}
	for (; n; p++, n--)
		h = rol(h ^ *p * prime[4], 11) * prime[0];
	return h;
}

uint64_t checksum_value(const struct checksum *c)
{
	uint64_t h = prime[4];

	if (c->len >= BLOCK) {
		h = rol(c->lane[0], 1) + rol(c->lane[1], 7) + rol(c->lane[2], 12) +
		    rol(c->lane[3], 18);
		for (size_t i = 0; i < LANES; i++)
			h = (h ^ step(0, c->lane[i])) * prime[0] + prime[3];
	}
	h = add_rest(h + c->len, c->block, (size_t)(c->len % BLOCK));
	h = (h ^ h >> 33) * prime[1];
	h = (h ^ h >> 29) * prime[2];
	return h ^ h >> 32;
}
