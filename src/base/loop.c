/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of every process: see loop.h. */
#include "base/loop.h"

int loop_init(struct loop *l)
{
	*l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_deinit(struct loop *l)
{
	l->epoll_fd = fd_close(l->epoll_fd);
	while (l->timers)
		loop_timer_del(l->timers);
}

int loop_fd_add(struct loop *l, struct loop_fd *src, int fd, uint32_t events,
	void (*fn)(struct loop_fd *src, uint32_t events))
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	assert(!src->loop);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*src = (struct loop_fd){.loop = l, .fd = fd, .events = events, .fn = fn};
	return 0;
}

int loop_fd_set(struct loop_fd *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};

	assert(src->loop);
	if (src->events == events)
		return 0;
	if (epoll_ctl(src->loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		return -errno;
	src->events = events;
	return 0;
}

void loop_fd_del(struct loop_fd *src)
{
	struct loop *l = src->loop;

	if (!l)
		return;
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	/* An event of this source may wait in the batch: the owner may be freed before its turn. */
	for (int i = 0; i < l->batch_len; i++) {
		if (l->batch[i].data.ptr == src)
			l->batch[i].data.ptr = NULL;
	}
	src->loop = NULL;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns,
	void (*fn)(struct loop_timer *t))
{
	struct loop_timer **at = &l->timers;

	loop_timer_del(t);
	while (*at && (*at)->deadline_ns <= deadline_ns)
		at = &(*at)->next;
	*t = (struct loop_timer){.loop = l, .deadline_ns = deadline_ns, .fn = fn, .next = *at};
	*at = t;
}

void loop_timer_del(struct loop_timer *t)
{
	struct loop_timer **at;

	if (!t->loop)
		return;
	at = &t->loop->timers;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->loop = NULL;
	t->next = NULL;
}

/* Timers armed by the callbacks run in the next round: a self-deferring source cannot starve the
 * rest. */
static void loop_run_timers(struct loop *l)
{
	uint64_t now = clock_mono_ns();
	unsigned int budget = 0;

	for (struct loop_timer *t = l->timers; t && t->deadline_ns <= now; t = t->next)
		budget++;
	while (budget-- && !l->stopped && l->timers && l->timers->deadline_ns <= now) {
		struct loop_timer *t = l->timers;

		loop_timer_del(t);
		t->fn(t);
	}
}

/* Milliseconds until @deadline_ns, rounded up so that a timer is never early and never spins. */
static int loop_wait_ms(uint64_t deadline_ns)
{
	uint64_t now;
	uint64_t ms;

	if (deadline_ns == UINT64_MAX)
		return -1;
	now = clock_mono_ns();
	if (deadline_ns <= now)
		return 0;
	ms = (deadline_ns - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int loop_once(struct loop *l, uint64_t deadline_ns)
{
	struct epoll_event batch[LOOP_BATCH];
	int n;

	if (l->timers)
		deadline_ns = MIN(deadline_ns, l->timers->deadline_ns);
	n = epoll_wait(l->epoll_fd, batch, LOOP_BATCH, loop_wait_ms(deadline_ns));
	if (n < 0 && errno != EINTR)
		return -errno;

	l->batch = batch;
	l->batch_len = n < 0 ? 0 : n;
	for (int i = 0; i < l->batch_len && !l->stopped; i++) {
		struct loop_fd *src = batch[i].data.ptr;

		if (src)
			src->fn(src, batch[i].events);
	}
	l->batch = NULL;
	l->batch_len = 0;
	if (!l->stopped)
		loop_run_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	while (!l->stopped) {
		int r = loop_once(l, UINT64_MAX);

		if (r < 0)
			return r;
	}
	/* It may be run again. */
	l->stopped = false;
	return l->result;
}

void loop_stop(struct loop *l, int result)
{
	l->stopped = true;
	l->result = result;
}
