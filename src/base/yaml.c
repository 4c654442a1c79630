/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader for a part of YAML 1.2: see yaml.h.
 *
 * A recursive descent over the bytes. A block node is found by the column of its first character:
 * what stands further left ends it, what stands further right belongs to the entry above. Texts of
 * scalars are never longer than what they were written as, so they are decoded into one block of
 * the document's size; nodes come one by one.
 */
#include "base/yaml.h"

#include <strings.h>

#include "base/caps.h"
#include "base/str.h"

enum { NO_INDENT = -1, KEYS_MAX = 1024, QUOTED = 80 };

struct kept {
	struct kept *next;
	char text[];
};

struct node {
	struct yaml y;
	struct node *chain;
};

struct yaml_doc {
	struct yaml *root;
	struct node *all;
	struct kept *kept;
};

struct reader {
	const char *name;
	const char *kept_name;
	const char *s; /* the text, and a NUL */
	size_t at;
	size_t len;
	size_t line_start;
	uint32_t line; /* from 1 */
	bool fresh; /* nothing but spaces, or "- ", stands before the token in its line */
	unsigned int depth;
	unsigned int nodes;
	struct yaml_doc *doc;
	struct msb_err *err;
};

static int block_node(struct reader *r, int indent, struct yaml **ret);
static int flow_node(struct reader *r, struct yaml **ret);

static int fail_at(struct reader *r, uint32_t line, size_t column, const char *what)
{
	(void)msb_err_usage(r->err, "%.300s:%u:%zu: %s", r->name, line, column, what);
	return -EINVAL;
}

static int column(const struct reader *r)
{
	return (int)(r->at - r->line_start);
}

static int fail(struct reader *r, const char *what)
{
	return fail_at(r, r->line, r->at - r->line_start + 1, what);
}

static int no_memory(struct reader *r)
{
	(void)msb_err_errno(r->err, -ENOMEM, "reading %.300s", r->name);
	return -ENOMEM;
}

static char peek(const struct reader *r)
{
	return r->s[r->at];
}

static char peek_at(const struct reader *r, size_t n)
{
	return r->at + n < r->len ? r->s[r->at + n] : '\0';
}

static bool is_end(char c)
{
	return c == '\0' || c == '\n';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || is_end(c);
}

static void newline(struct reader *r)
{
	r->at++;
	r->line++;
	r->line_start = r->at;
	r->fresh = true;
}

/* To the next token in this line; a comment needs a space before it. */
static void skip_spaces(struct reader *r)
{
	while (peek(r) == ' ' || peek(r) == '\t')
		r->at++;
	if (peek(r) == '#' && (r->at == r->line_start || is_space(r->s[r->at - 1]))) {
		while (!is_end(peek(r)))
			r->at++;
	}
}

/* To the next token in whatever line; what indents it is spaces only. */
static int skip_lines(struct reader *r)
{
	for (;;) {
		size_t from = r->at;

		skip_spaces(r);
		if (peek(r) != '\n') {
			if (peek(r) && r->fresh && memchr(r->s + from, '\t', r->at - from))
				return fail(r, "a tab cannot indent, use spaces");
			return 0;
		}
		newline(r);
	}
}

static struct yaml *new_node(struct reader *r, enum yaml_kind kind)
{
	struct node *n = r->nodes < LIMIT_YAML_NODES ? calloc(1, sizeof(*n)) : NULL;

	if (!n)
		return NULL;
	r->nodes++;
	n->chain = r->doc->all;
	r->doc->all = n;
	n->y.kind = kind;
	n->y.file = r->kept_name;
	n->y.line = r->line;
	n->y.column = (uint32_t)(r->at - r->line_start + 1);
	return &n->y;
}

static int no_node(struct reader *r)
{
	if (r->nodes < LIMIT_YAML_NODES)
		return no_memory(r);
	(void)fail(r, "the file has too many entries");
	return -E2BIG;
}

char *yaml_keep(struct yaml_doc *doc, const char *s, size_t len)
{
	struct kept *k = malloc(sizeof(*k) + len + 1);

	if (!k)
		return NULL;
	k->next = doc->kept;
	doc->kept = k;
	memcpy(k->text, s, len);
	k->text[len] = '\0';
	return k->text;
}

