/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a ledger: see ledger-verify.h and the form in ledger.h.
 *
 * The head is read first and the files after it, so with a supervisor that goes on writing the
 * lines are as many as the head says, or more. The writer empties the oldest file when it needs
 * one; who finds the ring moved under its feet looks again.
 */
#include "sandbox/ledger-verify.h"

#include <fcntl.h>
#include <stdarg.h>

#include "base/io.h"
#include "base/json.h"

#include "sandbox/ledger-json.h"

enum { TRIES = 5, CHUNK = 64 * 1024 };

struct ring_file {
	uint64_t number;
	unsigned int index;
	int fd;
};

struct check {
	int dir_fd;
	bool has_head;
	struct ledger_head head;
	struct ring_file files[LEDGER_FILES];
	size_t n_files;
	const struct ring_file *file; /* that is read */
	struct ledger_verdict *v;
};

static int broken(struct check *c, uint64_t line, const char *fmt, ...) MSB_PRINTF(3, 4);

static int broken(struct check *c, uint64_t line, const char *fmt, ...)
{
	va_list ap;

	c->v->broken = true;
	c->v->line = line;
	c->v->file[0] = '\0';
	if (c->file)
		(void)snprintf(
			c->v->file, sizeof(c->v->file), "%s", ledger_ring.name(c->file->index));
	va_start(ap, fmt);
	(void)vsnprintf(c->v->why, sizeof(c->v->why), fmt, ap);
	va_end(ap);
	return 1;
}

static int read_head(struct check *c)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r = io_read_file(c->dir_fd, SANDBOX_LEDGER_HEAD, LEDGER_HEAD_BYTES, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -EFBIG)
		return r;
	/* Empty until the first line is written. */
	c->has_head = r < 0 || len > 0;
	if (r < 0 || (len > 0 && ledger_head_parse(text, len, &c->head) < 0))
		return broken(c, 0, "%s is not what was written", SANDBOX_LEDGER_HEAD);
	return 0;
}

static void sort(struct check *c)
{
	for (size_t i = 1; i < c->n_files; i++) {
		for (size_t k = i; k > 0 && c->files[k].number < c->files[k - 1].number; k--) {
			struct ring_file f = c->files[k];

			c->files[k] = c->files[k - 1];
			c->files[k - 1] = f;
		}
	}
}

