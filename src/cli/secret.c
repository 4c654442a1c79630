/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords from the user: see secret.h.
 *
 * The terminal is in raw mode while somebody types: Ctrl-C is a byte then, so the terminal can be
 * put back before we go. Signals from elsewhere wait in a signalfd for the same reason.
 */
#include "cli/secret.h"

#include <poll.h>

#include "base/io.h"

#include "cli/interrupt.h"
#include "cli/term.h"

enum { CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, CTRL_U = 21, DELETE = 127 };

struct typing {
	int fd;
	bool hidden;
	char *text;
	size_t len;
};

static void show(const struct typing *t, const char *what, size_t len)
{
	/* A terminal that is gone shows up in the next read. */
	(void)!io_write_full(t->fd, what, len);
}

static void erase(struct typing *t)
{
	if (!t->len)
		return;
	t->len--;
	/* A character of several bytes goes as a whole. */
	while (t->len && ((uint8_t)t->text[t->len] & 0xc0) == 0x80)
		t->len--;
	if (!t->hidden)
		show(t, "\b \b", 3);
}

/* Return: 0 for more, 1 at the end of the line, or a negative errno. */
static int take(struct typing *t, char c)
{
	switch (c) {
	case '\r':
	case '\n':
		return 1;
	case CTRL_C:
	case CTRL_D:
		return -ECANCELED;
	case BACKSPACE:
	case DELETE:
		erase(t);
		return 0;
	case CTRL_U:
		while (t->len)
			erase(t);
		return 0;
	default:
		break;
	}
	if ((uint8_t)c < ' ')
		return 0;
	if (t->len == SECRET_MAX - 1)
		return -E2BIG;
	t->text[t->len++] = c;
	if (!t->hidden)
		show(t, &c, 1);
	return 0;
}

static int type_line(struct typing *t, int signal_fd)
{
	struct pollfd fds[] = {
		{.fd = t->fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
	int r = 0;

	while (r == 0) {
		char c;
		ssize_t n;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fds[1].revents)
			return -ECANCELED;
		n = read(t->fd, &c, 1);
		if (n == 0)
			return -ECANCELED;
		if (n < 0 && errno != EINTR)
			return -errno;
		r = n < 0 ? 0 : take(t, c);
	}
	return r < 0 ? r : 0;
}

int secret_prompt(int tty_fd, const char *question, bool hidden, char *ret, struct msb_err *err)
{
	struct typing t = {.fd = tty_fd, .hidden = hidden, .text = ret};
	struct interrupt in;
	int r = interrupt_begin(&in, err);

	if (r < 0)
		return r;
	r = term_raw(tty_fd);
	if (r == 0) {
		show(&t, question, strlen(question));
		r = type_line(&t, in.cancel.fd);
		term_restore();
		show(&t, "\n", 1);
	}
	/* A signal that came was not taken: it ends us now. */
	interrupt_end(&in);
	ret[t.len] = '\0';
	if (r == -ECANCELED)
		return r;
	return r < 0 ? msb_err_errno(err, r, "cannot read from the terminal") : 0;
}

int secret_read(int fd, char *ret, struct msb_err *err)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, ret + len, SECRET_MAX - len);
		if (n < 0 && errno != EINTR)
			return msb_err_errno(err, -errno, "cannot read the password");
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len < SECRET_MAX);
	if (len == SECRET_MAX)
		return msb_err_set(err, -E2BIG, MSB_USAGE, "the password is longer than %d bytes",
			SECRET_MAX - 1);
	if (len && ret[len - 1] == '\n')
		len--;
	if (len && ret[len - 1] == '\r')
		len--;
	ret[len] = '\0';
	if (strlen(ret) != len)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "the password has a NUL byte");
	return 0;
}
