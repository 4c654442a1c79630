/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmsb: commands in running sandboxes.
 *
 * One loop in the caller's thread. A command that is given up (its time is over, the caller wants
 * the end, a callback failed) is cancelled, and what the sandbox then says about its end is waited
 * for, for LEAVE_NS. The first reason to give up is the result.
 */
#include "base/loop.h"
#include "base/opt.h"
#include "base/str.h"

#include "lib/api.h"
#include "lib/stream.h"
#include "msb/exec.h"
#include "sandbox/client.h"

#define LEAVE_NS (10 * NSEC_PER_SEC)

enum { CHUNK = 32 * 1024 };

struct msb_command {
	char **argv;
	struct opt_list env; /* owned */
	char *user;
	char *workdir;
	uint64_t timeout_ns;
	uint16_t rows;
	uint16_t columns;
	bool terminal;
	int (*output)(void *arg, int stream, const void *data, size_t n);
	void *output_arg;
	ssize_t (*input)(void *arg, void *to, size_t n);
	void *input_arg;
	int fds[3]; /* -1: none */
};

struct msb_command *msb_command_new(const char *const *argv)
{
	struct msb_command *c;

	if (!argv || !argv[0])
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	for (int i = 0; i < 3; i++)
		c->fds[i] = -1;
	c->argv = api_list_dup(argv);
	return c->argv ? c : msb_command_free(c);
}

struct msb_command *msb_command_free(struct msb_command *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->env.n; i++)
		free((char *)(uintptr_t)c->env.items[i]);
	free(c->env.items);
	free(c->argv);
	free(c->user);
	free(c->workdir);
	free(c);
	return NULL;
}

int msb_command_env(struct msb_command *c, const char *entry)
{
	char *copy;
	int r;

	if (!strchr(entry, '=') || entry[0] == '=')
		return -EINVAL;
	copy = strdup(entry);
	r = copy ? opt_list_add(&c->env, copy) : -ENOMEM;
	if (r < 0)
		free(copy);
	return r;
}

