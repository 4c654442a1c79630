/* SPDX-License-Identifier: Apache-2.0 */
/* Values of response headers that we act on: see headers.h. */
#include "image/registry/headers.h"

#include <strings.h>

struct cursor {
	const char *at;
	const char *end;
};

/* Where parameter values of the challenge being read go; @size 0: not of interest. */
struct slot {
	char *to;
	size_t size;
	bool *seen;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* token68 of RFC 9110: what follows a scheme that has no parameters. */
static bool is_token68(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("-._~+/", c));
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && is_space(*c->at))
		c->at++;
}

static bool skip_char(struct cursor *c, char want)
{
	if (c->at == c->end || *c->at != want)
		return false;
	c->at++;
	return true;
}

static size_t token_len(const struct cursor *c)
{
	size_t n = 0;

	while (c->at + n < c->end && is_token(c->at[n]))
		n++;
	return n;
}

static bool word_is(const char *p, size_t n, const char *word)
{
	return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static int put(struct slot *s, size_t *n, char c)
{
	if (!s->size)
		return 0;
	if (*n + 1 >= s->size)
		return -E2BIG;
	s->to[(*n)++] = c;
	s->to[*n] = '\0';
	return 0;
}

static int read_quoted(struct cursor *c, struct slot *s)
{
	size_t n = 0;

	while (c->at < c->end && *c->at != '"') {
		char ch = *c->at++;
		int r;

		if (ch == '\\') {
			if (c->at == c->end)
				return -EBADMSG;
			ch = *c->at++;
		}
		/* Nothing that we use has other bytes; refusing them keeps messages printable. */
		if (ch < 0x20 || ch > 0x7e)
			return -EBADMSG;
		r = put(s, &n, ch);
		if (r < 0)
			return r;
	}
	return skip_char(c, '"') ? 0 : -EBADMSG;
}

static int read_value(struct cursor *c, struct slot *s)
{
	size_t n = 0;
	size_t len;

	if (skip_char(c, '"'))
		return read_quoted(c, s);
	len = token_len(c);
	if (len == 0)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		int r = put(s, &n, c->at[i]);

		if (r < 0)
			return r;
	}
	c->at += len;
	return 0;
}

/* A token and what makes it a parameter: "=" behind it, spaces allowed. The cursor stays. */
static bool at_param(struct cursor c)
{
	size_t n = token_len(&c);

	c.at += n;
	skip_space(&c);
	if (n == 0 || !skip_char(&c, '='))
		return false;
	/* "abc=" and "abc==" at the end are padding of a token68. */
	skip_space(&c);
	return c.at < c.end && *c.at != '=' && *c.at != ',';
}

struct params {
	bool realm;
	bool service;
	bool scope;
};

static int read_param(struct cursor *c, struct challenge *ch, struct params *seen)
{
	const struct {
		const char *name;
		struct slot slot;
	} known[] = {
		{"realm", {ch->realm, sizeof(ch->realm), &seen->realm}},
		{"service", {ch->service, sizeof(ch->service), &seen->service}},
		{"scope", {ch->scope, sizeof(ch->scope), &seen->scope}},
	};
	const char *name = c->at;
	size_t len = token_len(c);
	struct slot slot = {};

	c->at += len;
	skip_space(c);
	if (!skip_char(c, '='))
		return -EBADMSG;
	skip_space(c);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (word_is(name, len, known[i].name))
			slot = known[i].slot;
	}
	if (slot.size) {
		if (*slot.seen)
			return -EBADMSG;
		*slot.seen = true;
	}
	return read_value(c, &slot);
}

static int read_params(struct cursor *c, struct challenge *ch)
{
	struct params seen = {};

	for (;;) {
		struct cursor next;
		int r = read_param(c, ch, &seen);

		if (r < 0)
			return r;
		skip_space(c);
		if (c->at == c->end)
			return 0;
		if (*c->at != ',')
			return -EBADMSG;
		/* Behind the comma: one more parameter, or the next challenge. */
		next = *c;
		while (next.at < next.end && (is_space(*next.at) || *next.at == ','))
			next.at++;
		if (!at_param(next))
			return 0;
		*c = next;
	}
}

static int read_challenge(struct cursor *c, struct challenge *ch)
{
	const char *scheme = c->at;
	size_t len = token_len(c);

	if (len == 0)
		return -EBADMSG;
	*ch = (struct challenge){.scheme = CHALLENGE_OTHER};
	if (word_is(scheme, len, "basic"))
		ch->scheme = CHALLENGE_BASIC;
	else if (word_is(scheme, len, "bearer"))
		ch->scheme = CHALLENGE_BEARER;
	c->at += len;
	if (c->at < c->end && !is_space(*c->at) && *c->at != ',')
		return -EBADMSG;
	skip_space(c);
	if (at_param(*c))
		return read_params(c, ch);
	while (c->at < c->end && is_token68(*c->at))
		c->at++;
	while (c->at < c->end && *c->at == '=')
		c->at++;
	skip_space(c);
	return c->at == c->end || *c->at == ',' ? 0 : -EBADMSG;
}

int challenge_parse(const char *value, size_t len, struct challenge *ret, size_t max)
{
	struct cursor c = {value, value + len};
	size_t n = 0;

	if (len > HEADER_VALUE_MAX)
		return -E2BIG;
	for (;;) {
		int r;

		while (c.at < c.end && (is_space(*c.at) || *c.at == ','))
			c.at++;
		if (c.at == c.end)
			return (int)n;
		if (n == max)
			return -E2BIG;
		r = read_challenge(&c, &ret[n]);
		if (r < 0)
			return r;
		n++;
	}
}

static int read_number(struct cursor *c, uint64_t *ret)
{
	const char *start = c->at;
	uint64_t v = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*c->at - '0'), &v))
			return -EBADMSG;
		c->at++;
	}
	*ret = v;
	return c->at == start ? -EBADMSG : 0;
}

static int read_total(struct cursor *c, struct content_range *r)
{
	if (!skip_char(c, '/'))
		return -EBADMSG;
	if (skip_char(c, '*'))
		return r->has_range ? 0 : -EBADMSG;
	r->has_total = true;
	return read_number(c, &r->total);
}

int content_range_parse(const char *value, size_t len, struct content_range *ret)
{
	struct cursor c = {value, value + len};
	struct content_range r = {};
	size_t unit = token_len(&c);
	int e;

	if (!word_is(value, unit, "bytes"))
		return -EBADMSG;
	c.at += unit;
	if (!skip_char(&c, ' '))
		return -EBADMSG;
	if (!skip_char(&c, '*')) {
		r.has_range = true;
		e = read_number(&c, &r.first);
		if (e == 0 && !skip_char(&c, '-'))
			e = -EBADMSG;
		if (e == 0)
			e = read_number(&c, &r.last);
		if (e < 0)
			return e;
	}
	e = read_total(&c, &r);
	skip_space(&c);
	if (e < 0 || c.at != c.end)
		return -EBADMSG;
	if (r.has_range && (r.last < r.first || (r.has_total && r.last >= r.total)))
		return -EBADMSG;
	*ret = r;
	return 0;
}

int retry_after_parse(const char *value, size_t len, uint64_t *ret_s)
{
	struct cursor c = {value, value + len};
	int r = read_number(&c, ret_s);

	skip_space(&c);
	return r < 0 || c.at != c.end ? -EBADMSG : 0;
}
