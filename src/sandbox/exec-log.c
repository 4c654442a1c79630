/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of a sandbox have written: see exec-log.h.
 *
 * #syscalls(sandbox:loop): ftruncate lseek
 */
#include "sandbox/exec-log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/caps.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

/* A piece of one frame, every byte escaped or in base64, and what is around it. */
enum { LINE_MAX_BYTES = LIMIT_FRAME_PAYLOAD * 6 + 256, HEAD_BYTES = 64 };

const char *exec_log_name(unsigned int i)
{
	static const char *const names[EXEC_LOG_FILES] = {
		"exec-0.log", "exec-1.log", "exec-2.log", "exec-3.log"};

	return names[i % EXEC_LOG_FILES];
}

void exec_log_init(struct exec_log *l)
{
	*l = (struct exec_log){.off = true};
	for (size_t i = 0; i < ARRAY_SIZE(l->fds); i++)
		l->fds[i] = -EBADF;
	buf_init(&l->line, LINE_MAX_BYTES);
}

void exec_log_close(struct exec_log *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(l->fds); i++)
		l->fds[i] = fd_close(l->fds[i]);
	buf_deinit(&l->line);
	l->off = true;
}

uint64_t exec_log_seq(const char *text, size_t len)
{
	static const char head[] = "{\"seq\":";
	const char *end = memchr(text, '}', MIN(len, (size_t)HEAD_BYTES));
	char digits[HEAD_BYTES];
	uint64_t seq = 0;
	size_t n;

	if (!end || len < sizeof(head) || memcmp(text, head, sizeof(head) - 1) != 0)
		return 0;
	n = (size_t)(end - text) - (sizeof(head) - 1);
	memcpy(digits, text + sizeof(head) - 1, n);
	digits[n] = '\0';
	return str_to_u64(digits, &seq) == 0 ? seq : 0;
}

static void give_up(struct exec_log *l, int r)
{
	log_warn("%s: %s, nothing more is logged", exec_log_name(l->current), strerror(-r));
	l->off = true;
}

/* The next file of the ring, emptied. */
static int next_file(struct exec_log *l)
{
	char head[HEAD_BYTES];
	int n = snprintf(head, sizeof(head), "{\"seq\":%" PRIu64 "}\n", l->seq + 1);
	unsigned int next = (l->current + 1) % EXEC_LOG_FILES;
	int fd = l->fds[next];
	int r;

	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = io_write_full(fd, head, (size_t)n);
	if (r < 0)
		return r;
	l->current = next;
	l->seq++;
	l->bytes = (uint64_t)n;
	return 0;
}

/* The youngest of the files that are there is written further. */
static int find_current(struct exec_log *l)
{
	for (unsigned int i = 0; i < EXEC_LOG_FILES; i++) {
		char head[HEAD_BYTES];
		ssize_t n = pread(l->fds[i], head, sizeof(head), 0);
		uint64_t seq = n > 0 ? exec_log_seq(head, (size_t)n) : 0;

		if (seq <= l->seq)
			continue;
		l->seq = seq;
		l->current = i;
	}
	if (l->seq == 0) {
		l->current = EXEC_LOG_FILES - 1;
		return next_file(l);
	}
	l->bytes = (uint64_t)lseek(l->fds[l->current], 0, SEEK_END);
	return 0;
}

int exec_log_open(struct exec_log *l, int dir_fd)
{
	int r;

	for (unsigned int i = 0; i < EXEC_LOG_FILES; i++) {
		l->fds[i] = openat(dir_fd, exec_log_name(i),
			O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
		if (l->fds[i] < 0) {
			r = -errno;
			exec_log_close(l);
			return r;
		}
	}
	r = find_current(l);
	if (r < 0) {
		exec_log_close(l);
		return r;
	}
	l->off = false;
	return 0;
}

static void put_time(struct json_out *o)
{
	char text[TIME_TEXT];

	json_put_str(o, "t", time_rfc3339(clock_real_ns(), text));
}

static bool is_utf8(const char *p, size_t n)
{
	while (n) {
		size_t len = str_utf8_char(p, n);

		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static int put_base64(struct json_out *o, const uint8_t *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((n + 2) / 3 * 4 + 1);
	size_t at = 0;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n; i += 3) {
		size_t have = MIN(n - i, (size_t)3);
		uint32_t v = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (have > 2 ? p[i + 2] : 0);

		text[at++] = digits[v >> 18];
		text[at++] = digits[v >> 12 & 63];
		text[at++] = have > 1 ? digits[v >> 6 & 63] : '=';
		text[at++] = have > 2 ? digits[v & 63] : '=';
	}
	json_put_strn(o, "d", text, at);
	json_put_str(o, "e", "b64");
	free(text);
	return 0;
}

static int format(struct exec_log *l, const char *source, uint32_t id, const void *p, size_t n)
{
	struct json_out o;
	int r = 0;

	buf_consume(&l->line, buf_len(&l->line));
	json_out_init(&o, &l->line, JSON_COMPACT);
	json_begin_object(&o, NULL);
	put_time(&o);
	json_put_str(&o, "s", source);
	if (is_utf8(p, n))
		json_put_strn(&o, "d", p, n);
	else
		r = put_base64(&o, p, n);
	json_put_u64(&o, "id", id);
	json_end_object(&o);
	if (r == 0)
		r = json_out_end(&o);
	return r < 0 ? r : buf_append(&l->line, "\n", 1);
}

void exec_log_write(struct exec_log *l, const char *source, uint32_t id, const void *p, size_t n)
{
	int r;

	if (l->off || n == 0)
		return;
	r = format(l, source, id, p, n);
	if (r == 0 && l->bytes + buf_len(&l->line) > LIMIT_EXEC_LOG)
		r = next_file(l);
	if (r == 0)
		r = io_write_full(l->fds[l->current], buf_data(&l->line), buf_len(&l->line));
	l->bytes += buf_len(&l->line);
	if (r < 0)
		give_up(l, r);
}

void exec_log_say(struct exec_log *l, const char *fmt, ...)
{
	char line[600];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = MIN(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	exec_log_write(l, "system", 0, line, (size_t)n);
}
