/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable byte queue with a ceiling.
 *
 * Bytes are appended at the tail and consumed at the head. A buffer never grows beyond the maximum
 * given at init: a peer that makes us queue cannot make us swell. The readable bytes are always
 * contiguous, so decoders work on buf_data() directly.
 */
#pragma once

#include "base/base.h"

struct buf {
	uint8_t *base;
	size_t head; /* first readable byte */
	size_t tail; /* one past the last readable byte */
	size_t cap;
	size_t max; /* readable bytes never exceed this */
};

/** buf_init - empty buffer that holds at most @max bytes; allocates nothing yet */
void buf_init(struct buf *b, size_t max);

/** buf_deinit - frees the storage, leaves an empty buffer with the same maximum */
void buf_deinit(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline size_t buf_space(const struct buf *b)
{
	return b->max - buf_len(b);
}

static inline const uint8_t *buf_data(const struct buf *b)
{
	return b->base ? b->base + b->head : (const uint8_t *)"";
}

/**
 * buf_reserve - room for @n bytes at the tail
 *
 * Return: where to write them (followed by buf_commit), or NULL: over the maximum (errno ENOBUFS)
 * or out of memory (ENOMEM).
 */
uint8_t *buf_reserve(struct buf *b, size_t n) MSB_MUST_CHECK;

/** buf_commit - the first @n reserved bytes were written */
void buf_commit(struct buf *b, size_t n);

/** buf_append - copy @n bytes to the tail; 0, -ENOBUFS or -ENOMEM (then nothing was appended) */
int buf_append(struct buf *b, const void *p, size_t n) MSB_MUST_CHECK;

/** buf_printf - append formatted text without its NUL */
int buf_printf(struct buf *b, const char *fmt, ...) MSB_PRINTF(2, 3) MSB_MUST_CHECK;

/** buf_consume - drop @n bytes from the head; @n is at most buf_len() */
void buf_consume(struct buf *b, size_t n);

/** buf_cstr - NUL-terminated view of the content, NULL if out of memory; valid until the next
 * change */
const char *buf_cstr(struct buf *b) MSB_MUST_CHECK;

/**
 * buf_read_fd - one read() of at most @n bytes into the buffer
 *
 * Return: bytes read, 0 at end of file, -EAGAIN, -ENOBUFS when full, or another negative errno.
 */
ssize_t buf_read_fd(struct buf *b, int fd, size_t n) MSB_MUST_CHECK;

/** buf_write_fd - one write() of the content; bytes written and consumed, or a negative errno */
ssize_t buf_write_fd(struct buf *b, int fd) MSB_MUST_CHECK;

/** buf_send_fd - like buf_write_fd, for sockets: a peer that is gone is -EPIPE and no signal */
ssize_t buf_send_fd(struct buf *b, int fd) MSB_MUST_CHECK;
