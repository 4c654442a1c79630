/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection to a supervisor: see client.h.
 *
 * Callbacks may close the handle. While any runs (busy > 0) closing only marks it; every path that
 * has called back looks at `closed` before it goes on, and the outermost one frees.
 */
#include "sandbox/client.h"

#include <sys/socket.h>

#include "base/io.h"

#include "proto/frame.h"
#include "sandbox/client-internal.h"

static void disconnect(struct sandbox *sb)
{
	loop_fd_del(&sb->src);
	sb->fd = fd_close(sb->fd);
	sb->given_fd = fd_close(sb->given_fd);
	buf_deinit(&sb->out);
}

static void client_destroy(struct sandbox *sb)
{
	disconnect(sb);
	while (sb->streams)
		stream_forget(sb->streams);
	buf_deinit(&sb->in);
	free(sb);
}

struct sandbox *sandbox_close(struct sandbox *sb)
{
	if (!sb)
		return NULL;
	sb->closed = true;
	if (!sb->busy)
		client_destroy(sb);
	return NULL;
}

pid_t sandbox_pid(const struct sandbox *sb)
{
	return sb->pid;
}

/* Every stream is told first. The handle may be marked closed by any of the callbacks. */
static void tell_streams(struct sandbox *sb, const struct msb_err *err)
{
	while (sb->streams && !sb->closed)
		stream_lost(sb, err);
}

static void client_failed(struct sandbox *sb, const struct msb_err *err, const char *console)
{
	if (sb->ended)
		return;
	sb->ended = true;
	disconnect(sb);
	tell_streams(sb, err);
	if (!sb->closed)
		sb->events->failed(sb, err, console, sb->arg);
}

static int on_sb_ready(struct sandbox *sb, const struct frame *f)
{
	struct msg_sb_ready m;
	int r = msg_get_sb_ready(f, &m);

	if (r == 0 && sb->events->ready)
		sb->events->ready(sb, &m, sb->arg);
	return r;
}

static int on_sb_failed(struct sandbox *sb, const struct frame *f)
{
	struct msg_sb_failed m;
	struct msb_err err;
	int r = msg_get_sb_failed(f, &m);
	enum msb_kind kind;

	if (r < 0)
		return r;
	kind = m.kind < MSB_KIND_COUNT ? (enum msb_kind)m.kind : MSB_FAIL;
	r = m.errno_ > 0 && m.errno_ < 4096 ? -(int)m.errno_ : -EIO;
	(void)msb_err_set(&err, r, kind, "%s", m.msg);
	(void)msb_err_hint(&err, r, "%s", m.hint);
	client_failed(sb, &err, m.console);
	return 0;
}

static int on_sb_stopped(struct sandbox *sb, const struct frame *f)
{
	struct msg_sb_stopped m;
	struct msb_err err;
	int r = msg_get_sb_stopped(f, &m);

	if (r < 0)
		return r;
	sb->ended = true;
	disconnect(sb);
	(void)msb_err_set(&err, -ECANCELED, MSB_FAIL, "%s",
		m.reason == STOP_MAX_DURATION ? "the sandbox reached its maximum duration"
		: m.reason == STOP_GUEST      ? "the guest powered off"
		: m.reason == STOP_IDLE	      ? "the sandbox was idle for too long"
		: m.reason == STOP_COMPLETED  ? "the main process of the sandbox ended"
					      : "the sandbox was stopped");
	tell_streams(sb, &err);
	if (!sb->closed)
		sb->events->stopped(sb, &m, sb->arg);
	return 0;
}

static int client_frame(struct sandbox *sb, const struct frame *f)
{
	switch (f->type) {
	case FRAME_SB_READY:
		return on_sb_ready(sb, f);
	case FRAME_SB_FAILED:
		return on_sb_failed(sb, f);
	case FRAME_SB_STOPPED:
		return on_sb_stopped(sb, f);
	default:
		return f->stream ? stream_frame(sb, f) : -EPROTO;
	}
}

static void client_frames(struct sandbox *sb)
{
	struct msb_err err;
	struct frame f;
	int r = 0;

	while (!sb->closed && !sb->ended) {
		r = frame_decode(&sb->in, &f);
		if (r == 0)
			r = client_frame(sb, &f);
		if (r < 0)
			break;
		buf_consume(&sb->in, FRAME_HEADER + f.len);
	}
	if (r < 0 && r != -EAGAIN && !sb->closed && !sb->ended) {
		(void)msb_err_errno(&err, r, "the sandbox sent what it must not");
		client_failed(sb, &err, "");
	}
}

