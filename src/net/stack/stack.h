/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's network as one object: frames in, frames out, connections and datagrams in the
 * middle.
 *
 * The stack makes no system call, has no global state, reads no clock of its own and runs on one
 * thread. Whoever owns it feeds it the frames of the guest (hostile input, any bytes), gives it the
 * time and room on the link, and answers its questions through the callbacks below. It terminates
 * TCP, UDP and echo for every address: the guest's peer is the stack, whatever destination it asked
 * for, and the owner decides what stands behind.
 *
 * A frame is `struct virtio_net_hdr_v1` (12 bytes, linux/virtio_net.h) followed by an Ethernet
 * frame. Both directions may carry TCP segments of up to 64 KiB with GSO and checksums left
 * partial, as the flags of the configuration say.
 *
 * Rules for owners:
 *  - Any function may be called from any callback, except stack_free() and stack_input() and
 * stack_tick().
 *  - A handle (struct stack_tcp, struct stack_udp) is valid until its `closed` callback returns or
 * until the owner calls abort on it (then `closed` is not called), whichever comes first. Nothing
 * is called for a handle after that.
 *  - Handlers are called for news, not for states: an owner that leaves bytes unread is not told of
 * them again, and one that found no space is told once when there is some.
 *  - Callbacks other than emit and arm come from within stack_input(), stack_tick() and
 *    stack_udp_open() only, never from a call on a handle.
 *  - No function blocks, and none fails because of what a guest sent.
 */
#pragma once

#include <sys/uio.h>

#include "net/addr.h"

struct stack;
struct stack_tcp;
struct stack_udp;

/* What the guest is told when something does not come about. */
enum stack_refusal {
	STACK_REFUSED, /* TCP: RST. UDP: ICMP port unreachable. Also what a denied TCP connection
			  gets */
	STACK_PROHIBITED, /* ICMP administratively prohibited */
	STACK_HOST_UNREACHABLE, /* ICMP host (IPv6: address) unreachable */
	STACK_NET_UNREACHABLE, /* ICMP network (IPv6: no route) unreachable */
	STACK_SILENT, /* nothing; the guest waits for its own timeout */
};

/* Why a connection is over. */
enum stack_end {
	STACK_END_DONE, /* both directions ended and everything was acknowledged */
	STACK_END_RESET, /* the guest reset it, or refused it when we connected */
	STACK_END_TIMEOUT, /* the guest stopped answering, or a handshake was never finished */
	STACK_END_IDLE, /* a datagram flow without datagrams for its idle time */
};

/* Per datagram flow. */
struct stack_udp_ops {
	/* One datagram of the guest; @data is valid during the call. */
	void (*datagram)(struct stack_udp *u, void *user, const void *data, size_t len);
	void (*closed)(struct stack_udp *u, void *user, enum stack_end why);
	/* Nobody in the guest takes what was sent (ICMP, IPv4 only). May be NULL. */
	void (*refused)(struct stack_udp *u, void *user);
};

/* An echo request of the guest to somebody other than the gateway, which answers by itself. */
struct stack_echo {
	struct net_addr guest;
	struct net_addr remote;
	uint16_t id;
	uint16_t seq;
	const void *data; /* valid during the call */
	size_t len;
};

struct stack_ops {
	/*
	 * Put one frame on the link. The iovecs are valid during the call.
	 * Return: 0, or -EAGAIN when the link has no room: the stack stops with TCP, whose segments
	 * it keeps, and goes on with stack_link_ready(); other frames are offered all the same and
	 * are lost. Any other result counts as sent and lost.
	 */
	int (*emit)(void *ctx, const struct iovec *iov, int n);
	/* CLOCK_MONOTONIC or what a test takes for it; never goes back. */
	uint64_t (*now)(void *ctx);
	/* Call stack_tick() at @deadline_ns (not earlier than now; replaces what was asked before).
	 */
	void (*arm)(void *ctx, uint64_t deadline_ns);
	/*
	 * The guest sent a SYN. Nothing was answered yet. Decide now or later with
	 * stack_tcp_accept() or stack_tcp_refuse(), exactly one of them; give the connection its
	 * handler first with stack_tcp_handle(). `closed` comes also before the decision, when the
	 * guest takes its SYN back.
	 */
	void (*tcp_wanted)(void *ctx, struct stack_tcp *c, const struct net_tuple *t);
	/*
	 * First datagram of a new flow. stack_udp_handle() takes it, and the datagram follows
	 * through the handler at once; stack_udp_refuse() ends it. Doing neither is the same as
	 * refusing it silently.
	 */
	void (*udp_wanted)(void *ctx, struct stack_udp *u, const struct net_tuple *t);
	/* Answer later with stack_echo_reply(), at once with stack_echo_refuse(), or never. May be
	 * NULL. */
	void (*echo)(void *ctx, const struct stack_echo *e);
};

enum {
	STACK_TX_CSUM = 1 << 0, /* the guest takes partial checksums (VIRTIO_NET_F_GUEST_CSUM) */
	STACK_TX_TSO4 =
		1 << 1, /* and 64 KiB segments (GUEST_TSO4, GUEST_TSO6); need STACK_TX_CSUM */
	STACK_TX_TSO6 = 1 << 2,
};

