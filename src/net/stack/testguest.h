/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of the link for tests and fuzzing: a guest that makes frames by hand, a clock that
 * stands still until told, and an owner that records what the stack asks it.
 */
#pragma once

#include "base/buf.h"

#include "net/stack/internal.h"

enum { GUEST_FRAMES = 256, GUEST_HANDLES = 64 };

struct guest_frame {
	uint8_t *data; /* behind the virtio header */
	size_t len;
	uint8_t vnet[VNET_LEN];
	bool v6;
	uint8_t proto; /* 0: not IP */
	const uint8_t *ip, *l4, *body;
	size_t l4_len, body_len;
};

struct guest {
	struct stack *stack;
	struct stack_config cfg;
	uint64_t now, armed;
	bool full; /* the link takes nothing */
	bool v6; /* what guest_tcp() and its like speak */
	bool whole; /* what it sends over IPv4 says that nobody may cut it up */
	bool partial; /* they leave checksums to the virtio header */
	struct guest_frame frames[GUEST_FRAMES];
	size_t n_frames, next;
	uint16_t sport, dport; /* of guest_tcp() and guest_udp() */
	/* What happened, for the last handle. */
	struct stack_tcp *tcp;
	struct stack_udp *udp;
	unsigned int wanted, connected, readable, writable, closed, udp_wanted, datagrams,
		udp_closed, udp_refused, echoes;
	enum stack_end why;
	bool keep; /* the owner of TCP leaves bytes where they are */
	bool refuse_udp;
	struct buf got; /* what the owner of TCP has read */
	uint8_t dgram[65536];
	size_t dgram_len;
	bool dgram_whole;
	struct stack_echo echo;
};

/* With STACK_TX_* of @offload; the tests fail when there is no memory. */
int guest_init(struct guest *g, unsigned int offload);
int guest_init_with(struct guest *g, const struct stack_config *cfg);
void guest_deinit(struct guest *g);

/* Any frame, with an empty virtio header. */
void guest_send(struct guest *g, const void *eth, size_t len);

/* An IP packet with a right header; the transport checksum is computed if @csum_at is not 0. */
void guest_ip(struct guest *g, uint8_t proto, const uint8_t *l4, size_t len, size_t csum_at);

void guest_tcp(struct guest *g, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
	const void *data, size_t len);
void guest_udp(struct guest *g, const void *data, size_t len);

/* The next frame the stack sent, NULL if there is none. */
const struct guest_frame *guest_next(struct guest *g);
/* Forget what was sent. */
void guest_drop(struct guest *g);
/* Let @ns pass, with every tick that falls due on the way. */
void guest_wait(struct guest *g, uint64_t ns);

extern const struct stack_tcp_ops guest_tcp_ops;
extern const struct stack_udp_ops guest_udp_ops;
