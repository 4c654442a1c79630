/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk over raw files or block devices (virtio 1.2, 5.2).
 *
 * A disk is one file, or pieces of several files one after the other (read-only): the layers of an
 * image become one disk without being copied.
 *
 * The format is raw, always: nothing the guest writes is ever interpreted. Requests run one after
 * the other on the loop thread, straight between the file and validated guest memory, a bounded
 * number per turn.
 */
#pragma once

#include <linux/virtio_blk.h>

#include "vmm/virtio/device.h"

struct blk_extent {
	int fd; /* not owned */
	uint64_t offset; /* in the file */
	uint64_t len; /* multiple of 512; 0 in a disk of one extent: up to the end of the file */
	uint64_t start; /* on the disk; set by virtio_blk_init() */
};

struct blk_host {
	struct blk_extent *extents; /* not owned, lives as long as the device */
	uint32_t n_extents; /* one, unless @read_only */
	bool read_only; /* decides alone, whatever was negotiated */
	bool unsafe; /* nobody needs the disk after the machine: flushes do nothing */
	char serial[VIRTIO_BLK_ID_BYTES + 1]; /* NUL-terminated, answer to GET_ID */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct blk_host host;
	struct virtio_blk_config space;
	uint64_t sectors; /* capacity in units of 512 bytes */
};

/** virtio_blk_init - 0 or a negative errno */
int virtio_blk_init(struct virtio_blk *b, const struct virtio_env *env, const struct blk_host *host)
	MSB_MUST_CHECK;

void virtio_blk_deinit(struct virtio_blk *b);
