/* SPDX-License-Identifier: Apache-2.0 */
/* JSON writer: see json.h. */
#include <math.h>

#include "base/caps.h"
#include "base/json.h"
#include "base/str.h"

_Static_assert(LIMIT_JSON_DEPTH <= 64, "one bit of a uint64_t per level");

void json_out_init(struct json_out *o, struct buf *buf, enum json_style style)
{
	*o = (struct json_out){.buf = buf, .style = style};
}

static void out_fail(struct json_out *o, int r)
{
	if (o->error == 0)
		o->error = r;
}

static void out_raw(struct json_out *o, const char *s, size_t len)
{
	int r;

	if (o->error)
		return;
	r = buf_append(o->buf, s, len);
	if (r < 0)
		out_fail(o, r);
}

static void out_text(struct json_out *o, const char *s)
{
	out_raw(o, s, strlen(s));
}

static void out_newline(struct json_out *o)
{
	if (o->style != JSON_PRETTY)
		return;
	out_text(o, "\n");
	for (unsigned int i = 0; i < o->depth; i++)
		out_text(o, "  ");
}

static void out_escaped(struct json_out *o, unsigned char c)
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char names[] = "\"\\bfnrt";
	const char *at = c ? strchr(plain, c) : NULL;
	char esc[8];

	if (at)
		(void)snprintf(esc, sizeof(esc), "\\%c", names[at - plain]);
	else
		(void)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned int)c);
	out_text(o, esc);
}

static void out_string(struct json_out *o, const char *s, size_t len)
{
	size_t run = 0; /* start of the bytes not yet written */
	size_t i = 0;

	out_text(o, "\"");
	while (i < len) {
		unsigned char c = (unsigned char)s[i];
		size_t n = str_utf8_char(s + i, len - i);

		if (n == 0) {
			out_fail(o, -EILSEQ);
			return;
		}
		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
			out_raw(o, s + run, i - run);
			out_escaped(o, c);
			run = i + 1;
		}
		i += n;
	}
	out_raw(o, s + run, len - run);
	out_text(o, "\"");
}

static uint64_t level_bit(const struct json_out *o)
{
	return UINT64_C(1) << (o->depth - 1);
}

/* Comma, line break and member name before a value. */
static void out_prefix(struct json_out *o, const char *key)
{
	bool in_object = o->depth && (o->is_object & level_bit(o));

	if (in_object != (key != NULL) || (o->depth == 0 && o->done)) {
		out_fail(o, -EINVAL);
		return;
	}
	if (o->depth == 0) {
		o->done = true;
		return;
	}
	if (o->has_items & level_bit(o))
		out_text(o, ",");
	o->has_items |= level_bit(o);
	out_newline(o);
	if (key) {
		out_string(o, key, strlen(key));
		out_text(o, o->style == JSON_PRETTY ? ": " : ":");
	}
}

static void out_begin(struct json_out *o, const char *key, bool object)
{
	out_prefix(o, key);
	if (o->depth == LIMIT_JSON_DEPTH)
		out_fail(o, -E2BIG);
	if (o->error)
		return;
	out_text(o, object ? "{" : "[");
	o->depth++;
	o->has_items &= ~level_bit(o);
	if (object)
		o->is_object |= level_bit(o);
	else
		o->is_object &= ~level_bit(o);
}

static void out_finish(struct json_out *o, bool object)
{
	bool items;

	if (o->error)
		return;
	if (o->depth == 0 || !!(o->is_object & level_bit(o)) != object) {
		out_fail(o, -EINVAL);
		return;
	}
	items = o->has_items & level_bit(o);
	o->depth--;
	if (items)
		out_newline(o);
	out_text(o, object ? "}" : "]");
}

void json_begin_object(struct json_out *o, const char *key)
{
	out_begin(o, key, true);
}

void json_end_object(struct json_out *o)
{
	out_finish(o, true);
}

void json_begin_array(struct json_out *o, const char *key)
{
	out_begin(o, key, false);
}

void json_end_array(struct json_out *o)
{
	out_finish(o, false);
}

int json_out_end(struct json_out *o)
{
	if (o->depth || !o->done)
		out_fail(o, -EINVAL);
	if (o->style == JSON_PRETTY)
		out_text(o, "\n");
	return o->error;
}

void json_put_null(struct json_out *o, const char *key)
{
	out_prefix(o, key);
	out_text(o, "null");
}

void json_put_bool(struct json_out *o, const char *key, bool v)
{
	out_prefix(o, key);
	out_text(o, v ? "true" : "false");
}

void json_put_int(struct json_out *o, const char *key, int64_t v)
{
	char text[24];

	out_prefix(o, key);
	(void)snprintf(text, sizeof(text), "%" PRId64, v);
	out_text(o, text);
}

void json_put_u64(struct json_out *o, const char *key, uint64_t v)
{
	if (v > INT64_MAX)
		out_fail(o, -ERANGE);
	else
		json_put_int(o, key, (int64_t)v);
}

void json_put_double(struct json_out *o, const char *key, double v)
{
	char text[40];

	if (!isfinite(v)) {
		out_fail(o, -ERANGE);
		return;
	}
	out_prefix(o, key);
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	out_text(o, text);
	if (!strpbrk(text, ".e"))
		out_text(o, ".0");
}

void json_put_strn(struct json_out *o, const char *key, const char *s, size_t len)
{
	out_prefix(o, key);
	out_string(o, s, len);
}

void json_put_str(struct json_out *o, const char *key, const char *s)
{
	if (s)
		json_put_strn(o, key, s, strlen(s));
	else
		json_put_null(o, key);
}

/* Recursion ends at LIMIT_JSON_DEPTH: no parsed value is deeper. */
void json_put_value(struct json_out *o, const char *key, const struct json *v)
{
	const char *s;
	size_t len;
	bool b;
	int64_t i;
	double d;

	switch (json_type(v)) {
	case JSON_NULL:
		json_put_null(o, key);
		break;
	case JSON_BOOL:
		if (json_to_bool(v, "", &b, NULL) == 0)
			json_put_bool(o, key, b);
		break;
	case JSON_INT:
		if (json_to_int(v, "", INT64_MIN, INT64_MAX, &i, NULL) == 0)
			json_put_int(o, key, i);
		break;
	case JSON_DOUBLE:
		if (json_to_double(v, "", &d, NULL) == 0)
			json_put_double(o, key, d);
		break;
	case JSON_STRING:
		s = json_bytes(v, &len);
		json_put_strn(o, key, s, len);
		break;
	case JSON_ARRAY:
		json_begin_array(o, key);
		json_foreach (item, v)
			json_put_value(o, NULL, item);
		json_end_array(o);
		break;
	case JSON_OBJECT:
		json_begin_object(o, key);
		json_foreach (item, v)
			json_put_value(o, json_key(item), item);
		json_end_object(o);
		break;
	}
}
