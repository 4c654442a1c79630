/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueue, device side: see queue.h.
 *
 * Memory order, with the names of virtio 1.2, 2.7.13. The driver writes descriptors and the avail
 * ring, then (release) the avail index: virtq_pop() reads the index with acquire. We write used
 * elements, then (release) the used index in virtq_publish(): the driver reads it with acquire.
 * Notifications in both directions are the store-load kind, so both sides need a full fence between
 * publishing an index and reading the other side's wish, and between stating a wish and looking at
 * the index once more.
 */
#include "vmm/virtio/queue.h"

#include <linux/virtio_ring.h>

/* Offsets in the rings. */
enum {
	RING_FLAGS = 0,
	RING_IDX = 2,
	RING_ENTRIES = 4,
	AVAIL_ENTRY = 2,
	USED_ENTRY = sizeof(struct vring_used_elem),
	DESC_SIZE = sizeof(struct vring_desc),
};

void virtq_init(struct virtq *vq, const struct gmem *mem, uint16_t size_max)
{
	assert(size_max > 0 && size_max <= VIRTQ_SIZE_MAX && (size_max & (size_max - 1)) == 0);
	*vq = (struct virtq){.mem = mem, .size_max = size_max};
}

void virtq_reset(struct virtq *vq)
{
	virtq_init(vq, vq->mem, vq->size_max);
}

static int map_ring(
	const struct virtq *vq, uint64_t gpa, uint64_t len, uint64_t align, struct gmem_slice *ret)
{
	if (gpa % align != 0)
		return -EINVAL;
	return gmem_slice(vq->mem, gpa, len, ret);
}

int virtq_enable(struct virtq *vq, bool event_idx, bool indirect)
{
	const struct virtq_setup *s = &vq->setup;
	struct gmem_slice desc;
	struct gmem_slice avail;
	struct gmem_slice used;
	int r;

	if (s->size == 0 || s->size > vq->size_max || (s->size & (s->size - 1)) != 0)
		return -EINVAL;
	r = map_ring(vq, s->desc, (uint64_t)s->size * DESC_SIZE, 16, &desc);
	if (r < 0)
		return r;
	/* Both rings end in the 16-bit event index, negotiated or not. */
	r = map_ring(vq, s->avail, RING_ENTRIES + (uint64_t)s->size * AVAIL_ENTRY + 2, 2, &avail);
	if (r < 0)
		return r;
	r = map_ring(vq, s->used, RING_ENTRIES + (uint64_t)s->size * USED_ENTRY + 2, 4, &used);
	if (r < 0)
		return r;
	*vq = (struct virtq){
		.mem = vq->mem,
		.size_max = vq->size_max,
		.setup = *s,
		.size = s->size,
		.desc = desc.p,
		.avail = avail.p,
		.used = used.p,
		.event_idx = event_idx,
		.indirect = indirect,
	};
	vq->setup.ready = true;
	return 0;
}

void virtq_disable(struct virtq *vq)
{
	vq->setup.ready = false;
	vq->live = false;
}

int virtq_break(struct virtq *vq, const char *why)
{
	vq->broken = true;
	vq->live = false;
	vq->fault = why;
	return -EPROTO;
}

/* Written by the driver, at the end of its own ring. */
static const void *used_event(const struct virtq *vq)
{
	return vq->avail + RING_ENTRIES + (size_t)vq->size * AVAIL_ENTRY;
}

static void *avail_event(const struct virtq *vq)
{
	return vq->used + RING_ENTRIES + (size_t)vq->size * USED_ENTRY;
}

/* A chain under construction. */
struct walk {
	struct virtq *vq;
	struct iovec *iov;
	size_t iov_max;
	size_t n;
	uint16_t n_in;
	uint64_t out_len;
	uint64_t in_len;
};

