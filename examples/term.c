/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with a terminal, in a sandbox that is started for it if it does not run: keys go to the
 * command, it follows the size of our window, SIGTERM and SIGHUP go to it, and we exit as it does.
 *
 *	cc -o term term.c $(pkg-config --cflags --libs msb)
 *	./term NAME vi /etc/motd
 *
 * Ctrl-] lets go of the command. With -d in front nobody waits for it from the beginning: what it
 * prints is in the log of the sandbox.
 */
#include <errno.h>
#include <msb/msb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define KEY_DETACH (']' - '@') /* Ctrl-] */

/* Signals arrive as something to read. */
static int signals(void)
{
	static const int ours[] = {SIGWINCH, SIGTERM, SIGHUP};
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaddset(&set, ours[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Before it runs nobody hears these: the size was given with the command. */
static void pass_on(struct msb_process *p, int fd)
{
	struct signalfd_siginfo s;
	struct winsize w;

	if (read(fd, &s, sizeof(s)) != (ssize_t)sizeof(s))
		return;
	if (s.ssi_signo != SIGWINCH) {
		if (msb_process_signal(p, (int)s.ssi_signo) == -EAGAIN)
			msb_process_kill(p);
	} else if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0) {
		msb_process_resize(p, w.ws_row, w.ws_col);
	}
}

/* What was typed, if there is something. */
struct keys {
	struct msb_process *p;
	int waiting; /* the command takes more, and there was nothing */
};

static ssize_t type(void *arg, void *to, size_t n)
{
	struct keys *k = arg;
	struct pollfd f;
	ssize_t got;

	f.fd = STDIN_FILENO;
	f.events = POLLIN;
	k->waiting = poll(&f, 1, 0) != 1;
	if (k->waiting)
		return -EAGAIN;
	got = read(STDIN_FILENO, to, n);
	if (got > 0 && memchr(to, KEY_DETACH, (size_t)got))
		msb_process_detach(k->p);
	return got < 0 ? -errno : got;
}

static int attend(struct keys *k, int *ret_status, struct msb_error *e)
{
	struct msb_process *p = k->p;
	struct pollfd fds[3];
	int r = 0;

	fds[0].fd = msb_process_fd(p);
	fds[1].fd = signals();
	fds[0].events = fds[1].events = fds[2].events = POLLIN;
	while (r == 0) {
		fds[2].fd = k->waiting ? STDIN_FILENO : -1;
		if (poll(fds, 3, msb_process_poll_ms(p)) < 0)
			return -1;
		if (fds[1].revents)
			pass_on(p, fds[1].fd);
		if (fds[2].revents)
			msb_process_more(p);
		r = msb_process_work(p, e);
	}
	close(fds[1].fd);
	return r < 0 ? r : msb_process_wait(p, ret_status, e);
}

static struct msb_command *describe(const char *const *argv, int detach, struct keys *k)
{
	struct msb_command *c = msb_command_new(argv);
	struct winsize w;

	if (!c)
		return NULL;
	msb_command_start_sandbox(c, 1);
	msb_command_detach(c, detach);
	if (detach)
		return c;
	msb_command_fds(c, -1, STDOUT_FILENO, -1);
	msb_command_input(c, type, k);
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0)
		msb_command_terminal(c, w.ws_row, w.ws_col);
	return c;
}

int main(int argc, char **argv)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct keys k = {NULL, 0};
	struct msb_command *c;
	struct termios before;
	struct termios raw;
	struct msb *m = NULL;
	int status = 125;
	int detach = argc > 1 && strcmp(argv[1], "-d") == 0;
	int is_tty;
	int r;

	argv += detach;
	argc -= detach;
	if (argc < 3) {
		fprintf(stderr, "usage: term [-d] NAME COMMAND...\n");
		return 2;
	}
	c = describe((const char *const *)argv + 2, detach, &k);
	if (!c || msb_open(NULL, NULL, &m, &e) < 0) {
		fprintf(stderr, "term: %s\n", e.message);
		return 125;
	}
	is_tty = !detach && tcgetattr(STDIN_FILENO, &before) == 0;
	r = msb_process_start(m, argv[1], c, &k.p, &e);
	msb_command_free(c);
	if (r == 0) {
		if (is_tty) {
			raw = before;
			cfmakeraw(&raw);
			tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
		}
		r = attend(&k, &status, &e);
		if (is_tty)
			tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	}
	if (r < 0)
		fprintf(stderr, "term: %s (%s)\n", e.message, msb_code_name(e.code));
	msb_process_free(k.p);
	msb_close(m);
	return status;
}