struct stack_config {
	uint8_t guest_mac[6]; /* frames from another one are dropped and counted */
	uint8_t gateway_mac[6];
	struct net_addr guest4, gateway4; /* family 0: no IPv4 on this link */
	struct net_addr guest6, gateway6; /* family 0: no IPv6 on this link */
	unsigned int offload; /* STACK_TX_* */
	uint16_t mtu; /* of the link, 1280..65520; 0: 1500 */
	uint32_t max_tcp; /* connections at a time, 0: 256. One more is answered with RST */
	uint32_t
		max_udp; /* datagram flows at a time, 0: 1024. The one idle for longest gives way */
	size_t max_bytes; /* buffers of all connections together, 0: 64 MiB */
	uint32_t udp_idle_ms; /* 0: 60 s */
	/* For a slow link, where what waits delays what comes behind it; 0: no such limits. */
	uint32_t max_window; /* offered to the guest by all TCP connections together, 16 KiB each at
			       least */
	uint32_t max_segment; /* bytes in a frame of TCP, one MSS at least */
	uint64_t seed; /* random: initial sequence numbers and hash tables */
};

/* Counters; they only grow, except the two gauges at the end. */
struct stack_stats {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t bad_frames; /* malformed, bad checksum, not for us */
	uint64_t spoofed; /* source address or MAC that is not the guest's */
	uint64_t fragments_refused; /* overlapping, too many, too late, TCP */
	uint64_t tcp_refused_limit; /* SYNs beyond max_tcp or the cap of half open ones */
	uint64_t tcp_out_of_order, tcp_out_of_window, tcp_bad_reset, tcp_retransmits;
	uint64_t budget_drops; /* data dropped unacknowledged because max_bytes was reached */
	uint64_t udp_evicted;
	uint64_t tcp_opened, udp_opened;
	uint32_t tcp_now, udp_now;
	size_t bytes_now;
};

/** stack_new - @ops and @ctx must outlive it; -EINVAL for a configuration that makes no sense, or
 * -ENOMEM */
int stack_new(const struct stack_config *cfg, const struct stack_ops *ops, void *ctx,
	struct stack **ret) MSB_MUST_CHECK;

/** stack_free - drops everything without a word to the guest and without `closed`; NULL is fine.
 * Returns NULL */
struct stack *stack_free(struct stack *s);

/** stack_input - one frame of the guest, of any content and length; copied where it must be kept */
void stack_input(struct stack *s, const void *frame, size_t len);

/**
 * stack_hold - several frames follow: what they give rise to goes out with stack_release()
 *
 * So a batch of segments is acknowledged once, and its sender woken once. Between the two is time
 * for stack_input() alone, and not much of it: the clock stands still.
 */
void stack_hold(struct stack *s);

/**
 * stack_release - the end of what stack_hold() has begun
 * @more: frames wait already and are the next thing to come; acknowledgements of little may wait
 * for them
 */
void stack_release(struct stack *s, bool more);

/** stack_link_ready - the link that answered -EAGAIN has room again */
void stack_link_ready(struct stack *s);

/** stack_tick - the armed deadline has come (coming early or late is harmless) */
void stack_tick(struct stack *s);

const struct stack_stats *stack_stats(const struct stack *s);

/** stack_set_offload - what the guest's driver has agreed to (STACK_TX_*); for frames from now on
 */
void stack_set_offload(struct stack *s, unsigned int offload);

/** stack_set_max_tcp - live change of the limit; existing connections stay */
void stack_set_max_tcp(struct stack *s, uint32_t max);

/* UDP */

void stack_udp_handle(struct stack_udp *u, const struct stack_udp_ops *ops, void *user);

/** stack_udp_refuse - tell the guest about its last datagram as @how says; ends the handle without
 * `closed` */
void stack_udp_refuse(struct stack_udp *u, enum stack_refusal how);

/** stack_udp_open - flow begun by @t->remote (a published port); NULL and errno like
 * stack_tcp_connect() */
struct stack_udp *stack_udp_open(struct stack *s, const struct net_tuple *t,
	const struct stack_udp_ops *ops, void *user) MSB_MUST_CHECK;

/** stack_udp_send - one datagram to the guest, from the address the guest knows; fragmented where
 * the MTU needs it */
void stack_udp_send(struct stack_udp *u, const void *data, size_t len);

/** stack_udp_too_big - the guest's last datagram exceeds @mtu of the path: ICMP says so */
void stack_udp_too_big(struct stack_udp *u, uint16_t mtu);

/** stack_udp_whole - may nobody cut up the datagram that is being handed over? Only inside the
 * `datagram` callback */
bool stack_udp_whole(const struct stack_udp *u);

/** stack_udp_close - forget the flow; ends the handle without `closed` */
void stack_udp_close(struct stack_udp *u);

const struct net_tuple *stack_udp_tuple(const struct stack_udp *u);

/* Echo */

/** stack_echo_reply - the reply of @e->remote to the guest */
void stack_echo_reply(struct stack *s, const struct stack_echo *e);

/** stack_echo_refuse - ICMP error about request @e; only inside the `echo` callback */
void stack_echo_refuse(struct stack *s, const struct stack_echo *e, enum stack_refusal how);
