/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk over a raw file or block device (virtio 1.2, 5.2).
 *
 * The format is raw, always: nothing the guest writes is ever interpreted. Requests run one after
 * the other on the loop thread, straight between the file and validated guest memory, a bounded
 * number per turn.
 */
#pragma once

#include <linux/virtio_blk.h>

#include "vmm/virtio/device.h"

struct blk_host {
	int fd; /* not owned */
	bool read_only; /* decides alone, whatever was negotiated */
	char serial[VIRTIO_BLK_ID_BYTES + 1]; /* NUL-terminated, answer to GET_ID */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct blk_host host;
	struct virtio_blk_config space;
	uint64_t sectors; /* capacity in units of 512 bytes */
};

/** virtio_blk_init - size is taken from @host->fd; 0 or a negative errno */
int virtio_blk_init(struct virtio_blk *b, const struct virtio_env *env, const struct blk_host *host)
	MSB_MUST_CHECK;

void virtio_blk_deinit(struct virtio_blk *b);
