/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalars of YAML: plain, quoted and over several lines. What they say is never longer than what
 * they were written as.
 */
#include <strings.h>

#include "base/str.h"
#include "base/yaml-internal.h"

static int check_indicator(struct yaml_reader *r)
{
	switch (yaml_peek(r)) {
	case '&':
	case '*':
		return yaml_fail(r, "anchors and aliases are not read, write it out");
	case '!':
		return yaml_fail(r, "tags are not read");
	case '%':
	case '@':
	case '`':
		return yaml_fail(r, "a text cannot begin with this character, quote it");
	case ',':
	case ']':
	case '}':
		return yaml_fail(r, "this closes or separates nothing, quote it if it is a text");
	case '|':
	case '>':
		return yaml_fail(r, "text over several lines is no key");
	case '?':
	case '-':
	case ':':
		if (yaml_is_space(yaml_peek_at(r, 1)))
			return yaml_fail(r, "this is not expected here, quote it if it is a text");
		return 0;
	default:
		return 0;
	}
}

/* Words that some read as truth values and some do not. */
static int check_word(struct yaml_reader *r, size_t from, size_t len)
{
	static const char *const words[] = {"yes", "no", "on", "off"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) == len && strncasecmp(words[i], r->s + from, len) == 0)
			return yaml_fail_at(r, r->line, from - r->line_start + 1,
				"yes, no, on and off mean different things to different programs: "
				"write true or false, or quote the word");
	}
	return 0;
}

size_t yaml_plain_length(const struct yaml_reader *r, bool flow)
{
	size_t n = 0;

	for (;; n++) {
		char c = yaml_peek_at(r, n);

		if (yaml_is_end(c) || (c == '#' && n && yaml_is_space(yaml_peek_at(r, n - 1))))
			break;
		if (c == ':' && (yaml_is_space(yaml_peek_at(r, n + 1)) ||
					(flow && strchr(",[]{}", yaml_peek_at(r, n + 1)))))
			break;
		if (flow && strchr(",[]{}", c))
			break;
	}
	while (n && (yaml_peek_at(r, n - 1) == ' ' || yaml_peek_at(r, n - 1) == '\t'))
		n--;
	return n;
}

int yaml_plain(struct yaml_reader *r, bool flow, struct yaml *y)
{
	int e = check_indicator(r);
	size_t n;

	if (e < 0)
		return e;
	n = yaml_plain_length(r, flow);
	e = check_word(r, r->at, n);
	if (e == 0)
		e = yaml_set_text(r, y, r->s + r->at, n);
	r->at += n;
	return e;
}

static int hex_digits(const struct yaml_reader *r, size_t n, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		char c = yaml_peek_at(r, i);
		uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
			     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
			     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
						    : 16;

		if (d > 15)
			return -EINVAL;
		v = v * 16 + d;
	}
	*ret = v;
	return 0;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Behind a backslash; what it says is never longer than it was written. */
