/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the guest from and to msb-vmm: see proto/vsocklink.h. */
#pragma once

#include "proto/vsocklink.h"
#include "vsock/mux.h"

struct vsock_link {
	struct loop *loop;
	struct loop_fd src;
	struct loop_timer work; /* deferred */
	struct vsock_mux *mux;
	bool full; /* the socket takes no more; what is in @out waits */
	size_t out_len;
	uint8_t out[VSOCKLINK_HEADER + VSOCKLINK_TO_GUEST_MAX];
	uint8_t in[VSOCKLINK_HEADER + VSOCKLINK_FROM_GUEST_MAX + 1];
};

/** vsock_link_init - packets of @fd for @mux, until msb-vmm closes it; then the loop is stopped */
int vsock_link_init(struct vsock_link *l, struct loop *loop, int fd, struct vsock_mux *mux)
	MSB_MUST_CHECK;
void vsock_link_deinit(struct vsock_link *l);

/** vsock_link_ready - the mux has something for the guest */
void vsock_link_ready(struct vsock_link *l);
