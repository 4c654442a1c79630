/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs device for QEMU, over vhost-user: QEMU sends the guest's memory and the set-up of its
 * queues, and this process then works on the queues itself.
 *
 * QEMU runs the guest and may have been taken over by it: whatever it says is checked as if the
 * guest had said it. What it sends are descriptors of memory (mapped) and of events (read and
 * written). Single-threaded; everything is executed in the order in which it comes.
 */
#pragma once

#include "fs/server.h"
#include "vmm/mem.h"
#include "vmm/virtio/queue.h"

enum {
	VHOST_QUEUES = 2, /* forgets and the like; requests */
	VHOST_FDS = 8, /* of one message */
	VHOST_PAYLOAD_MAX = 8 + 8 * 32, /* a full table of memory regions */
};

struct vhost_head {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

struct vhost_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user; /* address in QEMU */
	uint8_t *map;
	size_t map_size;
};

struct vhost_queue {
	struct virtq vq;
	uint64_t desc; /* addresses in QEMU */
	uint64_t avail;
	uint64_t used;
	uint16_t base;
	int kick_fd; /* -1: none */
	int call_fd;
	bool enabled;
};

struct vhost {
	struct fs *fs;
	int fd; /* socket, borrowed */
	uint64_t features; /* that the driver took */
	uint64_t protocol;
	struct gmem mem;
	struct vhost_region regions[GMEM_REGIONS_MAX];
	unsigned int n_regions;
	struct vhost_queue queues[VHOST_QUEUES];
	uint64_t malformed; /* chains that cannot be a request */
	uint8_t head[FS_HEAD_MAX];
	uint8_t reply[FS_REPLY_MAX];
};

/** vhost_new - NULL without memory */
struct vhost *vhost_new(struct fs *fs, int fd) MSB_MUST_CHECK;
struct vhost *vhost_free(struct vhost *v);

/** vhost_run - until QEMU closes the socket: 0; or a negative errno */
int vhost_run(struct vhost *v) MSB_MUST_CHECK;

/**
 * vhost_message - one message of QEMU
 * @fds: @n_fds descriptors that came with it; those used are set to -1, the caller closes the rest
 * @ret_reply: payload of the reply, VHOST_PAYLOAD_MAX bytes; @ret_size: 0 when there is none
 *
 * Return: 0, or -EPROTO and the like: the device cannot be used.
 */
int vhost_message(struct vhost *v, const struct vhost_head *h, const uint8_t *payload, int *fds,
	unsigned int n_fds, uint8_t *ret_reply, uint32_t *ret_size) MSB_MUST_CHECK;

/** vhost_work - what is in queue @i; true when there may be more */
bool vhost_work(struct vhost *v, unsigned int i);

DEFINE_CLEANUP(struct vhost *, vhost_free);
