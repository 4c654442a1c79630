/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attached run: see session.h.
 *
 * Everything happens on one loop in one thread. The session moves forward only:
 *
 *	BOOTING	 request sent, nothing read from stdin; a signal ends the sandbox
 *	RUNNING	 `started` came: stdin, raw mode, timeout; signals go to the command
 *	FLUSHING the command ended or was given up; its output is still on its way out, the
 *		 sandbox is being stopped
 *	OVER	 the sandbox is gone and the output is out
 *
 * The exit status is decided by the first reason to end and not changed afterwards.
 */
#include "cli/session.h"

#include <signal.h>
#include <sys/signalfd.h>

#include "base/io.h"
#include "base/loop.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/detach-keys.h"
#include "cli/term.h"
#include "cli/timing.h"
#include "engine/engine.h"
#include "lib/life.h"
#include "lib/stream.h"
#include "sandbox/client.h"
#include "sandbox/state.h"

#define PROGRESS_DELAY_NS (300 * NSEC_PER_MSEC)
#define STOP_LIMIT_NS	  (10 * NSEC_PER_SEC)

enum { STATUS_UNKNOWN = -1, DISK_GRACE_MS = 2000 };

enum phase { BOOTING, RUNNING, FLUSHING };

struct session {
	const struct session_opts *opts;
	struct loop loop;
	struct sandbox *sb;
	struct sandbox_stream exec;
	bool exec_open;
	bool sandbox_over;
	enum phase phase;
	int status;
	bool command_status; /* @status is what the command ended with */
	unsigned int signals; /* forwarded so far */
	bool detaching; /* the command was let go */
	struct detach_keys keys;
	struct buf typed; /* passed the search for @keys, not yet sent */

	struct outlet out;
	struct outlet err;
	struct inlet in;
	int signal_fd;
	struct loop_fd signal_src;
	sigset_t old_mask;
	struct loop_timer timeout;
	struct loop_timer progress;
	struct loop_timer stop_limit;
	bool progress_shown;
	struct timing timing;
};

static const struct sandbox_stream_ops exec_ops;

static const int forwarded[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};

static void progress_clear(struct session *s)
{
	static const char erase[] = "\r\033[K";

	loop_timer_del(&s->progress);
	if (!s->progress_shown)
		return;
	s->progress_shown = false;
	if (io_write_full(STDERR_FILENO, erase, sizeof(erase) - 1) < 0)
		return;
}

static void progress_show(struct loop_timer *t)
{
	static const char text[] = "msb: starting the sandbox ...";
	struct session *s = container_of(t, struct session, progress);

	s->progress_shown = io_write_full(STDERR_FILENO, text, sizeof(text) - 1) == 0;
}

/* Before anything is said on stderr. */
static void clear_line(struct session *s)
{
	progress_clear(s);
	term_restore();
}

static void finish_if_done(struct session *s)
{
	if (s->sandbox_over && outlet_empty(&s->out) && outlet_empty(&s->err))
		loop_stop(&s->loop, 0);
}

static void stop_limit_passed(struct loop_timer *t)
{
	struct session *s = container_of(t, struct session, stop_limit);

	clear_line(s);
	cli_note("the %s did not end within %u seconds (sandbox '%s')",
		s->opts->spec ? "sandbox" : "command", (unsigned int)(STOP_LIMIT_NS / NSEC_PER_SEC),
		s->opts->name);
	s->status = CLI_EXIT_FAILED;
	loop_stop(&s->loop, 0);
}

static void over(struct session *s)
{
	s->sandbox_over = true;
	s->timing.end_ns = clock_mono_ns();
	s->exec_open = false;
	loop_timer_del(&s->stop_limit);
	loop_timer_del(&s->timeout);
	finish_if_done(s);
}