static int replace(char **to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

int msb_command_user(struct msb_command *c, const char *user)
{
	return user[0] ? replace(&c->user, user) : -EINVAL;
}

int msb_command_workdir(struct msb_command *c, const char *dir)
{
	return dir[0] == '/' ? replace(&c->workdir, dir) : -EINVAL;
}

void msb_command_timeout(struct msb_command *c, uint64_t ms)
{
	c->timeout_ns = MIN(ms, UINT64_MAX / 4 / NSEC_PER_MSEC) * NSEC_PER_MSEC;
}

void msb_command_terminal(struct msb_command *c, unsigned int rows, unsigned int columns)
{
	c->terminal = true;
	c->rows = (uint16_t)MIN(rows, (unsigned int)UINT16_MAX);
	c->columns = (uint16_t)MIN(columns, (unsigned int)UINT16_MAX);
}

void msb_command_output(struct msb_command *c,
	int (*fn)(void *arg, int stream, const void *data, size_t n), void *arg)
{
	c->output = fn;
	c->output_arg = arg;
}

void msb_command_input(
	struct msb_command *c, ssize_t (*fn)(void *arg, void *to, size_t n), void *arg)
{
	c->input = fn;
	c->input_arg = arg;
}

void msb_command_fds(struct msb_command *c, int in, int out, int err)
{
	c->fds[0] = in;
	c->fds[1] = out;
	c->fds[2] = err;
}

struct running {
	const struct msb_command *c;
	struct loop loop;
	struct sandbox *sb;
	struct sandbox_stream stream;
	struct outlet out[2]; /* with descriptors only */
	struct inlet in;
	struct buf chunk; /* of the input function, not yet taken */
	bool input_over;
	bool started;
	bool open; /* the stream */
	bool given_up;
	struct loop_timer limit;
	const struct cancel *cancel;
	struct loop_fd cancel_src;
	int status;
	int result;
	struct msb_err *err;
};

static bool flushed(const struct running *x)
{
	for (int i = 0; i < 2; i++) {
		if (x->c->fds[1 + i] >= 0 && !outlet_empty(&x->out[i]))
			return false;
	}
	return true;
}

static void stop_if_over(struct running *x)
{
	if (!x->open && (x->given_up || flushed(x)))
		loop_stop(&x->loop, 0);
}

static void left_alone(struct loop_timer *t)
{
	struct running *x = container_of(t, struct running, limit);

	x->open = false;
	loop_stop(&x->loop, 0);
}

/* The message is there already. */
static void give_up(struct running *x, int r)
{
	if (x->given_up)
		return;
	x->given_up = true;
	x->result = r;
	loop_timer_set(&x->loop, &x->limit, clock_mono_ns() + LEAVE_NS, left_alone);
	if (x->open)
		(void)sandbox_stream_cancel(&x->stream);
	stop_if_over(x);
}

static void out_of_time(struct loop_timer *t)
{
	struct running *x = container_of(t, struct running, limit);

	give_up(x, msb_err_set(x->err, -ETIMEDOUT, MSB_TIMEOUT,
			   "the command was killed: it did not end within %.3g s",
			   (double)x->c->timeout_ns / 1e9));
}

static void on_cancel(struct loop_fd *src, uint32_t events)
{
	struct running *x = container_of(src, struct running, cancel_src);

	if (!cancel_asked(x->cancel))
		return;
	if (!x->cancel->asked)
		loop_fd_del(src);
	if (x->given_up)
		left_alone(&x->limit);
	else
		give_up(x, msb_err_set(x->err, -ECANCELED, MSB_FAIL, "interrupted"));
}

/* Output. */

static void passed(struct running *x, size_t n)
{
	if (x->open)
		sandbox_stream_consumed(&x->stream, n);
	stop_if_over(x);
}

static void out_passed(struct outlet *o, size_t n)
{
	passed(container_of(o, struct running, out[0]), n);
}

static void err_passed(struct outlet *o, size_t n)
{
	passed(container_of(o, struct running, out[1]), n);
}

static void write_failed(struct running *x, int r)
{
	give_up(x, msb_err_errno(x->err, r, "cannot pass on the command's output"));
}

static void out_failed(struct outlet *o)
{
	write_failed(container_of(o, struct running, out[0]), o->error);
}

static void err_failed(struct outlet *o)
{
	write_failed(container_of(o, struct running, out[1]), o->error);
}

static void on_data(
	struct sandbox_stream *s, unsigned int channel, const void *p, size_t len, bool eof)
{
	struct running *x = container_of(s, struct running, stream);
	int which = channel == 2 ? 1 : 0;
	int r = 0;

	/* Whatever becomes of them, the outlet says when they have passed. */
	if (x->c->fds[1 + which] >= 0 && !x->given_up) {
		r = outlet_write(&x->out[which], p, len);
		if (r < 0)
			write_failed(x, r);
		return;
	}
	if (x->c->output && len && !x->given_up)
		r = x->c->output(x->c->output_arg, which ? MSB_STDERR : MSB_STDOUT, p, len);
	sandbox_stream_consumed(s, len);
	if (r < 0)
		give_up(x, msb_err_set(x->err, r, msb_kind_from_errno(r),
				   "the receiver of the output has failed"));
}

/* Input. */

static void pump(struct running *x)
{
	while (x->open && !x->given_up && !x->input_over) {
		ssize_t n;

		if (buf_len(&x->chunk) == 0) {
			uint8_t *to = buf_reserve(&x->chunk, CHUNK);

			n = to ? x->c->input(x->c->input_arg, to, CHUNK) : -ENOMEM;
			if (n < 0 || n > CHUNK) {
				int r = n < 0 ? (int)n : -EINVAL;

				give_up(x, msb_err_set(x->err, r, msb_kind_from_errno(r),
						   "the source of the input has failed"));
				return;
			}
			buf_commit(&x->chunk, (size_t)n);
			if (n == 0) {
				x->input_over = true;
				(void)sandbox_stream_write_eof(&x->stream);
				return;
			}
		}
		n = sandbox_stream_write(&x->stream, buf_data(&x->chunk), buf_len(&x->chunk));
		/* It ends, or does not read any more. */
		if (n < 0)
			x->input_over = true;
		if (n <= 0)
			return;
		buf_consume(&x->chunk, (size_t)n);
	}
}

static size_t in_data(struct inlet *in, const void *p, size_t n)
{
	struct running *x = container_of(in, struct running, in);
	ssize_t took = x->open ? sandbox_stream_write(&x->stream, p, n) : -EPIPE;

	return took < 0 ? n : (size_t)took;
}

static void in_eof(struct inlet *in)
{
	struct running *x = container_of(in, struct running, in);

	if (x->open)
		(void)sandbox_stream_write_eof(&x->stream);
}

static void feed(struct running *x)
{
	int r = 0;

	if (!x->started || x->given_up)
		return;
	if (x->c->fds[0] >= 0)
		r = inlet_resume(&x->in);
	else if (x->c->input)
		pump(x);
	if (r < 0)
		give_up(x, msb_err_errno(x->err, r, "cannot read the command's input"));
}

static void on_writable(struct sandbox_stream *s)
{
	feed(container_of(s, struct running, stream));
}

static void on_started(struct sandbox_stream *s, uint32_t pid)
{
	struct running *x = container_of(s, struct running, stream);

	x->started = true;
	if (x->c->timeout_ns && !x->given_up)
		loop_timer_set(
			&x->loop, &x->limit, clock_mono_ns() + x->c->timeout_ns, out_of_time);
	feed(x);
}

/* The end. */

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct running *x = container_of(s, struct running, stream);

	x->open = false;
	/* What it has printed may take its time. */
	if (!x->given_up)
		loop_timer_del(&x->limit);
	if (x->c->fds[0] >= 0)
		inlet_deinit(&x->in);
	if (x->given_up) {
		stop_if_over(x);
		return;
	}
	if (r->type == FRAME_EXITED) {
		x->status = r->exited.signal ? 128 + (int)(r->exited.signal & 0x7f)
					     : (int)(r->exited.code & 0xff);
	} else {
		*x->err = r->err;
		x->result = r->err.errno_ > 0 ? -r->err.errno_ : -EIO;
	}
	stop_if_over(x);
}

