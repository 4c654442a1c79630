/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs (virtio 1.2, 5.11): FUSE requests of the guest to a process of msb-fs, its replies back
 * (proto/fslink.h).
 *
 * No message is looked into. A request goes from guest memory into the socket and a reply from the
 * socket into the place that the guest set out for it, one copy each. Replies come in the order of
 * their requests, so what is needed to know about a request on its way is its chain. A few are on
 * their way at a time; the others wait in the queue.
 */
#pragma once

#include "proto/fslink.h"
#include "vmm/virtio/device.h"

enum { VIRTIO_FS_TAG = 36, VIRTIO_FS_FLIGHTS = 16, VIRTIO_FS_QUEUE_SIZE = 128 };

/* A request whose reply is to come. */
struct virtio_fs_flight {
	struct virtq_chain chain;
	struct iovec iov[VIRTIO_FS_QUEUE_SIZE];
	unsigned int queue;
	bool forgotten; /* the driver was reset: there is no place for the reply any more */
};

struct virtio_fs {
	struct virtio_dev dev;
	int fd; /* not owned; SOCK_SEQPACKET */
	struct virtio_fs_space {
		char tag[VIRTIO_FS_TAG];
		uint32_t num_request_queues;
	} space;

	/* Under dev.lock. */
	struct virtio_fs_flight flights[VIRTIO_FS_FLIGHTS]; /* a ring, the oldest at @first */
	unsigned int first;
	unsigned int n_flights;

	/* Loop thread. */
	struct loop_fd src;
	bool blocked; /* the socket is full: wait for EPOLLOUT */
	bool gone; /* msb-fs has ended: every request fails */
};

/** virtio_fs_init - @tag: at most VIRTIO_FS_TAG bytes count; 0 or a negative errno */
int virtio_fs_init(struct virtio_fs *f, const struct virtio_env *env, int fd, const char *tag)
	MSB_MUST_CHECK;

void virtio_fs_deinit(struct virtio_fs *f);