/* Decides the exit status, unless something did before, and ends the sandbox. */
static void end(struct session *s, int status)
{
	const struct sandbox_spec *spec = s->opts->spec;
	/* A disk has to be unmounted; a scratch layer is thrown away. */
	bool keep = spec && (spec->root_kind == ROOT_DISK || !spec->ephemeral);

	if (s->status == STATUS_UNKNOWN)
		s->status = status;
	if (s->phase == FLUSHING)
		return;
	s->phase = FLUSHING;
	progress_clear(s);
	loop_timer_del(&s->timeout);
	if (s->sandbox_over)
		return;
	loop_timer_set(
		&s->loop, &s->stop_limit, clock_mono_ns() + STOP_LIMIT_NS, stop_limit_passed);
	if (spec)
		(void)sandbox_stop(s->sb, keep ? DISK_GRACE_MS : 0);
	else if (s->exec_open)
		(void)sandbox_stream_cancel(&s->exec);
	else
		over(s);
}

static void timed_out(struct loop_timer *t)
{
	struct session *s = container_of(t, struct session, timeout);

	clear_line(s);
	cli_note("the command was killed: it did not end within %.3g s (--timeout)",
		(double)s->opts->timeout_ns / 1e9);
	end(s, CLI_EXIT_TIMEOUT);
}

/* Output. */

static void output_passed(struct session *s, size_t n)
{
	if (s->exec_open)
		sandbox_stream_consumed(&s->exec, n);
	finish_if_done(s);
}

static void stdout_passed(struct outlet *o, size_t n)
{
	output_passed(container_of(o, struct session, out), n);
}

static void stderr_passed(struct outlet *o, size_t n)
{
	output_passed(container_of(o, struct session, err), n);
}

/* A reader that has gone away ends us as it would end any other program of the pipeline. */
static void stdout_failed(struct outlet *o)
{
	struct session *s = container_of(o, struct session, out);

	if (o->error == -EPIPE) {
		end(s, 128 + SIGPIPE);
		return;
	}
	clear_line(s);
	cli_note("cannot write to standard output: %s", strerror(-o->error));
	end(s, CLI_EXIT_FAILED);
}

static void stderr_failed(struct outlet *o)
{
	/* What cannot be shown is dropped; the command goes on. */
}

static void exec_data(
	struct sandbox_stream *stream, unsigned int channel, const void *p, size_t len, bool eof)
{
	struct session *s = container_of(stream, struct session, exec);
	struct outlet *o = channel == 2 ? &s->err : &s->out;
	int r = outlet_write(o, p, len);

	if (r == 0)
		return;
	/* The queue is as large as the credit: either memory is gone or the guest cheats. */
	clear_line(s);
	cli_note("cannot pass on the command's output: %s", strerror(-r));
	end(s, CLI_EXIT_FAILED);
}

/* Input. */

/* The command goes on without us. */
static void detach(struct session *s)
{
	if (!s->exec_open || s->phase != RUNNING || s->detaching)
		return;
	s->detaching = true;
	(void)sandbox_stream_detach(&s->exec);
}

/* What was typed and passed the search for the detach keys; true when all is gone. */
static bool send_typed(struct session *s)
{
	ssize_t took =
		buf_len(&s->typed) && s->exec_open
			? sandbox_stream_write(&s->exec, buf_data(&s->typed), buf_len(&s->typed))
			: (ssize_t)buf_len(&s->typed);

	buf_consume(&s->typed, took < 0 ? buf_len(&s->typed) : (size_t)took);
	return buf_len(&s->typed) == 0;
}

static size_t typed_data(struct session *s, const void *p, size_t n)
{
	int r;

	if (!send_typed(s))
		return 0;
	r = detach_keys_feed(&s->keys, p, n, &s->typed);
	if (r < 0)
		cli_note("what was typed is lost: %s", strerror(-r));
	(void)send_typed(s);
	if (r > 0)
		detach(s);
	return n;
}

static size_t stdin_data(struct inlet *in, const void *p, size_t n)
{
	struct session *s = container_of(in, struct session, in);
	ssize_t took;

	if (s->opts->raw && s->keys.n)
		return typed_data(s, p, n);
	took = s->exec_open ? sandbox_stream_write(&s->exec, p, n) : -EPIPE;
	/* Nobody reads it any more. */
	return took < 0 ? n : (size_t)took;
}

static void stdin_eof(struct inlet *in)
{
	struct session *s = container_of(in, struct session, in);

	if (s->exec_open)
		(void)sandbox_stream_write_eof(&s->exec);
}

