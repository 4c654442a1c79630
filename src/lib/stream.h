/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own stdin, stdout and stderr on the event loop, whatever they are.
 *
 * Inherited descriptors are shared with other processes, so their O_NONBLOCK flag is not ours to
 * change. Pipes and terminals are opened a second time through /proc/self/fd, which gives a
 * description of our own; sockets have non-blocking calls; where neither works, an operation of at
 * most PIPE_BUF bytes is done only when poll() said it would not block. Files do not block.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/loop.h"

enum stream_mode { STREAM_NONBLOCK, STREAM_SOCKET, STREAM_POLLED, STREAM_FILE };

/* Bytes towards stdout or stderr. */
struct outlet {
	struct loop *loop;
	struct loop_fd src;
	struct buf pending;
	int fd;
	bool own_fd;
	enum stream_mode mode;
	int error; /* negative errno once writing has failed: everything is dropped */
	/* @n bytes have left (or were dropped); may be called from inside outlet_write() */
	void (*passed)(struct outlet *o, size_t n);
	void (*failed)(struct outlet *o); /* once; see .error */
};

/** outlet_init - @fd stays the caller's; @max bounds what may be queued */
void outlet_init(struct outlet *o, struct loop *loop, int fd, size_t max);

/** outlet_write - pass on or queue; 0, or -ENOBUFS/-ENOMEM when the queue cannot take it */
int outlet_write(struct outlet *o, const void *p, size_t n) MSB_MUST_CHECK;

static inline bool outlet_empty(const struct outlet *o)
{
	return o->error || buf_len(&o->pending) == 0;
}

void outlet_deinit(struct outlet *o);

/* Bytes from stdin. The callbacks must not deinitialise it. */
struct inlet {
	struct loop *loop;
	struct loop_fd src;
	struct loop_timer again; /* files: the next read, from the loop */
	int fd;
	bool own_fd;
	enum stream_mode mode;
	bool running;
	bool ended;
	/* Takes up to @n bytes, returns how many; fewer than @n pauses until inlet_resume() */
	size_t (*data)(struct inlet *in, const void *p, size_t n);
	void (*eof)(struct inlet *in); /* end or failure of the input, once */
	struct buf held; /* read, not yet taken */
};

void inlet_init(struct inlet *in, struct loop *loop, int fd);

/** inlet_resume - start or go on reading; 0 or a negative errno */
int inlet_resume(struct inlet *in) MSB_MUST_CHECK;

void inlet_deinit(struct inlet *in);
