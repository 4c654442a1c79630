/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmsb: commands in sandboxes.
 *
 * A process is one connection on a loop of its own, which runs only inside the functions that the
 * caller calls. What it is doing:
 *
 *	open	  the stream: output comes, input goes. It ends by itself, or is cancelled when the
 *		  caller gives up (its time is over, the caller wants the end, a callback failed);
 *		  the first reason to give up is the result. What the sandbox then says about the
 *		  end is waited for, for LEAVE_NS.
 *	ended	  the last output is on its way to the caller's descriptors; a sandbox that was
 *		  started for the command is being stopped
 *	over	  nothing will happen any more
 */
#include "base/str.h"

#include "engine/engine.h"
#include "lib/api-create.h"
#include "lib/api-process.h"

#define LEAVE_NS (10 * NSEC_PER_SEC)

enum { CHUNK = 32 * 1024, STOP_GRACE_MS = 2000 };

static bool flushed(const struct msb_process *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->c.fds[1 + i] >= 0 && !outlet_empty(&p->out[i]))
			return false;
	}
	return true;
}

static void stop_if_over(struct msb_process *p)
{
	if (p->open || p->owned)
		return;
	if (!p->end_ns)
		p->end_ns = clock_mono_ns();
	if (!p->left && !flushed(p))
		return;
	p->over = true;
	loop_stop(&p->loop, 0);
}

static void left_alone(struct loop_timer *t)
{
	struct msb_process *p = container_of(t, struct msb_process, limit);

	p->end = MSB_END_LEFT;
	p->open = false;
	p->owned = false;
	p->given_up = true;
	p->left = true;
	stop_if_over(p);
}

/* With the connection a sandbox of ours ends, too, but its disk wants a clean end. */
static void stop_sandbox(struct msb_process *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	loop_timer_set(&p->loop, &p->limit, clock_mono_ns() + LEAVE_NS, left_alone);
	(void)sandbox_stop(p->sb, p->grace_ms);
}

/* The stream has ended. */
static void ended(struct msb_process *p)
{
	p->open = false;
	p->exit_ns = clock_mono_ns();
	if (!p->stopping)
		loop_timer_del(&p->limit);
	if (p->c.fds[0] >= 0)
		inlet_deinit(&p->in);
	if (p->owned)
		stop_sandbox(p);
	stop_if_over(p);
}

/* The message is there already. */
void process_give_up(struct msb_process *p, enum msb_process_end why, int r)
{
	if (p->given_up)
		return;
	p->given_up = true;
	p->end = why;
	p->result = r;
	if (p->owned) {
		/* Before the guest is up nobody there hears of it. */
		if (!p->pid)
			p->grace_ms = 0;
		stop_sandbox(p);
	} else if (p->open) {
		loop_timer_set(&p->loop, &p->limit, clock_mono_ns() + LEAVE_NS, left_alone);
		(void)sandbox_stream_cancel(&p->stream);
	} else {
		p->left = true;
		stop_if_over(p);
	}
}

static void out_of_time(struct loop_timer *t)
{
	struct msb_process *p = container_of(t, struct msb_process, limit);

	process_give_up(p, MSB_END_TIMEOUT,
		msb_err_set(&p->err, -ETIMEDOUT, MSB_TIMEOUT,
			"the command was killed: it did not end within %.3g s",
			(double)p->c.timeout_ns / 1e9));
}

static void on_cancel(struct loop_fd *src, uint32_t events)
{
	struct msb_process *p = container_of(src, struct msb_process, cancel_src);

	if (!cancel_asked(p->cancel))
		return;
	if (!p->cancel->asked)
		loop_fd_del(src);
	if (p->given_up)
		left_alone(&p->limit);
	else
		process_give_up(p, MSB_END_CANCELED,
			msb_err_set(&p->err, -ECANCELED, MSB_FAIL, "interrupted"));
}

int process_watch_cancel(struct msb_process *p, struct msb_err *err)
{
	int r = 0;

	p->cancel = api_cancel_begin(&p->asking, p->m);
	if (p->cancel)
		r = loop_fd_add(&p->loop, &p->cancel_src, p->cancel->fd, EPOLLIN, on_cancel);
	return r < 0 ? msb_err_errno(err, r, "the cancel descriptor") : 0;
}

/* Output. */

static void passed(struct msb_process *p, size_t n)
{
	if (p->open)
		sandbox_stream_consumed(&p->stream, n);
	stop_if_over(p);
}

static void out_passed(struct outlet *o, size_t n)
{
	passed(container_of(o, struct msb_process, out[0]), n);
}

static void err_passed(struct outlet *o, size_t n)
{
	passed(container_of(o, struct msb_process, out[1]), n);
}

static void write_failed(struct msb_process *p, int r)
{
	process_give_up(p, MSB_END_OUTPUT,
		msb_err_errno(&p->err, r, "cannot pass on the command's output"));
}

static void out_failed(struct outlet *o)
{
	write_failed(container_of(o, struct msb_process, out[0]), o->error);
}

