/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's kernel says: the end of it in memory for failure reports, all of it (up to
 * LIMIT_CONSOLE_LOG) in kernel.log of the sandbox directory. The bytes are the guest's: they are
 * made printable before anybody sees them, and a full disk only ends the log.
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"

struct console {
	int log_fd; /* owned; -1: no log */
	bool log_off;
	uint64_t total; /* bytes seen; tail[] is a ring, byte i stands at i % LIMIT_CONSOLE */
	uint64_t logged; /* bytes of `total` that are in the log */
	char tail[LIMIT_CONSOLE];
};

/** console_init - @c is zeroed memory */
void console_init(struct console *c);

/** console_deinit - end the log; the tail stays readable */
void console_deinit(struct console *c);

/** console_log_to - write kernel.log below @dir_fd from now on, what came before included */
void console_log_to(struct console *c, int dir_fd);

void console_add(struct console *c, const char *p, size_t n);

/**
 * console_read - take in what is readable on @fd, bounded
 *
 * Return: 1 when there may be more, 0 at the end or on an error, -EAGAIN when nothing is there.
 */
int console_read(struct console *c, int fd);

/** console_tail - the last whole lines that fit @size, printable ASCII; returns @to */
const char *console_tail(const struct console *c, char *to, size_t size);
