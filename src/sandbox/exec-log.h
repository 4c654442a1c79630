/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of a sandbox have written: JSON lines in a ring of files.
 *
 * EXEC_LOG_FILES files exec-0.log ... are opened before the supervisor gives up its rights. One of
 * them is written; when it is full the next one is emptied and written, so the log is bounded
 * however much the guest prints, and no right to make or rename files is needed. The first line of
 * each file says where in the sequence it is:
 *
 *	{"seq":17}
 *	{"t":"2026-11-21T05:45:06.123Z","s":"stdout","d":"text\n","id":3}
 *
 * `s` is stdout, stderr, output (a terminal, where both are one), system (what the supervisor says)
 * or network (what was denied, from msb-net); `id` counts the commands of one run of the sandbox, 0
 *is the supervisor; `d` is a piece as it came, with "e":"b64" in base64 when it is not UTF-8.
 *Pieces are not lines.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"

enum { EXEC_LOG_FILES = 4 };

/** exec_log_name - of file number @i */
const char *exec_log_name(unsigned int i);

struct exec_log {
	int fds[EXEC_LOG_FILES];
	unsigned int current;
	uint64_t seq;
	uint64_t bytes; /* of the current one */
	bool open;
	bool off; /* writing has failed */
	struct buf line;
};

/** exec_log_init - a closed log, on which writing is legal and does nothing */
void exec_log_init(struct exec_log *l);

/** exec_log_open - go on behind what is there; 0 or a negative errno */
int exec_log_open(struct exec_log *l, int dir_fd) MSB_MUST_CHECK;
void exec_log_close(struct exec_log *l);

/** exec_log_write - one piece; failures end the log, not the sandbox */
void exec_log_write(struct exec_log *l, const char *source, uint32_t id, const void *p, size_t n);

/** exec_log_say - a line of the supervisor */
void exec_log_say(struct exec_log *l, const char *fmt, ...) MSB_PRINTF(2, 3);

/** exec_log_seq - the number in the first line @text of a file; 0: not one of ours, or empty */
uint64_t exec_log_seq(const char *text, size_t len);
