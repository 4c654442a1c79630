/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's terminal in raw mode, and back.
 *
 * One terminal per process, by nature. Once term_raw() has changed it, the terminal is put back by
 * term_restore(), and also when the process dies of a fault (SIGSEGV and the like): a handler
 * restores it and lets the signal take its course. Signals that can be handled in order (SIGTERM,
 * SIGHUP ...) are the caller's: it catches them and calls term_restore().
 */
#pragma once

#include "base/base.h"

/** term_raw - switch the terminal @fd to raw mode; 0 or a negative errno, -EALREADY if it is */
int term_raw(int fd) MSB_MUST_CHECK;

/** term_raw_again - after a stop: whatever the shell did meanwhile, raw mode it is */
int term_raw_again(void) MSB_MUST_CHECK;

/** term_restore - as it was before term_raw(); legal at any time, also in a signal handler */
void term_restore(void);

/** term_is_raw - between term_raw() and term_restore(): output needs \r\n */
bool term_is_raw(void);

/** term_size - rows and columns of the terminal @fd; false (and 24x80) if unknown */
bool term_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols);

/** term_foreground - does the terminal @fd belong to our process group? */
bool term_foreground(int fd);
