/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is loaded: the members of an archive, or of a directory in the same layout.
 *
 * The tar is read by a jailed worker; here are only its table, and contents that are read by
 * position. A stream or a compressed file is spooled to an unnamed file of the store first.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/layer/members.h"
#include "image/store/store.h"

struct source {
	int dir_fd; /* borrowed; -EBADF: an archive */
	int fd; /* contents of the archive */
	bool owned; /* @fd is a spool */
	struct members members;
	char *table; /* what they refer to */
};

/* One member's contents. */
struct source_blob {
	int fd;
	bool owned;
	uint64_t offset;
	uint64_t size;
};

/** source_open - @fd: the archive or the directory, borrowed; @ret: source_close(), also after a
 * failure */
int source_open(struct store *s, const char *layer_program, int fd, struct source *ret,
	struct msb_err *err) MSB_MUST_CHECK;
void source_close(struct source *s);

/** source_find - @ret: source_blob_close(); -ENOENT without a message when there is no such file */
int source_find(const struct source *s, const char *name, struct source_blob *ret) MSB_MUST_CHECK;
void source_blob_close(struct source_blob *b);

/** source_get - like source_find(), but a missing file is told */
int source_get(const struct source *s, const char *name, struct source_blob *ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** source_read - one piece of a blob at @at; bytes, or a negative errno; never 0 before its end */
ssize_t source_read(const struct source_blob *b, uint64_t at, void *p, size_t n) MSB_MUST_CHECK;

/**
 * source_text - a whole small file, with a NUL behind it
 * @what: for messages
 * @ret: owned by the caller
 */
int source_text(const struct source *s, const char *name, const char *what, char **ret,
	size_t *ret_len, struct msb_err *err) MSB_MUST_CHECK;
