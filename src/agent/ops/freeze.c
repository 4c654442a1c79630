/* SPDX-License-Identifier: Apache-2.0 */
/* FREEZE: see freeze.h. */
#include "freeze.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/log.h"

enum { PHASE_WORKING, PHASE_FROZEN, PHASE_OVER };

struct freeze {
	struct stream s;
	struct agent *agent;
	pthread_t thread;
	const struct freezer *ops;
	int wake; /* owned; eventfd: the thread is to thaw */
	int told; /* owned; eventfd: the phase has changed */
	struct loop_fd src; /* of @told */
	uint32_t limit_ms;
	int interrupted; /* -errno of freeze_interrupt(), 0: none */
	bool announced; /* FROZEN was sent */
	bool cancelled; /* the client has what it wanted */
	bool joined;

	/* By the thread. */
	_Atomic int phase;
	int error; /* of the freeze */
	int end_error; /* of the thaw, or that nobody asked for it in time */
};

static void tell(int fd)
{
	const uint64_t one = 1;

	/* Fails only if the counter is at its end, and then the other side knows. */
	(void)!write(fd, &one, sizeof(one));
}

/* Waits until somebody wrote to @fd: 0, -ETIMEDOUT. Nothing that fails here may keep us waiting. */
static int wait_told(int fd, uint32_t limit_ms)
{
	uint64_t deadline = clock_mono_ns() + limit_ms * NSEC_PER_MSEC;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_mono_ns();
		int n;

		if (now >= deadline)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)((deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static void *freeze_thread(void *arg)
{
	struct freeze *z = arg;

	z->error = z->ops->freeze();
	if (z->error == 0) {
		int told;
		int thawed;

		atomic_store(&z->phase, PHASE_FROZEN);
		tell(z->told);
		told = wait_told(z->wake, z->limit_ms);
		thawed = z->ops->thaw();
		z->end_error = thawed < 0 ? thawed : told;
	}
	atomic_store(&z->phase, PHASE_OVER);
	tell(z->told);
	return NULL;
}

static void freeze_free(struct freeze *z)
{
	if (z->agent->freeze == z)
		z->agent->freeze = NULL;
	loop_fd_del(&z->src);
	fd_close(z->wake);
	fd_close(z->told);
	free(z);
}

static void freeze_join(struct freeze *z)
{
	if (!z->joined)
		(void)pthread_join(z->thread, NULL);
	z->joined = true;
}

/* The thread has ended: the terminal frame, if somebody still waits for it. */
static void freeze_over(struct freeze *z)
{
	struct agent *a = z->agent;
	uint32_t id = z->s.ch ? z->s.id : 0;
	int error = z->interrupted ? z->interrupted : z->end_error;
	int failed = z->error;
	int r;

	freeze_join(z);
	stream_close(&z->s);
	freeze_free(z);
	if (!id)
		return;
	if (failed < 0) {
		agent_refuse(a, id, STAGE_IO, failed, "hold the root file system");
		return;
	}
	r = msg_put_u32(&a->ch.out, FRAME_THAWED, id, (uint32_t)-error);
	if (r < 0)
		channel_break(&a->ch, r);
	else
		channel_kick(&a->ch);
}

static void freeze_told(struct loop_fd *src, uint32_t events)
{
	struct freeze *z = container_of(src, struct freeze, src);
	uint64_t n;
	int phase;
	int r;

	(void)events;
	if (read(z->told, &n, sizeof(n)) < 0)
		return;
	phase = atomic_load(&z->phase);
	if (phase >= PHASE_FROZEN && z->error == 0 && !z->announced && z->s.ch) {
		z->announced = true;
		r = frame_put(&z->s.ch->out, FRAME_FROZEN, 0, z->s.id, NULL, 0);
		if (r < 0) {
			channel_break(z->s.ch, r);
			return;
		}
		channel_kick(z->s.ch);
	}
	if (phase == PHASE_OVER)
		freeze_over(z);
}

static void freeze_frame(struct stream *s, const struct frame *f)
{
	struct freeze *z = container_of(s, struct freeze, s);

	if (f->type == FRAME_CANCEL) {
		z->cancelled = true;
		tell(z->wake);
	} else if (f->type == FRAME_DATA) {
		stream_passed(s, f->len);
	}
}

static void freeze_resume(struct stream *s)
{
	(void)s;
}

static void freeze_drop(struct stream *s)
{
	tell(container_of(s, struct freeze, s)->wake);
}

static const struct stream_ops freeze_stream_ops = {
	.frame = freeze_frame,
	.resume = freeze_resume,
	.drop = freeze_drop,
};

/* Opens what @z is made of; the caller frees it on failure. */
static int freeze_start(struct freeze *z, uint32_t stream)
{
	struct agent *a = z->agent;
	int r;

	z->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	z->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (z->wake < 0 || z->told < 0)
		return -errno;
	r = loop_fd_add(&a->loop, &z->src, z->told, EPOLLIN, freeze_told);
	if (r < 0)
		return r;
	r = stream_open(&z->s, &a->ch, stream, &freeze_stream_ops);
	if (r < 0)
		return r == -EEXIST ? -EPROTO : r;
	r = pthread_create(&z->thread, NULL, freeze_thread, z);
	if (r != 0) {
		stream_close(&z->s);
		return -r;
	}
	return 0;
}

int freeze_request(struct agent *a, const struct frame *f)
{
	struct freeze *z;
	uint32_t ms;
	int r;

	if (msg_get_u32(f, &ms) < 0 || ms > LIMIT_FREEZE_MS) {
		agent_refuse(a, f->stream, STAGE_REQUEST, -EBADMSG, "FREEZE");
		return 0;
	}
	if (!a->freezer || a->freeze) {
		agent_refuse(a, f->stream, STAGE_IO, a->freeze ? -EBUSY : -EOPNOTSUPP,
			"hold the root file system");
		return 0;
	}
	z = calloc(1, sizeof(*z));
	if (!z) {
		agent_refuse(a, f->stream, STAGE_IO, -ENOMEM, "hold the root file system");
		return 0;
	}
	z->agent = a;
	z->ops = a->freezer;
	z->wake = -EBADF;
	z->told = -EBADF;
	z->limit_ms = ms;
	r = freeze_start(z, f->stream);
	if (r < 0) {
		freeze_free(z);
		if (r == -EPROTO)
			return r;
		agent_refuse(a, f->stream, STAGE_IO, r, "hold the root file system");
		return 0;
	}
	a->freeze = z;
	return 0;
}

void freeze_interrupt(struct agent *a, int error)
{
	struct freeze *z = a->freeze;

	if (!z)
		return;
	if (!z->interrupted && !z->cancelled)
		z->interrupted = error;
	tell(z->wake);
}

void freeze_end(struct agent *a)
{
	struct freeze *z = a->freeze;

	if (!z)
		return;
	freeze_interrupt(a, -ESHUTDOWN);
	freeze_join(z);
	freeze_over(z);
}
