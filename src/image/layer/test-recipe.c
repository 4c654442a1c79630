/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of recipes: steps in every order and size come back as they went in. */
#include <sys/mman.h>

#include "image/layer/recipe.h"

#include "test.h"

enum { ROUNDS = 200, TAR_MAX = 4 * 1024 * 1024 };

/* What a tar made of this recipe would be, with the offset in the data as the content of copies. */
struct made {
	uint8_t *bytes;
	size_t len;
};

static int on_literal(void *arg, const uint8_t *p, size_t n)
{
	struct made *m = arg;

	ASSERT_TRUE(m->len + n <= TAR_MAX);
	memcpy(m->bytes + m->len, p, n);
	m->len += n;
	return 0;
}

static int on_copy(void *arg, uint64_t at, uint64_t n)
{
	struct made *m = arg;

	ASSERT_TRUE(m->len + n <= TAR_MAX);
	for (uint64_t i = 0; i < n; i++)
		m->bytes[m->len++] = (uint8_t)((at + i) * 7);
	return 0;
}

static int replay(int fd, size_t cut, size_t piece, struct made *m)
{
	static const struct recipe_ops ops = {.literal = on_literal, .copy = on_copy};
	cleanup_with(recipe_in_free_p) struct recipe_in *in = recipe_in_new(&ops, m);
	cleanup_free uint8_t *file = malloc(TAR_MAX);
	ssize_t len = pread(fd, file, TAR_MAX, 0);
	size_t n;
	int r = 0;

	ASSERT_TRUE(in && file && len >= 0 && (size_t)len >= cut);
	m->len = 0;
	n = (size_t)len - cut;
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = recipe_feed(in, file + at, MIN(piece, n - at));
	return r < 0 ? r : recipe_finish(in);
}

TEST(what_goes_in_comes_out)
{
	cleanup_fd int fd = memfd_create("recipe", MFD_CLOEXEC);
	cleanup_free uint8_t *want_bytes = malloc(TAR_MAX);
	cleanup_free uint8_t *got_bytes = malloc(TAR_MAX);
	struct made want = {.bytes = want_bytes};
	struct made got = {.bytes = got_bytes};
	struct recipe_out *o = NULL;
	uint32_t seed = 1;

	ASSERT_OK(recipe_out_new(fd, &o));
	for (int i = 0; i < ROUNDS; i++) {
		size_t at = want.len;
		size_t n;

		seed = seed * 1103515245 + 12345;
		n = seed % 20000;
		if (i == 50)
			n = 2 * RECIPE_LITERAL_MAX + 1;
		if (seed & 0x10000) {
			for (size_t k = 0; k < n; k++)
				want.bytes[want.len++] = (uint8_t)(k ^ seed);
			ASSERT_OK(recipe_literal(o, want.bytes + at, n));
		} else if (n) {
			ASSERT_OK(on_copy(&want, seed, n));
			ASSERT_OK(recipe_copy(o, seed, n));
		}
	}
	ASSERT_OK(recipe_out_finish(o));
	recipe_out_free(o);
	for (size_t piece = 1; piece < 100000; piece = piece * 10 + 7) {
		ASSERT_OK(replay(fd, 0, piece, &got));
		ASSERT_EQ(got.len, want.len);
		ASSERT_EQ(memcmp(got.bytes, want.bytes, want.len), 0);
	}
	ASSERT_TRUE(replay(fd, 1, 4096, &got) < 0);
	ASSERT_TRUE(replay(fd, 1000, 4096, &got) < 0);
}

TEST(an_empty_tar_has_a_recipe)
{
	cleanup_fd int fd = memfd_create("recipe", MFD_CLOEXEC);
	struct recipe_out *o = NULL;
	struct made none = {};

	ASSERT_OK(recipe_out_new(fd, &o));
	ASSERT_OK(recipe_out_finish(o));
	recipe_out_free(o);
	ASSERT_OK(replay(fd, 0, 1, &none));
	ASSERT_EQ(none.len, 0);
}
