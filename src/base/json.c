/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON reader: see json.h.
 *
 * Two passes over the text. The first counts the values that can exist at most, which makes one
 * allocation of nodes and string bytes enough for the second, recursive descent, pass. The
 * recursion is bounded by LIMIT_JSON_DEPTH. Decoded text is never longer than its source and the
 * quotes make room for its NUL, so the string area cannot overflow.
 */
#include <math.h>

#include "base/caps.h"
#include "base/io.h"
#include "base/json-internal.h"
#include "base/str.h"

struct reader {
	const char *text;
	const char *at;
	const char *end;
	struct json *nodes;
	size_t used;
	size_t n_nodes;
	char *pool; /* next free byte of the string area */
	struct msb_err *err;
};

static void MSB_PRINTF(4, 5)
	record(struct reader *r, const char *where, int code, const char *fmt, ...)
{
	char what[160];
	unsigned int line = 1;
	const char *start = r->text;
	va_list ap;

	for (const char *p = r->text; p < where; p++) {
		if (*p == '\n') {
			line++;
			start = p + 1;
		}
	}
	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	(void)msb_err_set(r->err, code, code == -E2BIG ? MSB_LIMIT : MSB_PROTOCOL,
		"line %u, column %zu: %s", line, (size_t)(where - start) + 1, what);
}

/* A value, so that callers return it and readers (and analyzers) see that it is negative. */
#define fail_at(r, where, code, ...)                       \
	({                                                 \
		record((r), (where), (code), __VA_ARGS__); \
		(code);                                    \
	})

#define fail(r, what) fail_at((r), (r)->at, -EBADMSG, "%s", (what))

static void record_unexpected(struct reader *r, const char *wanted)
{
	char quoted[16];

	if (r->at == r->end)
		record(r, r->at, -EBADMSG, "the text ends where %s should be", wanted);
	else
		record(r, r->at, -EBADMSG, "found %s where %s should be",
			str_quote(quoted, sizeof(quoted), r->at, 1), wanted);
}

#define fail_unexpected(r, wanted)                \
	({                                        \
		record_unexpected((r), (wanted)); \
		-EBADMSG;                         \
	})

static void skip_space(struct reader *r)
{
	while (r->at < r->end &&
		(*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool next_is(const struct reader *r, char c)
{
	return r->at < r->end && *r->at == c;
}

static bool is_digit(const struct reader *r)
{
	return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static int read_hex4(struct reader *r, uint32_t *ret)
{
	uint32_t v = 0;

	if (r->end - r->at < 4)
		return fail(r, "incomplete \\u escape");
	for (int i = 0; i < 4; i++) {
		char c = r->at[i];
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint32_t)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			digit = (uint32_t)(c - 'A') + 10;
		else
			return fail(r, "incomplete \\u escape");
		v = v << 4 | digit;
	}
	r->at += 4;
	*ret = v;
	return 0;
}

static void put_utf8(char **to, uint32_t cp)
{
	char *p = *to;

	if (cp < 0x80) {
		*p++ = (char)cp;
	} else if (cp < 0x800) {
		*p++ = (char)(0xc0 | cp >> 6);
		*p++ = (char)(0x80 | (cp & 0x3f));
	} else if (cp < 0x10000) {
		*p++ = (char)(0xe0 | cp >> 12);
		*p++ = (char)(0x80 | (cp >> 6 & 0x3f));
		*p++ = (char)(0x80 | (cp & 0x3f));
	} else {
		*p++ = (char)(0xf0 | cp >> 18);
		*p++ = (char)(0x80 | (cp >> 12 & 0x3f));
		*p++ = (char)(0x80 | (cp >> 6 & 0x3f));
		*p++ = (char)(0x80 | (cp & 0x3f));
	}
	*to = p;
}

/* Behind "\u". */
static int read_unicode_escape(struct reader *r, char **to)
{
	uint32_t cp;
	uint32_t low;
	int e = read_hex4(r, &cp);

	if (e < 0)
		return e;
	if (cp >= 0xdc00 && cp <= 0xdfff)
		return fail(r, "lone surrogate in \\u escape");
	if (cp >= 0xd800 && cp <= 0xdbff) {
		if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return fail(r, "lone surrogate in \\u escape");
		r->at += 2;
		e = read_hex4(r, &low);
		if (e < 0)
			return e;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, "lone surrogate in \\u escape");
		cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
	}
	put_utf8(to, cp);
	return 0;
}

/* Behind the backslash. */
static int read_escape(struct reader *r, char **to)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *at;

	if (r->at == r->end)
		return fail(r, "the text ends inside a string");
	if (*r->at == 'u') {
		r->at++;
		return read_unicode_escape(r, to);
	}
	at = *r->at ? strchr(names, *r->at) : NULL;
	if (!at)
		return fail(r, "unknown escape in a string");
	*(*to)++ = values[at - names];
	r->at++;
	return 0;
}

/* At the opening quote. */
static int read_string(struct reader *r, const char **ret, uint32_t *ret_len)
{
	char *start = r->pool;
	char *to = start;
	int e;

	r->at++;
	while (r->at < r->end && *r->at != '"') {
		unsigned char c = (unsigned char)*r->at;

		if (c == '\\') {
			r->at++;
			e = read_escape(r, &to);
			if (e < 0)
				return e;
		} else if (c < 0x20) {
			return fail(r, "unescaped control character in a string");
		} else {
			size_t n = str_utf8_char(r->at, (size_t)(r->end - r->at));

			if (n == 0)
				return fail(r, "invalid UTF-8 in a string");
			memcpy(to, r->at, n);
			to += n;
			r->at += n;
		}
	}
	if (r->at == r->end)
		return fail(r, "the text ends inside a string");
	r->at++;
	*to = '\0';
	r->pool = to + 1;
	*ret = start;
	*ret_len = (uint32_t)(to - start);
	return 0;
}

static int read_integer(struct reader *r, const char *start, struct json *v)
{
	bool negative = *start == '-';
	int64_t n = 0;

	for (const char *p = start + negative; p < r->at; p++) {
		int digit = *p - '0';

		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_sub_overflow(n, (int64_t)digit, &n))
			return fail_at(r, start, -EBADMSG, "integer does not fit 64 bits");
	}
	/* Built as a negative number, whose range is one larger. */
	if (!negative && __builtin_sub_overflow((int64_t)0, n, &n))
		return fail_at(r, start, -EBADMSG, "integer does not fit 64 bits");
	v->type = JSON_INT;
	v->integer = n;
	return 0;
}

