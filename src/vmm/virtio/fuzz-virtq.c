/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues over arbitrary memory, against a second parser.
 *
 * The input is a header (size, features, where the rings are) and a list of operations: memory
 * edits, and calls of the device side. Each virtq_pop() is predicted by walk_again(), which was
 * written from the rules rather than from the code and has no limits but a set of visited
 * descriptors.
 */
#include <linux/virtio_ring.h>

#include "base/base.h"

#include "vmm/virtio/queue.h"

enum { RAM = 64 << 10, HIGH_RAM = 1 << 30, CHAINS = 64 };
#define HIGH (UINT64_C(4) << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n;
};

static uint64_t take(struct input *in, unsigned int bytes)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < bytes && in->n > 0; i++, in->p++, in->n--)
		v |= (uint64_t)*in->p << (8 * i);
	return v;
}

static struct gmem mem;

static bool in_ram(uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem.n_regions; i++) {
		const struct gmem_region *r = &mem.regions[i];

		/* 128-bit sums cannot wrap. */
		if (len > 0 && gpa >= r->gpa &&
			(unsigned __int128)gpa + len <= (unsigned __int128)r->gpa + r->size)
			return true;
	}
	return false;
}

static struct vring_desc desc_at(uint64_t gpa)
{
	struct vring_desc d;

	if (gmem_read(&mem, gpa, &d, sizeof(d)) < 0)
		abort();
	return d;
}

struct expect {
	bool good;
	unsigned int n_out;
	unsigned int n_in;
	uint64_t bytes;
};

/* What the rules say about the chain at @head. */
static struct expect walk_again(const struct virtq *vq, uint16_t head)
{
	struct expect e = {.good = false};
	uint64_t table = vq->setup.desc;
	uint32_t entries = vq->size;
	bool seen[VIRTQ_SIZE_MAX] = {false};
	bool nested = false;

	for (;;) {
		struct vring_desc d;

		if (head >= entries || seen[head])
			return e;
		seen[head] = true;
		d = desc_at(table + UINT64_C(16) * head);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (nested || !vq->indirect || (d.flags & VRING_DESC_F_NEXT) ||
				d.len == 0 || d.len % 16 || d.len / 16 > vq->size ||
				!in_ram(d.addr, d.len))
				return e;
			nested = true;
			table = d.addr;
			entries = d.len / 16;
			memset(seen, 0, sizeof(seen));
			head = 0;
			continue;
		}
		if (!in_ram(d.addr, d.len))
			return e;
		if (d.flags & VRING_DESC_F_WRITE)
			e.n_in++;
		else if (e.n_in > 0)
			return e;
		else
			e.n_out++;
		e.bytes += d.len;
		if (e.n_in + e.n_out > vq->size || e.bytes > VIRTQ_BYTES_MAX)
			return e;
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			e.good = true;
			return e;
		}
		head = d.next;
	}
}

#define REQUIRE(x)                                                              \
	do {                                                                    \
		if (!(x)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                \
		}                                                               \
	} while (0)

/* Every byte of the chain can be read and written, and the lengths add up. */
static void use_chain(const struct virtq_chain *c)
{
	uint64_t out = 0;
	uint64_t in = 0;
	uint8_t b[64] = {0};

	for (unsigned int i = 0; i < c->n_out + c->n_in; i++) {
		volatile uint8_t *p = c->iov[i].iov_base;
		size_t n = c->iov[i].iov_len;

		(void)p[0];
		(void)p[n - 1];
		*(i < c->n_out ? &out : &in) += n;
	}
	REQUIRE(out == c->out_len && in == c->in_len);
	REQUIRE(chain_read(c, 0, b, MIN(out, sizeof(b))));
	REQUIRE(chain_write(c, in - MIN(in, sizeof(b)), b, MIN(in, sizeof(b))));
	REQUIRE(!chain_read(c, out, b, 1) && !chain_write(c, in, b, 1));
}

static void check_pop(struct virtq *vq, struct virtq_chain *ret, struct iovec *iov, size_t max)
{
	struct expect e = {.good = false};
	bool live = vq->live;
	bool work = virtq_has_work(vq);
	uint16_t distance = (uint16_t)(vq->avail_seen - vq->next_avail);
	uint16_t head;
	int r;

	if (live && work) {
		if (gmem_read(&mem, vq->setup.avail + 4 + 2 * (vq->next_avail % vq->size), &head,
			    2) < 0)
			abort();
		e = walk_again(vq, head);
		if (distance > vq->size || vq->in_flight == vq->size)
			e.good = false;
	}
	r = virtq_pop(vq, iov, max, ret);
	if (!live || !work) {
		REQUIRE(r == VIRTQ_EMPTY);
	} else if (!e.good) {
		/* Room that runs out before the mistake hides it, for now. */
		REQUIRE(r == -EPROTO ? vq->broken : r == VIRTQ_NO_SPACE && max < vq->size);
	} else if (e.n_in + e.n_out > max) {
		REQUIRE(r == VIRTQ_NO_SPACE);
	} else {
		REQUIRE(r == 0 && ret->n_out == e.n_out && ret->n_in == e.n_in);
		REQUIRE((uint64_t)ret->out_len + ret->in_len == e.bytes && ret->head == head);
		use_chain(ret);
	}
	if (r != 0)
		ret->iov = NULL;
}

