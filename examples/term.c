/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command with a terminal, in a sandbox that is started for it if it does not run: keys go to the
 * command, it follows the size of our window, SIGTERM and SIGHUP go to it, and we exit as it does.
 *
 *	cc -o term term.c $(pkg-config --cflags --libs msb)
 *	./term NAME vi /etc/motd
 *
 * With -d in front nobody waits for the command: what it prints is in the log of the sandbox.
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

static int attend(struct msb_process *p, int *ret_status, struct msb_error *e)
{
	struct pollfd fds[2];
	int r = 0;

	fds[0].fd = msb_process_fd(p);
	fds[1].fd = signals();
	fds[0].events = fds[1].events = POLLIN;
	while (r == 0) {
		if (poll(fds, 2, msb_process_poll_ms(p)) < 0)
			return -1;
		if (fds[1].revents)
			pass_on(p, fds[1].fd);
		r = msb_process_work(p, e);
	}
	close(fds[1].fd);
	return r < 0 ? r : msb_process_wait(p, ret_status, e);
}

static struct msb_command *describe(const char *const *argv, int detach)
{
	struct msb_command *c = msb_command_new(argv);
	struct winsize w;

	if (!c)
		return NULL;
	msb_command_start_sandbox(c, 1);
	msb_command_detach(c, detach);
	if (detach)
		return c;
	msb_command_fds(c, STDIN_FILENO, STDOUT_FILENO, -1);
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0)
		msb_command_terminal(c, w.ws_row, w.ws_col);
	return c;
}

int main(int argc, char **argv)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_process *p = NULL;
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
	c = describe((const char *const *)argv + 2, detach);
	if (!c || msb_open(NULL, NULL, &m, &e) < 0) {
		fprintf(stderr, "term: %s\n", e.message);
		return 125;
	}
	is_tty = !detach && tcgetattr(STDIN_FILENO, &before) == 0;
	r = msb_process_start(m, argv[1], c, &p, &e);
	msb_command_free(c);
	if (r == 0) {
		if (is_tty) {
			raw = before;
			cfmakeraw(&raw);
			tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
		}
		r = attend(p, &status, &e);
		if (is_tty)
			tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	}
	if (r < 0)
		fprintf(stderr, "term: %s (%s)\n", e.message, msb_code_name(e.code));
	msb_process_free(p);
	msb_close(m);
	return status;
}
