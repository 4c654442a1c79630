/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire to the machine: packets of a socket, one frame each, with or without the header of
 * virtio-net in front (net/config.h). To the stack a frame always has one.
 */
#pragma once

#include "base/loop.h"

#include "net/config.h"
#include "net/stack/stack.h"

struct net_wire {
	struct loop *loop;
	struct loop_fd src;
	enum net_link link;
	struct stack *stack; /* set before the loop runs */
	bool blocked; /* the socket was full: stack_link_ready() when it is not */
	uint64_t lost; /* frames for the guest that nobody took */
};

/** net_wire_init - watch @fd; the loop ends with 0 when the other end is closed */
int net_wire_init(struct net_wire *w, struct loop *loop, int fd, enum net_link link) MSB_MUST_CHECK;

/** net_wire_emit - stack_ops.emit */
int net_wire_emit(struct net_wire *w, const struct iovec *iov, int n) MSB_MUST_CHECK;
