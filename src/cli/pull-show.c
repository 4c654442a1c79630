/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads as msb shows them: see pull-show.h.
 *
 * The bars are drawn when nothing more is to be read, so that a fast registry costs no more drawing
 * than a slow one.
 */
#include "cli/pull-show.h"

#include <sys/signalfd.h>

#include "base/io.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/term.h"
#include "lib/human.h"

enum { SCREEN_MAX = 4 * 1024 * 1024 };

/* When stderr is gone there is nobody to show anything to. */
static void flush(struct pull_show *s)
{
	if (buf_len(&s->screen) &&
		io_write_full(STDERR_FILENO, buf_data(&s->screen), buf_len(&s->screen)) < 0)
		s->progress.style = PROGRESS_QUIET;
	buf_consume(&s->screen, buf_len(&s->screen));
}

static bool asked(void *arg)
{
	struct pull_show *s = arg;
	struct signalfd_siginfo si;

	if (read(s->cancel.fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return false;
	if (si.ssi_signo == SIGCONT) {
		/* The shell wrote over the bars. */
		progress_forget(&s->progress);
		return false;
	}
	s->signo = (int)si.ssi_signo;
	return true;
}

/* Signals that end us come through a descriptor from now on, SIGCONT as well. */
static int take_signals(struct pull_show *s)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGCONT);
	s->cancel.fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->cancel.fd < 0)
		return -errno;
	if (sigprocmask(SIG_BLOCK, &mask, &s->old_mask) == 0)
		return 0;
	s->cancel.fd = fd_close(s->cancel.fd);
	return -errno;
}

static int show_begin(void *arg, const char *word, bool quiet, struct msb_err *err)
{
	struct pull_show *s = arg;
	const char *term = getenv("TERM");
	enum progress_style style = isatty(STDERR_FILENO) && term && !streq(term, "dumb")
					    ? PROGRESS_BARS
					    : PROGRESS_LINES;
	int r = take_signals(s);

	if (r < 0)
		return msb_err_errno(err, r, "cannot catch signals");
	progress_init(&s->progress, quiet ? PROGRESS_QUIET : style, word);
	buf_init(&s->screen, SCREEN_MAX);
	return 0;
}

static int show_event(void *arg, const struct pull_event *e, struct msb_err *err)
{
	struct pull_show *s = arg;
	int r = 0;

	if (e->type == PULL_WARNING) {
		r = progress_clear(&s->progress, &s->screen);
		flush(s);
		cli_note("warning: %s", e->err.msg);
	}
	if (r == 0)
		r = progress_event(&s->progress, e, &s->screen);
	if (s->progress.style == PROGRESS_LINES)
		flush(s);
	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

static int show_idle(void *arg, struct msb_err *err)
{
	struct pull_show *s = arg;
	uint16_t rows = 24;
	uint16_t columns = 80;
	int r;

	(void)term_size(STDERR_FILENO, &rows, &columns);
	r = progress_draw(&s->progress, rows, columns, &s->screen);
	flush(s);
	return r < 0 ? msb_err_errno(err, r, "showing the progress") : 0;
}

static void show_end(void *arg)
{
	struct pull_show *s = arg;

	if (progress_clear(&s->progress, &s->screen) == 0)
		flush(s);
	s->cancel.fd = fd_close(s->cancel.fd);
	buf_deinit(&s->screen);
	progress_deinit(&s->progress);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

void pull_show_init(struct pull_show *s)
{
	*s = (struct pull_show){
		.watch = {.begin = show_begin,
			.event = show_event,
			.idle = show_idle,
			.end = show_end,
			.arg = s,
			.cancel = &s->cancel},
		.cancel = {.fd = -EBADF, .asked = asked, .arg = s},
	};
}

void pull_show_done(const char *word, const struct pull_result *r)
{
	char size[HUMAN_SIZE];

	if (r->made)
		cli_done("Pulled", "%s (%s, %.1fs)", word, human_size(size, r->downloaded_bytes),
			(double)r->took_ns / 1e9);
}
