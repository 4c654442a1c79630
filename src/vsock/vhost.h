/* SPDX-License-Identifier: Apache-2.0 */
/* The device as QEMU has it: rings in the guest's memory, by vmm/virtio/vhost-user.h. */
#pragma once

#include "vmm/virtio/vhost-user.h"
#include "vsock/mux.h"

struct vsock_vhost {
	struct loop *loop;
	struct loop_fd src; /* QEMU */
	struct loop_fd kicks[VHOST_USER_QUEUES_MAX];
	struct loop_timer work; /* deferred */
	struct vsock_mux *mux;
	struct vhost_user user;
};

/** vsock_vhost_init - a device for QEMU at @fd, until QEMU closes it; then the loop is stopped */
int vsock_vhost_init(struct vsock_vhost *v, struct loop *loop, int fd, struct vsock_mux *mux)
	MSB_MUST_CHECK;
void vsock_vhost_deinit(struct vsock_vhost *v);

/** vsock_vhost_ready - the mux has something for the guest */
void vsock_vhost_ready(struct vsock_vhost *v);

/** vsock_vhost_run - what is in the queues; true when there may be more */
bool vsock_vhost_run(struct vsock_vhost *v);