static void err_failed(struct outlet *o)
{
	if (!container_of(o, struct msb_process, out[1])->c.lose_stderr)
		write_failed(container_of(o, struct msb_process, out[1]), o->error);
}

static void on_data(
	struct sandbox_stream *s, unsigned int channel, const void *data, size_t len, bool eof)
{
	struct msb_process *p = container_of(s, struct msb_process, stream);
	int which = channel == 2 ? 1 : 0;
	int r = 0;

	/* Whatever becomes of them, the outlet says when they have passed. */
	if (p->c.fds[1 + which] >= 0) {
		r = outlet_write(&p->out[which], data, len);
		if (r < 0)
			write_failed(p, r);
		return;
	}
	if (p->c.output && len && !p->given_up)
		r = p->c.output(p->c.output_arg, which ? MSB_STDERR : MSB_STDOUT, data, len);
	sandbox_stream_consumed(s, len);
	if (r < 0)
		process_give_up(p, MSB_END_OUTPUT,
			msb_err_set(&p->err, r, msb_kind_from_errno(r),
				"the receiver of the output has failed"));
}

/* Input. */

/* Asks the caller; true: there is something to send. */
static bool refill(struct msb_process *p)
{
	uint8_t *to = buf_reserve(&p->chunk, CHUNK);
	ssize_t n = to ? p->c.input(p->c.input_arg, to, CHUNK) : -ENOMEM;

	/* msb_process_more() will come, or nobody asks any more. */
	if (n == -EAGAIN || p->detaching || p->given_up)
		return false;
	if (n < 0 || n > CHUNK) {
		int r = n < 0 ? (int)n : -EINVAL;

		process_give_up(p, MSB_END_INPUT,
			msb_err_set(&p->err, r, msb_kind_from_errno(r),
				"the source of the input has failed"));
		return false;
	}
	buf_commit(&p->chunk, (size_t)n);
	if (n == 0) {
		p->input_over = true;
		(void)sandbox_stream_write_eof(&p->stream);
	}
	return n > 0;
}

static void pump(struct msb_process *p)
{
	while (p->open && !p->given_up && !p->input_over && !p->detaching) {
		ssize_t n;

		if (buf_len(&p->chunk) == 0 && !refill(p))
			return;
		n = sandbox_stream_write(&p->stream, buf_data(&p->chunk), buf_len(&p->chunk));
		/* It ends, or does not read any more. */
		if (n < 0)
			p->input_over = true;
		if (n <= 0)
			return;
		buf_consume(&p->chunk, (size_t)n);
	}
}

static size_t in_data(struct inlet *in, const void *data, size_t n)
{
	struct msb_process *p = container_of(in, struct msb_process, in);
	ssize_t took = p->open ? sandbox_stream_write(&p->stream, data, n) : -EPIPE;

	return took < 0 ? n : (size_t)took;
}

static void in_eof(struct inlet *in)
{
	struct msb_process *p = container_of(in, struct msb_process, in);

	if (p->open)
		(void)sandbox_stream_write_eof(&p->stream);
}

void process_feed(struct msb_process *p)
{
	int r = 0;

	if (!p->pid || p->given_up || p->detaching)
		return;
	if (p->c.fds[0] >= 0)
		r = inlet_resume(&p->in);
	else if (p->c.input)
		pump(p);
	if (r < 0)
		process_give_up(p, MSB_END_INPUT,
			msb_err_errno(&p->err, r, "cannot read the command's input"));
}

static void on_writable(struct sandbox_stream *s)
{
	process_feed(container_of(s, struct msb_process, stream));
}

static void on_started(struct sandbox_stream *s, uint32_t pid)
{
	struct msb_process *p = container_of(s, struct msb_process, stream);

	p->pid = MAX(pid, 1U);
	p->exec_ns = clock_mono_ns();
	if (p->given_up) {
		(void)sandbox_stream_cancel(s);
		return;
	}
	if (p->c.detach) {
		(void)msb_process_detach(p);
		return;
	}
	if (p->c.timeout_ns)
		loop_timer_set(&p->loop, &p->limit, clock_mono_ns() + p->c.timeout_ns, out_of_time);
	process_feed(p);
}

/* The end. */

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct msb_process *p = container_of(s, struct msb_process, stream);

	/* The connection ended: `failed` or `stopped` is next and says why. */
	if (r->type == 0 && !p->given_up) {
		p->err = r->err;
		p->result = r->err.errno_ > 0 ? -r->err.errno_ : -EIO;
		p->open = false;
		return;
	}
	/* The sandbox, too, goes on by itself. */
	if (p->detaching && r->type == FRAME_EXITED)
		p->owned = false;
	if (!p->given_up && r->type == FRAME_EXITED) {
		p->status = r->exited.signal ? 128 + (int)(r->exited.signal & 0x7f)
					     : (int)(r->exited.code & 0xff);
	} else if (!p->given_up) {
		/* That is why, whatever the sandbox says when it ends. */
		p->given_up = true;
		p->err = r->err;
		p->result = r->err.errno_ > 0 ? -r->err.errno_ : -EIO;
	}
	ended(p);
}

const struct sandbox_stream_ops process_stream_ops = {
	.started = on_started, .data = on_data, .writable = on_writable, .done = on_done};