/* Room for a text of at most @len bytes, to be written. */
static char *new_text(struct reader *r, size_t len)
{
	return yaml_keep(r->doc, r->s, MIN(len, r->len));
}

static int set_text(struct reader *r, struct yaml *y, const char *s, size_t len)
{
	y->text = yaml_keep(r->doc, s, len);
	return y->text ? 0 : no_memory(r);
}

static int check_indicator(struct reader *r)
{
	switch (peek(r)) {
	case '&':
	case '*':
		return fail(r, "anchors and aliases are not read, write it out");
	case '!':
		return fail(r, "tags are not read");
	case '%':
	case '@':
	case '`':
		return fail(r, "a text cannot begin with this character, quote it");
	case ',':
	case ']':
	case '}':
		return fail(r, "this closes or separates nothing, quote it if it is a text");
	case '|':
	case '>':
		return fail(r, "text over several lines is no key");
	case '?':
	case '-':
	case ':':
		if (is_space(peek_at(r, 1)))
			return fail(r, "this is not expected here, quote it if it is a text");
		return 0;
	default:
		return 0;
	}
}

/* Words that some read as truth values and some do not. */
static int check_word(struct reader *r, size_t from, size_t len)
{
	static const char *const words[] = {"yes", "no", "on", "off"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) == len && strncasecmp(words[i], r->s + from, len) == 0)
			return fail_at(r, r->line, from - r->line_start + 1,
				"yes, no, on and off mean different things to different programs: "
				"write true or false, or quote the word");
	}
	return 0;
}

/* Where a plain scalar ends: before ": ", " #" and, in a flow collection, its punctuation. */
static size_t plain_length(const struct reader *r, bool flow)
{
	size_t n = 0;

	for (;; n++) {
		char c = peek_at(r, n);

		if (is_end(c) || (c == '#' && n && is_space(peek_at(r, n - 1))))
			break;
		if (c == ':' && (is_space(peek_at(r, n + 1)) ||
					(flow && strchr(",[]{}", peek_at(r, n + 1)))))
			break;
		if (flow && strchr(",[]{}", c))
			break;
	}
	while (n && (peek_at(r, n - 1) == ' ' || peek_at(r, n - 1) == '\t'))
		n--;
	return n;
}

static int plain(struct reader *r, bool flow, struct yaml *y)
{
	int e = check_indicator(r);
	size_t n;

	if (e < 0)
		return e;
	n = plain_length(r, flow);
	e = check_word(r, r->at, n);
	if (e == 0)
		e = set_text(r, y, r->s + r->at, n);
	r->at += n;
	return e;
}

