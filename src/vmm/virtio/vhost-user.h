/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of QEMU whose work another process does, over vhost-user: QEMU sends the guest's memory
 * and the set-up of its queues, and the process then works on the queues itself. Here is what all
 * such devices share; what is in the queues is the device's business.
 *
 * QEMU runs the guest and may have been taken over by it: whatever it says is checked as if the
 * guest had said it. What it sends are descriptors of memory (mapped) and of events (read and
 * written). Single-threaded; everything is executed in the order in which it comes.
 */
#pragma once

#include "vmm/mem.h"
#include "vmm/virtio/queue.h"

enum {
	VHOST_USER_QUEUES_MAX = 2,
	VHOST_USER_FDS = 8, /* of one message */
	VHOST_USER_PAYLOAD_MAX = 8 + 8 * 32, /* a full table of memory regions */
};

struct vhost_user_head {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user; /* address in QEMU */
	uint8_t *map;
	size_t map_size;
};

struct vhost_user_queue {
	struct virtq vq;
	uint64_t desc; /* addresses in QEMU */
	uint64_t avail;
	uint64_t used;
	uint16_t base;
	int kick_fd; /* negative: none */
	int call_fd;
	bool enabled;
};

struct vhost_user_ops {
	unsigned int n_queues;
	uint64_t features; /* of the device, beyond those of every queue */
	const void *config; /* configuration space that QEMU asks for */
	uint32_t config_len; /* 0: QEMU has its own; at most 128 */
};

struct vhost_user {
	const struct vhost_user_ops *ops;
	int fd; /* socket, borrowed */
	uint64_t features; /* that the driver took */
	uint64_t protocol;
	struct gmem mem;
	struct vhost_user_region regions[GMEM_REGIONS_MAX];
	unsigned int n_regions;
	struct vhost_user_queue queues[VHOST_USER_QUEUES_MAX];
};

void vhost_user_init(struct vhost_user *v, const struct vhost_user_ops *ops, int fd);
void vhost_user_deinit(struct vhost_user *v);

/**
 * vhost_user_message - one message of QEMU
 * @fds: @n_fds descriptors that came with it; those used are set to -1, the caller closes the rest
 * @ret_reply: payload of the reply, VHOST_USER_PAYLOAD_MAX bytes; @ret_size: 0 when there is none
 *
 * Memory and descriptors of queues may be gone afterwards.
 *
 * Return: 0, or -EPROTO and the like: the device cannot be used.
 */
int vhost_user_message(struct vhost_user *v, const struct vhost_user_head *h,
	const uint8_t *payload, int *fds, unsigned int n_fds, uint8_t *ret_reply,
	uint32_t *ret_size) MSB_MUST_CHECK;

/** vhost_user_socket - the socket is readable: take one message. 1; 0: QEMU has closed it; or a
 * negative errno */
int vhost_user_socket(struct vhost_user *v) MSB_MUST_CHECK;

/** vhost_user_running - is there anything to do with the queue? */
bool vhost_user_running(const struct vhost_user_queue *q);

/** vhost_user_take_kick - the queue's kick_fd is readable */
void vhost_user_take_kick(const struct vhost_user_queue *q);

/** vhost_user_publish - show the driver what was pushed, with an interrupt if it wants one; false
 * when the descriptor for that is of no use */
bool vhost_user_publish(struct vhost_user_queue *q);