static int walk_buffer(struct walk *w, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	struct gmem_slice s;

	if (w->n == w->vq->size)
		return virtq_break(w->vq, "chain is longer than the queue");
	if (!in && w->n_in > 0)
		return virtq_break(w->vq, "readable descriptor after a writable one");
	if (gmem_slice(w->vq->mem, d->addr, d->len, &s) < 0)
		return virtq_break(w->vq, "descriptor is empty or not in RAM");
	if (w->n == w->iov_max)
		return VIRTQ_NO_SPACE;
	w->iov[w->n++] = (struct iovec){.iov_base = s.p, .iov_len = s.len};
	if (in) {
		w->n_in++;
		w->in_len += s.len;
	} else {
		w->out_len += s.len;
	}
	if (w->in_len + w->out_len > VIRTQ_BYTES_MAX)
		return virtq_break(w->vq, "chain carries too many bytes");
	return 0;
}

/*
 * Follow the descriptors from @head in a table of @n entries. Each step counts, so a loop ends at
 * @n steps. @d is the last descriptor read: when the result is 1 it refers to an indirect table.
 */
static int walk_table(
	struct walk *w, const uint8_t *table, uint32_t n, uint32_t head, struct vring_desc *d)
{
	for (uint32_t steps = 0; steps < n; steps++) {
		int r;

		if (head >= n)
			return virtq_break(w->vq, "descriptor index is outside the table");
		guest_copy_in(d, table + (size_t)head * DESC_SIZE, DESC_SIZE);
		if (d->flags & VRING_DESC_F_INDIRECT)
			return 1;
		r = walk_buffer(w, d);
		if (r != 0)
			return r < 0 ? r : -ENOSPC;
		if (!(d->flags & VRING_DESC_F_NEXT))
			return 0;
		head = d->next;
	}
	return virtq_break(w->vq, "descriptors form a loop");
}

static int walk_chain(struct walk *w, uint16_t head)
{
	struct virtq *vq = w->vq;
	struct gmem_slice table;
	struct vring_desc d;
	int r;

	r = walk_table(w, vq->desc, vq->size, head, &d);
	if (r <= 0)
		return r;
	if (!vq->indirect)
		return virtq_break(vq, "indirect descriptor was not negotiated");
	if (d.flags & VRING_DESC_F_NEXT)
		return virtq_break(vq, "indirect descriptor has a successor");
	if (d.len == 0 || d.len % DESC_SIZE != 0 || d.len / DESC_SIZE > vq->size)
		return virtq_break(vq, "indirect table has an illegal size");
	if (gmem_slice(vq->mem, d.addr, d.len, &table) < 0)
		return virtq_break(vq, "indirect table is not in RAM");
	r = walk_table(w, table.p, d.len / DESC_SIZE, 0, &d);
	if (r == 1)
		return virtq_break(vq, "indirect descriptor inside an indirect table");
	return r;
}

bool virtq_has_work(struct virtq *vq)
{
	if (!vq->live)
		return false;
	/* Acquire: pairs with the driver's release of the avail index. */
	vq->avail_seen =
		__atomic_load_n((const uint16_t *)(vq->avail + RING_IDX), __ATOMIC_ACQUIRE);
	return vq->avail_seen != vq->next_avail;
}

int virtq_pop(struct virtq *vq, struct iovec *iov, size_t iov_max, struct virtq_chain *ret)
{
	struct walk w = {.vq = vq, .iov = iov, .iov_max = iov_max};
	uint16_t head;
	int r;

	if (!vq->live || (vq->avail_seen == vq->next_avail && !virtq_has_work(vq)))
		return VIRTQ_EMPTY;
	if ((uint16_t)(vq->avail_seen - vq->next_avail) > vq->size)
		return virtq_break(vq, "avail index jumped");
	if (vq->in_flight == vq->size)
		return virtq_break(vq, "more chains than entries");
	head = guest_ld16(
		vq->avail + RING_ENTRIES + (size_t)(vq->next_avail & (vq->size - 1)) * AVAIL_ENTRY);
	r = walk_chain(&w, head);
	if (r < 0)
		return r == -ENOSPC ? VIRTQ_NO_SPACE : r;
	vq->next_avail++;
	vq->in_flight++;
	*ret = (struct virtq_chain){
		.head = head,
		.n_out = (uint16_t)(w.n - w.n_in),
		.n_in = w.n_in,
		.out_len = (uint32_t)w.out_len,
		.in_len = (uint32_t)w.in_len,
		.iov = iov,
	};
	return 0;
}

