/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the client library: client.c (connection), client-spawn.c and stream.c. */
#pragma once

#include "base/buf.h"

#include "sandbox/client.h"

enum { CLIENT_READ = LIMIT_FRAME_PAYLOAD, CLIENT_OUT_HIGH = 256 * 1024 };

struct sandbox {
	struct loop *loop;
	struct loop_fd src;
	int fd; /* owned; -1 when the connection is over */
	int given_fd; /* owned: goes with the next bytes; negative: none */
	struct buf in;
	struct buf out;
	const struct sandbox_events *events;
	void *arg;
	struct sandbox_stream *streams; /* most recently used first */
	uint32_t last_id;
	pid_t pid;
	unsigned int busy; /* callbacks run: do not free, do not flush */
	bool congested; /* a writer was turned away because the queue is full */
	bool closed; /* by the user; freed when no longer busy */
	bool ended; /* failed or stopped was called, or is about to be */
};

/* client.c */

/** sandbox_new - handle on the connection @fd, consumed on success */
int sandbox_new(struct loop *loop, int fd, const struct sandbox_events *events, void *arg,
	struct sandbox **ret) MSB_MUST_CHECK;

/* Writes what waits, unless callbacks run: then it is written after them. */
void sandbox_flush(struct sandbox *sb);

/* stream.c */

/** stream_frame - a frame of the guest for one stream; -EPROTO ends the connection */
int stream_frame(struct sandbox *sb, const struct frame *f) MSB_MUST_CHECK;

/** stream_lost - the connection is over: tell the first of the open streams */
void stream_lost(struct sandbox *sb, const struct msb_err *err);

/** stream_writable - the queue has room again: tell whoever waits */
void stream_writable(struct sandbox *sb);

/** stream_forget - take @s out of the list of its sandbox */
void stream_forget(struct sandbox_stream *s);
