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

#include "cli/api.h"
#include "cli/interrupt.h"
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

int pull_show_asked(void *arg)
{
	struct pull_show *s = arg;
	struct signalfd_siginfo si;

	if (read(s->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return 0;
	if (si.ssi_signo == SIGCONT) {
		/* The shell wrote over the bars. */
		progress_forget(&s->progress);
		return 0;
	}
	s->signo = (int)si.ssi_signo;
	return 1;
}

/* Signals that end us come through a descriptor from now on, SIGCONT as well. */
static int take_signals(struct pull_show *s)
{
	static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT};
	sigset_t mask;

	interrupt_set(ours, ARRAY_SIZE(ours), &mask);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	if (sigprocmask(SIG_BLOCK, &mask, &s->old_mask) == 0)
		return 0;
	s->signal_fd = fd_close(s->signal_fd);
	return -errno;
}

static int show_event(void *arg, const struct msb_pull_event *e)
{
	struct pull_show *s = arg;
	int r = 0;

	if (e->type == MSB_PULL_WARNING) {
		r = progress_clear(&s->progress, &s->screen);
		flush(s);
		cli_note("warning: %s", e->text);
	}
	if (r == 0)
		r = progress_event(&s->progress, e, &s->screen);
	if (s->progress.style == PROGRESS_LINES)
		flush(s);
	return r;
}

static int show_idle(void *arg)
{
	struct pull_show *s = arg;
	uint16_t rows = 24;
	uint16_t columns = 80;
	int r;

	(void)term_size(STDERR_FILENO, &rows, &columns);
	r = progress_draw(&s->progress, rows, columns, &s->screen);
	flush(s);
	return r;
}

void pull_show_init(struct pull_show *s)
{
	*s = (struct pull_show){.watch = MSB_PULL_WATCH_INIT, .signal_fd = -EBADF};
	s->watch.event = show_event;
	s->watch.idle = show_idle;
	s->watch.arg = s;
}

int pull_show_begin(struct pull_show *s, const char *word, bool quiet, struct msb_err *err)
{
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

void pull_show_end(struct pull_show *s)
{
	if (progress_clear(&s->progress, &s->screen) == 0)
		flush(s);
	s->signal_fd = fd_close(s->signal_fd);
	buf_deinit(&s->screen);
	progress_deinit(&s->progress);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

void pull_show_done(const char *word, uint64_t bytes, uint64_t took_ns)
{
	char size[HUMAN_SIZE];

	cli_done("Pulled", "%s (%s, %.1fs)", word, human_size(size, bytes), (double)took_ns / 1e9);
}
