/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/detach-keys.h"

#include "test.h"

static struct detach_keys parse(const char *text)
{
	struct detach_keys k;
	struct msb_err err;

	ASSERT_OK(detach_keys_parse(&k, text, &err));
	return k;
}

TEST(what_is_a_sequence_of_keys)
{
	static const char *const wrong[] = {"", ",", "a,", ",a", "a,,b", "ctrl-", "ctrl-1",
		"ctrl-ab", "alt-x", "ab", "\x7f", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"};
	struct detach_keys k = parse("ctrl-]");
	struct msb_err err;

	ASSERT_EQ(k.n, 1u);
	ASSERT_EQ(k.key[0], 0x1d);
	k = parse("ctrl-p,ctrl-Q,x,ctrl-@");
	ASSERT_EQ(k.n, 4u);
	ASSERT_MEMEQ(k.key, "\x10\x11x\0", 4);
	k = parse("none");
	ASSERT_EQ(k.n, 0u);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ASSERT_ERR(detach_keys_parse(&k, wrong[i], &err), EINVAL);
}

/* Types @typed in pieces of @piece bytes; what passes must be @passed. */
static void type(const char *keys, const char *typed, size_t piece, int result, const char *passed)
{
	struct detach_keys k = parse(keys);
	const uint8_t *p = (const uint8_t *)typed;
	size_t left = strlen(typed);
	struct buf out;
	int r = 0;

	buf_init(&out, 4096);
	while (left && r == 0) {
		size_t n = MIN(left, piece);

		r = detach_keys_feed(&k, p, n, &out);
		p += n;
		left -= n;
	}
	ASSERT_EQ(r, result);
	ASSERT_STREQ(buf_cstr(&out) ? buf_cstr(&out) : "", passed);
	buf_deinit(&out);
}

TEST(keys_are_found_and_held_back)
{
	for (size_t piece = 1; piece < 5; piece++) {
		type("a,b", "xaby", piece, 1, "x");
		type("a,b", "axb", piece, 0, "axb");
		type("a,b", "aab", piece, 1, "a");
		type("a,b", "xa", piece, 0, "x");
		type("a,a,b", "aaaab", piece, 1, "aa");
		type("a,b,a,c", "xababac", piece, 1, "xab");
		type("a,b,a,c", "abad", piece, 0, "abad");
		type("none", "abc", piece, 0, "abc");
	}
}

TEST(no_memory_is_an_error)
{
	struct detach_keys k = parse("a,b");
	struct buf out;

	buf_init(&out, 2);
	ASSERT_ERR(detach_keys_feed(&k, (const uint8_t *)"xyz", 3, &out), ENOBUFS);
	buf_deinit(&out);
}
