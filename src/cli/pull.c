/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from registries: see pull.h.
 *
 * One loop over three descriptors: the events of msb-pull, its pidfd, and a signalfd. The bars are
 * drawn when nothing more is to be read, so that a fast registry costs no more drawing than a slow
 * one. The request goes through a memfd: it may hold a password, which belongs on no command line
 * and in no environment, and nobody has to be waited for to write it.
 */
#include "cli/pull.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/term.h"
#include "lib/human.h"

enum { REQUEST_MAX = 1024 * 1024, SCREEN_MAX = 4 * 1024 * 1024 };

struct pulling {
	struct progress progress;
	struct buf in; /* what msb-pull said */
	struct buf screen; /* what goes to stderr */
	int signal_fd;
	int out_fd;
	int pid_fd;
	pid_t pid;
	sigset_t old_mask;
	int signal; /* that ended it */
	bool ended; /* msb-pull closed its output */
	bool finished; /* it said "done" or "error" */
	struct pull_event last;
};

static int make_request(int fd, struct buf *text, struct json_out *out, struct msb_err *err)
{
	int r = json_out_end(out);

	if (r == 0)
		r = io_write_full(fd, buf_data(text), buf_len(text));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? msb_err_errno(err, r, "cannot write a request to msb-pull") : 0;
}

static int put_trust(const struct pull_opts *o, struct json_out *out, struct msb_err *err)
{
	char ca[PATH_MAX] = "";
	int r = 0;

	if (o->ca_file) {
		cleanup_free char *real = realpath(o->ca_file, NULL);

		if (!real || str_copy(ca, sizeof(ca), real) < 0)
			return msb_err_errno(err, real ? -ENAMETOOLONG : -errno,
				"cannot read the certificates in %.200s", o->ca_file);
	} else {
		r = config_ca_certs(o->config, ca, err);
	}
	if (ca[0])
		json_put_str(out, "ca_file", ca);
	if (o->insecure)
		json_put_bool(out, "insecure", true);
	return r < 0 ? r : config_put_hosts(o->config, out, err);
}

static void wipe(struct buf *b)
{
	if (b->base)
		explicit_bzero(b->base, b->cap);
	buf_deinit(b);
}

static int pull_request(
	const struct pull_opts *o, const struct image_ref *ref, int fd, struct msb_err *err)
{
	static const char *const policies[] = {
		[PULL_ALWAYS] = "always", [PULL_IF_MISSING] = "if-missing", [PULL_NEVER] = "never"};
	char name[REF_TEXT_MAX + 1];
	struct json_out out;
	struct buf text;
	int r;

	buf_init(&text, REQUEST_MAX);
	json_out_init(&out, &text, JSON_COMPACT);
	image_ref_print(ref, name);
	json_begin_object(&out, NULL);
	json_put_str(&out, "home", o->home);
	json_put_str(&out, "ref", name);
	json_put_str(&out, "policy", policies[o->policy]);
	json_put_bool(&out, "quiet", o->quiet);
	r = put_trust(o, &out, err);
	json_end_object(&out);
	if (r == 0)
		r = make_request(fd, &text, &out, err);
	buf_deinit(&text);
	return r;
}

static int login_request(const struct pull_opts *o, const char *host, const char *username,
	const char *password, int fd, struct msb_err *err)
{
	struct json_out out;
	struct buf text;
	int r;

	buf_init(&text, REQUEST_MAX);
	json_out_init(&out, &text, JSON_COMPACT);
	json_begin_object(&out, NULL);
	json_put_str(&out, "op", "login");
	json_put_str(&out, "home", o->home);
	json_put_str(&out, "host", host);
	json_put_bool(&out, "quiet", true);
	json_begin_object(&out, "auth");
	json_put_str(&out, "username", username);
	json_put_str(&out, "password", password);
	json_end_object(&out);
	r = put_trust(o, &out, err);
	json_end_object(&out);
	if (r == 0)
		r = make_request(fd, &text, &out, err);
	wipe(&text);
	return r;
}

/* Signals that end us come through a descriptor from now on, SIGCONT as well. */
static int take_signals(struct pulling *p)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGCONT);
	if (sigprocmask(SIG_BLOCK, &mask, &p->old_mask) < 0)
		return -errno;
	p->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signal_fd < 0 ? -errno : 0;
}

