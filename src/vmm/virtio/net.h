/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net (virtio 1.2, 5.1): frames between the guest and a process of msb-net
 * (proto/netframe.h).
 *
 * No frame is looked into. One that the guest sends goes from guest memory into the socket with its
 * header, one for the guest from the socket into the buffers that the guest set out, one copy each
 * way. Checksums and segmentation are left to msb-net and to the guest's kernel. Nothing of a
 * driver's buffers is held outside a run.
 */
#pragma once

#include "proto/netframe.h"
#include "vmm/virtio/device.h"

enum { VIRTIO_NET_QUEUE_SIZE = 256, VIRTIO_NET_MAC = 6 };

struct virtio_net {
	struct virtio_dev dev;
	int fd; /* not owned; SOCK_SEQPACKET */
	struct virtio_net_space { /* as the guest reads it */
		uint8_t mac[VIRTIO_NET_MAC];
		uint16_t status;
	} space;

	/* Under dev.lock. */
	bool starved; /* a frame waits for buffers of the guest: no need to look at the socket */

	/* Loop thread. */
	struct loop_fd src;
	bool blocked; /* the socket is full: wait for EPOLLOUT */
	bool gone; /* msb-net has ended: the link is down, frames of the guest go nowhere */
};

/** virtio_net_init - 0 or a negative errno */
int virtio_net_init(struct virtio_net *n, const struct virtio_env *env, int fd,
	const uint8_t mac[VIRTIO_NET_MAC]) MSB_MUST_CHECK;

void virtio_net_deinit(struct virtio_net *n);