static int read_double(struct reader *r, const char *start, struct json *v)
{
	size_t len = (size_t)(r->at - start);

	/* strtod() wants a NUL: borrow the free end of the string area, which has room for it. */
	memcpy(r->pool, start, len);
	r->pool[len] = '\0';
	v->type = JSON_DOUBLE;
	v->number = strtod(r->pool, NULL);
	if (!isfinite(v->number))
		return fail_at(r, start, -EBADMSG, "number is too large");
	return 0;
}

static int read_number(struct reader *r, struct json *v)
{
	const char *start = r->at;
	bool integer = true;

	if (next_is(r, '-'))
		r->at++;
	if (!is_digit(r))
		return fail_unexpected(r, "a digit");
	if (*r->at == '0') {
		r->at++;
		if (is_digit(r))
			return fail_at(r, start, -EBADMSG, "number with a leading zero");
	}
	while (is_digit(r))
		r->at++;
	if (next_is(r, '.')) {
		integer = false;
		r->at++;
		if (!is_digit(r))
			return fail_unexpected(r, "a digit");
		while (is_digit(r))
			r->at++;
	}
	if (next_is(r, 'e') || next_is(r, 'E')) {
		integer = false;
		r->at++;
		if (next_is(r, '+') || next_is(r, '-'))
			r->at++;
		if (!is_digit(r))
			return fail_unexpected(r, "a digit");
		while (is_digit(r))
			r->at++;
	}
	return integer ? read_integer(r, start, v) : read_double(r, start, v);
}

static int read_word(struct reader *r, struct json *v)
{
	static const struct {
		const char *word;
		uint8_t type;
		bool value;
	} words[] = {
		{"null", JSON_NULL, false},
		{"true", JSON_BOOL, true},
		{"false", JSON_BOOL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i].word);

		if ((size_t)(r->end - r->at) < n || memcmp(r->at, words[i].word, n) != 0)
			continue;
		r->at += n;
		v->type = words[i].type;
		v->boolean = words[i].value;
		return 0;
	}
	return fail_unexpected(r, "a value");
}

