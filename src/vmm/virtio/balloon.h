/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon: gives guest memory back to the host (virtio 1.2, 5.5).
 *
 * Inflate and deflate on request of the host, and free page reporting, by which an idle guest
 * returns memory on its own. Every range is checked to be plain RAM before its pages are dropped.
 * Statistics, poison and free page hinting are not offered.
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
	uint64_t discarded; /* bytes given back to the host so far, under dev.lock */
};

/** virtio_balloon_init - 0 or a negative errno */
int virtio_balloon_init(struct virtio_balloon *b, const struct virtio_env *env) MSB_MUST_CHECK;

void virtio_balloon_deinit(struct virtio_balloon *b);

/** virtio_balloon_set_target - ask the guest to give @pages of 4 KiB; any thread */
void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages);
