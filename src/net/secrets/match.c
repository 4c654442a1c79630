/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding placeholders: plain, and as what a server would make of an encoding that a guest may hide
 * them in: %XX and \uXXXX, also mixed.
 *
 * Whether there is one at a place depends on the bytes from there on only, never on those before:
 * no encoding of a letter has the beginning of another one inside. So it does not matter where a
 * reader begins, nor in what pieces the bytes come.
 */
#include "base/str.h"

#include "net/secrets/secret-internal.h"

static bool is_unicode(size_t i, char c)
{
	if (i == 1)
		return (c | 0x20) == 'u';
	return i < 4 ? c == '0' : str_hex_value(c) >= 0;
}

/* The letter at the beginning. Return: how many bytes it takes, 0: that depends on what follows. */
static size_t letter(const char *t, size_t n, bool last, char *ret, unsigned int *ret_how)
{
	size_t want = t[0] == '%' ? 3 : t[0] == '\\' ? LETTER_MAX : 1;

	*ret = t[0];
	for (size_t i = 1; i < want; i++) {
		if (i == n)
			return last ? 1 : 0;
		if (want == 3 ? str_hex_value(t[i]) < 0 : !is_unicode(i, t[i]))
			return 1;
	}
	if (want == 1)
		return 1;
	*ret_how |= want == 3 ? SECRET_BY_PERCENT : SECRET_BY_UNICODE;
	*ret = (char)(str_hex_value(t[want - 2]) << 4 | str_hex_value(t[want - 1]));
	return want;
}

/* @word from byte @*at on, which is moved behind it. */
static enum secret_match match_word(const char *t, size_t n, bool last, const char *word,
	size_t len, size_t *at, unsigned int *how)
{
	for (size_t i = 0; i < len; i++) {
		size_t used;
		char c;

		if (*at == n)
			return last ? SECRET_MATCH_NONE : SECRET_MATCH_MORE;
		used = letter(t + *at, n - *at, last, &c, how);
		if (used == 0)
			return SECRET_MATCH_MORE;
		if (c != word[i])
			return SECRET_MATCH_NONE;
		*at += used;
	}
	return SECRET_MATCH_YES;
}

enum secret_match secret_match(
	const struct secrets *s, const char *t, size_t n, bool last, struct secret_found *ret)
{
	static const char begin[] = SECRET_PLACEHOLDER;
	unsigned int how = 0;
	bool more = false;
	size_t at = 0;
	enum secret_match m = match_word(t, n, last, begin, sizeof(begin) - 1, &at, &how);

	*ret = (struct secret_found){.secret = NULL};
	if (m != SECRET_MATCH_YES)
		return m;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret *one = &s->list[i];
		struct secret_found f = {.secret = one, .len = at, .how = how};

		if (ret->secret && one->name_len <= ret->secret->name_len)
			continue;
		m = match_word(t, n, last, one->name, one->name_len, &f.len, &f.how);
		if (m == SECRET_MATCH_YES)
			*ret = f;
		more |= m == SECRET_MATCH_MORE;
	}
	if (more)
		return SECRET_MATCH_MORE;
	return ret->secret ? SECRET_MATCH_YES : SECRET_MATCH_NONE;
}

size_t secret_skip(const char *t, size_t n)
{
	size_t i = 0;

	while (i < n && t[i] != '$' && t[i] != '%' && t[i] != '\\')
		i++;
	return i;
}