static int compare_keys(const void *a, const void *b)
{
	const struct json *const *x = a;
	const struct json *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static int fail_duplicate(struct reader *r, const char *where, const char *key)
{
	char quoted[64];

	return fail_at(r, where, -EBADMSG, "duplicate member %s",
		str_quote(quoted, sizeof(quoted), key, strlen(key)));
}

/* Small objects compare each pair; large ones are sorted, or hostile text would cost n * n. */
static int check_duplicates(struct reader *r, const struct json *obj, const char *where)
{
	enum { SMALL = 16 };
	cleanup_free const struct json **sorted = NULL;
	size_t n = 0;

	if (obj->len <= SMALL) {
		json_foreach (a, obj) {
			for (const struct json *b = a->next; b; b = b->next) {
				if (streq(a->key, b->key))
					return fail_duplicate(r, where, a->key);
			}
		}
		return 0;
	}
	sorted = calloc(obj->len, sizeof(*sorted));
	if (!sorted)
		return msb_err_errno(r->err, -ENOMEM, "reading JSON");
	json_foreach (a, obj)
		sorted[n++] = a;
	qsort(sorted, n, sizeof(*sorted), compare_keys);
	for (size_t i = 1; i < n; i++) {
		if (streq(sorted[i - 1]->key, sorted[i]->key))
			return fail_duplicate(r, where, sorted[i]->key);
	}
	return 0;
}

static int read_value(struct reader *r, unsigned int depth, struct json **ret);

/* Member name and colon. */
static int read_key(struct reader *r, const char **ret)
{
	const char *start = r->at;
	uint32_t len;
	int e;

	if (!next_is(r, '"'))
		return fail_unexpected(r, "a member name");
	e = read_string(r, ret, &len);
	if (e < 0)
		return e;
	if (strlen(*ret) != len)
		return fail_at(r, start, -EBADMSG, "NUL in a member name");
	skip_space(r);
	if (!next_is(r, ':'))
		return fail_unexpected(r, "':'");
	r->at++;
	return 0;
}

/* At the opening bracket. */
static int read_container(struct reader *r, unsigned int depth, struct json *v)
{
	bool object = *r->at == '{';
	char close = object ? '}' : ']';
	const char *start = r->at++;
	const struct json **link = &v->first;
	int e;

	v->type = object ? JSON_OBJECT : JSON_ARRAY;
	v->first = NULL;
	if (depth >= LIMIT_JSON_DEPTH)
		return fail_at(r, start, -E2BIG, "nested deeper than %u levels", LIMIT_JSON_DEPTH);
	skip_space(r);
	if (next_is(r, close)) {
		r->at++;
		return 0;
	}
	for (;;) {
		const char *key = NULL;
		struct json *child;

		if (object) {
			skip_space(r);
			e = read_key(r, &key);
			if (e < 0)
				return e;
		}
		e = read_value(r, depth + 1, &child);
		if (e < 0)
			return e;
		child->key = key;
		*link = child;
		link = &child->next;
		v->len++;
		if (next_is(r, close))
			break;
		if (!next_is(r, ','))
			return fail_unexpected(r, object ? "',' or '}'" : "',' or ']'");
		r->at++;
	}
	r->at++;
	return object ? check_duplicates(r, v, start) : 0;
}

/* Reads a value and the space around it. */
static int read_value(struct reader *r, unsigned int depth, struct json **ret)
{
	struct json *v;
	int e;

	skip_space(r);
	if (r->used == r->n_nodes)
		return fail_unexpected(r, "the end");
	v = &r->nodes[r->used++];
	*v = (struct json){.type = JSON_NULL};
	if (next_is(r, '{') || next_is(r, '[')) {
		e = read_container(r, depth, v);
	} else if (next_is(r, '"')) {
		v->type = JSON_STRING;
		e = read_string(r, &v->str, &v->len);
	} else if (next_is(r, '-') || is_digit(r)) {
		e = read_number(r, v);
	} else {
		e = read_word(r, v);
	}
	if (e < 0)
		return e;
	skip_space(r);
	*ret = v;
	return 0;
}

/* Each value but the root stands behind a '[', ',' or ':' outside strings. */
static size_t count_values(const char *text, size_t len)
{
	bool in_string = false;
	size_t n = 1;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == ',' || c == ':') {
			n++;
		}
	}
	return n;
}

int json_parse(const char *text, size_t len, struct json **ret, struct msb_err *err)
{
	cleanup_free struct json *nodes = NULL;
	struct json *root;
	struct reader r = {.text = text, .at = text, .end = text + len, .err = err};
	int e;

	if (len > LIMIT_JSON_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "JSON text is larger than %u bytes",
			LIMIT_JSON_BYTES);
	r.n_nodes = count_values(text, len);
	if (r.n_nodes > LIMIT_JSON_VALUES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "JSON text has more than %u values",
			LIMIT_JSON_VALUES);
	nodes = malloc(r.n_nodes * sizeof(*nodes) + len + 1);
	if (!nodes)
		return msb_err_errno(err, -ENOMEM, "reading JSON");
	r.nodes = nodes;
	r.pool = (char *)(nodes + r.n_nodes);
	e = read_value(&r, 0, &root);
	if (e < 0)
		return e;
	if (r.at != r.end)
		return fail_unexpected(&r, "the end");
	assert(root == nodes);
	*ret = TAKE_PTR(nodes);
	return 0;
}

int json_read_file(int dirfd, const char *path, struct json **ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r = io_read_file(dirfd, path, LIMIT_JSON_BYTES, &text, &len);

	if (r < 0)
		return msb_err_errno(err, r, "cannot read %s", path);
	r = json_parse(text, len, ret, err);
	return r < 0 ? msb_err_prefix(err, r, "%s", path) : 0;
}
