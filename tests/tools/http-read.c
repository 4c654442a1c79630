/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-tls reads in bytes of HTTP/1.1, and msb-net in the first bytes of a connection, for the
 * comparison with other readers: tests/integration/test_http_readers.py.
 *
 * stdin: cases, each one byte of flags (1: answers, 2: to HEAD, 4: first bytes), four of length
 * (big-endian), bytes. stdout: lines for each message of a case, "end VERDICT USED" behind the last
 * one; of first bytes one line, "peek KIND NAMED NAME". Texts are hexadecimal, with a dot in front
 * so that empty ones are words, too.
 */
#include <unistd.h>

#include "base/io.h"

#include "net/intercept/http.h"
#include "net/policy/peek.h"

enum { ANSWERS = 1, TO_HEAD = 2, FIRST = 4, CASE_MAX = 1 << 20, CASE_HEAD = 5 };

static void put(const char *p, size_t n)
{
	(void)fputs(" .", stdout);
	for (size_t i = 0; i < n; i++)
		(void)printf("%02x", (unsigned char)p[i]);
}

static void put_head(const struct http_stream *s, size_t at, size_t end)
{
	const struct http_head *h = &s->head;

	if (s->side == HTTP_REQUEST) {
		(void)printf("request %zu %zu %d", at, end, h->minor);
		put(h->method.at, h->method.len);
		put(h->target.at, h->target.len);
	} else {
		(void)printf("answer %zu %zu %d %u", at, end, h->minor, h->status);
	}
	(void)putchar('\n');
	for (uint32_t i = 0; i < h->n_fields; i++) {
		(void)fputs("field", stdout);
		put(h->fields[i].name.at, h->fields[i].name.len);
		put(h->fields[i].value.at, h->fields[i].value.len);
		(void)putchar('\n');
	}
}

static void put_data(const char *p, size_t n)
{
	(void)fputs("data", stdout);
	put(p, n);
	(void)putchar('\n');
}

static void run(unsigned int flags, const char *in, size_t len)
{
	static struct http_stream s;
	size_t used = 0;

	http_init(&s, flags & ANSWERS ? HTTP_RESPONSE : HTTP_REQUEST);
	for (;;) {
		size_t n;
		enum http_piece p;

		s.no_body = flags & TO_HEAD;
		p = http_next(&s, in + used, len - used, &n);
		if (p == HTTP_MORE || p == HTTP_BAD) {
			(void)printf("end %s %zu\n", p == HTTP_BAD ? "bad" : "more", used);
			return;
		}
		if (p == HTTP_HEAD)
			put_head(&s, used, used + n);
		else if (p == HTTP_DATA || p == HTTP_RAW)
			put_data(in + used, n);
		else if (p == HTTP_END)
			(void)printf("message %zu\n", used);
		used += n;
	}
}

static void run_peek(const char *in, size_t len)
{
	static const char *const kinds[] = {[PEEK_MORE] = "more",
		[PEEK_OTHER] = "other",
		[PEEK_TLS] = "tls",
		[PEEK_HTTP] = "http",
		[PEEK_BAD] = "bad"};
	struct peek p;

	peek_bytes((const uint8_t *)in, len, &p);
	(void)printf("peek %s %d", kinds[p.kind], p.named);
	put(p.name, p.named ? strlen(p.name) : 0);
	(void)putchar('\n');
}

int main(void)
{
	static char in[CASE_MAX];
	uint8_t head[CASE_HEAD];

	while (io_read_full(STDIN_FILENO, head, sizeof(head)) == 0) {
		size_t n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 |
			   (size_t)head[4];

		if (n > sizeof(in) || (n > 0 && io_read_full(STDIN_FILENO, in, n) != 0))
			return 2;
		if (head[0] & FIRST)
			run_peek(in, n);
		else
			run(head[0], in, n);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
