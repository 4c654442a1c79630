/* SPDX-License-Identifier: Apache-2.0 */
/* Growable byte queue with a ceiling: see buf.h. */
#include "base/buf.h"

#include <sys/socket.h>

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_deinit(struct buf *b)
{
	free(b->base);
	buf_init(b, b->max);
}

/* One byte beyond the maximum keeps room for the NUL of buf_cstr(). */
static size_t buf_next_cap(const struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	return MIN(cap, b->max + 1);
}

static int buf_make_room(struct buf *b, size_t n)
{
	size_t len = buf_len(b);
	size_t need;
	uint8_t *p;
	size_t cap;

	if (!size_add(len, n, &need) || need > b->max + 1)
		return -ENOBUFS;
	if (b->head && b->cap - b->tail < n) {
		memmove(b->base, b->base + b->head, len);
		b->head = 0;
		b->tail = len;
	}
	if (b->cap - b->tail >= n)
		return 0;

	cap = buf_next_cap(b, need);
	p = realloc(b->base, cap);
	if (!p)
		return -ENOMEM;
	b->base = p;
	b->cap = cap;
	return 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	int r = n > buf_space(b) ? -ENOBUFS : buf_make_room(b, n);

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return b->base ? b->base + b->tail : (uint8_t *)(uintptr_t) "";
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->tail);
	b->tail += n;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return 0;
	to = buf_reserve(b, n);
	if (!to)
		return -errno;
	memcpy(to, p, n);
	buf_commit(b, n);
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	int r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n > buf_space(b))
		return -ENOBUFS;
	r = buf_make_room(b, (size_t)n + 1);
	if (r < 0)
		return r;

	va_start(ap, fmt);
	(void)vsnprintf((char *)b->base + b->tail, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf_commit(b, (size_t)n);
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->head += n;
	if (b->head == b->tail)
		b->head = b->tail = 0;
}

const char *buf_cstr(struct buf *b)
{
	if (buf_make_room(b, 1) < 0)
		return NULL;
	b->base[b->tail] = '\0';
	return (const char *)b->base + b->head;
}

ssize_t buf_read_fd(struct buf *b, int fd, size_t n)
{
	size_t want = MIN(n, buf_space(b));
	uint8_t *to;
	ssize_t got;

	if (want == 0)
		return -ENOBUFS;
	to = buf_reserve(b, want);
	if (!to)
		return -errno;
	do {
		got = read(fd, to, want);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	buf_commit(b, (size_t)got);
	return got;
}

ssize_t buf_write_fd(struct buf *b, int fd)
{
	ssize_t put;

	do {
		put = write(fd, buf_data(b), buf_len(b));
	} while (put < 0 && errno == EINTR);
	if (put < 0)
		return -errno;
	buf_consume(b, (size_t)put);
	return put;
}

ssize_t buf_send_fd(struct buf *b, int fd)
{
	ssize_t put;

	do {
		put = send(fd, buf_data(b), buf_len(b), MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put < 0)
		return -errno;
	buf_consume(b, (size_t)put);
	return put;
}