static void resume_stdin(struct session *s)
{
	int r;

	if (!s->opts->use_stdin || s->phase != RUNNING || !send_typed(s))
		return;
	r = inlet_resume(&s->in);
	if (r == 0)
		return;
	clear_line(s);
	cli_note("cannot read standard input: %s", strerror(-r));
	end(s, CLI_EXIT_FAILED);
}

static void exec_writable(struct sandbox_stream *stream)
{
	resume_stdin(container_of(stream, struct session, exec));
}

/* Life of the command. */

static void exec_started(struct sandbox_stream *stream, uint32_t pid)
{
	struct session *s = container_of(stream, struct session, exec);
	int r;

	if (s->phase != BOOTING)
		return;
	s->phase = RUNNING;
	s->timing.exec_ns = clock_mono_ns();
	progress_clear(s);
	if (s->opts->detach) {
		detach(s);
		return;
	}
	if (s->opts->timeout_ns)
		loop_timer_set(
			&s->loop, &s->timeout, s->timing.exec_ns + s->opts->timeout_ns, timed_out);
	if (s->opts->raw && term_foreground(STDIN_FILENO)) {
		r = term_raw(STDIN_FILENO);
		if (r < 0) {
			cli_note("cannot change the terminal: %s", strerror(-r));
			end(s, CLI_EXIT_FAILED);
			return;
		}
	}
	resume_stdin(s);
}

/* It runs on, and so does its sandbox. */
static void detached(struct session *s)
{
	if (s->status == STATUS_UNKNOWN)
		s->status = 0;
	clear_line(s);
	if (!s->opts->quiet && !s->opts->detach)
		cli_note("detached: the command runs on in sandbox '%s'", s->opts->name);
	over(s);
}

static void exec_done(struct sandbox_stream *stream, const struct sandbox_result *r)
{
	struct session *s = container_of(stream, struct session, exec);

	s->exec_open = false;
	s->timing.exit_ns = clock_mono_ns();
	inlet_deinit(&s->in);
	if (r->type == FRAME_EXITED && s->detaching) {
		detached(s);
		return;
	}
	switch (r->type) {
	case FRAME_EXITED:
		s->command_status = s->status == STATUS_UNKNOWN;
		end(s, r->exited.signal ? 128 + (int)(r->exited.signal & 0x7f)
					: (int)(r->exited.code & 0xff));
		break;
	case FRAME_FAILED:
		clear_line(s);
		end(s, s->status == STATUS_UNKNOWN ? cli_fail(&r->err) : s->status);
		break;
	default:
		/* The connection ended: `failed` or `stopped` is next and says why. */
		return;
	}
	/* Given up before, and now it is gone. */
	if (!s->opts->spec && !s->sandbox_over)
		over(s);
}

static const struct sandbox_stream_ops exec_ops = {
	.started = exec_started,
	.data = exec_data,
	.writable = exec_writable,
	.done = exec_done,
};

/* Life of the sandbox. */

static void say_emulated(struct session *s)
{
	struct probe_result probe;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/cache/kvm-probe.json", s->opts->home);

	/* The supervisor has just asked the same question and left the answer there. */
	engine_probe_kvm(n > 0 && (size_t)n < sizeof(path) ? path : NULL, &probe);
	cli_note("this sandbox is emulated by QEMU, which is slow: %s%s%s", probe.detail,
		probe.hint[0] ? "; " : "", probe.hint);
}

static void sandbox_ready(struct sandbox *sb, const struct msg_sb_ready *m, void *arg)
{
	struct session *s = arg;

	progress_clear(s);
	s->timing.start = m->timing;
	if (s->opts->ready)
		s->opts->ready(s->opts->ready_arg);
	if (!s->opts->quiet && s->opts->spec && s->opts->spec->engine == ENGINE_AUTO &&
		streq(m->engine, "qemu"))
		say_emulated(s);
}

static void sandbox_failed(
	struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct session *s = arg;

	/* While it is being ended on purpose its way of going does not matter. */
	if (s->status == STATUS_UNKNOWN) {
		clear_line(s);
		s->status = cli_fail(err);
		cli_console(console);
	}
	over(s);
}