static int start(struct pulling *p, const struct pull_opts *o, int request_fd, struct msb_err *err)
{
	char path[PATH_MAX];
	char name[] = "msb-pull";
	char *const argv[] = {name, NULL};
	struct spawn s = {.path = path, .argv = argv, .envp = environ, .cgroup_fd = -1};
	cleanup_fd int out_read = -EBADF;
	cleanup_fd int out_write = -EBADF;
	int fds[2];
	int n = snprintf(path, sizeof(path), "%s/msb-pull", o->lib_dir);
	int r = n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG : io_pipe(0, fds);

	if (r == 0) {
		out_read = fds[0];
		out_write = fds[1];
		r = io_nonblock(out_read, true);
	}
	/* It looks for its worker there, too, and wants an absolute path. */
	if (r == 0 && getenv("MSB_LIB") && setenv("MSB_LIB", o->lib_dir, 1) < 0)
		r = -errno;
	if (r < 0)
		return msb_err_errno(err, r, "cannot start %.300s", path);
	s.envp = environ;
	spawn_add_fd(&s, request_fd, STDIN_FILENO);
	spawn_add_fd(&s, out_write, STDOUT_FILENO);
	if (log_enabled(LOG_DEBUG))
		spawn_add_fd(&s, STDERR_FILENO, STDERR_FILENO);
	r = spawn_run(&s, &p->pid, &p->pid_fd);
	if (r < 0) {
		r = msb_err_errno(err, r, "cannot start %.300s", path);
		return msb_err_hint(err, r, "the installation is incomplete: 'msb doctor'");
	}
	p->out_fd = TAKE_FD(out_read);
	return 0;
}

/* When stderr is gone there is nobody to show anything to. */
static void flush(struct pulling *p)
{
	if (buf_len(&p->screen) &&
		io_write_full(STDERR_FILENO, buf_data(&p->screen), buf_len(&p->screen)) < 0)
		p->progress.style = PROGRESS_QUIET;
	buf_consume(&p->screen, buf_len(&p->screen));
}

