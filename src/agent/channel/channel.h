/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's end of the channel: frames over one file descriptor, streams, flow control.
 *
 * The descriptor is a virtio-console port in a guest and a socket in tests; it is non-blocking.
 * Incoming frames of a known stream go to the stream, all others to the owner.
 *
 * Outgoing frames are appended to `out` (msg_put_*(&ch->out, ...)) and leave with the next turn of
 * the loop. `out` has three levels. Up to OUT_DATA, sources of DATA may add to it; above, streams
 * wait in a line and are resumed in turn when it has drained. Up to OUT_READ, frames of the host
 * are processed; above, they wait in the port. The rest is room for the answers to what was already
 * read, so that an answer always fits: whoever does not read stops being served, and costs a
 * bounded amount of memory, all of it reserved at the start.
 *
 * The host may close its end and open it again (a supervisor that restarts): every stream ends, the
 * owner is told, and the channel waits for the next opening without polling; the new host gets
 * HELLO first, after the remains of what was under way to the old one. A host that breaks the
 * protocol is a bug of ours that cannot be repaired from here; the owner is told and decides.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/loop.h"

#include "proto/credit.h"
#include "proto/frame.h"
#include "proto/msg.h"

enum {
	OUT_DATA = 256 * 1024,
	OUT_READ = 512 * 1024,
	OUT_CHUNK = 32 * 1024, /* the kernel's limit for one write to a port */
	STREAM_BUCKETS = 256,
};

struct channel;
struct stream;

struct stream_ops {
	/* A frame for this stream: DATA (already charged), RESIZE, SIGNAL, CANCEL. May end it. */
	void (*frame)(struct stream *s, const struct frame *f);
	/* Credit or room in `out` has come back: go on sending. May end the stream. */
	void (*resume)(struct stream *s);
	/* The channel is gone: release everything, call nothing back. */
	void (*drop)(struct stream *s);
};

struct stream {
	struct channel *ch;
	const struct stream_ops *ops;
	uint32_t id;
	struct credit_tx tx;
	struct credit_rx rx;
	struct stream *next; /* in its bucket */
	bool waiting; /* in the line of those that wait for room */
	struct stream *wait_next;
	struct stream *wait_prev;
};

struct channel_owner {
	/* A frame that opens a stream, or one of the control stream. A failure breaks the channel.
	 * May call channel_flush(); nothing else that is called from the channel may. */
	int (*frame)(struct channel *ch, const struct frame *f);
	/* The host has closed its end, all streams are gone; or (@up) it has opened it again. */
	void (*state)(struct channel *ch, bool up);
	/* The host broke the protocol or the descriptor failed with @error; nothing more comes. */
	void (*broken)(struct channel *ch, int error);
};

struct channel {
	struct loop *loop;
	const struct channel_owner *owner;
	int fd; /* not owned */
	struct loop_fd src;
	struct loop_timer flush; /* armed while `out` has bytes and the port takes them */
	struct buf in;
	struct buf out;
	bool up;
	bool dead; /* broken: nothing is read or written any more */
	bool dispatching; /* a frame is being handled */
	struct stream *wait_head; /* waits longest */
	struct stream *wait_tail;
	struct stream *resuming; /* whose turn it is */
	bool stopped; /* frames of the host wait until channel_run() */
	uint32_t n_streams;
	struct stream *streams[STREAM_BUCKETS];
};

/** channel_init - @fd: non-blocking, not owned; nothing is left behind on failure */
int channel_init(struct channel *ch, struct loop *loop, int fd, const struct channel_owner *owner)
	MSB_MUST_CHECK;

/** channel_deinit - drops all streams */
void channel_deinit(struct channel *ch);

/** channel_kick - something was appended to `out`: send it in this turn of the loop */
void channel_kick(struct channel *ch);

/** channel_flush - send now what the port takes */
void channel_flush(struct channel *ch);

/** channel_flush_all - queue everything for the host, waiting for room; for the last frame */
void channel_flush_all(struct channel *ch);

/** channel_stop - leave further frames unprocessed, until channel_run() */
void channel_stop(struct channel *ch);
void channel_run(struct channel *ch);

/** channel_break - give up: tells the owner once */
void channel_break(struct channel *ch, int error);

/** channel_drop_streams - end every stream without a frame */
void channel_drop_streams(struct channel *ch);

/**
 * stream_open - register an embedded stream
 *
 * Return: 0; -EEXIST when @id is in use; -EMFILE when there are too many.
 */
int stream_open(struct stream *s, struct channel *ch, uint32_t id, const struct stream_ops *ops)
	MSB_MUST_CHECK;

/** stream_close - unregister; legal twice. The terminal frame is the caller's business */
void stream_close(struct stream *s);

/** stream_passed - @n bytes of received DATA were passed on: returns the credit */
void stream_passed(struct stream *s, size_t n);

/**
 * stream_room - bytes of DATA that may be sent now; 0: wait for ops->resume()
 *
 * Who finds others waiting for room stands in line, so that busy streams share it equally.
 */
size_t stream_room(struct stream *s);

/**
 * stream_send_fd - one read of @fd, at most @max bytes, into one DATA frame on @channel
 *
 * Return: bytes sent; 0 at end of file; -ENOBUFS: no room, ops->resume() will come; -EAGAIN or
 * another negative errno of read().
 */
ssize_t stream_send_fd(struct stream *s, int fd, uint8_t channel, size_t max) MSB_MUST_CHECK;

/** stream_send_eof - end of @channel */
void stream_send_eof(struct stream *s, uint8_t channel);
