/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every virtio device is made of: status machine, feature negotiation, queues, configuration
 * space, interrupts. Transports (mmio.h) call the virtio_dev_ functions of the first group, devices
 * those of the second.
 *
 * Threads. The loop thread owns the device: it runs the queues, and only it touches host
 * descriptors and loop sources. vCPU threads reach the status, the queue set-up and the
 * configuration space through the transport. dev->lock guards all of that; the loop thread holds it
 * whenever it works on queues. A reset therefore needs no handshake: it takes the lock, and when it
 * has it no queue is being processed and none will be, since processing starts with a look at the
 * status. What a vCPU can wait for is one bounded run of the device (the budget of ops->run). The
 * two registers of the fast path need no lock: a kick is an eventfd (normally an ioeventfd, so KVM
 * answers it), the interrupt status is an atomic.
 *
 * There is one kick eventfd per device, not per queue: half the system calls at start, one wake-up
 * when a driver kicks two queues, and looking at an idle queue is one load.
 *
 * Trust. The driver is hostile. Illegal register writes are ignored, as hardware would; an illegal
 * ring makes the device NEEDS_RESET.
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/base.h"
#include "base/loop.h"

#include "vmm/lock.h"
#include "vmm/mem.h"
#include "vmm/virtio/queue.h"

enum { VIRTIO_QUEUES_MAX = 8, VIRTIO_IRQ_VRING = 1, VIRTIO_IRQ_CONFIG = 2 };

/* What a device is built into. */
struct virtio_env {
	const struct gmem *mem;
	struct loop *loop;
};

/* Written by the loop thread (malformed and resets also by vCPU threads, under the lock). */
struct virtio_stats {
	uint64_t runs; /* times the loop looked at the queues */
	uint64_t irqs; /* interrupts sent */
	uint64_t requests; /* chains completed */
	uint64_t bytes_in; /* payload to the guest */
	uint64_t bytes_out; /* payload from the guest */
	uint64_t dropped; /* payload bytes thrown away because the host side did not take them */
	uint64_t failed; /* requests answered with an error */
	uint64_t malformed; /* rules the driver broke */
	uint64_t resets;
};

struct virtio_dev;

struct virtio_ops {
	uint32_t device_id;
	const char *name;
	uint64_t features; /* beyond the common ones */
	uint16_t n_queues;
	/* Powers of two. Drivers may fill a receive queue with pages at once: no larger than of
	 * use. */
	uint16_t queue_sizes[VIRTIO_QUEUES_MAX];

	/*
	 * Process the queues: loop thread, lock held, status DRIVER_OK. Does a bounded amount of
	 * work. Returns true when there is more to do right away.
	 */
	bool (*run)(struct virtio_dev *dev);
	/*
	 * Called after each run and also when the device is not running: adjust loop sources to the
	 * state. Loop thread, lock held. May be NULL.
	 */
	void (*watch)(struct virtio_dev *dev);
	/* Forget what was learnt from the driver: any thread, lock held, no host I/O. May be NULL.
	 */
	void (*reset)(struct virtio_dev *dev);
	/* The driver wrote to config space (checked: inside, 1, 2 or 4 bytes). Lock held. May be
	 * NULL. */
	void (*config_write)(struct virtio_dev *dev, uint32_t off, const void *data, uint32_t len);
};

/* First member of each device. */
struct virtio_dev {
	/* Fixed after init. */
	const struct virtio_ops *ops;
	const struct gmem *mem;
	struct loop *loop;
	uint64_t features; /* offered */
	int kick_fd; /* eventfd, owned: a write makes the loop run the device (KVM_IOEVENTFD) */
	int irq_fd; /* eventfd, owned: a write is an edge on the interrupt line (KVM_IRQFD) */
	void *config; /* configuration space, inside the device's struct */
	uint32_t config_len;

	struct vmm_lock lock;
	/* Under the lock. */
	uint64_t acked; /* features the driver took; final with FEATURES_OK */
	uint32_t config_gen;
	uint8_t status;
	struct virtq queues[VIRTIO_QUEUES_MAX];
	struct virtio_stats stats;

	uint32_t isr; /* atomic */

	/* Loop thread. */
	struct loop_fd kick_src;
	struct loop_timer again;
};

/* For transports: any thread. */

/** virtio_dev_status - current status byte */
uint8_t virtio_dev_status(const struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

/** virtio_dev_set_status - the driver writes the status register (0 resets) */
void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status) VMM_REQUIRES(dev->lock);

/** virtio_dev_ack_features - the driver writes 32 feature bits; @word 0 or 1, others are ignored */
void virtio_dev_ack_features(struct virtio_dev *dev, uint32_t word, uint32_t bits)
	VMM_REQUIRES(dev->lock);

/** virtio_dev_queue - queue @i, NULL when there is none */
struct virtq *virtio_dev_queue(struct virtio_dev *dev, uint32_t i) VMM_REQUIRES(dev->lock);

/** virtio_dev_queue_setup - like virtio_dev_queue(), and NULL while its set-up is not writable */
struct virtq_setup *virtio_dev_queue_setup(struct virtio_dev *dev, uint32_t i)
	VMM_REQUIRES(dev->lock);

/** virtio_dev_queue_ready - the driver writes 1 (check and freeze) or 0 (take back) */
void virtio_dev_queue_ready(struct virtio_dev *dev, uint32_t i, bool ready) VMM_REQUIRES(dev->lock);

/** virtio_dev_config_read - zeros outside the space; @len is 1, 2 or 4 */
void virtio_dev_config_read(struct virtio_dev *dev, uint32_t off, void *data, uint32_t len)
	VMM_REQUIRES(dev->lock);

void virtio_dev_config_write(struct virtio_dev *dev, uint32_t off, const void *data, uint32_t len)
	VMM_REQUIRES(dev->lock);

/** virtio_dev_kick - what an ioeventfd does when the guest writes QueueNotify; no lock */
void virtio_dev_kick(struct virtio_dev *dev);

/** virtio_dev_isr, virtio_dev_isr_ack - interrupt status register; no lock */
uint32_t virtio_dev_isr(const struct virtio_dev *dev);
void virtio_dev_isr_ack(struct virtio_dev *dev, uint32_t bits);

/* For devices. */

/**
 * virtio_dev_init - set up the common part and register with the loop
 * @config: configuration space, part of the device; may be NULL when @config_len is 0
 * @features: device features on top of ops->features
 *
 * Return: 0 or a negative errno, with nothing left behind.
 */
int virtio_dev_init(struct virtio_dev *dev, const struct virtio_ops *ops,
	const struct virtio_env *env, uint64_t features, void *config, uint32_t config_len)
	MSB_MUST_CHECK;

/** virtio_dev_deinit - loop thread, after the vCPUs have stopped */
void virtio_dev_deinit(struct virtio_dev *dev);

/** virtio_dev_run - process the queues now (from the device's own loop sources); loop thread */
void virtio_dev_run(struct virtio_dev *dev) VMM_EXCLUDES(dev->lock);

/** virtio_dev_flush - publish what was pushed to any queue, at most one interrupt; loop thread */
void virtio_dev_flush(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

/** virtio_dev_config_changed - new generation and a configuration interrupt */
void virtio_dev_config_changed(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

/** virtio_dev_malformed - count (and with debug logging, tell) a rule the driver broke */
void virtio_dev_malformed(struct virtio_dev *dev, const char *what) VMM_REQUIRES(dev->lock);

/** virtio_dev_stats - consistent copy of the counters; any thread */
void virtio_dev_stats(struct virtio_dev *dev, struct virtio_stats *ret) VMM_EXCLUDES(dev->lock);