static int hex_digits(const struct reader *r, size_t n, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		char c = peek_at(r, i);
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
static int escape(struct reader *r, char *to, size_t *n)
{
	static const char from[] = "abtnvfre\"/\\ ";
	static const char into[] = "\a\b\t\n\v\f\r\033\"/\\ ";
	char c = peek(r);
	const char *known = c ? strchr(from, c) : NULL;
	size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t v = 0;

	if (known) {
		to[(*n)++] = into[known - from];
		r->at++;
		return 0;
	}
	if (!digits)
		return fail(r, "unknown escape in a quoted text");
	r->at++;
	if (hex_digits(r, digits, &v) < 0 || v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return fail(r, "this is no character");
	r->at += digits;
	*n += put_utf8(to + *n, v);
	return 0;
}

static int quoted(struct reader *r, struct yaml *y)
{
	const char quote = peek(r);
	size_t room = strcspn(r->s + r->at, "\n");
	char *to = new_text(r, room);
	size_t n = 0;
	int e = 0;

	if (!to)
		return no_memory(r);
	y->quoted = true;
	y->text = to;
	r->at++;
	while (e == 0) {
		char c = peek(r);

		if (is_end(c))
			return fail(r, "a quoted text ends in its line; write | for several lines");
		r->at++;
		if (c == quote && quote == '\'' && peek(r) == '\'')
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

static int descend(struct reader *r)
{
	if (r->depth >= LIMIT_YAML_DEPTH) {
		(void)fail(r, "the file is nested too deeply");
		return -E2BIG;
	}
	r->depth++;
	return 0;
}

static void add(struct yaml *to, struct yaml ***tail, struct yaml *entry)
{
	**tail = entry;
	*tail = &entry->next;
	to->n++;
}

struct yaml *yaml_get(const struct yaml *map, const char *key)
{
	for (struct yaml *y = map->kind == YAML_MAP ? map->first : NULL; y; y = y->next) {
		if (streq(y->key, key))
			return y;
	}
	return NULL;
}

/* The key of the next entry of @map, up to and with its colon. */
static int read_key(struct reader *r, struct yaml *map, bool flow, struct yaml *ret)
{
	char q[QUOTED];
	int e;

	*ret = (struct yaml){.line = r->line, .column = (uint32_t)(r->at - r->line_start + 1)};
	e = peek(r) == '"' || peek(r) == '\'' ? quoted(r, ret) : plain(r, flow, ret);
	if (e < 0)
		return e;
	while (peek(r) == ' ')
		r->at++;
	if (peek(r) != ':')
		return fail(r, "a ':' is missing behind the key");
	if (!is_space(peek_at(r, 1)) && !(flow && ret->quoted))
		return fail(r, "a space is missing behind the ':'");
	if (!ret->quoted && streq(ret->text, "<<"))
		return fail_at(r, ret->line, ret->column, "merge keys are not read, write it out");
	if (!ret->text[0])
		return fail_at(r, ret->line, ret->column, "the key is empty");
	if (map->n >= KEYS_MAX)
		return fail_at(r, ret->line, ret->column, "too many keys");
	if (yaml_get(map, ret->text)) {
		(void)msb_err_usage(r->err, "%.300s:%u:%u: key %s stands here twice", r->name,
			ret->line, ret->column,
			str_quote(q, sizeof(q), ret->text, strlen(ret->text)));
		return -EINVAL;
	}
	r->at++;
	r->fresh = false;
	return 0;
}

static void give_key(struct yaml *y, const struct yaml *key)
{
	assert(y);
	y->key = key->text;
	y->key_line = key->line;
	y->key_column = key->column;
	if (y->kind == YAML_NULL) {
		y->line = key->line;
		y->column = key->column;
	}
}

/* A comma, or the end. Return: 1 at the end. */
static int flow_next(struct reader *r, char close)
{
	int e = skip_lines(r);

	if (e < 0)
		return e;
	if (peek(r) == close) {
		r->at++;
		return 1;
	}
	if (peek(r) != ',')
		return fail(
			r, close == ']' ? "a ',' or ']' is missing" : "a ',' or '}' is missing");
	r->at++;
	return 0;
}

static int flow_entry(struct reader *r, struct yaml *to, struct yaml **ret)
{
	struct yaml key = {.kind = YAML_NULL};
	int e;

	if (to->kind == YAML_LIST)
		return flow_node(r, ret);
	e = read_key(r, to, true, &key);
	if (e == 0)
		e = skip_lines(r);
	if (e < 0)
		return e;
	if (peek(r) == ',' || peek(r) == '}') {
		*ret = new_node(r, YAML_NULL);
		e = *ret ? 0 : no_node(r);
	} else {
		e = flow_node(r, ret);
	}
	if (e == 0)
		give_key(*ret, &key);
	return e;
}

static int flow_collection(struct reader *r, struct yaml *y)
{
	const char close = peek(r) == '[' ? ']' : '}';
	struct yaml **tail = &y->first;
	int e = descend(r);

	y->kind = close == ']' ? YAML_LIST : YAML_MAP;
	r->at++;
	r->fresh = false;
	while (e == 0) {
		struct yaml *entry = NULL;

		e = skip_lines(r);
		if (e == 0 && peek(r) == close) {
			r->at++;
			break;
		}
		if (e == 0 && !peek(r))
			e = fail(r, close == ']' ? "a ']' is missing" : "a '}' is missing");
		if (e == 0)
			e = flow_entry(r, y, &entry);
		if (e == 0) {
			add(y, &tail, entry);
			e = flow_next(r, close);
		}
	}
	r->depth--;
	return MIN(e, 0);
}

static bool is_null(const struct yaml *y)
{
	return !y->quoted &&
	       (!y->text || !y->text[0] || streq(y->text, "~") || streq(y->text, "null"));
}

static int flow_node(struct reader *r, struct yaml **ret)
{
	struct yaml *y = new_node(r, YAML_SCALAR);
	int e;

	if (!y)
		return no_node(r);
	*ret = y;
	if (peek(r) == '[' || peek(r) == '{')
		return flow_collection(r, y);
	e = peek(r) == '"' || peek(r) == '\'' ? quoted(r, y) : plain(r, true, y);
	if (e < 0)
		return e;
	if (is_null(y))
		y->kind = YAML_NULL;
	return 0;
}

/* Text over several lines. */

struct block {
	int indent; /* of the text */
	bool folded;
	char chomp; /* '-', '+' or 0 */
};

/* Behind | or >, to the end of the line. */
static int block_header(struct reader *r, int parent, struct block *b)
{
	b->folded = peek(r) == '>';
	b->indent = NO_INDENT;
	r->at++;
	for (; peek(r) == '-' || peek(r) == '+' || (peek(r) >= '1' && peek(r) <= '9'); r->at++) {
		bool digit = peek(r) >= '1' && peek(r) <= '9';

		if (digit ? b->indent >= 0 : b->chomp != 0)
			return fail(r, "this stands here twice");
		if (digit)
			b->indent = MAX(parent, 0) + (peek(r) - '0');
		else
			b->chomp = peek(r);
	}
	skip_spaces(r);
	if (!is_end(peek(r)))
		return fail(r, "the text begins in the next line");
	if (peek(r))
		newline(r);
	return 0;
}

/* Spaces at the head of the line. */
static int leading(const struct reader *r)
{
	int n = 0;

	while (peek_at(r, (size_t)n) == ' ')
		n++;
	return n;
}

/* The first line with something in it says. */
static int find_indent(const struct reader *r, int parent)
{
	struct reader look = *r;

	while (look.at < look.len) {
		int n = leading(&look);

		if (peek_at(&look, (size_t)n) != '\n')
			return n > parent && peek_at(&look, (size_t)n) ? n : parent + 1;
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
static size_t block_length(const struct reader *r, const struct block *b)
{
	struct reader look = *r;

	while (look.at < look.len) {
		size_t len = strcspn(look.s + look.at, "\n");

		if (is_over(b, (size_t)MIN(leading(&look), b->indent), len))
			break;
		look.at += len + 1;
	}
	return MIN(look.at, look.len) - MIN(r->at, r->len);
}

static int block_text(struct reader *r, int parent, struct yaml *y)
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
	to = new_text(r, block_length(r, &b) + 1);
	if (!to)
		return no_memory(r);
	while (r->at < r->len) {
		size_t len = strcspn(r->s + r->at, "\n");
		size_t skip = (size_t)MIN(leading(r), b.indent);

		if (is_over(&b, skip, len))
			break;
		put_line(&b, to, &n, r->s + r->at + skip, len - skip, &ordinary);
		r->at += len;
		if (peek(r))
			newline(r);
	}
	chomp(&b, to, &n);
	to[n] = '\0';
	y->text = to;
	y->quoted = true;
	return 0;
}

/* Block collections. */

static bool is_dash(const struct reader *r)
{
	return peek(r) == '-' && is_space(peek_at(r, 1));
}

static int line_end(struct reader *r)
{
	skip_spaces(r);
	return is_end(peek(r)) ? 0 : fail(r, "nothing more is expected in this line");
}

/* Is there a ": " behind the scalar that begins here? */
static bool is_key(const struct reader *r)
{
	struct reader look = *r;
	char quote = peek(r);

	if (quote != '"' && quote != '\'') {
		look.at += plain_length(r, false);
		while (peek(&look) == ' ')
			look.at++;
		return peek(&look) == ':' && is_space(peek_at(&look, 1));
	}
	for (look.at++; !is_end(peek(&look)) && peek(&look) != quote; look.at++) {
		if (quote == '"' && peek(&look) == '\\' && !is_end(peek_at(&look, 1)))
			look.at++;
	}
	if (peek(&look) == quote)
		look.at++;
	while (peek(&look) == ' ')
		look.at++;
	return peek(&look) == ':' && is_space(peek_at(&look, 1));
}

/* A scalar or a flow collection that ends in this line, or a text below it. */
static int inline_node(struct reader *r, int parent, struct yaml **ret)
{
	struct yaml *y = new_node(r, YAML_SCALAR);
	char c = peek(r);
	int e;

	if (!y)
		return no_node(r);
	*ret = y;
	if (c == '|' || c == '>')
		return block_text(r, parent, y);
	if (c == '[' || c == '{')
		e = flow_collection(r, y);
	else
		e = c == '"' || c == '\'' ? quoted(r, y) : plain(r, false, y);
	if (e == 0 && peek(r) == ':')
		return fail(r, "a second ':' in one line; quote the text");
	if (e == 0)
		e = line_end(r);
	if (e == 0 && y->kind == YAML_SCALAR && is_null(y))
		y->kind = YAML_NULL;
	return e;
}

/* What stands behind "key:" or below it. @own: the column of the key; a list may stand right below
 * it. */
static int value_of(struct reader *r, int own, struct yaml **ret)
{
	int e;

	skip_spaces(r);
	if (!is_end(peek(r)))
		return inline_node(r, own, ret);
	e = skip_lines(r);
	if (e < 0)
		return e;
	if (peek(r) && (column(r) > own || (column(r) == own && is_dash(r))))
		return block_node(r, column(r), ret);
	*ret = new_node(r, YAML_NULL);
	return *ret ? 0 : no_node(r);
}

/* Is there another entry at @indent? What stands further right fits nowhere. */
static int more_entries(struct reader *r, int indent)
{
	int e = skip_lines(r);

	if (e < 0)
		return e;
	if (!peek(r) || (r->fresh && column(r) < indent))
		return 0;
	if (column(r) > indent || !r->fresh)
		return fail(r, "this is indented more than its neighbours; a text of several lines "
			       "begins with |");
	return !(column(r) == 0 &&
		 (str_starts(r->s + r->at, "---") || str_starts(r->s + r->at, "...")));
}

static int block_map(struct reader *r, int indent, struct yaml *y)
{
	struct yaml **tail = &y->first;
	int e = 1;

	y->kind = YAML_MAP;
	while (e == 1) {
		struct yaml *entry = NULL;
		struct yaml key = {.kind = YAML_NULL};

		if (is_dash(r))
			return indent ? 0 : fail(r, "a list among keys");
		e = read_key(r, y, false, &key);
		if (e == 0)
			e = value_of(r, indent, &entry);
		if (e < 0)
			return e;
		give_key(entry, &key);
		add(y, &tail, entry);
		e = more_entries(r, indent);
	}
	return e;
}

static int block_list(struct reader *r, int indent, struct yaml *y)
{
	struct yaml **tail = &y->first;
	int e = 1;

	y->kind = YAML_LIST;
	while (e == 1) {
		struct yaml *entry = NULL;

		/* A list right below its key ends with the next key. */
		if (!is_dash(r))
			return 0;
		r->at++;
		skip_spaces(r);
		/* What stands behind the dash is indented by it. */
		if (!is_end(peek(r)) && (is_dash(r) || is_key(r))) {
			r->fresh = true;
			e = block_node(r, column(r), &entry);
		} else {
			r->fresh = false;
			e = value_of(r, indent, &entry);
		}
		if (e < 0)
			return e;
		add(y, &tail, entry);
		e = more_entries(r, indent);
	}
	return e;
}

/* At its first character, which stands in column @indent. */
static int block_node(struct reader *r, int indent, struct yaml **ret)
{
	bool list = is_dash(r);
	struct yaml *y;
	int e;

	if (!list && (peek(r) == '[' || peek(r) == '{' || peek(r) == '|' || peek(r) == '>' ||
			     !is_key(r)))
		return inline_node(r, indent - 1, ret);
	e = descend(r);
	if (e < 0)
		return e;
	y = new_node(r, YAML_MAP);
	if (!y)
		return no_node(r);
	*ret = y;
	e = list ? block_list(r, indent, y) : block_map(r, indent, y);
	r->depth--;
	return e;
}

/* The whole text. */

static int check_bytes(struct reader *r)
{
	while (r->at < r->len) {
		size_t n = str_utf8_char(r->s + r->at, r->len - r->at);
		unsigned char c = (unsigned char)peek(r);

		if (n == 0)
			return fail(r, "this is not UTF-8");
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			return fail(r, "a control character");
		if (c == '\n')
			newline(r);
		else
			r->at += n;
	}
	r->at = 0;
	r->line_start = 0;
	r->line = 1;
	r->fresh = true;
	return 0;
}

static bool is_marker(const struct reader *r, const char *marker)
{
	return column(r) == 0 && str_starts(r->s + r->at, marker) && is_space(peek_at(r, 3));
}

static int document(struct reader *r)
{
	int e = skip_lines(r);

	if (e == 0 && is_marker(r, "---")) {
		r->at += 3;
		r->fresh = false;
		e = line_end(r);
		if (e == 0)
			e = skip_lines(r);
	}
	if (e == 0 && peek(r) == '%' && column(r) == 0)
		return fail(r, "directives are not read");
	if (e < 0)
		return e;
	if (!peek(r) || is_marker(r, "---") || is_marker(r, "...")) {
		r->doc->root = new_node(r, YAML_NULL);
		e = r->doc->root ? 0 : no_node(r);
	} else {
		e = block_node(r, column(r), &r->doc->root);
	}
	if (e == 0)
		e = skip_lines(r);
	if (e < 0 || !peek(r))
		return e;
	if (is_marker(r, "---") || is_marker(r, "..."))
		return fail(r, "a file is one document");
	return fail(r, "this is indented less than what it should belong to");
}

/* Line ends of other systems become ours. */
static char *own_copy(const char *text, size_t *len)
{
	char *to = calloc(1, *len + 1);
	size_t n = 0;

	if (!to)
		return NULL;
	for (size_t i = 0; i < *len; i++) {
		if (text[i] != '\r' || i + 1 == *len || text[i + 1] != '\n')
			to[n++] = text[i];
	}
	to[n] = '\0';
	*len = n;
	return to;
}

int yaml_parse(
	const char *name, const char *text, size_t len, struct yaml_doc **ret, struct msb_err *err)
{
	cleanup_free char *own = NULL;
	struct reader r = {.name = name, .line = 1, .err = err};
	int e;

	if (len > LIMIT_YAML_BYTES)
		return msb_err_set(err, -E2BIG, MSB_USAGE, "%.300s is too large", name);
	own = own_copy(text, &len);
	r.doc = calloc(1, sizeof(*r.doc));
	if (r.doc)
		r.kept_name = yaml_keep(r.doc, name, strlen(name));
	if (!own || !r.doc || !r.kept_name) {
		yaml_free(r.doc);
		return no_memory(&r);
	}
	r.s = own;
	r.len = len;
	e = check_bytes(&r);
	if (e == 0)
		e = document(&r);
	if (e < 0) {
		yaml_free(r.doc);
		return e;
	}
	*ret = r.doc;
	return 0;
}

struct yaml *yaml_root(const struct yaml_doc *doc)
{
	return doc->root;
}

struct yaml *yaml_wrap(struct yaml_doc *doc, struct yaml *y, const char *key)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->chain = doc->all;
	doc->all = n;
	n->y = (struct yaml){.kind = YAML_MAP,
		.file = y->file,
		.line = y->line,
		.column = y->column,
		.first = y,
		.n = 1};
	y->key = key;
	return &n->y;
}

void yaml_free(struct yaml_doc *doc)
{
	struct node *next;

	if (!doc)
		return;
	for (struct node *n = doc->all; n; n = next) {
		next = n->chain;
		free(n);
	}
	for (struct kept *k = doc->kept; k;) {
		struct kept *after = k->next;

		free(k);
		k = after;
	}
	free(doc);
}
