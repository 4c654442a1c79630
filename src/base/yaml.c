/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader for a part of YAML 1.2: see yaml.h.
 *
 * A recursive descent over the bytes. A block node is found by the column of its first character:
 * what stands further left ends it, what stands further right belongs to the entry above. Texts of
 * scalars are never longer than what they were written as, so they are decoded into one block of
 * the document's size; nodes come one by one.
 */
#include "base/caps.h"
#include "base/str.h"
#include "base/yaml-internal.h"

enum { KEYS_MAX = 1024, QUOTED = 80 };

static int block_node(struct yaml_reader *r, int indent, struct yaml **ret);
static int flow_node(struct yaml_reader *r, struct yaml **ret);

static int descend(struct yaml_reader *r)
{
	if (r->depth >= LIMIT_YAML_DEPTH) {
		(void)yaml_fail(r, "the file is nested too deeply");
		return -E2BIG;
	}
	r->depth++;
	return 0;
}

static void add(struct yaml *to, struct yaml ***tail, struct yaml *entry)
{
	assert(entry);
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
static int read_key(struct yaml_reader *r, struct yaml *map, bool flow, struct yaml *ret)
{
	char q[QUOTED];
	int e;

	*ret = (struct yaml){.line = r->line, .column = (uint32_t)(r->at - r->line_start + 1)};
	e = yaml_peek(r) == '"' || yaml_peek(r) == '\'' ? yaml_quoted(r, ret)
							: yaml_plain(r, flow, ret);
	if (e < 0)
		return e;
	while (yaml_peek(r) == ' ')
		r->at++;
	if (yaml_peek(r) != ':')
		return yaml_fail(r, "a ':' is missing behind the key");
	if (!yaml_is_space(yaml_peek_at(r, 1)) && !(flow && ret->quoted))
		return yaml_fail(r, "a space is missing behind the ':'");
	if (!ret->quoted && streq(ret->text, "<<"))
		return yaml_fail_at(
			r, ret->line, ret->column, "merge keys are not read, write it out");
	if (!ret->text[0])
		return yaml_fail_at(r, ret->line, ret->column, "the key is empty");
	if (map->n >= KEYS_MAX)
		return yaml_fail_at(r, ret->line, ret->column, "too many keys");
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
static int flow_next(struct yaml_reader *r, char close)
{
	int e = yaml_skip_lines(r);

	if (e < 0)
		return e;
	if (yaml_peek(r) == close) {
		r->at++;
		return 1;
	}
	if (yaml_peek(r) != ',')
		return yaml_fail(
			r, close == ']' ? "a ',' or ']' is missing" : "a ',' or '}' is missing");
	r->at++;
	return 0;
}

static int flow_entry(struct yaml_reader *r, struct yaml *to, struct yaml **ret)
{
	struct yaml key = {.kind = YAML_NULL};
	int e;

	if (to->kind == YAML_LIST)
		return flow_node(r, ret);
	e = read_key(r, to, true, &key);
	if (e == 0)
		e = yaml_skip_lines(r);
	if (e < 0)
		return e;
	if (yaml_peek(r) == ',' || yaml_peek(r) == '}') {
		*ret = yaml_new_node(r, YAML_NULL);
		e = *ret ? 0 : yaml_no_node(r);
	} else {
		e = flow_node(r, ret);
	}
	if (e == 0)
		give_key(*ret, &key);
	return e;
}

static int flow_collection(struct yaml_reader *r, struct yaml *y)
{
	const char close = yaml_peek(r) == '[' ? ']' : '}';
	struct yaml **tail = &y->first;
	int e = descend(r);

	y->kind = close == ']' ? YAML_LIST : YAML_MAP;
	r->at++;
	r->fresh = false;
	while (e == 0) {
		struct yaml *entry = NULL;

		e = yaml_skip_lines(r);
		if (e == 0 && yaml_peek(r) == close) {
			r->at++;
			break;
		}
		if (e == 0 && !yaml_peek(r))
			e = yaml_fail(r, close == ']' ? "a ']' is missing" : "a '}' is missing");
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

static int flow_node(struct yaml_reader *r, struct yaml **ret)
{
	struct yaml *y = yaml_new_node(r, YAML_SCALAR);
	int e;

	if (!y)
		return yaml_no_node(r);
	*ret = y;
	if (yaml_peek(r) == '[' || yaml_peek(r) == '{')
		return flow_collection(r, y);
	e = yaml_peek(r) == '"' || yaml_peek(r) == '\'' ? yaml_quoted(r, y)
							: yaml_plain(r, true, y);
	if (e < 0)
		return e;
	if (is_null(y))
		y->kind = YAML_NULL;
	return 0;
}

/* Block collections. */

static bool is_dash(const struct yaml_reader *r)
{
	return yaml_peek(r) == '-' && yaml_is_space(yaml_peek_at(r, 1));
}

static int line_end(struct yaml_reader *r)
{
	yaml_skip_spaces(r);
	return yaml_is_end(yaml_peek(r)) ? 0
					 : yaml_fail(r, "nothing more is expected in this line");
}

/* Is there a ": " behind the scalar that begins here? */
static bool is_key(const struct yaml_reader *r)
{
	struct yaml_reader look = *r;
	char quote = yaml_peek(r);

	if (quote != '"' && quote != '\'') {
		look.at += yaml_plain_length(r, false);
		while (yaml_peek(&look) == ' ')
			look.at++;
		return yaml_peek(&look) == ':' && yaml_is_space(yaml_peek_at(&look, 1));
	}
	for (look.at++; !yaml_is_end(yaml_peek(&look)) && yaml_peek(&look) != quote; look.at++) {
		if (quote == '"' && yaml_peek(&look) == '\\' &&
			!yaml_is_end(yaml_peek_at(&look, 1)))
			look.at++;
	}
	if (yaml_peek(&look) == quote)
		look.at++;
	while (yaml_peek(&look) == ' ')
		look.at++;
	return yaml_peek(&look) == ':' && yaml_is_space(yaml_peek_at(&look, 1));
}

/* A scalar or a flow collection that ends in this line, or a text below it. */
static int inline_node(struct yaml_reader *r, int parent, struct yaml **ret)
{
	struct yaml *y = yaml_new_node(r, YAML_SCALAR);
	char c = yaml_peek(r);
	int e;

	if (!y)
		return yaml_no_node(r);
	*ret = y;
	if (c == '|' || c == '>')
		return yaml_block_text(r, parent, y);
	if (c == '[' || c == '{')
		e = flow_collection(r, y);
	else
		e = c == '"' || c == '\'' ? yaml_quoted(r, y) : yaml_plain(r, false, y);
	if (e == 0 && yaml_peek(r) == ':')
		return yaml_fail(r, "a second ':' in one line; quote the text");
	if (e == 0)
		e = line_end(r);
	if (e == 0 && y->kind == YAML_SCALAR && is_null(y))
		y->kind = YAML_NULL;
	return e;
}

/* What stands behind "key:" or below it. @own: the column of the key; a list may stand right below
 * it. */
static int value_of(struct yaml_reader *r, int own, struct yaml **ret)
{
	int e;

	yaml_skip_spaces(r);
	if (!yaml_is_end(yaml_peek(r)))
		return inline_node(r, own, ret);
	e = yaml_skip_lines(r);
	if (e < 0)
		return e;
	if (yaml_peek(r) && (yaml_column(r) > own || (yaml_column(r) == own && is_dash(r))))
		return block_node(r, yaml_column(r), ret);
	*ret = yaml_new_node(r, YAML_NULL);
	return *ret ? 0 : yaml_no_node(r);
}

/* Is there another entry at @indent? What stands further right fits nowhere. */
static int more_entries(struct yaml_reader *r, int indent)
{
	int e = yaml_skip_lines(r);

	if (e < 0)
		return e;
	if (!yaml_peek(r) || (r->fresh && yaml_column(r) < indent))
		return 0;
	if (yaml_column(r) > indent || !r->fresh)
		return yaml_fail(r,
			"this is indented more than its neighbours; a text of several lines "
			"begins with |");
	return !(yaml_column(r) == 0 &&
		 (str_starts(r->s + r->at, "---") || str_starts(r->s + r->at, "...")));
}

static int block_map(struct yaml_reader *r, int indent, struct yaml *y)
{
	struct yaml **tail = &y->first;
	int e = 1;

	y->kind = YAML_MAP;
	while (e == 1) {
		struct yaml *entry = NULL;
		struct yaml key = {.kind = YAML_NULL};

		if (is_dash(r))
			return indent ? 0 : yaml_fail(r, "a list among keys");
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

static int block_list(struct yaml_reader *r, int indent, struct yaml *y)
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
		yaml_skip_spaces(r);
		/* What stands behind the dash is indented by it. */
		if (!yaml_is_end(yaml_peek(r)) && (is_dash(r) || is_key(r))) {
			r->fresh = true;
			e = block_node(r, yaml_column(r), &entry);
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
static int block_node(struct yaml_reader *r, int indent, struct yaml **ret)
{
	bool list = is_dash(r);
	struct yaml *y;
	int e;

	if (!list && (yaml_peek(r) == '[' || yaml_peek(r) == '{' || yaml_peek(r) == '|' ||
			     yaml_peek(r) == '>' || !is_key(r)))
		return inline_node(r, indent - 1, ret);
	e = descend(r);
	if (e < 0)
		return e;
	y = yaml_new_node(r, YAML_MAP);
	if (!y)
		return yaml_no_node(r);
	*ret = y;
	e = list ? block_list(r, indent, y) : block_map(r, indent, y);
	r->depth--;
	return e;
}

/* The whole text. */

static int check_bytes(struct yaml_reader *r)
{
	while (r->at < r->len) {
		size_t n = str_utf8_char(r->s + r->at, r->len - r->at);
		unsigned char c = (unsigned char)yaml_peek(r);

		if (n == 0)
			return yaml_fail(r, "this is not UTF-8");
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			return yaml_fail(r, "a control character");
		if (c == '\n')
			yaml_newline(r);
		else
			r->at += n;
	}
	r->at = 0;
	r->line_start = 0;
	r->line = 1;
	r->fresh = true;
	return 0;
}

static bool is_marker(const struct yaml_reader *r, const char *marker)
{
	return yaml_column(r) == 0 && str_starts(r->s + r->at, marker) &&
	       yaml_is_space(yaml_peek_at(r, 3));
}

static int document(struct yaml_reader *r)
{
	int e = yaml_skip_lines(r);

	if (e == 0 && is_marker(r, "---")) {
		r->at += 3;
		r->fresh = false;
		e = line_end(r);
		if (e == 0)
			e = yaml_skip_lines(r);
	}
	if (e == 0 && yaml_peek(r) == '%' && yaml_column(r) == 0)
		return yaml_fail(r, "directives are not read");
	if (e < 0)
		return e;
	if (!yaml_peek(r) || is_marker(r, "---") || is_marker(r, "...")) {
		r->doc->root = yaml_new_node(r, YAML_NULL);
		e = r->doc->root ? 0 : yaml_no_node(r);
	} else {
		e = block_node(r, yaml_column(r), &r->doc->root);
	}
	if (e == 0)
		e = yaml_skip_lines(r);
	if (e < 0 || !yaml_peek(r))
		return e;
	if (is_marker(r, "---") || is_marker(r, "..."))
		return yaml_fail(r, "a file is one document");
	return yaml_fail(r, "this is indented less than what it should belong to");
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
	struct yaml_reader r = {.name = name, .line = 1, .err = err};
	int e;

	if (len > LIMIT_YAML_BYTES)
		return msb_err_set(err, -E2BIG, MSB_USAGE, "%.300s is too large", name);
	own = own_copy(text, &len);
	r.doc = calloc(1, sizeof(*r.doc));
	if (r.doc)
		r.kept_name = yaml_keep(r.doc, name, strlen(name));
	if (!own || !r.doc || !r.kept_name) {
		yaml_free(r.doc);
		return yaml_no_memory(&r);
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