static void sandbox_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct session *s = arg;
	char quoted[200];

	/* The stop reaches the command first, as a signal that it may die of. */
	if (m->reason == STOP_MAX_DURATION && (s->status == STATUS_UNKNOWN || s->command_status)) {
		clear_line(s);
		s->status = CLI_EXIT_TIMEOUT;
		cli_note("the sandbox was stopped: it reached its --max-duration");
	} else if (s->status == STATUS_UNKNOWN) {
		clear_line(s);
		s->status = CLI_EXIT_FAILED;
		if (m->reason == STOP_GUEST) {
			cli_note("the guest switched itself off before the command had ended");
		} else {
			cli_note("the sandbox stopped before the command had ended: %s",
				str_quote(quoted, sizeof(quoted), m->detail, strlen(m->detail)));
		}
	}
	over(s);
}

static const struct sandbox_events sandbox_events = {
	.ready = sandbox_ready,
	.failed = sandbox_failed,
	.stopped = sandbox_stopped,
};

/* Signals. */

static void on_resize(struct session *s)
{
	uint16_t rows;
	uint16_t cols;

	if (s->exec_open && s->opts->pty && term_size(STDIN_FILENO, &rows, &cols))
		(void)sandbox_stream_resize(&s->exec, rows, cols);
}

/* Stopped like any job: the terminal is the shell's meanwhile. SIGCONT finds us below. */
static void on_suspend(struct session *s)
{
	term_restore();
	(void)kill(getpid(), SIGSTOP);
}

static void on_continue(struct session *s)
{
	bool raw = s->opts->raw && s->phase == RUNNING && term_foreground(STDIN_FILENO);

	if (raw && term_raw_again() < 0)
		cli_note("cannot change the terminal");
	on_resize(s);
}

static void on_forwarded(struct session *s, int sig)
{
	/* The terminal has hung up: nobody will ever see an answer. */
	bool hung_up = sig == SIGHUP && s->opts->raw;

	if (s->phase == RUNNING && s->exec_open && !hung_up && s->signals++ == 0) {
		(void)sandbox_stream_signal(&s->exec, sig);
		return;
	}
	end(s, 128 + sig);
}

static void on_signal(struct loop_fd *src, uint32_t events)
{
	struct session *s = container_of(src, struct session, signal_src);
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGWINCH:
		on_resize(s);
		break;
	case SIGTSTP:
		on_suspend(s);
		break;
	case SIGCONT:
		on_continue(s);
		break;
	default:
		on_forwarded(s, (int)info.ssi_signo);
		break;
	}
}

