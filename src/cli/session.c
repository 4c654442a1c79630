/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attached run: see session.h.
 *
 * The library runs the command; here is what a terminal and a user want of it: raw mode, keys that
 * let go, job control, signals that are the command's, words about what happens. Signals come
 * through a descriptor that the library looks at (msb_set_cancel), as long as it works for us.
 *
 * The exit status is decided by the first reason to end, which the library knows.
 */
#include "cli/session.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/io.h"
#include "base/str.h"

#include "cli/creating.h"
#include "cli/detach-keys.h"
#include "cli/interrupt.h"
#include "cli/term.h"
#include "cli/timing.h"

#define PROGRESS_DELAY_NS (300 * NSEC_PER_MSEC)

enum { TYPED_MAX = 64 * 1024, TYPED_READ = 4096, STOP_LIMIT_S = 10 };

struct session {
	const struct session_opts *opts;
	struct cli_api api;
	struct msb_process *p;
	struct msb_error e;
	bool pty; /* the command gets a terminal */
	bool raw; /* ours on stdin goes into raw mode */
	bool use_stdin;

	struct detach_keys keys;
	struct buf typed; /* passed the search for @keys, not yet sent */
	bool typed_eof;
	bool let_go; /* by keys */

	int signal_fd;
	sigset_t old_mask;
	bool caught;
	unsigned int signals; /* forwarded so far */
	int signo; /* that ended it, 0: none */
	int failed; /* exit status of what went wrong here, 0: nothing */

	bool ran; /* the command has been seen running */
	bool noticed;
	uint64_t progress_ns; /* when to say that it takes time, 0: not at all */
	bool progress_shown;
	struct creating_show show; /* of a new sandbox */
};

static void wait_clear(struct session *s)
{
	static const char erase[] = "\r\033[K";

	s->progress_ns = 0;
	if (!s->progress_shown)
		return;
	s->progress_shown = false;
	if (io_write_full(STDERR_FILENO, erase, sizeof(erase) - 1) < 0)
		return;
}

static void wait_show(struct session *s)
{
	static const char text[] = "msb: starting the sandbox ...";

	if (!s->progress_ns || clock_mono_ns() < s->progress_ns)
		return;
	s->progress_ns = 0;
	s->progress_shown = io_write_full(STDERR_FILENO, text, sizeof(text) - 1) == 0;
}

/* Before anything is said on stderr. */
static void clear_line(struct session *s)
{
	wait_clear(s);
	term_restore();
}

/* What cannot go on here ends the command. */
static void fail(struct session *s, const char *what, int r)
{
	clear_line(s);
	cli_note("%s: %s", what, strerror(-r));
	if (!s->failed)
		s->failed = CLI_EXIT_FAILED;
	(void)msb_process_kill(s->p);
}

/* Input, with keys that let go of the command. */

static ssize_t take_typed(void *arg, void *to, size_t n)
{
	struct session *s = arg;
	size_t len = MIN(buf_len(&s->typed), n);

	if (!len)
		return s->typed_eof ? 0 : -EAGAIN;
	memcpy(to, buf_data(&s->typed), len);
	buf_consume(&s->typed, len);
	return (ssize_t)len;
}

static bool wants_typed(const struct session *s)
{
	return s->raw && s->keys.n && !s->typed_eof && buf_len(&s->typed) == 0 &&
	       msb_process_state(s->p) == MSB_PROCESS_RUNNING;
}

static void read_typed(struct session *s)
{
	uint8_t data[TYPED_READ];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));
	int r = 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		s->typed_eof = true;
	else
		r = detach_keys_feed(&s->keys, data, (size_t)n, &s->typed);
	if (r < 0)
		cli_note("what was typed is lost: %s", strerror(-r));
	(void)msb_process_more(s->p);
	if (r > 0)
		s->let_go = msb_process_detach(s->p) == 0;
}

/* Signals. */