int virtq_next(struct virtq *vq, struct iovec *iov, size_t iov_max, struct virtq_chain *ret)
{
	int r = virtq_pop(vq, iov, iov_max, ret);

	if (r == VIRTQ_EMPTY && virtq_notify_on(vq))
		r = virtq_pop(vq, iov, iov_max, ret);
	return r;
}

void virtq_unpop(struct virtq *vq)
{
	assert(vq->in_flight > 0);
	vq->next_avail--;
	vq->in_flight--;
}

void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	uint8_t *e =
		vq->used + RING_ENTRIES + (size_t)(vq->next_used & (vq->size - 1)) * USED_ENTRY;

	assert(vq->in_flight > 0 && written <= chain->in_len);
	guest_st32(e + offsetof(struct vring_used_elem, id), chain->head);
	guest_st32(e + offsetof(struct vring_used_elem, len), written);
	vq->next_used++;
	vq->in_flight--;
}

bool virtq_publish(struct virtq *vq)
{
	uint16_t old = vq->signalled;
	uint16_t now = vq->next_used;
	bool valid = vq->signalled_valid;

	if (!vq->setup.ready || vq->published == now)
		return false;
	/* Release: pairs with the driver's acquire of the used index. */
	__atomic_store_n((uint16_t *)(vq->used + RING_IDX), now, __ATOMIC_RELEASE);
	vq->published = now;
	/* Pairs with the driver's fence between its used_event (or flags) and the used index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vq->signalled = now;
	vq->signalled_valid = true;
	if (!vq->event_idx)
		return !(guest_ld16(vq->avail + RING_FLAGS) & VRING_AVAIL_F_NO_INTERRUPT);
	return !valid || vring_need_event(guest_ld16(used_event(vq)), now, old);
}

void virtq_notify_off(struct virtq *vq)
{
	/* With event indices an index that is behind does the same without a write. */
	if (vq->live && !vq->event_idx)
		guest_st16(vq->used + RING_FLAGS, VRING_USED_F_NO_NOTIFY);
}

bool virtq_notify_on(struct virtq *vq)
{
	if (!vq->live)
		return false;
	if (vq->event_idx)
		guest_st16(avail_event(vq), vq->next_avail);
	else
		guest_st16(vq->used + RING_FLAGS, 0);
	/* Pairs with the driver's fence between its avail index and our avail_event (or flags). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_work(vq);
}

bool chain_read(const struct virtq_chain *c, size_t off, void *to, size_t len)
{
	uint8_t *out = to;

	if (off > c->out_len || len > c->out_len - off)
		return false;
	for (const struct iovec *v = c->iov; len > 0; v++) {
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = MIN(len, v->iov_len - off);
		guest_copy_in(out, (const uint8_t *)v->iov_base + off, n);
		out += n;
		len -= n;
		off = 0;
	}
	return true;
}

bool chain_write(const struct virtq_chain *c, size_t off, const void *from, size_t len)
{
	const uint8_t *in = from;

	if (off > c->in_len || len > c->in_len - off)
		return false;
	for (const struct iovec *v = c->iov + c->n_out; len > 0; v++) {
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = MIN(len, v->iov_len - off);
		memcpy((uint8_t *)v->iov_base + off, in, n);
		in += n;
		len -= n;
		off = 0;
	}
	return true;
}

size_t iov_window(struct iovec **iov, size_t n, size_t off, size_t len)
{
	struct iovec *v = *iov;
	size_t kept = 0;

	while (n > 0 && off >= v->iov_len) {
		off -= v->iov_len;
		v++;
		n--;
	}
	*iov = v;
	for (; kept < n && len > 0; kept++, off = 0) {
		v[kept].iov_base = (uint8_t *)v[kept].iov_base + off;
		v[kept].iov_len = MIN(v[kept].iov_len - off, len);
		len -= v[kept].iov_len;
	}
	return kept;
}
