/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock (virtio 1.2, 5.10): packets between the guest and a process of msb-vsock
 * (proto/vsocklink.h).
 *
 * Connections, credit and sockets are that process's business. Here no packet is looked into, but
 * for the length of one for the guest: it is cut to the guest's buffers. One that the guest sends
 * goes from guest memory into the socket. Nothing of a driver's buffers is held outside a run.
 */
#pragma once

#include "proto/vsocklink.h"
#include "vmm/virtio/device.h"

enum { VIRTIO_VSOCK_QUEUE_SIZE = 128 };

struct virtio_vsock {
	struct virtio_dev dev;
	int fd; /* not owned; SOCK_SEQPACKET */
	struct virtio_vsock_space { /* as the guest reads it */
		uint64_t guest_cid;
	} space;

	/* Loop thread. */
	struct loop_fd src;
	bool blocked; /* the socket is full: wait for EPOLLOUT */
	bool gone; /* msb-vsock has ended: packets of the guest go nowhere */
	uint32_t len; /* payload in @packet */
	uint32_t done; /* of it, the guest has */
	bool held; /* there is a packet in @packet that waits for buffers of the guest */
	uint8_t packet[VSOCKLINK_HEADER + VSOCKLINK_TO_GUEST_MAX];
};

/** virtio_vsock_init - 0 or a negative errno */
int virtio_vsock_init(struct virtio_vsock *v, const struct virtio_env *env, int fd) MSB_MUST_CHECK;

void virtio_vsock_deinit(struct virtio_vsock *v);