static void on_resize(struct session *s)
{
	uint16_t rows;
	uint16_t cols;

	if (s->p && s->pty && term_size(STDIN_FILENO, &rows, &cols))
		(void)msb_process_resize(s->p, rows, cols);
}

static bool is_running(const struct session *s)
{
	return s->p && msb_process_state(s->p) == MSB_PROCESS_RUNNING;
}

static void on_continue(struct session *s)
{
	bool raw = s->raw && s->ran && is_running(s) && term_foreground(STDIN_FILENO);

	if (raw && term_raw_again() < 0)
		cli_note("cannot change the terminal");
	on_resize(s);
}

/* Return: whether it is to end. */
static int on_forwarded(struct session *s, int sig)
{
	/* The terminal has hung up: nobody will ever see an answer. */
	bool hung_up = sig == SIGHUP && s->raw;
	int state = s->p ? msb_process_state(s->p) : MSB_PROCESS_BOOTING;

	if (state == MSB_PROCESS_RUNNING && !hung_up && s->signals++ == 0) {
		(void)msb_process_signal(s->p, sig);
		return 0;
	}
	if (state == MSB_PROCESS_ENDING || state == MSB_PROCESS_OVER || s->signo)
		return 0;
	s->signo = sig;
	return 1;
}

static int on_signal(void *arg)
{
	struct session *s = arg;
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGWINCH:
		on_resize(s);
		return 0;
	case SIGTSTP:
		/* Stopped like any job: the terminal is the shell's meanwhile. */
		term_restore();
		(void)kill(getpid(), SIGSTOP);
		return 0;
	case SIGCONT:
		on_continue(s);
		return 0;
	default:
		return on_forwarded(s, (int)info.ssi_signo);
	}
}

static int catch_signals(void *arg)
{
	static const int ours[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT};
	struct session *s = arg;
	sigset_t set;

	interrupt_set(ours, ARRAY_SIZE(ours), &set);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	if (sigprocmask(SIG_BLOCK, &set, &s->old_mask) < 0)
		return -errno;
	s->caught = true;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	msb_set_cancel(s->api.msb, s->signal_fd, on_signal, s);
	return 0;
}