static void edit(struct input *in)
{
	uint64_t gpa = take(in, 2);
	uint8_t n = (uint8_t)(take(in, 1) % 33);
	uint8_t b[32] = {0};

	for (unsigned int i = 0; i < n; i++)
		b[i] = (uint8_t)take(in, 1);
	(void)!gmem_write(&mem, gpa, b, n);
}

/* A descriptor whose address and length are more often legal than random bytes are. */
static void edit_desc(struct input *in, const struct virtq *vq)
{
	uint64_t kind = take(in, 1);
	struct vring_desc d = {
		.addr = take(in, 2),
		.len = (uint32_t)take(in, 2),
		.flags = (uint16_t)(kind & 7),
		.next = (uint16_t)take(in, 1),
	};
	uint64_t at = vq->setup.desc;

	if (kind & 0x08)
		d.len = (d.len % 32) * 16;
	if (kind & 0x10)
		d.addr += HIGH;
	if (kind & 0x80)
		d.len <<= 14;
	if (kind & 0x20)
		d.addr = (uint64_t)0 - d.addr;
	if (kind & 0x40)
		at = take(in, 2); /* an indirect table, perhaps */
	(void)!gmem_write(&mem, at + take(in, 1) * 16, &d, sizeof(d));
}

static void operate(struct input *in, struct virtq *vq)
{
	static struct iovec iov[CHAINS][VIRTQ_SIZE_MAX];
	struct virtq_chain held[CHAINS];
	unsigned int n = 0;

	while (in->n > 0) {
		uint8_t op = (uint8_t)take(in, 1);

		switch (op & 7) {
		case 0:
			edit(in);
			break;
		case 1:
			edit_desc(in, vq);
			break;
		case 2: {
			/* The driver makes a head available. */
			uint16_t idx = 0;
			uint16_t head = (uint16_t)take(in, 1);

			(void)!gmem_read(&mem, vq->setup.avail + 2, &idx, 2);
			(void)!gmem_write(&mem,
				vq->setup.avail + 4 + 2 * (idx % MAX(vq->setup.size, 1)), &head, 2);
			idx++;
			(void)!gmem_write(&mem, vq->setup.avail + 2, &idx, 2);
			break;
		}
		case 3:
		case 4:
			if (n == CHAINS)
				break;
			check_pop(vq, &held[n], iov[n], op & 8 ? op >> 4 : VIRTQ_SIZE_MAX);
			n += held[n].iov != NULL;
			break;
		case 5:
			if (n == 0)
				break;
			virtq_push(vq, &held[0],
				(uint32_t)(take(in, 2) % ((uint64_t)held[0].in_len + 1)));
			n--;
			memmove(&held[0], &held[1], n * sizeof(held[0]));
			break;
		case 6:
			if (n == 0)
				break;
			virtq_unpop(vq);
			n--;
			break;
		default:
			(void)!virtq_publish(vq);
			if (op & 8)
				(void)!virtq_notify_on(vq);
			else
				virtq_notify_off(vq);
			break;
		}
		REQUIRE(vq->in_flight == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct virtq vq;
	uint8_t flags = (uint8_t)take(&in, 1);

	gmem_init(&mem);
	if (gmem_alloc(&mem, 0, RAM) < 0 || gmem_alloc(&mem, HIGH, HIGH_RAM) < 0)
		abort();
	virtq_init(&vq, &mem, VIRTQ_SIZE_MAX);
	vq.setup.size = flags & 4 ? (uint16_t)take(&in, 2) : (uint16_t)(1u << (flags >> 5));
	vq.setup.desc = flags & 8 ? take(&in, 8) : 0x1000;
	vq.setup.avail = flags & 8 ? take(&in, 8) : 0x3000;
	vq.setup.used = flags & 8 ? take(&in, 8) : 0x4000;
	if (virtq_enable(&vq, flags & 1, flags & 2) == 0) {
		REQUIRE(in_ram(vq.setup.desc, UINT64_C(16) * vq.size));
		REQUIRE(in_ram(vq.setup.avail, UINT64_C(2) * vq.size + 6));
		REQUIRE(in_ram(vq.setup.used, UINT64_C(8) * vq.size + 6));
		vq.live = true;
		operate(&in, &vq);
	}
	gmem_deinit(&mem);
	return 0;
}
