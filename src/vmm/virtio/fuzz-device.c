/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile driver made of input bytes: see fuzz-device.h. */
#include "fuzz-device.h"

static const uint16_t registers[] = {
	VIRTIO_MMIO_STATUS,
	VIRTIO_MMIO_QUEUE_SEL,
	VIRTIO_MMIO_QUEUE_NUM,
	VIRTIO_MMIO_QUEUE_READY,
	VIRTIO_MMIO_QUEUE_NOTIFY,
	VIRTIO_MMIO_QUEUE_DESC_LOW,
	VIRTIO_MMIO_QUEUE_DESC_HIGH,
	VIRTIO_MMIO_QUEUE_AVAIL_LOW,
	VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
	VIRTIO_MMIO_QUEUE_USED_LOW,
	VIRTIO_MMIO_QUEUE_USED_HIGH,
	VIRTIO_MMIO_DRIVER_FEATURES,
	VIRTIO_MMIO_DRIVER_FEATURES_SEL,
	VIRTIO_MMIO_DEVICE_FEATURES_SEL,
	VIRTIO_MMIO_INTERRUPT_ACK,
	VIRTIO_MMIO_CONFIG,
};

uint64_t fuzz_take(struct fuzz_input *in, unsigned int bytes)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < bytes && in->n > 0; i++, in->p++, in->n--)
		v |= (uint64_t)*in->p << (8 * i);
	return v;
}

void fuzz_device_init(struct fuzz_device *f)
{
	FUZZ_REQUIRE(drv_init(&f->d) == 0);
}

static void access_register(struct fuzz_device *f, struct fuzz_input *in)
{
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	uint64_t off = kind & 0x40 ? fuzz_take(in, 2) : registers[kind % ARRAY_SIZE(registers)];
	uint32_t len = kind & 0x20 ? (uint32_t)(fuzz_take(in, 1) % 9) : 4;
	uint64_t v = fuzz_take(in, kind & 0x10 ? 8 : 1);

	if (kind & 0x80)
		(void)bus_read(&f->d.bus, DRV_MMIO + off, &v, len);
	else
		(void)bus_write(&f->d.bus, DRV_MMIO + off, &v, len);
}

/* Rings and buffers lie at low addresses: two bytes reach all that matters. */
static void edit_memory(struct fuzz_device *f, struct fuzz_input *in)
{
	uint64_t gpa = fuzz_take(in, 2);
	uint8_t n = (uint8_t)(fuzz_take(in, 1) % 65);
	uint8_t b[64] = {0};

	for (unsigned int i = 0; i < n; i++)
		b[i] = (uint8_t)fuzz_take(in, 1);
	(void)!gmem_write(&f->d.mem, gpa, b, n);
}

static uint64_t some_address(struct fuzz_input *in, uint8_t kind)
{
	uint64_t gpa = fuzz_take(in, 2);

	if (kind & 1)
		gpa += DRV_HIGH;
	if (kind & 2)
		gpa += DRV_RAM - 0x8000;
	if ((kind & 0x0c) == 0x0c)
		gpa = (uint64_t)0 - gpa;
	return gpa;
}

static uint32_t some_length(struct fuzz_input *in, uint8_t kind)
{
	uint32_t len = (uint32_t)fuzz_take(in, 2);

	if (kind & 1)
		len = len % 64 + 1;
	else if (kind & 2)
		len = len % 16 * 512;
	else if (kind & 4)
		len <<= 16;
	return len;
}

static uint32_t some_queue(const struct fuzz_device *f, uint8_t kind)
{
	return kind % f->dev->ops->n_queues;
}

static void edit_desc(struct fuzz_device *f, struct fuzz_input *in)
{
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	uint32_t q = some_queue(f, kind >> 4);
	uint8_t where = (uint8_t)fuzz_take(in, 1);
	uint64_t gpa = some_address(in, where);
	uint32_t len = some_length(in, where >> 4);
	struct vring_desc desc = {.addr = gpa,
		.len = len,
		.flags = (uint16_t)(kind & 7),
		.next = (uint16_t)fuzz_take(in, 1)};
	uint64_t at = f->d.q[q].desc;

	if (kind & 8)
		at = fuzz_take(in, 2);
	(void)!gmem_write(&f->d.mem, at + fuzz_take(in, 1) % 32 * 16, &desc, sizeof(desc));
}

/* A chain that is well-formed, as far as the addresses are. */
static void submit(struct fuzz_device *f, struct fuzz_input *in)
{
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	uint32_t q = some_queue(f, kind >> 4);
	unsigned int n_out = kind & 3;
	unsigned int n = n_out + (kind >> 2 & 3);
	struct drv_buf bufs[6];

	if (n == 0 || !f->d.q[q].size)
		return;
	for (unsigned int i = 0; i < n; i++) {
		uint8_t where = (uint8_t)fuzz_take(in, 1);

		bufs[i].gpa = some_address(in, where);
		bufs[i].len = some_length(in, where >> 4);
		bufs[i].in = i >= n_out;
	}
	(void)drv_submit(&f->d, q, bufs, n);
}

static void post(struct fuzz_device *f, struct fuzz_input *in)
{
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	uint32_t q = some_queue(f, kind >> 4);

	if (!f->d.q[q].size)
		return;
	if (kind & 1)
		f->d.q[q].avail_idx = (uint16_t)fuzz_take(in, 2);
	drv_post(&f->d, q, (uint16_t)fuzz_take(in, 1));
}

static void start(struct fuzz_device *f, struct fuzz_input *in)
{
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	uint64_t features = kind & 1 ? UINT64_MAX : fuzz_take(in, 5);

	/* Addresses stay where two bytes reach them. */
	f->d.heap = GMEM_PAGE;
	drv_start(&f->d, features, (uint16_t)(1u << (kind >> 5)));
}

static void check_common(const struct fuzz_device *f)
{
	for (unsigned int i = 0; i < f->dev->ops->n_queues; i++) {
		const struct virtq *vq = &f->dev->queues[i];

		/* Little or nothing is held between runs, nothing unpublished is left behind. */
		FUZZ_REQUIRE(vq->in_flight <= f->held_max);
		FUZZ_REQUIRE(!vq->live || (vq->setup.ready && !vq->broken));
		FUZZ_REQUIRE(vq->size <= vq->size_max);
		FUZZ_REQUIRE(!vq->live || vq->published == vq->next_used);
	}
	FUZZ_REQUIRE(!(f->dev->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
		     !(f->dev->acked & ~f->dev->features));
}

static void act(struct fuzz_device *f, struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) & 7) {
	case 0:
		access_register(f, in);
		break;
	case 1:
		edit_memory(f, in);
		break;
	case 2:
		edit_desc(f, in);
		break;
	case 3:
		submit(f, in);
		break;
	case 4:
		post(f, in);
		break;
	case 5:
		drv_kick(&f->d, 0);
		break;
	case 6:
		if (f->host)
			f->host(f, in);
		drv_kick(&f->d, 0);
		break;
	default:
		start(f, in);
		break;
	}
}

void fuzz_device_run(struct fuzz_device *f, struct fuzz_input *in, bool started)
{
	drv_attach(&f->d, f->dev);
	if (started)
		start(f, in);
	while (in->n > 0) {
		act(f, in);
		check_common(f);
		if (f->check)
			f->check(f);
	}
	drv_kick(&f->d, 0);
	/* Nothing moved the memory since: a device that is still busy will be so forever. */
	drv_pump(&f->d);
	FUZZ_REQUIRE(!drv_busy(&f->d));
}
