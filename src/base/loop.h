/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of every process: file descriptors, timers, deferred calls. One thread per loop.
 *
 * Sources are embedded in their owner, level-triggered, and never own their file descriptor.
 * Removing any source (and freeing its owner) inside any callback is legal: a removed source is not
 * called again, even when its event was already fetched. A callback does a bounded amount of work
 * and returns; being level-triggered it is called again for the rest, so no peer can starve the
 * others. Signals come in through a signalfd and children through a pidfd, both ordinary fd
 * sources.
 */
#pragma once

#include <sys/epoll.h>

#include "base/base.h"

struct loop;

enum { LOOP_BATCH = 32 };

struct loop_fd {
	struct loop *loop; /* NULL when not registered */
	int fd;
	uint32_t events;
	void (*fn)(struct loop_fd *src, uint32_t events);
};

struct loop_timer {
	struct loop *loop; /* NULL when not armed */
	uint64_t deadline_ns;
	void (*fn)(struct loop_timer *t);
	struct loop_timer *next;
};

struct loop {
	int epoll_fd;
	bool stopped;
	int result;
	struct loop_timer *timers; /* sorted by deadline */
	struct epoll_event *batch; /* events being dispatched */
	int batch_len;
};

/** loop_init - 0 or a negative errno */
int loop_init(struct loop *l) MSB_MUST_CHECK;

/** loop_deinit - sources must have been removed or be about to vanish with the loop */
void loop_deinit(struct loop *l);

/** loop_run - dispatch until loop_stop(); its @result, or a negative errno if waiting itself
 * failed; may be called again */
int loop_run(struct loop *l) MSB_MUST_CHECK;

/** loop_once - wait at most until @deadline_ns (0: do not wait) and dispatch one batch */
int loop_once(struct loop *l, uint64_t deadline_ns) MSB_MUST_CHECK;

/** loop_stop - loop_run() returns @result after the current callback */
void loop_stop(struct loop *l, int result);

/**
 * loop_fd_add - watch @fd
 * @src: embedded source, zeroed or removed before
 * @fd: not owned, must outlive the source
 * @events: EPOLLIN, EPOLLOUT; EPOLLERR and EPOLLHUP are always reported
 */
int loop_fd_add(struct loop *l, struct loop_fd *src, int fd, uint32_t events,
	void (*fn)(struct loop_fd *src, uint32_t events)) MSB_MUST_CHECK;

/** loop_fd_set - change the watched events; no system call when they are the same */
int loop_fd_set(struct loop_fd *src, uint32_t events) MSB_MUST_CHECK;

/** loop_fd_del - stop watching; legal at any time, also twice. Call before closing the fd */
void loop_fd_del(struct loop_fd *src);

/** loop_timer_set - (re)arm @t to call @fn once at @deadline_ns of CLOCK_MONOTONIC */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns,
	void (*fn)(struct loop_timer *t));

/** loop_timer_del - disarm; legal at any time, also twice */
void loop_timer_del(struct loop_timer *t);

/** loop_defer - call @fn from the loop as soon as the current callback has returned */
static inline void loop_defer(struct loop *l, struct loop_timer *t, void (*fn)(struct loop_timer *))
{
	loop_timer_set(l, t, 0, fn);
}