static int escape(struct yaml_reader *r, char *to, size_t *n)
{
	static const char from[] = "abtnvfre\"/\\ ";
	static const char into[] = "\a\b\t\n\v\f\r\033\"/\\ ";
	char c = yaml_peek(r);
	const char *known = c ? strchr(from, c) : NULL;
	size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t v = 0;

	if (known) {
		to[(*n)++] = into[known - from];
		r->at++;
		return 0;
	}
	if (!digits)
		return yaml_fail(r, "unknown escape in a quoted text");
	r->at++;
	if (hex_digits(r, digits, &v) < 0 || v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return yaml_fail(r, "this is no character");
	r->at += digits;
	*n += put_utf8(to + *n, v);
	return 0;
}

int yaml_quoted(struct yaml_reader *r, struct yaml *y)
{
	const char quote = yaml_peek(r);
	size_t room = strcspn(r->s + r->at, "\n");
	char *to = yaml_new_text(r, room);
	size_t n = 0;
	int e = 0;

	if (!to)
		return yaml_no_memory(r);
	y->quoted = true;
	y->text = to;
	r->at++;
	while (e == 0) {
		char c = yaml_peek(r);

		if (yaml_is_end(c))
			return yaml_fail(
				r, "a quoted text ends in its line; write | for several lines");
		r->at++;
		if (c == quote && quote == '\'' && yaml_peek(r) == '\'')
			r->at++;
		else if (c == quote)
			break;
		if (c == '\\' && quote == '"')
			e = escape(r, to, &n);
		else
			to[n++] = c;
	}
	to[n] = '\0';
	return e;
}

/* Text over several lines. */

struct block {
	int indent; /* of the text */
	bool folded;
	char chomp; /* '-', '+' or 0 */
};

/* Behind | or >, to the end of the line. */
static int block_header(struct yaml_reader *r, int parent, struct block *b)
{
	b->folded = yaml_peek(r) == '>';
	b->indent = YAML_NO_INDENT;
	r->at++;
	for (; yaml_peek(r) == '-' || yaml_peek(r) == '+' ||
		(yaml_peek(r) >= '1' && yaml_peek(r) <= '9');
		r->at++) {
		bool digit = yaml_peek(r) >= '1' && yaml_peek(r) <= '9';

		if (digit ? b->indent >= 0 : b->chomp != 0)
			return yaml_fail(r, "this stands here twice");
		if (digit)
			b->indent = MAX(parent, 0) + (yaml_peek(r) - '0');
		else
			b->chomp = yaml_peek(r);
	}
	yaml_skip_spaces(r);
	if (!yaml_is_end(yaml_peek(r)))
		return yaml_fail(r, "the text begins in the next line");
	if (yaml_peek(r))
		yaml_newline(r);
	return 0;
}

/* Spaces at the head of the line. */
static int leading(const struct yaml_reader *r)
{
	int n = 0;

	while (yaml_peek_at(r, (size_t)n) == ' ')
		n++;
	return n;
}

/* The first line with something in it says. */
static int find_indent(const struct yaml_reader *r, int parent)
{
	struct yaml_reader look = *r;

	while (look.at < look.len) {
		int n = leading(&look);

		if (yaml_peek_at(&look, (size_t)n) != '\n')
			return n > parent && yaml_peek_at(&look, (size_t)n) ? n : parent + 1;
		look.at += (size_t)n + 1;
	}
	return parent + 1;
}

static void chomp(const struct block *b, char *to, size_t *n)
{
	size_t end = *n;

	while (end && to[end - 1] == '\n')
		end--;
	if (b->chomp == '-' || (b->chomp == 0 && end == 0))
		*n = end;
	else if (b->chomp == 0)
		*n = MIN(*n, end + 1);
}

/*
 * Lines are joined when both of two neighbours are ordinary ones: neither empty nor indented
 * further.
 */
static void put_line(
	const struct block *b, char *to, size_t *n, const char *line, size_t len, bool *ordinary)
{
	bool now = len && line[0] != ' ' && line[0] != '\t';
	size_t breaks = 0;

	while (breaks < *n && to[*n - 1 - breaks] == '\n')
		breaks++;
	if (b->folded && now && *ordinary && breaks == 1)
		to[*n - 1] = ' ';
	else if (b->folded && now && *ordinary && breaks > 1)
		(*n)--;
	memcpy(to + *n, line, len);
	*n += len;
	to[(*n)++] = '\n';
	if (len)
		*ordinary = now;
}

/* Less indented, and not just empty. */
static bool is_over(const struct block *b, size_t skip, size_t len)
{
	return skip < (size_t)b->indent && skip < len;
}

/* How much of the document it is, at most. */
static size_t block_length(const struct yaml_reader *r, const struct block *b)
{
	struct yaml_reader look = *r;

	while (look.at < look.len) {
		size_t len = strcspn(look.s + look.at, "\n");

		if (is_over(b, (size_t)MIN(leading(&look), b->indent), len))
			break;
		look.at += len + 1;
	}
	return MIN(look.at, look.len) - MIN(r->at, r->len);
}

int yaml_block_text(struct yaml_reader *r, int parent, struct yaml *y)
{
	struct block b = {.chomp = 0};
	bool ordinary = false;
	size_t n = 0;
	char *to;
	int e = block_header(r, parent, &b);

	if (e < 0)
		return e;
	if (b.indent < 0)
		b.indent = find_indent(r, parent);
	to = yaml_new_text(r, block_length(r, &b) + 1);
	if (!to)
		return yaml_no_memory(r);
	while (r->at < r->len) {
		size_t len = strcspn(r->s + r->at, "\n");
		size_t skip = (size_t)MIN(leading(r), b.indent);

		if (is_over(&b, skip, len))
			break;
		put_line(&b, to, &n, r->s + r->at + skip, len - skip, &ordinary);
		r->at += len;
		if (yaml_peek(r))
			yaml_newline(r);
	}
	chomp(&b, to, &n);
	to[n] = '\0';
	y->text = to;
	y->quoted = true;
	return 0;
}