static int draw(struct pulling *p, struct msb_err *err)
{
	uint16_t rows = 24;
	uint16_t columns = 80;
	int r;

	(void)term_size(STDERR_FILENO, &rows, &columns);
	r = progress_draw(&p->progress, rows, columns, &p->screen);
	flush(p);
	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

static int on_event(struct pulling *p, const char *line, size_t len, struct msb_err *err)
{
	struct pull_event e;
	int r = pull_event_parse(line, len, &e, err);

	if (r < 0)
		return r;
	if (e.type == PULL_WARNING) {
		r = progress_clear(&p->progress, &p->screen);
		flush(p);
		cli_note("warning: %s", e.err.msg);
	}
	if (e.type == PULL_DONE || e.type == PULL_ERROR) {
		p->finished = true;
		p->last = e;
	}
	if (r == 0)
		r = progress_event(&p->progress, &e, &p->screen);
	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

/* Everything that is there, line by line. */
static int on_output(struct pulling *p, struct msb_err *err)
{
	ssize_t n = buf_read_fd(&p->in, p->out_fd, 16 * 1024);
	const uint8_t *nl;

	if (n == 0)
		p->ended = true;
	if (n == -ENOBUFS)
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "msb-pull says what it must not");
	if (n < 0 && n != -EAGAIN && n != -EINTR)
		return msb_err_errno(err, (int)n, "cannot read what msb-pull says");
	while (buf_len(&p->in) && (nl = memchr(buf_data(&p->in), '\n', buf_len(&p->in)))) {
		size_t len = (size_t)(nl - buf_data(&p->in));
		int r = on_event(p, (const char *)buf_data(&p->in), len, err);

		if (r < 0)
			return r;
		buf_consume(&p->in, len + 1);
	}
	if (p->progress.style == PROGRESS_LINES)
		flush(p);
	return 0;
}

static int on_signal(struct pulling *p)
{
	struct signalfd_siginfo si;

	if (read(p->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return 0;
	if (si.ssi_signo == SIGCONT) {
		/* The shell wrote over the bars. */
		progress_forget(&p->progress);
		return 0;
	}
	p->signal = (int)si.ssi_signo;
	return -EINTR;
}

static int loop(struct pulling *p, struct msb_err *err)
{
	enum { OUTPUT, SIGNAL };
	struct pollfd fds[] = {
		[OUTPUT] = {.fd = p->out_fd, .events = POLLIN},
		[SIGNAL] = {.fd = p->signal_fd, .events = POLLIN},
	};
	int r = draw(p, err);

	while (r == 0 && !p->ended) {
		r = poll(fds, ARRAY_SIZE(fds), -1);
		if (r < 0 && errno != EINTR)
			return msb_err_errno(err, -errno, "waiting for msb-pull");
		if (r <= 0) {
			r = 0;
			continue;
		}
		r = fds[SIGNAL].revents ? on_signal(p) : 0;
		if (r == 0 && fds[OUTPUT].revents)
			r = on_output(p, err);
		if (r == 0)
			r = draw(p, err);
	}
	return r;
}

/* Killed or ended by itself: either way it is gone afterwards. */
static int reap(struct pulling *p, bool kill_it)
{
	int status = 0;
	pid_t pid;

	if (kill_it)
		(void)io_pidfd_kill(p->pid_fd, SIGKILL);
	do
		pid = waitpid(p->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	return pid < 0 ? -1 : status;
}

static int judge(const struct pulling *p, int status, struct msb_err *err)
{
	if (p->finished && p->last.type == PULL_ERROR) {
		if (err)
			*err = p->last.err;
		return -EIO;
	}
	if (p->finished && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return msb_err_set(err, -EIO, MSB_FAIL, "msb-pull was killed by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return msb_err_set(err, -EIO, MSB_FAIL, "msb-pull ended without a result");
}

static int converse(struct pulling *p, const struct pull_opts *o, int request_fd, int *ret_signal,
	struct msb_err *err)
{
	int r = take_signals(p);
	int status;

	if (r < 0)
		return msb_err_errno(err, r, "cannot catch signals");
	r = start(p, o, request_fd, err);
	if (r < 0)
		return r;
	r = loop(p, err);
	status = reap(p, r < 0);
	if (progress_clear(&p->progress, &p->screen) == 0)
		flush(p);
	if (p->signal) {
		*ret_signal = p->signal;
		return -EINTR;
	}
	return r < 0 ? r : judge(p, status, err);
}

static int run(const struct pull_opts *o, enum progress_style style, const char *word,
	int request_fd, struct pull_event *ret, bool *ret_made, int *ret_signal,
	struct msb_err *err)
{
	struct pulling p = {.signal_fd = -EBADF, .out_fd = -EBADF, .pid_fd = -EBADF};
	int r;

	*ret_signal = 0;
	progress_init(&p.progress, style, word);
	buf_init(&p.in, PULL_LINE_MAX + 1);
	buf_init(&p.screen, SCREEN_MAX);
	r = converse(&p, o, request_fd, ret_signal, err);
	*ret = p.last;
	*ret_made = p.progress.merging;
	fd_close(p.signal_fd);
	fd_close(p.out_fd);
	fd_close(p.pid_fd);
	buf_deinit(&p.in);
	buf_deinit(&p.screen);
	progress_deinit(&p.progress);
	(void)sigprocmask(SIG_SETMASK, &p.old_mask, NULL);
	return r;
}

static enum progress_style choose_style(const struct pull_opts *o)
{
	const char *term = getenv("TERM");

	if (o->quiet)
		return PROGRESS_QUIET;
	return isatty(STDERR_FILENO) && term && !streq(term, "dumb") ? PROGRESS_BARS
								     : PROGRESS_LINES;
}

int pull_image(const struct pull_opts *opts, const char *word, const struct image_ref *ref,
	struct pull_result *ret, int *ret_signal, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-request", MFD_CLOEXEC);
	uint64_t begin = clock_mono_ns();
	struct pull_event last = {.type = PULL_ERROR};
	bool made = false;
	int r;

	*ret_signal = 0;
	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot write a request to msb-pull");
	r = pull_request(opts, ref, fd, err);
	if (r == 0)
		r = run(opts, choose_style(opts), word, fd, &last, &made, ret_signal, err);
	if (r < 0)
		return r;
	if (!last.digest[0])
		return msb_err_set(err, -EBADMSG, MSB_PROTOCOL, "msb-pull ended without a result");
	*ret = (struct pull_result){
		.layers = last.layers,
		.downloaded_layers = last.downloaded_layers,
		.downloaded_bytes = last.downloaded_bytes,
		.made = made,
		.took_ns = clock_mono_ns() - begin,
	};
	memcpy(ret->digest, last.digest, sizeof(ret->digest));
	return 0;
}

int pull_login(const struct pull_opts *opts, const char *host, const char *username,
	const char *password, int *ret_signal, struct msb_err *err)
{
	cleanup_fd int fd = memfd_create("msb-request", MFD_CLOEXEC);
	struct pull_event last = {.type = PULL_ERROR};
	bool made = false;
	int r;

	*ret_signal = 0;
	if (fd < 0)
		return msb_err_errno(err, -errno, "cannot write a request to msb-pull");
	r = login_request(opts, host, username, password, fd, err);
	return r < 0 ? r : run(opts, PROGRESS_QUIET, host, fd, &last, &made, ret_signal, err);
}
