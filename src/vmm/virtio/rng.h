/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng: the host's getrandom() for the guest, rate limited (virtio 1.2, 5.4). */
#pragma once

#include "vmm/virtio/device.h"

struct virtio_rng {
	struct virtio_dev dev;
	/* Loop thread: token bucket in bytes. */
	uint64_t tokens;
	uint64_t refilled_ns;
	struct loop_timer refill;
};

/** virtio_rng_init - 0 or a negative errno */
int virtio_rng_init(struct virtio_rng *r, const struct virtio_env *env) MSB_MUST_CHECK;

void virtio_rng_deinit(struct virtio_rng *r);
