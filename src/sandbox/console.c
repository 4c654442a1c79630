/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's console: see console.h. */
#include "sandbox/console.h"

#include <fcntl.h>

#include "base/io.h"
#include "base/log.h"

#include "sandbox/state.h"

enum { CONSOLE_READ = 4096 };

void console_init(struct console *c)
{
	c->log_fd = -EBADF;
}

void console_deinit(struct console *c)
{
	c->log_fd = fd_close(c->log_fd);
}

static void log_bytes(struct console *c, const char *p, size_t n)
{
	static const char full[] = "\n[log full, the rest is dropped]\n";
	size_t room = (size_t)(LIMIT_CONSOLE_LOG - MIN(c->logged, (uint64_t)LIMIT_CONSOLE_LOG));
	int r;

	if (c->log_off || c->log_fd < 0)
		return;
	r = io_write_full(c->log_fd, p, MIN(n, room));
	c->logged += n;
	if (r == 0 && n > room)
		r = io_write_full(c->log_fd, full, strlen(full));
	if (r < 0)
		log_warn("%s: %s, the console is not logged further", SANDBOX_LOG, strerror(-r));
	c->log_off = r < 0 || n > room;
}

void console_log_to(struct console *c, int dir_fd)
{
	size_t have = (size_t)MIN(c->total, (uint64_t)LIMIT_CONSOLE);
	size_t at = (size_t)((c->total - have) % LIMIT_CONSOLE);
	size_t first = MIN(have, LIMIT_CONSOLE - at);

	c->log_fd = openat(
		dir_fd, SANDBOX_LOG, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->log_fd < 0) {
		log_warn("%s: %s, the console is not logged", SANDBOX_LOG, strerror(errno));
		return;
	}
	if (first)
		log_bytes(c, c->tail + at, first);
	if (have > first)
		log_bytes(c, c->tail, have - first);
}

void console_add(struct console *c, const char *p, size_t n)
{
	log_bytes(c, p, n);
	while (n) {
		size_t at = (size_t)(c->total % LIMIT_CONSOLE);
		size_t part = MIN(n, LIMIT_CONSOLE - at);

		memcpy(c->tail + at, p, part);
		c->total += part;
		p += part;
		n -= part;
	}
}

int console_read(struct console *c, int fd)
{
	char chunk[CONSOLE_READ];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
	if (n == 0)
		return 0;
	console_add(c, chunk, (size_t)n);
	return 1;
}

static char printable(char ch)
{
	if (ch == '\n' || ch == '\t')
		return ch;
	return ch >= ' ' && ch <= '~' ? ch : '?';
}

const char *console_tail(const struct console *c, char *to, size_t size)
{
	uint64_t have = MIN(c->total, (uint64_t)LIMIT_CONSOLE);
	uint64_t take = MIN(have, (uint64_t)size - 1);
	uint64_t at = c->total - take;
	size_t n = 0;

	/* Cut off: begin with the next whole line, if there is one. */
	if (at > 0) {
		uint64_t line = at;

		while (line < c->total && c->tail[line % LIMIT_CONSOLE] != '\n')
			line++;
		if (line + 1 < c->total)
			at = line + 1;
	}
	for (; at < c->total; at++) {
		char ch = c->tail[at % LIMIT_CONSOLE];

		if (ch != '\r')
			to[n++] = printable(ch);
	}
	while (n && (to[n - 1] == '\n' || to[n - 1] == ' '))
		n--;
	to[n] = '\0';
	return to;
}
