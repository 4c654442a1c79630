/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: recipes of layers. An even first byte: the file as it is; odd: its content, which is
 * compressed here, and which a second reader must understand in the same way. */
#include <zstd.h>

#include "image/layer/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t literal;
	uint64_t copied;
};

static int on_literal(void *arg, const uint8_t *p, size_t n)
{
	struct sum *s = arg;

	assert(n);
	for (size_t i = 0; i < n; i++)
		s->literal += 1 + p[i];
	return 0;
}

static int on_copy(void *arg, uint64_t at, uint64_t n)
{
	struct sum *s = arg;

	assert(n && at <= INT64_MAX && n <= INT64_MAX - at);
	s->copied ^= at * 31 + n;
	return 0;
}

static int read_in(const uint8_t *p, size_t n, size_t piece, struct sum *sum)
{
	static const struct recipe_ops ops = {.literal = on_literal, .copy = on_copy};
	cleanup_with(recipe_in_free_p) struct recipe_in *in = recipe_in_new(&ops, sum);
	int r = 0;

	assert(in);
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = recipe_feed(in, p + at, MIN(piece, n - at));
	return r < 0 ? r : recipe_finish(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free uint8_t *packed = NULL;
	struct sum once = {};
	struct sum again = {};
	size_t len;
	int r;

	if (size < 2)
		return 0;
	if (data[0] % 2 == 0) {
		(void)!read_in(data + 1, size - 1, size, &once);
		return 0;
	}
	packed = malloc(ZSTD_compressBound(size));
	assert(packed);
	len = ZSTD_compress(packed, ZSTD_compressBound(size), data + 1, size - 1, 1);
	assert(!ZSTD_isError(len));
	r = read_in(packed, len, len, &once);
	assert(r == read_in(packed, len, 1, &again));
	assert(r < 0 || (once.literal == again.literal && once.copied == again.copied));
	return 0;
}
