/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio transport, modern only (virtio 1.2, 4.2): registers of one device on the bus.
 *
 * Wiring by the machine: the window at bus.base, an ioeventfd on QueueNotify
 * (bus.base + VIRTIO_MMIO_QUEUE_NOTIFY, 4 bytes, no data match) to dev->kick_fd, an irqfd from
 * dev->irq_fd to an edge-triggered line. Without the ioeventfd it works too, with an exit per kick.
 */
#pragma once

#include <linux/virtio_mmio.h>

#include "base/base.h"

#include "vmm/bus.h"
#include "vmm/virtio/device.h"

enum { VIRTIO_MMIO_WINDOW = 0x1000 };

struct virtio_mmio {
	struct bus_dev bus;
	struct virtio_dev *dev;
	/* Selector registers, under dev->lock. */
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
};

/** virtio_mmio_init - window of VIRTIO_MMIO_WINDOW bytes at @gpa; the caller adds m->bus to a bus
 */
void virtio_mmio_init(struct virtio_mmio *m, struct virtio_dev *dev, uint64_t gpa);
