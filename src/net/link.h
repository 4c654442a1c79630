/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire to the machine: packets of a socket, one frame each, with or without the header of
 * virtio-net in front (net/config.h). To the stack a frame always has one.
 *
 * The limits of a sandbox hold here, for everything that passes. Frames of the guest beyond them
 * are not read, so they wait in the socket and then in the guest. Towards the guest the stack is
 * told to wait with TCP, which slows down the peers; datagrams, which nobody could slow down, wait
 * in a queue of WIRE_QUEUE_BYTES, and are lost beyond.
 */
#pragma once

#include "base/loop.h"

#include "net/config.h"
#include "net/drops.h"
#include "net/limit.h"
#include "net/stack/stack.h"

enum { WIRE_QUEUE_BYTES = 256 * 1024 };

struct net_wire {
	struct loop *loop;
	struct loop_fd src;
	enum net_link link;
	struct stack *stack; /* set before the loop runs */
	struct net_drops *drops; /* looked at after frames of the guest, or NULL */
	bool alone; /* frames of the guest have come one at a time */
	unsigned int runs;
	bool blocked; /* the socket was full: stack_link_ready() when it is not */
	uint64_t lost; /* frames for the guest that nobody took */
	struct net_meter egress; /* from the guest */
	struct net_meter ingress;
	struct loop_timer egress_timer; /* armed: nothing is read until then */
	struct loop_timer ingress_timer; /* armed: nothing is sent until then */
	struct wire_frame *first, *last; /* datagrams that wait */
	size_t queued; /* bytes in them */
};

/** net_wire_init - watch @fd; the loop ends with 0 when the other end is closed */
int net_wire_init(struct net_wire *w, struct loop *loop, int fd, enum net_link link) MSB_MUST_CHECK;

/** net_wire_limit - from now on */
void net_wire_limit(struct net_wire *w, const struct net_limits *l);

/** net_wire_deinit - before the loop; @fd stays open */
void net_wire_deinit(struct net_wire *w);

/** net_wire_emit - stack_ops.emit */
int net_wire_emit(struct net_wire *w, const struct iovec *iov, int n) MSB_MUST_CHECK;
