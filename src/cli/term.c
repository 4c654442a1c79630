/* SPDX-License-Identifier: Apache-2.0 */
/* The user's terminal in raw mode, and back: see term.h. */
#include "cli/term.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

/* Read by the fault handler: written before @armed is set, with @armed as the gate. */
static struct {
	volatile sig_atomic_t armed; /* the terminal differs from @saved */
	bool known; /* @saved and @fd are valid */
	int fd;
	struct termios saved;
} term;

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

/* tcsetattr() from a background process group would stop us with SIGTTOU. */
static int set_blocked(int fd, const struct termios *t)
{
	sigset_t block;
	sigset_t old;
	int r;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	if (sigprocmask(SIG_BLOCK, &block, &old) < 0)
		return -errno;
	/* DRAIN, not FLUSH: what the user typed ahead stays. */
	do {
		r = tcsetattr(fd, TCSADRAIN, t) < 0 ? -errno : 0;
	} while (r == -EINTR);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}

void term_restore(void)
{
	int saved_errno = errno;

	if (term.armed) {
		term.armed = 0;
		(void)set_blocked(term.fd, &term.saved);
	}
	errno = saved_errno;
}

/* Runs once (SA_RESETHAND); returning repeats the fault with the default action. */
static void on_fault(int sig)
{
	term_restore();
	(void)raise(sig);
}

static void catch_faults(void)
{
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
	struct sigaction old;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		/* Sanitizers and debuggers keep what they installed. */
		if (sigaction(faults[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			(void)sigaction(faults[i], &sa, NULL);
	}
}

int term_raw_again(void)
{
	struct termios raw;
	int r;

	if (!term.known)
		return -ENOTTY;
	raw = term.saved;
	cfmakeraw(&raw);
	term.armed = 1;
	r = set_blocked(term.fd, &raw);
	if (r < 0)
		term.armed = 0;
	return r;
}

int term_raw(int fd)
{
	if (term.armed)
		return -EALREADY;
	if (tcgetattr(fd, &term.saved) < 0)
		return -errno;
	term.fd = fd;
	term.known = true;
	catch_faults();
	return term_raw_again();
}

bool term_is_raw(void)
{
	return term.armed;
}

bool term_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_row == 0 || ws.ws_col == 0) {
		*ret_rows = 24;
		*ret_cols = 80;
		return false;
	}
	*ret_rows = ws.ws_row;
	*ret_cols = ws.ws_col;
	return true;
}

bool term_foreground(int fd)
{
	pid_t owner = tcgetpgrp(fd);

	/* Without job control (our own terminal of no session) nobody would stop us. */
	return owner < 0 || owner == getpgrp();
}