static const struct sandbox_stream_ops stream_ops = {
	.started = on_started, .data = on_data, .writable = on_writable, .done = on_done};

static void lost(struct running *x, const struct msb_err *err, int r)
{
	x->open = false;
	if (!x->given_up && (x->result < 0 || x->status < 0)) {
		*x->err = *err;
		x->result = r;
		x->given_up = true;
	}
	stop_if_over(x);
}

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	lost(arg, err, err->errno_ > 0 ? -err->errno_ : -EIO);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct msb_err err = {0};
	int r = msb_err_set(&err, -ECANCELED, MSB_FAIL, "the sandbox was stopped");

	lost(arg, &err, r);
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

static int start(struct running *x, const struct msb *m, const char *name)
{
	const struct msb_command *c = x->c;
	bool input = c->input || c->fds[0] >= 0;
	const struct msg_exec e = {
		.user = c->user ? c->user : "",
		.cwd = c->workdir ? c->workdir : "",
		.rows = c->rows,
		.cols = c->columns,
		.flags =
			(c->terminal ? (uint32_t)EXEC_PTY : 0) | (input ? (uint32_t)EXEC_STDIN : 0),
	};
	int r = sandbox_connect(&x->loop, m->home, name, &events, x, &x->sb, x->err);

	if (r < 0)
		return r;
	x->stream.ops = &stream_ops;
	r = sandbox_exec(x->sb, &x->stream, &e, (const char *const *)c->argv, c->env.items);
	if (r == -ENOBUFS)
		return msb_err_set(x->err, r, MSB_USAGE,
			"the command line is too long: at most %u words and %u bytes", LIMIT_ARGV,
			LIMIT_EXEC_BYTES);
	if (r < 0)
		return msb_err_errno(x->err, r, "cannot send the command to the sandbox");
	x->open = true;
	if (x->cancel)
		r = loop_fd_add(&x->loop, &x->cancel_src, x->cancel->fd, EPOLLIN, on_cancel);
	return r < 0 ? msb_err_errno(x->err, r, "the cancel descriptor") : 0;
}