/* Nothing comes from the sandbox any more. */
static void lost(struct msb_process *p, enum msb_process_end why, const struct msb_err *err, int r)
{
	p->open = false;
	p->owned = false;
	loop_timer_del(&p->limit);
	/* After the end of the command its way of going does not matter, unless the command has
	 * ended because of it. */
	if (!p->given_up && (p->status < 0 || why == MSB_END_MAX_DURATION)) {
		p->err = *err;
		p->end = why;
		p->status = -1;
		p->result = r;
		p->given_up = true;
	}
	stop_if_over(p);
}

/* The supervisor has just asked the same question and left the answer in the cache. */
static void note_emulation(struct msb_process *p)
{
	struct probe_result probe;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/cache/kvm-probe.json", p->m->home);

	engine_probe_kvm(n > 0 && (size_t)n < sizeof(path) ? path : NULL, &probe);
	(void)snprintf(p->notice, sizeof(p->notice),
		"this sandbox is emulated by QEMU, which is slow: %s%s%s", probe.detail,
		probe.hint[0] ? "; " : "", probe.hint);
}

static void on_ready(struct sandbox *sb, const struct msg_sb_ready *m, void *arg)
{
	struct msb_process *p = arg;

	p->boot = m->timing;
	/* From now on its description keeps the image. */
	if (p->creation)
		image_release(&p->creation->create.image);
	if (p->started && p->automatic && streq(m->engine, "qemu"))
		note_emulation(p);
}

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct msb_process *p = arg;

	if (!p->given_up && p->status < 0)
		(void)snprintf(p->console, sizeof(p->console), "%s", console);
	lost(p, MSB_END_SANDBOX, err, err->errno_ > 0 ? -err->errno_ : -EIO);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	enum msb_process_end why =
		m->reason == STOP_MAX_DURATION ? MSB_END_MAX_DURATION : MSB_END_STOPPED;
	struct msb_err err = {0};
	char quoted[200];
	int r;

	if (m->reason == STOP_MAX_DURATION)
		r = msb_err_set(&err, -ETIMEDOUT, MSB_TIMEOUT,
			"the sandbox was stopped: it reached its --max-duration");
	else if (m->reason == STOP_GUEST)
		r = msb_err_set(&err, -ECANCELED, MSB_GUEST,
			"the guest switched itself off before the command had ended");
	else
		r = msb_err_set(&err, -ECANCELED, MSB_FAIL,
			"the sandbox stopped before the command had ended: %s",
			str_quote(quoted, sizeof(quoted), m->detail, strlen(m->detail)));
	lost(arg, why, &err, r);
}

const struct sandbox_events process_events = {
	.ready = on_ready, .failed = on_failed, .stopped = on_stopped};

void process_init(struct msb_process *p, const struct msb_command *c)
{
	p->c = *c;
	p->c.argv = NULL;
	p->c.env = (struct opt_list){.n = 0};
	p->c.user = NULL;
	p->c.workdir = NULL;
	p->c.term = NULL;
	p->status = -1;
	p->grace_ms = STOP_GRACE_MS;
	for (int i = 0; i < 2; i++) {
		if (c->fds[1 + i] < 0)
			continue;
		p->out[i].passed = i ? err_passed : out_passed;
		p->out[i].failed = i ? err_failed : out_failed;
		outlet_init(&p->out[i], &p->loop, c->fds[1 + i], LIMIT_STREAM_WINDOW);
	}
	if (c->fds[0] >= 0) {
		p->in.data = in_data;
		p->in.eof = in_eof;
		inlet_init(&p->in, &p->loop, c->fds[0]);
	}
	buf_init(&p->chunk, CHUNK);
}

static int tell(struct msb_process *p, struct msb_error *error)
{
	int r = api_cancel_end(&p->asking, error, &p->err, p->result);

	if (r < 0)
		api_console(error, p->console);
	return r;
}

/* Waiting itself has failed. */
static int broken(struct msb_process *p, int r)
{
	p->over = true;
	p->result = msb_err_errno(&p->err, r, "waiting for the sandbox");
	return p->result;
}

int msb_process_work(struct msb_process *p, struct msb_error *error)
{
	struct api_sigpipe sigpipe;
	int r = 0;

	if (!p->over) {
		api_sigpipe_begin(&sigpipe);
		r = loop_once(&p->loop, 0);
		api_sigpipe_end(&sigpipe);
	}
	if (r < 0)
		(void)broken(p, r);
	if (!p->over)
		return 0;
	r = tell(p, error);
	return r < 0 ? r : 1;
}

int msb_process_wait(struct msb_process *p, int *ret_status, struct msb_error *error)
{
	struct api_sigpipe sigpipe;
	int r = 0;

	api_sigpipe_begin(&sigpipe);
	while (r == 0 && !p->over)
		r = loop_run(&p->loop);
	api_sigpipe_end(&sigpipe);
	if (r < 0)
		(void)broken(p, r);
	r = tell(p, error);
	if (r == 0 && ret_status)
		*ret_status = p->status;
	return r;
}
