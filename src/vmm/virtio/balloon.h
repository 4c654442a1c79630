/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon: gives guest memory back to the host (virtio 1.2, 5.5).
 *
 * Inflate and deflate on request of the host, and free page reporting, by which an idle guest
 * returns memory on its own. Every range is checked to be plain RAM before its pages are dropped.
 * Statistics, poison and free page hinting are not offered. Nor is deflating when the guest runs
 * out of memory: what was taken away stays away, and the guest's kernel counts it as not there.
 *
 * How much the guest gave is what went through the queues. It may lie: it can never have more than
 * the machine's memory, and what it really takes is what the host sees of this process.
 */
#pragma once

#include <linux/virtio_balloon.h>

#include "vmm/virtio/device.h"

struct virtio_balloon {
	struct virtio_dev dev;
	struct virtio_balloon_space {
		uint32_t num_pages; /* target, in units of 4 KiB */
		uint32_t actual; /* what the guest says it gave */
	} space;
	uint32_t total; /* pages of the guest */
	uint64_t discarded; /* bytes given back to the host so far, under dev.lock */

	/* Under dev.lock: pages the guest has given, and what on_given() last heard. */
	uint32_t given;
	uint32_t told;
	/*
	 * The target is reached, or nothing is given any more, or there was progress, or the target
	 * was set: loop thread, lock held. Set before the guest runs; may be NULL.
	 */
	void (*on_given)(struct virtio_balloon *b, uint32_t pages, void *arg);
	void *arg;
};

/** virtio_balloon_init - 0 or a negative errno */
int virtio_balloon_init(struct virtio_balloon *b, const struct virtio_env *env) MSB_MUST_CHECK;

void virtio_balloon_deinit(struct virtio_balloon *b);

/** virtio_balloon_set_target - ask the guest to give @pages of 4 KiB; loop thread */
void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages);
