/* SPDX-License-Identifier: Apache-2.0 */
/* The main process of a sandbox: see workload.h. */
#include "sandbox/workload.h"

#include <sys/socket.h>

#include "base/io.h"

#include "sandbox/client-internal.h"

static void on_data(
	struct sandbox_stream *s, unsigned int channel, const void *p, size_t len, bool eof)
{
	/* It was logged on its way through the relay. */
	sandbox_stream_consumed(s, len);
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct workload *w = container_of(s, struct workload, stream);

	w->running = false;
	if (r->type == FRAME_EXITED)
		w->ended(w,
			r->exited.signal ? 128 + (int)(r->exited.signal & 0x7f)
					 : (int)(r->exited.code & 0xff),
			"");
	else if (r->type == FRAME_FAILED)
		w->ended(w, msb_kind_exit_code(r->err.kind), r->err.msg);
}

static const struct sandbox_stream_ops stream_ops = {.data = on_data, .done = on_done};

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct workload *w = arg;

	w->sb = sandbox_close(w->sb);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct workload *w = arg;

	w->sb = sandbox_close(w->sb);
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

int workload_start(struct workload *w, struct loop *loop, struct relay *relay,
	const char *const *argv, struct msb_err *err)
{
	struct msg_exec m = {.user = "", .cwd = ""};
	cleanup_fd int ours = -EBADF;
	cleanup_fd int theirs = -EBADF;
	int fds[2];
	int r = io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds);

	if (r < 0)
		return msb_err_errno(err, r, "main process");
	ours = fds[0];
	theirs = fds[1];
	r = relay_add_client(relay, theirs, false);
	if (r < 0)
		return msb_err_errno(err, r, "main process");
	(void)TAKE_FD(theirs);
	r = sandbox_new(loop, ours, &events, w, &w->sb);
	if (r < 0)
		return msb_err_errno(err, r, "main process");
	(void)TAKE_FD(ours);
	w->stream.ops = &stream_ops;
	r = sandbox_exec(w->sb, &w->stream, &m, argv, NULL);
	if (r < 0) {
		w->sb = sandbox_close(w->sb);
		return msb_err_errno(err, r, "main process");
	}
	w->running = true;
	return 0;
}

void workload_signal(struct workload *w, int signo)
{
	if (w->running)
		(void)sandbox_stream_signal(&w->stream, signo);
}

void workload_deinit(struct workload *w)
{
	w->sb = sandbox_close(w->sb);
}
