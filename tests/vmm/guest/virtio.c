/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's virtio driver, for one device at a time and without interrupts. */
#include "guest.h"

struct device devices[DEVICES_MAX];
unsigned int n_devices;

static uint64_t scratch = SCRATCH;

static uint64_t hex(const char *s)
{
	uint64_t v = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v * 16 + (uint64_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v * 16 + (uint64_t)(*s - 'a') + 10;
		else
			return v;
	}
}

/* virtio_mmio.device=4K@0xd0000000:5 and so on. */
void devices_find(const char *cmdline)
{
	static const char word[] = "virtio_mmio.device=4K@0x";

	for (const char *s = cmdline; *s && n_devices < DEVICES_MAX; s++) {
		struct device *d = &devices[n_devices];

		if (strlen(s) < sizeof(word) || memcmp(s, word, sizeof(word) - 1) != 0)
			continue;
		d->base = hex(s + sizeof(word) - 1);
		d->id = dev_read(d, REG_DEVICE_ID);
		if (dev_read(d, REG_MAGIC) == 0x74726976)
			n_devices++;
	}
}

struct device *device_by_id(uint32_t id, unsigned int nth)
{
	for (unsigned int i = 0; i < n_devices; i++) {
		if (devices[i].id == id && nth-- == 0)
			return &devices[i];
	}
	return NULL;
}

uint32_t dev_read(const struct device *d, uint32_t reg)
{
	return mmio_read(d->base + reg, 4);
}

void dev_write(const struct device *d, uint32_t reg, uint32_t v)
{
	mmio_write(d->base + reg, v, 4);
}

void *scratch_alloc(uint32_t n)
{
	uint64_t at;

	n = (n + 63) & ~63u;
	if (scratch + n > SCRATCH_END)
		scratch = SCRATCH;
	at = scratch;
	scratch += n;
	return memset((void *)at, 0, n);
}

void dev_reset(struct device *d)
{
	dev_write(d, REG_STATUS, 0);
	d->n_queues = 0;
}

static void negotiate(const struct device *d)
{
	dev_write(d, REG_STATUS, ST_ACK);
	dev_write(d, REG_STATUS, ST_ACK | ST_DRIVER);
	for (uint32_t w = 0; w < 2; w++) {
		dev_write(d, REG_FEATURES_SEL, w);
		dev_write(d, REG_ACK_SEL, w);
		dev_write(d, REG_ACK, dev_read(d, REG_FEATURES));
	}
	dev_write(d, REG_STATUS, ST_ACK | ST_DRIVER | ST_FEATURES_OK);
}

static void set_address(const struct device *d, uint32_t reg, const volatile void *p)
{
	dev_write(d, reg, (uint32_t)(uint64_t)p);
	dev_write(d, reg + 4, (uint32_t)((uint64_t)p >> 32));
}

static bool add_queue(struct device *d, unsigned int i)
{
	struct queue *q = &d->q[i];
	uint32_t max;

	dev_write(d, REG_QUEUE_SEL, i);
	max = dev_read(d, REG_QUEUE_MAX);
	if (max == 0)
		return false;
	*q = (struct queue){
		.desc = scratch_alloc(QUEUE_SIZE * 16),
		.avail = scratch_alloc(6 + QUEUE_SIZE * 2),
		.used = scratch_alloc(6 + QUEUE_SIZE * 8),
	};
	q->size = (uint16_t)(max < QUEUE_SIZE ? max : QUEUE_SIZE);
	dev_write(d, REG_QUEUE_NUM, q->size);
	set_address(d, REG_DESC, q->desc);
	set_address(d, REG_AVAIL, q->avail);
	set_address(d, REG_USED, q->used);
	dev_write(d, REG_QUEUE_READY, 1);
	d->n_queues = i + 1;
	return true;
}

bool dev_start(struct device *d)
{
	dev_reset(d);
	negotiate(d);
	if (!(dev_read(d, REG_STATUS) & ST_FEATURES_OK))
		return false;
	for (unsigned int i = 0; i < QUEUES_MAX && add_queue(d, i); i++)
		;
	dev_write(d, REG_STATUS, ST_ACK | ST_DRIVER | ST_FEATURES_OK | ST_DRIVER_OK);
	return dev_read(d, REG_STATUS) == (ST_ACK | ST_DRIVER | ST_FEATURES_OK | ST_DRIVER_OK);
}

void dev_submit(
	struct device *d, unsigned int i, const struct buf *bufs, unsigned int n, bool quiet)
{
	struct queue *q = &d->q[i];
	unsigned int size = q->size;
	uint16_t head = (uint16_t)(q->next_desc % size);
	uint16_t idx = q->avail[1];

	for (unsigned int b = 0; b < n; b++) {
		volatile struct desc *e = &q->desc[q->next_desc++ % size];

		e->addr = (uint64_t)bufs[b].p;
		e->len = bufs[b].len;
		e->flags = (uint16_t)((bufs[b].in ? DESC_WRITE : 0) | (b + 1 < n ? DESC_NEXT : 0));
		e->next = (uint16_t)(q->next_desc % size);
	}
	q->avail[2 + idx % size] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->avail[1] = (uint16_t)(idx + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!quiet)
		dev_write(d, REG_NOTIFY, i);
}

int64_t dev_wait(struct device *d, unsigned int i)
{
	struct queue *q = &d->q[i];
	unsigned int size = q->size;

	/* Each look at the status is an exit: the host gets to run its side in between. */
	for (unsigned int spins = 0; spins < 200000; spins++) {
		uint16_t idx = q->used[1];

		if (idx != q->seen) {
			const volatile uint32_t *e =
				(const volatile uint32_t *)(q->used + 2) + q->seen % size * 2;

			q->seen++;
			return e[1];
		}
		__asm__ volatile("pause");
		if (spins % 16 == 15 && (dev_read(d, REG_STATUS) & ST_NEEDS_RESET))
			return -1;
	}
	return -1;
}

int64_t dev_do(struct device *d, unsigned int q, const struct buf *bufs, unsigned int n)
{
	dev_submit(d, q, bufs, n, false);
	return dev_wait(d, q);
}
