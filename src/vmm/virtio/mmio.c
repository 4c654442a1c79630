/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio registers: see mmio.h. Runs on vCPU threads.
 *
 * Registers are 32 bits wide and accessed as such; other widths read zero and write nothing. The
 * configuration space behind them takes 8, 16 and 32-bit accesses. The three registers of the fast
 * path (QueueNotify, InterruptStatus, InterruptACK) do not take the lock, so an interrupt handler
 * never waits for a device that is busy.
 */
#include "vmm/virtio/mmio.h"

enum {
	MMIO_MAGIC = 0x74726976, /* "virt" */
	MMIO_VERSION = 2,
	MMIO_VENDOR = 0x0042534d, /* "MSB" */
};

static uint32_t read_features(const struct virtio_mmio *m)
{
	if (m->device_features_sel > 1)
		return 0;
	return (uint32_t)(m->dev->features >> (32 * m->device_features_sel));
}

static uint32_t read_register(struct virtio_mmio *m, uint64_t off) VMM_REQUIRES(m->dev->lock);

static uint32_t read_register(struct virtio_mmio *m, uint64_t off)
{
	const struct virtq *vq = virtio_dev_queue(m->dev, m->queue_sel);

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return m->dev->ops->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return read_features(m);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return vq ? vq->size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return vq && vq->setup.ready;
	case VIRTIO_MMIO_STATUS:
		return virtio_dev_status(m->dev);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* no such region */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return m->dev->config_gen;
	default:
		return 0;
	}
}

static void set_low(uint64_t *v, uint32_t bits)
{
	*v = (*v & ~(uint64_t)UINT32_MAX) | bits;
}

static void set_high(uint64_t *v, uint32_t bits)
{
	*v = (*v & UINT32_MAX) | (uint64_t)bits << 32;
}

static void write_queue_setup(struct virtio_mmio *m, uint64_t off, uint32_t v)
	VMM_REQUIRES(m->dev->lock);

static void write_queue_setup(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	struct virtq_setup *s = virtio_dev_queue_setup(m->dev, m->queue_sel);

	if (!s)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		s->size = v <= UINT16_MAX ? (uint16_t)v : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&s->desc, v);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&s->desc, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&s->avail, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&s->avail, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&s->used, v);
		break;
	default: /* VIRTIO_MMIO_QUEUE_USED_HIGH */
		set_high(&s->used, v);
		break;
	}
}

static void write_register(struct virtio_mmio *m, uint64_t off, uint32_t v)
	VMM_REQUIRES(m->dev->lock);

static void write_register(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_dev_ack_features(m->dev, m->driver_features_sel, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		virtio_dev_queue_ready(m->dev, m->queue_sel, v & 1);
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_dev_set_status(m->dev, (uint8_t)v);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		write_queue_setup(m, off, v);
		break;
	default:
		virtio_dev_malformed(m->dev, "write to a register that is not there");
		break;
	}
}

static void mmio_read(struct bus_dev *d, uint64_t off, void *data, uint32_t len)
{
	struct virtio_mmio *m = container_of(d, struct virtio_mmio, bus);
	uint32_t v = 0;

	memset(data, 0, len);
	if (off == VIRTIO_MMIO_INTERRUPT_STATUS && len == sizeof(v)) {
		v = virtio_dev_isr(m->dev);
		memcpy(data, &v, sizeof(v));
		return;
	}
	vmm_lock(&m->dev->lock);
	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_dev_config_read(m->dev, (uint32_t)(off - VIRTIO_MMIO_CONFIG), data, len);
	} else if (len == sizeof(v)) {
		v = read_register(m, off);
		memcpy(data, &v, sizeof(v));
	}
	vmm_unlock(&m->dev->lock);
}

static void mmio_write(struct bus_dev *d, uint64_t off, const void *data, uint32_t len)
{
	struct virtio_mmio *m = container_of(d, struct virtio_mmio, bus);
	uint32_t v = 0;

	if (len == sizeof(v))
		memcpy(&v, data, sizeof(v));
	if (off == VIRTIO_MMIO_QUEUE_NOTIFY && len == sizeof(v)) {
		virtio_dev_kick(m->dev);
		return;
	}
	if (off == VIRTIO_MMIO_INTERRUPT_ACK && len == sizeof(v)) {
		virtio_dev_isr_ack(m->dev, v);
		return;
	}
	vmm_lock(&m->dev->lock);
	if (off >= VIRTIO_MMIO_CONFIG)
		virtio_dev_config_write(m->dev, (uint32_t)(off - VIRTIO_MMIO_CONFIG), data, len);
	else if (len == sizeof(v))
		write_register(m, off, v);
	else
		virtio_dev_malformed(m->dev, "register access of the wrong width");
	vmm_unlock(&m->dev->lock);
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

void virtio_mmio_init(struct virtio_mmio *m, struct virtio_dev *dev, uint64_t gpa)
{
	*m = (struct virtio_mmio){
		.bus = {.base = gpa,
			.size = VIRTIO_MMIO_WINDOW,
			.ops = &mmio_ops,
			.name = dev->ops->name},
		.dev = dev,
	};
}