/* The files that have anything in them, oldest first. */
static int open_files(struct check *c)
{
	for (unsigned int i = 0; i < LEDGER_FILES; i++) {
		char head[64];
		struct ring_file *f = &c->files[c->n_files];
		ssize_t n;

		f->index = i;
		f->fd = openat(c->dir_fd, ledger_ring.name(i),
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (f->fd < 0 && errno == ENOENT)
			continue;
		if (f->fd < 0)
			return -errno;
		n = pread(f->fd, head, sizeof(head), 0);
		if (n <= 0) {
			f->fd = fd_close(f->fd);
			continue;
		}
		c->n_files++;
		f->number = ledger_ring.number(head, (size_t)n);
		c->file = f;
		if (!f->number)
			return broken(c, 1, "not the first line of a file of the ledger");
		c->file = NULL;
	}
	sort(c);
	return 0;
}

static int check_file_line(struct check *c, const struct json *doc, uint64_t line)
{
	const char *prev = "";
	uint64_t number = 0;

	if (line != 1)
		return json_find(doc, "file") ? broken(c, line, "a second first line") : 0;
	if (json_get_u64(doc, "file", &number, NULL) < 0 || number != c->file->number ||
		json_get_str(doc, "prev", &prev, NULL) < 0 || strlen(prev) != LEDGER_HASH)
		return broken(c, line, "not the first line of a file of the ledger");
	/* The oldest file begins where the one before it, which is gone, has ended. */
	if (c->v->lines == 0 && number > 1)
		memcpy(c->v->last.hash, prev, LEDGER_HASH + 1);
	if (!streq(prev, c->v->last.hash))
		return broken(c, line, "it does not follow the line before it");
	return 0;
}

static int check_line(struct check *c, const char *text, size_t len, uint64_t line)
{
	cleanup_json struct json *doc = NULL;
	struct ledger_verdict *v = c->v;
	char stated[LEDGER_HASH + 1];
	char hash[LEDGER_HASH + 1];
	const char *event = "";
	uint64_t lost = 0;
	uint64_t seq = 0;
	int r;

	if (json_parse(text, len, &doc, NULL) < 0 || json_get_u64(doc, "seq", &seq, NULL) < 0 ||
		json_get_str(doc, "event", &event, NULL) < 0)
		return broken(c, line, "not a line of the ledger");
	r = check_file_line(c, doc, line);
	if (r)
		return r;
	if (v->lines == 0 && c->file->number > 1)
		v->last.seq = seq - 1;
	if (seq != v->last.seq + 1)
		return broken(c, line, "it is number %" PRIu64 " and should be %" PRIu64, seq,
			v->last.seq + 1);
	if (ledger_line_hash(text, len, v->last.hash, hash, stated) < 0 || !streq(hash, stated))
		return broken(
			c, line, "its hash does not fit: it, or what was before it, was changed");
	if (seq == c->head.seq && !streq(hash, c->head.hash))
		return broken(c, line, "%s has another hash for it", SANDBOX_LEDGER_HEAD);
	if (v->lines++ == 0)
		v->first_seq = seq;
	v->last.seq = seq;
	v->last.file = c->file->number;
	memcpy(v->last.hash, hash, sizeof(hash));
	v->ended = streq(event, "end");
	if (streq(event, "lost") && json_get_u64(doc, "events", &lost, NULL) == 0)
		v->lost += MIN(lost, UINT64_MAX - v->lost);
	return 0;
}

static int check_lines(struct check *c, struct buf *b, uint64_t *line)
{
	int r = 0;

	while (r == 0) {
		const char *p = (const char *)buf_data(b);
		const char *end = memchr(p, '\n', buf_len(b));

		if (!end)
			break;
		r = check_line(c, p, (size_t)(end - p), ++*line);
		buf_consume(b, (size_t)(end - p) + 1);
	}
	if (r == 0 && buf_len(b) >= LEDGER_LINE)
		return broken(c, *line + 1, "it is too long for a line of the ledger");
	return r;
}

static int check_file(struct check *c, bool last)
{
	uint64_t line = 0;
	struct buf b;
	ssize_t n;
	int r = 0;

	buf_init(&b, CHUNK + LEDGER_LINE);
	do {
		n = buf_read_fd(&b, c->file->fd, CHUNK);
		r = n < 0 ? (int)n : check_lines(c, &b, &line);
	} while (n > 0 && r == 0);
	if (r == 0 && buf_len(&b)) {
		c->v->torn = last;
		if (!last)
			r = broken(c, line + 1, "half a line");
	}
	buf_deinit(&b);
	return r;
}

static int check_all(struct check *c)
{
	const struct ledger_head *last = &c->v->last;
	uint64_t number;
	int r = read_head(c);

	if (r == 0)
		r = open_files(c);
	if (r)
		return r;
	if (c->n_files == 0)
		return c->head.seq ? broken(c, 0, "its files are gone") : -ENOENT;
	number = c->files[c->n_files - 1].number;
	number = number > LEDGER_FILES ? number - LEDGER_FILES + 1 : 1;
	for (size_t i = 0; i < c->n_files && r == 0; i++, number++) {
		c->file = NULL;
		if (c->files[i].number != number)
			return broken(c, 0, "file number %" PRIu64 " is gone", number);
		c->file = &c->files[i];
		r = check_file(c, i + 1 == c->n_files);
	}
	c->file = NULL;
	if (r == 0 && !c->has_head)
		return broken(c, 0, "%s is gone", SANDBOX_LEDGER_HEAD);
	if (r == 0 && last->seq < c->head.seq)
		return broken(c, 0,
			"its end was cut off: it ends with line %" PRIu64 " of %" PRIu64, last->seq,
			c->head.seq);
	return r;
}

static int verify_once(int dir_fd, struct ledger_verdict *ret)
{
	struct check c = {.dir_fd = dir_fd, .v = ret};
	int r;

	*ret = (struct ledger_verdict){.last.hash = LEDGER_ZERO};
	r = check_all(&c);
	for (size_t i = 0; i < c.n_files; i++)
		c.files[i].fd = fd_close(c.files[i].fd);
	return MIN(r, 0);
}

/* The oldest file: it changes when the ring moves on. */
static uint64_t oldest(int dir_fd)
{
	struct ledger_verdict v = {0};
	struct check c = {.dir_fd = dir_fd, .v = &v};
	bool all = open_files(&c) == 0;
	uint64_t number = all && c.n_files ? c.files[0].number : 0;

	for (size_t i = 0; i < c.n_files; i++)
		c.files[i].fd = fd_close(c.files[i].fd);
	return number;
}

int ledger_verify(int dir_fd, struct ledger_verdict *ret)
{
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = oldest(dir_fd);

		r = verify_once(dir_fd, ret);
		if (r < 0 || !ret->broken || oldest(dir_fd) == before)
			break;
	}
	return r;
}
