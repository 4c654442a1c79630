/* SPDX-License-Identifier: Apache-2.0 */
/* Our own stdin, stdout and stderr on the event loop: see stream.h. */
#include "lib/stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"

enum { READ_CHUNK = 32 * 1024 };

/* A description of our own for @fd, or how to do without one. */
static enum stream_mode open_own(int fd, int access_mode, int *ret_fd)
{
	char path[32];
	struct stat st;
	int own;

	*ret_fd = fd;
	if (fstat(fd, &st) < 0)
		return STREAM_POLLED;
	if (S_ISSOCK(st.st_mode))
		return STREAM_SOCKET;
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return STREAM_FILE;
	if (S_ISCHR(st.st_mode) && !isatty(fd))
		return STREAM_POLLED;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, access_mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return STREAM_POLLED;
	*ret_fd = own;
	return STREAM_NONBLOCK;
}

static void outlet_fail(struct outlet *o, int r)
{
	size_t n = buf_len(&o->pending);

	o->error = r;
	loop_fd_del(&o->src);
	buf_deinit(&o->pending);
	if (n)
		o->passed(o, n);
	o->failed(o);
}

/* Return: bytes written, or a negative errno; -EAGAIN to wait. */
static ssize_t outlet_put(struct outlet *o, const void *p, size_t n)
{
	ssize_t put;

	do {
		switch (o->mode) {
		case STREAM_SOCKET:
			put = send(o->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case STREAM_POLLED:
			put = write(o->fd, p, MIN(n, (size_t)PIPE_BUF));
			break;
		case STREAM_NONBLOCK:
		case STREAM_FILE:
			put = write(o->fd, p, n);
			break;
		}
	} while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static void outlet_ready(struct loop_fd *src, uint32_t events)
{
	struct outlet *o = container_of(src, struct outlet, src);
	ssize_t put = outlet_put(o, buf_data(&o->pending), buf_len(&o->pending));

	if (put == -EAGAIN)
		return;
	if (put < 0) {
		outlet_fail(o, (int)put);
		return;
	}
	buf_consume(&o->pending, (size_t)put);
	if (buf_len(&o->pending) == 0)
		loop_fd_del(&o->src);
	o->passed(o, (size_t)put);
}

void outlet_init(struct outlet *o, struct loop *loop, int fd, size_t max)
{
	o->loop = loop;
	o->error = 0;
	o->src = (struct loop_fd){.fd = -EBADF};
	o->mode = open_own(fd, O_WRONLY, &o->fd);
	o->own_fd = o->fd != fd;
	buf_init(&o->pending, max);
}

/* Devices that cannot be polled, such as /dev/null, do not block either. */
static int outlet_wait(struct outlet *o)
{
	int r;

	if (o->src.loop)
		return 0;
	r = loop_fd_add(o->loop, &o->src, o->fd, EPOLLOUT, outlet_ready);
	if (r != -EPERM)
		return r;
	o->mode = STREAM_FILE;
	return 1;
}

int outlet_write(struct outlet *o, const void *p, size_t n)
{
	const uint8_t *at = p;
	int r;

	/* A polled description must not be written before poll() has said so. */
	if (o->mode == STREAM_POLLED && !o->error && n) {
		r = outlet_wait(o);
		if (r < 0)
			return r;
	}
	while (n && !o->error && buf_len(&o->pending) == 0 && o->mode != STREAM_POLLED) {
		ssize_t put = outlet_put(o, at, n);

		if (put == -EAGAIN)
			break;
		if (put < 0) {
			outlet_fail(o, (int)put);
			break;
		}
		at += put;
		n -= (size_t)put;
		o->passed(o, (size_t)put);
	}
	if (n == 0)
		return 0;
	if (o->error) {
		o->passed(o, n);
		return 0;
	}
	r = buf_append(&o->pending, at, n);
	if (r < 0)
		return r;
	r = outlet_wait(o);
	return MIN(r, 0);
}

void outlet_deinit(struct outlet *o)
{
	loop_fd_del(&o->src);
	if (o->own_fd)
		o->fd = fd_close(o->fd);
	buf_deinit(&o->pending);
}

static ssize_t inlet_get(struct inlet *in, void *p, size_t n)
{
	ssize_t got;

	do {
		got = in->mode == STREAM_SOCKET ? recv(in->fd, p, n, MSG_DONTWAIT)
						: read(in->fd, p, n);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static void inlet_pause(struct inlet *in)
{
	in->running = false;
	loop_fd_del(&in->src);
	loop_timer_del(&in->again);
}

static void inlet_end(struct inlet *in)
{
	inlet_pause(in);
	in->ended = true;
	in->eof(in);
}

/* Hands over what is held; true when all was taken. */
static bool inlet_hand_over(struct inlet *in)
{
	size_t n = buf_len(&in->held);
	size_t took = n ? in->data(in, buf_data(&in->held), n) : 0;

	buf_consume(&in->held, took);
	return took == n;
}

/* One read. */
static void inlet_read(struct inlet *in)
{
	uint8_t *to = buf_reserve(&in->held, READ_CHUNK);
	ssize_t got = to ? inlet_get(in, to, READ_CHUNK) : -ENOMEM;

	if (got == -EAGAIN)
		return;
	if (got <= 0) {
		inlet_end(in);
		return;
	}
	buf_commit(&in->held, (size_t)got);
	if (!inlet_hand_over(in))
		inlet_pause(in);
}

static void inlet_ready(struct loop_fd *src, uint32_t events)
{
	inlet_read(container_of(src, struct inlet, src));
}

/* Files are always readable: one chunk per turn of the loop. */
static void inlet_again(struct loop_timer *t)
{
	struct inlet *in = container_of(t, struct inlet, again);

	loop_defer(in->loop, &in->again, inlet_again);
	inlet_read(in);
}

void inlet_init(struct inlet *in, struct loop *loop, int fd)
{
	in->loop = loop;
	in->src = (struct loop_fd){.fd = -EBADF};
	in->again = (struct loop_timer){.loop = NULL};
	in->running = false;
	in->ended = false;
	in->mode = open_own(fd, O_RDONLY, &in->fd);
	in->own_fd = in->fd != fd;
	buf_init(&in->held, 2 * READ_CHUNK);
}

int inlet_resume(struct inlet *in)
{
	int r;

	if (in->ended || in->running)
		return 0;
	if (!inlet_hand_over(in))
		return 0;
	in->running = true;
	if (in->mode != STREAM_FILE) {
		r = loop_fd_add(in->loop, &in->src, in->fd, EPOLLIN, inlet_ready);
		if (r != -EPERM)
			return r;
		in->mode = STREAM_FILE;
	}
	loop_defer(in->loop, &in->again, inlet_again);
	return 0;
}

void inlet_deinit(struct inlet *in)
{
	loop_fd_del(&in->src);
	loop_timer_del(&in->again);
	if (in->own_fd)
		in->fd = fd_close(in->fd);
	buf_deinit(&in->held);
	in->ended = true;
}
