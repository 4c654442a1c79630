/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the log of commands (exec-log.h), also while it is written.
 *
 * Trust: the files are written by a supervisor that a hostile guest may have taken over. What is no
 * entry is skipped and counted.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/json.h"

struct log_entry {
	const char *time; /* RFC 3339, UTC */
	const char *source;
	uint32_t id;
	const char *data; /* decoded */
	size_t len;
	const char *line; /* as it stands in the file, without newline */
	size_t line_len;
	/* private */
	struct json *doc;
	uint8_t *decoded;
};

/* Files that are written in turn; each begins with a line that has its number. */
struct log_ring {
	unsigned int files;
	size_t line_max;
	const char *(*name)(unsigned int i);
	/* The number in the first line @text of a file; 0: not one of ours, or empty. */
	uint64_t (*number)(const char *text, size_t len);
};

struct log_reader {
	const struct log_ring *ring;
	int dir_fd; /* borrowed */
	int fd;
	uint64_t seq; /* of the open file */
	uint64_t offset; /* behind what is in @pending */
	struct buf pending;
	bool done; /* @pending's first line is the current entry */
	size_t line_len;
	uint64_t skipped; /* lines that are no entries */
	bool lost; /* files were overwritten before they were read */
};

/** log_reader_init - of the log of commands */
void log_reader_init(struct log_reader *r, int dir_fd);

/** log_reader_init_ring - of other files of the same kind, for log_reader_line() */
void log_reader_init_ring(struct log_reader *r, const struct log_ring *ring, int dir_fd);
void log_reader_deinit(struct log_reader *r);

/**
 * log_reader_next - the next entry, oldest first; valid until the next call
 *
 * Return: 0, -EAGAIN when there is none yet, or another negative errno.
 */
int log_reader_next(struct log_reader *r, struct log_entry *ret) MSB_MUST_CHECK;
void log_entry_deinit(struct log_entry *e);

/**
 * log_reader_line - the next line, without its newline, first lines of files included; valid until
 * the next call
 *
 * Return: as log_reader_next().
 */
int log_reader_line(struct log_reader *r, const char **ret, size_t *ret_len) MSB_MUST_CHECK;

/** log_entry_parse - one line; 0 or a negative errno */
int log_entry_parse(const char *line, size_t len, struct log_entry *ret) MSB_MUST_CHECK;