static void client_write(struct sandbox *sb)
{
	struct msb_err err;
	int r;

	while (sb->fd >= 0 && buf_len(&sb->out)) {
		ssize_t n = sb->given_fd >= 0 ? io_send_fd(sb->fd, buf_data(&sb->out),
							buf_len(&sb->out), sb->given_fd)
					      : buf_send_fd(&sb->out, sb->fd);

		if (n > 0 && sb->given_fd >= 0) {
			buf_consume(&sb->out, (size_t)n);
			sb->given_fd = fd_close(sb->given_fd);
		}
		if (n == -EAGAIN)
			break;
		if (n < 0) {
			/* The reason, if there is one, is still to be read. */
			buf_deinit(&sb->out);
			break;
		}
	}
	if (sb->fd < 0)
		return;
	r = loop_fd_set(&sb->src, EPOLLIN | (buf_len(&sb->out) || sb->congested ? EPOLLOUT : 0));
	if (r < 0) {
		(void)msb_err_errno(&err, r, "connection to the sandbox");
		client_failed(sb, &err, "");
	}
}

void sandbox_flush(struct sandbox *sb)
{
	if (sb->busy || sb->fd < 0 || (sb->src.events & EPOLLOUT))
		return;
	sb->busy++;
	client_write(sb);
	sb->busy--;
	if (sb->closed && !sb->busy)
		client_destroy(sb);
}

static void client_lost(struct sandbox *sb, int r)
{
	struct msb_err err;

	if (r < 0 && r != -ECONNRESET)
		(void)msb_err_errno(&err, r, "connection to the sandbox");
	else
		(void)msb_err_set(&err, -ECONNRESET, MSB_FAIL,
			"the supervisor of the sandbox ended without a word");
	client_failed(sb, &err, "");
}

static void client_event(struct loop_fd *src, uint32_t events)
{
	struct sandbox *sb = container_of(src, struct sandbox, src);
	ssize_t n;

	sb->busy++;
	if (events & EPOLLOUT) {
		client_write(sb);
		if (!sb->ended && sb->congested && buf_len(&sb->out) < CLIENT_OUT_HIGH / 2) {
			sb->congested = false;
			stream_writable(sb);
		}
	}
	if (!sb->closed && !sb->ended && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		n = buf_read_fd(&sb->in, sb->fd, CLIENT_READ);
		if (n > 0)
			client_frames(sb);
		else if (n != -EAGAIN)
			client_lost(sb, (int)n);
	}
	/* What the callbacks wanted to say. */
	if (!sb->closed && !sb->ended)
		client_write(sb);
	sb->busy--;
	if (sb->closed && !sb->busy)
		client_destroy(sb);
}

int sandbox_new(struct loop *loop, int fd, const struct sandbox_events *events, void *arg,
	struct sandbox **ret)
{
	struct sandbox *sb = calloc(1, sizeof(*sb));
	int r;

	if (!sb)
		return -ENOMEM;
	sb->loop = loop;
	sb->events = events;
	sb->arg = arg;
	buf_init(&sb->in, FRAME_HEADER + LIMIT_FRAME_PAYLOAD + CLIENT_READ);
	buf_init(&sb->out, CLIENT_OUT_HIGH + (size_t)LIMIT_CTRL_BACKLOG);
	r = loop_fd_add(loop, &sb->src, fd, EPOLLIN, client_event);
	if (r < 0) {
		free(sb);
		return r;
	}
	sb->fd = fd;
	sb->given_fd = -EBADF;
	*ret = sb;
	return 0;
}

int sandbox_stop(struct sandbox *sb, uint32_t grace_ms)
{
	struct msg_shutdown m = {.grace_ms = grace_ms};
	int r;

	if (sb->ended)
		return -ENOTCONN;
	r = msg_put_shutdown(&sb->out, FRAME_SB_STOP, &m);
	if (r == 0)
		sandbox_flush(sb);
	return r;
}

int sandbox_touch(struct sandbox *sb)
{
	int r;

	if (sb->ended)
		return -ENOTCONN;
	r = frame_put(&sb->out, FRAME_SB_TOUCH, 0, 0, NULL, 0);
	if (r == 0)
		sandbox_flush(sb);
	return r;
}
