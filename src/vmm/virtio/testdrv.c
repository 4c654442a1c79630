/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio driver for tests: see testdrv.h. */
#include "testdrv.h"

static const struct {
	uint32_t setup;
	uint32_t low;
	uint32_t high;
} ring_regs[] = {
	{0, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH},
	{1, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH},
	{2, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH},
};

int drv_init(struct drv *d)
{
	int r;

	*d = (struct drv){.heap = GMEM_PAGE};
	gmem_init(&d->mem);
	r = gmem_alloc(&d->mem, 0, DRV_RAM);
	if (r == 0)
		r = gmem_alloc(&d->mem, DRV_HIGH, DRV_RAM);
	if (r == 0)
		r = loop_init(&d->loop);
	if (r < 0)
		gmem_deinit(&d->mem);
	d->env = (struct virtio_env){.mem = &d->mem, .loop = &d->loop};
	return r;
}

void drv_deinit(struct drv *d)
{
	loop_deinit(&d->loop);
	gmem_deinit(&d->mem);
}

void drv_attach(struct drv *d, struct virtio_dev *dev)
{
	int r;

	virtio_mmio_init(&d->mmio, dev, DRV_MMIO);
	r = bus_add(&d->bus, &d->mmio.bus);
	assert(r == 0);
}

uint32_t drv_read(const struct drv *d, uint64_t reg)
{
	uint32_t v = 0;

	(void)bus_read(&d->bus, DRV_MMIO + reg, &v, sizeof(v));
	return v;
}

void drv_write(const struct drv *d, uint64_t reg, uint32_t v)
{
	(void)bus_write(&d->bus, DRV_MMIO + reg, &v, sizeof(v));
}

uint32_t drv_status(const struct drv *d)
{
	return drv_read(d, VIRTIO_MMIO_STATUS);
}

void drv_features(struct drv *d, uint64_t wanted)
{
	uint64_t features = 0;

	drv_write(d, VIRTIO_MMIO_STATUS, 0);
	drv_write(d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	drv_write(d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t w = 0; w < 2; w++) {
		drv_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, w);
		features |= (uint64_t)drv_read(d, VIRTIO_MMIO_DEVICE_FEATURES) << (32 * w);
	}
	features &= wanted | UINT64_C(1) << VIRTIO_F_VERSION_1;
	for (uint32_t w = 0; w < 2; w++) {
		drv_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, w);
		drv_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * w)));
	}
	drv_write(d, VIRTIO_MMIO_STATUS, drv_status(d) | VIRTIO_CONFIG_S_FEATURES_OK);
}

void drv_queue_write(struct drv *d, uint32_t i, uint16_t size)
{
	struct drv_queue *q = &d->q[i];
	uint64_t at[3];

	*q = (struct drv_queue){.size = size};
	q->desc = at[0] = drv_alloc(d, size * 16u);
	q->avail = at[1] = drv_alloc(d, 6 + size * 2u);
	q->used = at[2] = drv_alloc(d, 6 + size * 8u);
	drv_write(d, VIRTIO_MMIO_QUEUE_SEL, i);
	drv_write(d, VIRTIO_MMIO_QUEUE_NUM, size);
	for (unsigned int r = 0; r < ARRAY_SIZE(ring_regs); r++) {
		drv_write(d, ring_regs[r].low, (uint32_t)at[r]);
		drv_write(d, ring_regs[r].high, (uint32_t)(at[r] >> 32));
	}
}

void drv_start(struct drv *d, uint64_t wanted, uint16_t size)
{
	drv_features(d, wanted);
	for (uint32_t i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		drv_write(d, VIRTIO_MMIO_QUEUE_SEL, i);
		if (drv_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX) == 0)
			break;
		drv_queue_write(d, i, MIN(size, (uint16_t)drv_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX)));
		drv_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	drv_write(d, VIRTIO_MMIO_STATUS, drv_status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
	drv_pump(d);
}

bool drv_busy(const struct drv *d)
{
	return d->loop.timers && d->loop.timers->deadline_ns == 0;
}

void drv_pump(struct drv *d)
{
	/* A loop that always has something to do is a bug of its own; leave it to the test to see.
	 */
	for (unsigned int i = 0; i < 64; i++) {
		uint64_t runs = d->mmio.dev->stats.runs;
		int r = loop_once(&d->loop, 0);

		if (r < 0 || (d->mmio.dev->stats.runs == runs && !drv_busy(d)))
			return;
	}
}

uint64_t drv_alloc(struct drv *d, uint32_t len)
{
	uint64_t gpa = d->heap;

	d->heap = (d->heap + len + 63) & ~UINT64_C(63);
	assert(d->heap <= DRV_RAM);
	memset(drv_ptr(d, gpa), 0, len);
	return gpa;
}

void *drv_ptr(const struct drv *d, uint64_t gpa)
{
	struct gmem_slice s;
	int r = gmem_slice(&d->mem, gpa, 1, &s);

	assert(r == 0);
	return s.p;
}

void drv_desc(struct drv *d, uint32_t q, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	uint16_t next)
{
	struct vring_desc *t = drv_ptr(d, d->q[q].desc);

	t[i] = (struct vring_desc){.addr = gpa, .len = len, .flags = flags, .next = next};
}

void drv_post(struct drv *d, uint32_t q, uint16_t head)
{
	struct drv_queue *dq = &d->q[q];
	uint16_t *avail = drv_ptr(d, dq->avail);

	avail[2 + (dq->avail_idx & (dq->size - 1))] = head;
	__atomic_store_n(&avail[1], ++dq->avail_idx, __ATOMIC_SEQ_CST);
}

uint16_t drv_submit(struct drv *d, uint32_t q, const struct drv_buf *bufs, unsigned int n)
{
	struct drv_queue *dq = &d->q[q];
	uint16_t mask = dq->size - 1;
	uint16_t head = dq->next_desc & mask;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t at = dq->next_desc++ & mask;
		uint16_t flags = bufs[i].in ? VRING_DESC_F_WRITE : 0;

		if (i + 1 < n)
			flags |= VRING_DESC_F_NEXT;
		drv_desc(d, q, at, bufs[i].gpa, bufs[i].len, flags, dq->next_desc & mask);
	}
	drv_post(d, q, head);
	return head;
}

void drv_kick(struct drv *d, uint32_t q)
{
	drv_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, q);
	drv_pump(d);
}

bool drv_used(struct drv *d, uint32_t q, uint32_t *id, uint32_t *len)
{
	struct drv_queue *dq = &d->q[q];
	const uint16_t *used = drv_ptr(d, dq->used);
	const struct vring_used_elem *e = drv_ptr(d, dq->used + 4);

	if (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == dq->used_seen)
		return false;
	e += dq->used_seen++ & (dq->size - 1);
	*id = e->id;
	*len = e->len;
	return true;
}

uint64_t drv_irqs(struct drv *d)
{
	uint64_t n = 0;

	if (read(d->mmio.dev->irq_fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		return 0;
	return n;
}
