/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a virtual socket device (virtio 1.2, 5.10): packets of the guest become bytes
 * in Unix sockets, and the other way round.
 *
 * The guest is hostile. It may connect to the ports of the list and to nothing else; nobody
 * connects to the guest. A connection has a place in a table from its request until both sides have
 * forgotten it, at most VSOCK_STREAMS_MAX for each port, and holds at most VSOCK_BUFFER bytes,
 * which is what the guest was told that there is room for: who sends more is cut off. Of what the
 * guest says about its own room only differences count, modulo 2^32; a lie costs the liar alone,
 * because nothing is read from a socket before there is a buffer of the guest to put it into.
 *
 * Sockets are not opened here: a connection waits for whoever does that (dial.h). Resets for what
 * was never a connection wait in a short queue; when it is full no more packets are taken, so a
 * guest that does not read cannot fill anything.
 *
 * One thread, one loop. No knowledge of rings and processes: link.c and vhost.c bring packets.
 */
#pragma once

#include <linux/virtio_vsock.h>
#include <sys/uio.h>

#include "base/base.h"
#include "base/loop.h"

enum {
	VSOCK_CID_HOST = 2,
	VSOCK_CID_GUEST = 3,
	VSOCK_STREAMS_MAX = 256, /* of one port */
	VSOCK_BUFFER = 64 * 1024, /* that wait for the socket, of one connection */
	VSOCK_RESETS_MAX = 64,
	VSOCK_DIALS_MAX = 16, /* under way at once */
	VSOCK_DIAL_MS = 1900, /* for a service that is busy; the guest's kernel waits for 2 s */
};

struct vsock_mux_ops {
	/* vsock_mux_next() may have something, and had nothing before. Only sets something going.
	 */
	void (*ready)(void *ctx);
	/* Somebody connect the port of index @route; vsock_mux_dialled() follows, not at once. */
	void (*dial)(void *ctx, uint32_t route, uint32_t token);
};

struct vsock_stats {
	uint64_t malformed; /* packets that nobody can have meant */
	uint64_t opened;
	uint64_t refused;
};

struct vsock_mux;

/** vsock_credit - bytes that the other side has room for, when it says it has taken @fwd of @sent
 * and has room for @alloc at once; all modulo 2^32. Words that cannot be true are no room */
static inline uint32_t vsock_credit(uint32_t sent, uint32_t fwd, uint32_t alloc)
{
	uint32_t in_flight = sent - fwd;

	return in_flight < alloc ? alloc - in_flight : 0;
}

/** vsock_mux_new - for @n different @ports; NULL without memory */
struct vsock_mux *vsock_mux_new(struct loop *loop, const uint32_t *ports, uint32_t n,
	const struct vsock_mux_ops *ops, void *ctx) MSB_MUST_CHECK;
struct vsock_mux *vsock_mux_free(struct vsock_mux *m);

/**
 * vsock_mux_dialled - what came of ops->dial
 * @fd: connected and non-blocking, consumed; or a negative errno: -EAGAIN tries again for a while
 *
 * A token that is not awaited is ignored.
 */
void vsock_mux_dialled(struct vsock_mux *m, uint32_t token, int fd);

/** vsock_mux_accepts - is there room for what the next packet of the guest may lead to? */
bool vsock_mux_accepts(const struct vsock_mux *m);

/**
 * vsock_mux_take - a packet of the guest; only when vsock_mux_accepts()
 * @h: private copy
 * @data: @len bytes in @n pieces, may change under the reader's feet
 */
void vsock_mux_take(struct vsock_mux *m, const struct virtio_vsock_hdr *h, const struct iovec *data,
	size_t n, size_t len);

/**
 * vsock_mux_next - a packet for the guest
 * @room: where its payload goes, @n pieces
 *
 * Return: length of the payload, also in @ret; -EAGAIN when there is no packet.
 */
ssize_t vsock_mux_next(struct vsock_mux *m, struct virtio_vsock_hdr *ret, const struct iovec *room,
	size_t n) MSB_MUST_CHECK;

struct vsock_stats vsock_mux_stats(const struct vsock_mux *m);

/** vsock_mux_held - connections in the table, for tests */
uint32_t vsock_mux_held(const struct vsock_mux *m);

DEFINE_CLEANUP(struct vsock_mux *, vsock_mux_free);