static bool is_ignored(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

static int catch_signals(struct session *s)
{
	static const int own[] = {SIGWINCH, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	/* What the caller had us ignore (nohup, a shell's &) stays ignored. */
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++) {
		if (!is_ignored(forwarded[i]))
			sigaddset(&set, forwarded[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (!is_ignored(own[i]))
			sigaddset(&set, own[i]);
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	if (sigprocmask(SIG_BLOCK, &set, &s->old_mask) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	return loop_fd_add(&s->loop, &s->signal_src, s->signal_fd, EPOLLIN, on_signal);
}

/* Start and end of the session. */

/* The sandbox has ended, or now does; the first reason counts. */
static int not_prepared(struct session *s, const struct msb_err *err)
{
	if (!s->sandbox_over && s->status == STATUS_UNKNOWN) {
		clear_line(s);
		end(s, cli_fail(err));
	}
	return 0;
}

static int start(struct session *s, struct msb_err *err)
{
	const struct session_opts *o = s->opts;
	struct msg_exec m = {.user = o->user ? o->user : "",
		.cwd = o->cwd ? o->cwd : "",
		.n_rlimits = o->n_rlimits};
	int r;

	m.flags = (o->pty ? (uint32_t)EXEC_PTY : 0) | (o->use_stdin ? (uint32_t)EXEC_STDIN : 0);
	(void)term_size(isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO, &m.rows, &m.cols);
	if (o->n_rlimits)
		memcpy(m.rlimits, o->rlimits, o->n_rlimits * sizeof(m.rlimits[0]));
	if (!o->spec)
		r = sandbox_connect(&s->loop, o->home, o->name, &sandbox_events, s, &s->sb, err);
	else if (o->dir)
		r = sandbox_start(&s->loop, o->spec, o->dir, &sandbox_events, s, &s->sb, err);
	else
		r = sandbox_spawn(&s->loop, o->spec, o->image_fd, &sandbox_events, s, &s->sb, err);
	/* The supervisor has it; with ours it would look alive after its end. */
	if (o->dir)
		sandbox_dir_close(o->dir);
	if (r < 0)
		return r;
	if (o->prepare)
		r = o->prepare->fn(o->prepare->arg, &s->loop, s->sb, err);
	if (r < 0)
		return not_prepared(s, err);
	r = sandbox_exec(s->sb, &s->exec, &m, o->argv, o->env);
	if (r == -ENOBUFS)
		return msb_err_set(err, r, MSB_USAGE,
			"the command line is too long: at most %u words and %u bytes", LIMIT_ARGV,
			LIMIT_EXEC_BYTES);
	if (r < 0)
		return msb_err_errno(err, r, "cannot send the command to the sandbox");
	s->exec_open = true;
	if (!o->spec)
		return 0;
	/* The guest boots meanwhile: time to remove what killed sandboxes left. */
	(void)sandbox_reap_stale(o->home);
	if (!o->quiet && isatty(STDERR_FILENO))
		loop_timer_set(
			&s->loop, &s->progress, clock_mono_ns() + PROGRESS_DELAY_NS, progress_show);
	return 0;
}

static void print_timing(const struct session *s)
{
	struct buf text;

	buf_init(&text, 4096);
	if (timing_print(&s->timing, &text) < 0 ||
		io_write_full(STDERR_FILENO, buf_data(&text), buf_len(&text)) < 0)
		cli_note("cannot print the times");
	buf_deinit(&text);
}

static void session_deinit(struct session *s)
{
	term_restore();
	progress_clear(s);
	s->sb = sandbox_close(s->sb);
	outlet_deinit(&s->out);
	outlet_deinit(&s->err);
	inlet_deinit(&s->in);
	buf_deinit(&s->typed);
	loop_fd_del(&s->signal_src);
	s->signal_fd = fd_close(s->signal_fd);
	loop_timer_del(&s->timeout);
	loop_timer_del(&s->stop_limit);
	loop_deinit(&s->loop);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

int session_run(const struct session_opts *opts)
{
	struct session s = {
		.opts = opts,
		.exec.ops = &exec_ops,
		.status = STATUS_UNKNOWN,
		.signal_fd = -EBADF,
		.out = {.passed = stdout_passed, .failed = stdout_failed},
		.err = {.passed = stderr_passed, .failed = stderr_failed},
		.in = {.data = stdin_data, .eof = stdin_eof},
		.timing.begin_ns = cli_started_ns(),
	};
	struct msb_err err = {0};
	int r;

	r = sigprocmask(SIG_SETMASK, NULL, &s.old_mask) < 0 ? -errno : 0;
	if (r == 0)
		r = loop_init(&s.loop);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "cannot start");
		return cli_fail(&err);
	}
	outlet_init(&s.out, &s.loop, STDOUT_FILENO, LIMIT_STREAM_WINDOW);
	outlet_init(&s.err, &s.loop, STDERR_FILENO, LIMIT_STREAM_WINDOW);
	inlet_init(&s.in, &s.loop, STDIN_FILENO);
	buf_init(&s.typed, LIMIT_STREAM_WINDOW);
	if (opts->detach_keys)
		s.keys = *opts->detach_keys;
	r = catch_signals(&s);
	if (r < 0)
		(void)msb_err_errno(&err, r, "cannot catch signals");
	else
		r = start(&s, &err);
	if (r == 0) {
		r = loop_run(&s.loop);
		if (r < 0)
			(void)msb_err_errno(&err, r, "waiting for the sandbox");
	}
	session_deinit(&s);
	if (r == -ENOTCONN && opts->not_running) {
		*opts->not_running = true;
		return CLI_EXIT_FAILED;
	}
	if (r < 0)
		return cli_fail(&err);
	if (opts->timing)
		print_timing(&s);
	return s.status;
}