static void running_init(struct running *x)
{
	for (int i = 0; i < 2; i++) {
		if (x->c->fds[1 + i] < 0)
			continue;
		x->out[i].passed = i ? err_passed : out_passed;
		x->out[i].failed = i ? err_failed : out_failed;
		outlet_init(&x->out[i], &x->loop, x->c->fds[1 + i], LIMIT_STREAM_WINDOW);
	}
	if (x->c->fds[0] >= 0) {
		x->in.data = in_data;
		x->in.eof = in_eof;
		inlet_init(&x->in, &x->loop, x->c->fds[0]);
	}
	buf_init(&x->chunk, CHUNK);
}

static void running_deinit(struct running *x)
{
	x->sb = sandbox_close(x->sb);
	for (int i = 0; i < 2; i++) {
		if (x->c->fds[1 + i] >= 0)
			outlet_deinit(&x->out[i]);
	}
	if (x->c->fds[0] >= 0)
		inlet_deinit(&x->in);
	buf_deinit(&x->chunk);
	loop_fd_del(&x->cancel_src);
	loop_timer_del(&x->limit);
	loop_deinit(&x->loop);
}

int msb_exec(struct msb *m, const char *name, const struct msb_command *c, int *ret_status,
	struct msb_error *error)
{
	struct msb_err err = {0};
	struct running x = {.c = c, .err = &err, .status = -1};
	struct api_sigpipe sigpipe;
	struct api_cancel cancel;
	int r;

	x.cancel = api_cancel_begin(&cancel, m);
	r = loop_init(&x.loop);
	if (r < 0)
		return api_fail(error, &err, r);
	api_sigpipe_begin(&sigpipe);
	running_init(&x);
	r = start(&x, m, name);
	if (r == 0)
		r = loop_run(&x.loop);
	if (r == 0)
		r = x.result;
	running_deinit(&x);
	api_sigpipe_end(&sigpipe);
	if (r == 0 && ret_status)
		*ret_status = x.status;
	return api_cancel_end(&cancel, error, &err, r);
}

struct capture {
	struct buf buf;
	size_t max;
};

static int take(void *arg, int stream, const void *data, size_t n)
{
	struct capture *p = arg;
	int r;

	if (stream != MSB_STDOUT)
		return 0;
	if (n > p->max - buf_len(&p->buf))
		return -E2BIG;
	r = buf_append(&p->buf, data, n);
	return r == -ENOBUFS ? -E2BIG : r;
}

int msb_exec_output(struct msb *m, const char *name, const char *const *argv, size_t max,
	char **ret, size_t *ret_len, int *ret_status, struct msb_error *error)
{
	struct msb_command *c = msb_command_new(argv);
	struct capture p = {.max = MIN(max, (size_t)SSIZE_MAX)};
	struct msb_err err = {0};
	int r;

	*ret = NULL;
	if (!c)
		return api_fail(error, &err,
			argv && argv[0] ? -ENOMEM
					: msb_err_usage(&err, "the command has no words"));
	buf_init(&p.buf, p.max + 1);
	msb_command_output(c, take, &p);
	r = msb_exec(m, name, c, ret_status, error);
	(void)msb_command_free(c);
	if (r == -E2BIG)
		(void)api_fail(error, &err,
			msb_err_set(&err, r, MSB_LIMIT,
				"the command has printed more than %zu bytes", max));
	if (r == 0) {
		*ret = malloc(buf_len(&p.buf) + 1);
		if (*ret) {
			if (buf_len(&p.buf))
				memcpy(*ret, buf_data(&p.buf), buf_len(&p.buf));
			(*ret)[buf_len(&p.buf)] = '\0';
		} else {
			r = api_fail(error, &err, -ENOMEM);
		}
		if (ret_len)
			*ret_len = buf_len(&p.buf);
	}
	buf_deinit(&p.buf);
	return r;
}
