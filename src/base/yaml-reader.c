/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes, nodes and errors of the reader of YAML: see yaml-internal.h. */
#include "base/caps.h"
#include "base/yaml-internal.h"

int yaml_fail_at(struct yaml_reader *r, uint32_t line, size_t column, const char *what)
{
	(void)msb_err_usage(r->err, "%.300s:%u:%zu: %s", r->name, line, column, what);
	return -EINVAL;
}

int yaml_fail(struct yaml_reader *r, const char *what)
{
	return yaml_fail_at(r, r->line, r->at - r->line_start + 1, what);
}

int yaml_no_memory(struct yaml_reader *r)
{
	(void)msb_err_errno(r->err, -ENOMEM, "reading %.300s", r->name);
	return -ENOMEM;
}

void yaml_newline(struct yaml_reader *r)
{
	r->at++;
	r->line++;
	r->line_start = r->at;
	r->fresh = true;
}

void yaml_skip_spaces(struct yaml_reader *r)
{
	while (yaml_peek(r) == ' ' || yaml_peek(r) == '\t')
		r->at++;
	if (yaml_peek(r) == '#' && (r->at == r->line_start || yaml_is_space(r->s[r->at - 1]))) {
		while (!yaml_is_end(yaml_peek(r)))
			r->at++;
	}
}

int yaml_skip_lines(struct yaml_reader *r)
{
	for (;;) {
		size_t from = r->at;

		yaml_skip_spaces(r);
		if (yaml_peek(r) != '\n') {
			if (yaml_peek(r) && r->fresh && memchr(r->s + from, '\t', r->at - from))
				return yaml_fail(r, "a tab cannot indent, use spaces");
			return 0;
		}
		yaml_newline(r);
	}
}

struct yaml *yaml_new_node(struct yaml_reader *r, enum yaml_kind kind)
{
	struct yaml_node *n = r->nodes < LIMIT_YAML_NODES ? calloc(1, sizeof(*n)) : NULL;

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

int yaml_no_node(struct yaml_reader *r)
{
	if (r->nodes < LIMIT_YAML_NODES)
		return yaml_no_memory(r);
	(void)yaml_fail(r, "the file has too many entries");
	return -E2BIG;
}

char *yaml_keep(struct yaml_doc *doc, const char *s, size_t len)
{
	struct yaml_kept *k = malloc(sizeof(*k) + len + 1);

	if (!k)
		return NULL;
	k->next = doc->kept;
	doc->kept = k;
	memcpy(k->text, s, len);
	k->text[len] = '\0';
	return k->text;
}

char *yaml_new_text(struct yaml_reader *r, size_t len)
{
	return yaml_keep(r->doc, r->s, MIN(len, r->len));
}

int yaml_set_text(struct yaml_reader *r, struct yaml *y, const char *s, size_t len)
{
	y->text = yaml_keep(r->doc, s, len);
	return y->text ? 0 : yaml_no_memory(r);
}

struct yaml *yaml_wrap(struct yaml_doc *doc, struct yaml *y, const char *key)
{
	struct yaml_node *n = calloc(1, sizeof(*n));

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
	struct yaml_node *next;

	if (!doc)
		return;
	for (struct yaml_node *n = doc->all; n; n = next) {
		next = n->chain;
		free(n);
	}
	for (struct yaml_kept *k = doc->kept; k;) {
		struct yaml_kept *after = k->next;

		free(k);
		k = after;
	}
	free(doc);
}