static void release_signals(struct session *s)
{
	msb_set_cancel(s->api.msb, -1, NULL, NULL);
	s->signal_fd = fd_close(s->signal_fd);
	if (s->caught)
		(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

/* The command. */

static void look_at_terminal(struct session *s)
{
	const struct session_opts *o = s->opts;
	bool in_tty = isatty(STDIN_FILENO);
	/* In the background reading the terminal would only stop us. */
	bool background = in_tty && !term_foreground(STDIN_FILENO);

	s->pty = o->tty > 0 ||
		 (o->tty == 0 && in_tty && isatty(STDOUT_FILENO) && !background && !o->detach);
	s->raw = s->pty && in_tty && !o->detach;
	s->use_stdin = !background && !o->detach;
	if (o->detach_keys)
		s->keys = *o->detach_keys;
}

static int add_terminal(struct session *s, struct msb_command *c)
{
	const char *type = getenv("TERM");
	uint16_t rows;
	uint16_t cols;

	if (!s->pty)
		return 0;
	(void)term_size(isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO, &rows, &cols);
	msb_command_terminal(c, rows, cols);
	return type && *type ? msb_command_term(c, type) : 0;
}

static void add_streams(struct session *s, struct msb_command *c)
{
	bool keys = s->raw && s->keys.n;

	if (s->use_stdin && keys)
		msb_command_input(c, take_typed, s);
	msb_command_fds(c, s->use_stdin && !keys ? STDIN_FILENO : -1, STDOUT_FILENO, STDERR_FILENO);
	/* What cannot be shown is dropped; the command goes on. */
	msb_command_lose_stderr(c, 1);
}

static int describe(struct session *s, struct msb_command *c)
{
	const struct session_opts *o = s->opts;
	int r = 0;

	for (size_t i = 0; r == 0 && o->env && i < o->env->n; i++)
		r = msb_command_env(c, o->env->items[i]);
	for (size_t i = 0; r == 0 && o->rlimits && i < o->rlimits->n; i++)
		r = msb_command_rlimit(c, o->rlimits->items[i]);
	if (r == 0 && o->user && o->user[0])
		r = msb_command_user(c, o->user);
	if (r == 0 && o->cwd)
		r = msb_command_workdir(c, o->cwd);
	if (r == 0)
		r = add_terminal(s, c);
	add_streams(s, c);
	msb_command_start_sandbox(c, 1);
	msb_command_detach(c, o->detach);
	msb_command_timeout(c, (o->timeout_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
	return r;
}

static int start_new(struct session *s, const struct msb_command *c)
{
	struct msb_create_options o;

	creating_show_options(&s->show, &o);
	return msb_process_run(s->api.msb, s->opts->config, &o, c, &s->p, &s->e);
}

static int start_existing(struct session *s, const struct msb_command *c)
{
	struct msb_err err;
	int r = catch_signals(s);

	if (r == 0)
		return msb_process_start(s->api.msb, s->opts->name, c, &s->p, &s->e);
	(void)msb_err_errno(&err, r, "cannot catch signals");
	(void)snprintf(s->e.message, sizeof(s->e.message), "%s", err.msg);
	return r;
}

static int start(struct session *s)
{
	const struct session_opts *o = s->opts;
	struct msb_command *c = o->argv ? msb_command_new(o->argv) : msb_command_usual();
	int r = c ? describe(s, c) : -ENOMEM;

	if (r < 0)
		(void)snprintf(s->e.message, sizeof(s->e.message),
			"the command cannot be described: %s", strerror(-r));
	else
		r = o->name ? start_existing(s, c) : start_new(s, c);
	(void)msb_command_free(c);
	if (r == 0 && msb_process_owns(s->p) && !o->quiet && isatty(STDERR_FILENO))
		s->progress_ns = clock_mono_ns() + PROGRESS_DELAY_NS;
	return r;
}

/* Notes what has changed. */
static void look(struct session *s)
{
	int state = msb_process_state(s->p);
	int r;

	if (!s->noticed && msb_process_notice(s->p)[0]) {
		s->noticed = true;
		wait_clear(s);
		if (!s->opts->quiet)
			cli_note("%s", msb_process_notice(s->p));
	}
	if (state == MSB_PROCESS_BOOTING || s->ran)
		return;
	s->ran = true;
	wait_clear(s);
	if (state != MSB_PROCESS_RUNNING || !s->raw || !term_foreground(STDIN_FILENO))
		return;
	r = term_raw(STDIN_FILENO);
	if (r < 0)
		fail(s, "cannot change the terminal", r);
}

static int wait_ms(const struct session *s)
{
	int ms = msb_process_poll_ms(s->p);
	uint64_t now = clock_mono_ns();
	int until;

	if (!s->progress_ns)
		return ms;
	until = s->progress_ns <= now ? 0 : (int)((s->progress_ns - now) / NSEC_PER_MSEC) + 1;
	return ms < 0 ? until : MIN(ms, until);
}

/* Nothing is to be done any more that the library does not do. */
static bool is_settled(const struct session *s)
{
	bool keys = s->raw && s->keys.n;

	return !keys && (s->ran || (!s->raw && !msb_process_owns(s->p)));
}

/* Until it is over; 1, or what it failed with. */
static int drive(struct session *s)
{
	int r = 0;

	while (r == 0) {
		struct pollfd fds[] = {
			{.fd = msb_process_fd(s->p), .events = POLLIN},
			{.fd = wants_typed(s) ? STDIN_FILENO : -1, .events = POLLIN},
		};

		if (is_settled(s)) {
			r = msb_process_wait(s->p, NULL, &s->e);
			return r < 0 ? r : 1;
		}
		if (poll(fds, ARRAY_SIZE(fds), wait_ms(s)) < 0 && errno != EINTR)
			fail(s, "waiting for the sandbox", -errno);
		wait_show(s);
		if (fds[1].revents)
			read_typed(s);
		r = msb_process_work(s->p, &s->e);
		look(s);
	}
	return r;
}

/* The end. */

static int output_failed(const struct session *s)
{
	/* A reader that has gone away ends us as it would end any other program of the pipeline. */
	if (s->e.sys_errno == EPIPE)
		return 128 + SIGPIPE;
	cli_note("cannot write to standard output: %s", strerror(s->e.sys_errno));
	return CLI_EXIT_FAILED;
}

static int command_ended(struct session *s, int r)
{
	int status = CLI_EXIT_FAILED;

	if (r < 0)
		return cli_api_fail(&s->e);
	if (s->let_go && !s->opts->quiet)
		cli_note(
			"detached: the command runs on in sandbox '%s'", msb_process_sandbox(s->p));
	r = msb_process_wait(s->p, &status, &s->e);
	return r < 0 ? cli_api_fail(&s->e) : status;
}

/* Says what there is to say; returns the exit status. */
static int judge(struct session *s, int r)
{
	clear_line(s);
	if (s->failed)
		return s->failed;
	switch ((enum msb_process_end)msb_process_end(s->p)) {
	case MSB_END_LEFT:
		cli_note("the %s did not end within %d seconds (sandbox '%s')",
			msb_process_owns(s->p) ? "sandbox" : "command", STOP_LIMIT_S,
			msb_process_sandbox(s->p));
		return CLI_EXIT_FAILED;
	case MSB_END_CANCELED:
		return 128 + s->signo;
	case MSB_END_TIMEOUT:
		cli_note("the command was killed: it did not end within %.3g s (--timeout)",
			(double)s->opts->timeout_ns / 1e9);
		return CLI_EXIT_TIMEOUT;
	case MSB_END_OUTPUT:
		return output_failed(s);
	case MSB_END_INPUT:
	case MSB_END_MAX_DURATION:
	case MSB_END_STOPPED:
	case MSB_END_SANDBOX:
		return cli_api_fail_console(&s->e);
	case MSB_END_COMMAND:
		break;
	}
	return command_ended(s, r);
}

static void print_timing(const struct session *s)
{
	struct msb_process_times times = MSB_PROCESS_TIMES_INIT;
	struct buf text;

	msb_process_times(s->p, &times);
	buf_init(&text, 4096);
	if (timing_print(cli_started_ns(), &times, &text) < 0 ||
		io_write_full(STDERR_FILENO, buf_data(&text), buf_len(&text)) < 0)
		cli_note("cannot print the times");
	buf_deinit(&text);
}

static int not_started(struct session *s, int r)
{
	clear_line(s);
	if (r == -ECANCELED && s->show.pull.signo)
		return 128 + s->show.pull.signo;
	if (s->signo)
		return 128 + s->signo;
	return cli_api_fail_console(&s->e);
}

int session_run(const struct session_opts *opts)
{
	struct session s = {.opts = opts, .e = MSB_ERROR_INIT, .signal_fd = -EBADF};
	int status;
	int r = cli_api_open(&s.api, opts->common, &s.e);

	if (r < 0)
		return cli_api_fail(&s.e);
	/* It ends with us, and we with it. */
	msb_set_children(s.api.msb, 1);
	creating_show_init(&s.show, opts->quiet, catch_signals, &s);
	s.show.msb = s.api.msb;
	buf_init(&s.typed, TYPED_MAX);
	look_at_terminal(&s);
	r = start(&s);
	if (r < 0) {
		status = not_started(&s, r);
	} else {
		status = judge(&s, drive(&s));
		if (opts->timing)
			print_timing(&s);
	}
	term_restore();
	(void)msb_process_free(s.p);
	release_signals(&s);
	buf_deinit(&s.typed);
	cli_api_close(&s.api);
	return status;
}
