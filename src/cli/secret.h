/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords from the user: typed without being shown, or through a pipe. */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { SECRET_MAX = 16 * 1024 };

/**
 * secret_prompt - ask on the terminal @tty_fd; what is typed is not shown if @hidden
 * @ret: at least SECRET_MAX bytes; the caller wipes it
 *
 * Return: 0, -ECANCELED without a message when the user gave up (Ctrl-C, Ctrl-D, a signal), else a
 * negative errno. The terminal is as before in any case.
 */
int secret_prompt(int tty_fd, const char *question, bool hidden, char *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** secret_read - everything up to the end of @fd without the line end at its end */
int secret_read(int fd, char *ret, struct msb_err *err) MSB_MUST_CHECK;
