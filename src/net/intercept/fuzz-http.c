/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a stream of HTTP: the pieces are the same however the bytes come. */
#include "net/intercept/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trace {
	uint64_t hash;
	size_t used;
};

static void note(struct trace *t, uint64_t v)
{
	t->hash = (t->hash ^ v) * UINT64_C(1099511628211);
}

static void run(enum http_side side, const uint8_t *in, size_t len, size_t step, struct trace *t)
{
	static struct http_stream s;
	size_t have = 0;

	*t = (struct trace){.hash = 1};
	http_init(&s, side);
	for (;;) {
		size_t n;
		enum http_piece p = http_next(&s, in + t->used, have - t->used, &n);

		if (n > have - t->used)
			abort();
		if (p == HTTP_MORE && have == len)
			return;
		if (p == HTTP_MORE) {
			have = MIN(len, have + step);
			continue;
		}
		if (p == HTTP_HEAD && (n < 4 || memcmp(in + t->used + n - 4, "\r\n\r\n", 4) != 0))
			abort();
		t->used += n;
		if (p == HTTP_BAD) {
			note(t, (uint64_t)p);
			return;
		}
		/* Data may come in several pieces. */
		if (p == HTTP_HEAD || p == HTTP_END)
			note(t, (uint64_t)p << 32 | t->used);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace whole;
	struct trace single;
	enum http_side side;

	if (size < 1)
		return 0;
	side = data[0] & 1 ? HTTP_RESPONSE : HTTP_REQUEST;
	run(side, data + 1, size - 1, size, &whole);
	run(side, data + 1, size - 1, 1, &single);
	if (whole.hash != single.hash || whole.used != single.used)
		abort();
	return 0;
}
