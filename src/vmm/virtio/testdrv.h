/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for tests and fuzz targets: drives one device through the mmio registers and
 * rings in memory of the test, honestly or, at the lower levels, as dishonestly as the test likes.
 */
#pragma once

#include "base/base.h"

#include "vmm/bus.h"
#include "vmm/virtio/mmio.h"

enum {
	DRV_RAM = 4 << 20, /* bytes of each of the two RAM regions */
	DRV_MMIO = 0xd0000000,
	DRV_QUEUE_SIZE = 16,
	DRV_BUFS_MAX = 160,
};
#define DRV_HIGH (UINT64_C(4) << 30) /* address of the second region */

struct drv_queue {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t size;
	uint16_t next_desc;
	uint16_t avail_idx;
	uint16_t used_seen;
};

struct drv {
	struct gmem mem;
	struct loop loop;
	struct virtio_env env;
	struct bus bus;
	struct virtio_mmio mmio;
	struct drv_queue q[VIRTIO_QUEUES_MAX];
	uint64_t heap;
};

struct drv_buf {
	uint64_t gpa;
	uint32_t len;
	bool in; /* the device writes */
};

/** drv_init - memory and loop; the device under test is then made with d->env */
int drv_init(struct drv *d) MSB_MUST_CHECK;
void drv_deinit(struct drv *d);

/** drv_attach - put @dev on the bus */
void drv_attach(struct drv *d, struct virtio_dev *dev);

uint32_t drv_read(const struct drv *d, uint64_t reg);
void drv_write(const struct drv *d, uint64_t reg, uint32_t v);
uint32_t drv_status(const struct drv *d);

/** drv_features - negotiate @wanted & offered, and VERSION_1; status up to FEATURES_OK */
void drv_features(struct drv *d, uint64_t wanted);

/** drv_queue_write - place rings of @size entries in RAM and write the set-up of queue @i */
void drv_queue_write(struct drv *d, uint32_t i, uint16_t size);

/** drv_start - the whole initialisation with all queues the device has, DRIVER_OK included */
void drv_start(struct drv *d, uint64_t wanted, uint16_t size);

/** drv_pump - let the loop run until it has nothing to do */
void drv_pump(struct drv *d);

/** drv_busy - does the device want to run again right away? */
bool drv_busy(const struct drv *d);

/** drv_alloc - zeroed guest memory, never freed */
uint64_t drv_alloc(struct drv *d, uint32_t len);

/** drv_ptr - host view of test memory */
void *drv_ptr(const struct drv *d, uint64_t gpa);

/** drv_desc - write descriptor @i of queue @q */
void drv_desc(struct drv *d, uint32_t q, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
	uint16_t next);

/** drv_post - make @head available */
void drv_post(struct drv *d, uint32_t q, uint16_t head);

/** drv_submit - a well-formed chain of @n buffers; returns its head */
uint16_t drv_submit(struct drv *d, uint32_t q, const struct drv_buf *bufs, unsigned int n);

/** drv_kick - what the guest does after drv_post(), then drv_pump() */
void drv_kick(struct drv *d, uint32_t q);

/** drv_used - next used element; false when there is none */
bool drv_used(struct drv *d, uint32_t q, uint32_t *id, uint32_t *len);

/** drv_irqs - interrupts since the last call */
uint64_t drv_irqs(struct drv *d);
