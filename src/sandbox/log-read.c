/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the log of commands: see log-read.h. */
#include "sandbox/log-read.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/caps.h"
#include "base/io.h"

#include "sandbox/exec-log.h"

enum { READ_CHUNK = 64 * 1024, LINE_LIMIT = LIMIT_FRAME_PAYLOAD * 6 + 1024, HEAD_BYTES = 64 };

static const struct log_ring commands = {.files = EXEC_LOG_FILES,
	.line_max = LINE_LIMIT,
	.name = exec_log_name,
	.number = exec_log_seq};

void log_reader_init_ring(struct log_reader *r, const struct log_ring *ring, int dir_fd)
{
	*r = (struct log_reader){.ring = ring, .dir_fd = dir_fd, .fd = -EBADF};
	buf_init(&r->pending, ring->line_max + READ_CHUNK);
}

void log_reader_init(struct log_reader *r, int dir_fd)
{
	log_reader_init_ring(r, &commands, dir_fd);
}

void log_reader_deinit(struct log_reader *r)
{
	r->fd = fd_close(r->fd);
	buf_deinit(&r->pending);
}

void log_entry_deinit(struct log_entry *e)
{
	json_free(e->doc);
	free(e->decoded);
	*e = (struct log_entry){.doc = NULL};
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int decode(const char *text, size_t len, struct log_entry *e)
{
	size_t pad = len && text[len - 1] == '=' ? 1 : 0;
	size_t n = 0;

	pad += pad && len > 1 && text[len - 2] == '=';
	if (len % 4)
		return -EBADMSG;
	e->decoded = malloc(len / 4 * 3 + 1);
	if (!e->decoded)
		return -ENOMEM;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = i + k >= len - pad ? 0 : digit(text[i + k]);

			if (d < 0)
				return -EBADMSG;
			v = v << 6 | (uint32_t)d;
		}
		e->decoded[n++] = (uint8_t)(v >> 16);
		e->decoded[n++] = (uint8_t)(v >> 8);
		e->decoded[n++] = (uint8_t)v;
	}
	e->data = (const char *)e->decoded;
	e->len = n - pad;
	return 0;
}

int log_entry_parse(const char *line, size_t len, struct log_entry *ret)
{
	struct log_entry e = {.line = line, .line_len = len};
	const char *encoding = "";
	const struct json *d;
	int r = json_parse(line, len, &e.doc, NULL);

	if (r == 0)
		r = json_get_str(e.doc, "t", &e.time, NULL);
	if (r == 0)
		r = json_get_str(e.doc, "s", &e.source, NULL);
	if (r == 0)
		r = json_get_u32(e.doc, "id", 0, UINT32_MAX, &e.id, NULL);
	if (r == 0)
		r = json_opt_str(e.doc, "e", &encoding, NULL);
	if (r == 0) {
		d = json_find(e.doc, "d");
		e.data = d ? json_bytes(d, &e.len) : NULL;
		r = !e.data ? -EINVAL : streq(encoding, "b64") ? decode(e.data, e.len, &e) : 0;
	}
	if (r < 0) {
		log_entry_deinit(&e);
		return r;
	}
	*ret = e;
	return 0;
}

static uint64_t seq_of(const struct log_reader *r, int fd)
{
	char head[HEAD_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n > 0 ? r->ring->number(head, (size_t)n) : 0;
}

/* Opens the oldest file that is younger than the one we have; -EAGAIN when there is none. */
static int open_next(struct log_reader *r)
{
	uint64_t best = UINT64_MAX;
	int best_fd = -EBADF;

	for (unsigned int i = 0; i < r->ring->files; i++) {
		int fd = openat(r->dir_fd, r->ring->name(i),
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		uint64_t seq = fd >= 0 ? seq_of(r, fd) : 0;

		if (seq > r->seq && seq < best) {
			fd_close(best_fd);
			best = seq;
			best_fd = fd;
		} else {
			fd_close(fd);
		}
	}
	if (best_fd < 0)
		return -EAGAIN;
	if (r->seq && best > r->seq + 1)
		r->lost = true;
	fd_close(r->fd);
	r->fd = best_fd;
	r->seq = best;
	r->offset = 0;
	buf_consume(&r->pending, buf_len(&r->pending));
	return 0;
}

/* More bytes of the file; -EAGAIN at its end. */
static int fill(struct log_reader *r)
{
	uint8_t *to = buf_reserve(&r->pending, READ_CHUNK);
	ssize_t n;

	if (!to)
		return -errno;
	n = pread(r->fd, to, READ_CHUNK, (off_t)r->offset);
	if (n < 0)
		return -errno;
	buf_commit(&r->pending, (size_t)n);
	r->offset += (uint64_t)n;
	return n ? 0 : -EAGAIN;
}

/* A whole line at the head of @pending, with its length; or -EAGAIN. */
static int next_line(struct log_reader *r)
{
	size_t searched = 0;

	for (;;) {
		const char *p = (const char *)buf_data(&r->pending);
		const char *end = memchr(p + searched, '\n', buf_len(&r->pending) - searched);
		int e;

		if (end) {
			r->line_len = (size_t)(end - p);
			return 0;
		}
		searched = buf_len(&r->pending);
		if (searched > r->ring->line_max) {
			/* Nothing of ours: give up on the whole file. */
			buf_consume(&r->pending, searched);
			r->skipped++;
			e = open_next(r);
			searched = 0;
		} else {
			e = fill(r);
		}
		if (e < 0)
			return e;
	}
}

int log_reader_line(struct log_reader *r, const char **ret, size_t *ret_len)
{
	for (;;) {
		int e;

		if (r->done) {
			buf_consume(&r->pending, r->line_len + 1);
			r->done = false;
		}
		e = r->fd < 0 ? -EAGAIN : next_line(r);
		if (e == -EAGAIN) {
			/* At the end, or the file was emptied and used again under our feet. */
			e = open_next(r);
			if (e < 0)
				return e;
			continue;
		}
		if (e < 0)
			return e;
		r->done = true;
		*ret = (const char *)buf_data(&r->pending);
		*ret_len = r->line_len;
		return 0;
	}
}

int log_reader_next(struct log_reader *r, struct log_entry *ret)
{
	const char *line;
	size_t len;
	int e;

	while ((e = log_reader_line(r, &line, &len)) == 0) {
		if (log_entry_parse(line, len, ret) == 0)
			return 0;
		if (!r->ring->number(line, len))
			r->skipped++;
	}
	return e;
}
