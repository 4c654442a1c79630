/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by yaml.c (collections and the whole), yaml-scalar.c (texts) and yaml-reader.c (bytes,
 * nodes and errors).
 */
#pragma once

#include "base/yaml.h"

enum { YAML_NO_INDENT = -1 };

struct yaml_kept {
	struct yaml_kept *next;
	char text[];
};

struct yaml_node {
	struct yaml y;
	struct yaml_node *chain;
};

struct yaml_doc {
	struct yaml *root;
	struct yaml_node *all;
	struct yaml_kept *kept;
};

struct yaml_reader {
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

static inline char yaml_peek(const struct yaml_reader *r)
{
	return r->s[r->at];
}

static inline char yaml_peek_at(const struct yaml_reader *r, size_t n)
{
	return r->at + n < r->len ? r->s[r->at + n] : '\0';
}

static inline bool yaml_is_end(char c)
{
	return c == '\0' || c == '\n';
}

static inline bool yaml_is_space(char c)
{
	return c == ' ' || c == '\t' || yaml_is_end(c);
}

static inline int yaml_column(const struct yaml_reader *r)
{
	return (int)(r->at - r->line_start);
}

/* To the next line. */
void yaml_newline(struct yaml_reader *r);

/** yaml_skip_spaces - to the next token in this line; a comment needs a space before it */
void yaml_skip_spaces(struct yaml_reader *r);

/** yaml_skip_lines - to the next token in whatever line; what indents it is spaces only */
int yaml_skip_lines(struct yaml_reader *r) MSB_MUST_CHECK;

/** yaml_new_node - one that stands here; NULL: yaml_no_node() says why */
struct yaml *yaml_new_node(struct yaml_reader *r, enum yaml_kind kind);
int yaml_no_node(struct yaml_reader *r);

/** yaml_new_text - room for a text of at most @len bytes, to be written; NULL without memory */
char *yaml_new_text(struct yaml_reader *r, size_t len);
int yaml_set_text(struct yaml_reader *r, struct yaml *y, const char *s, size_t len) MSB_MUST_CHECK;

/* Errors: here, elsewhere, and without memory. */
int yaml_fail(struct yaml_reader *r, const char *what);
int yaml_fail_at(struct yaml_reader *r, uint32_t line, size_t column, const char *what);
int yaml_no_memory(struct yaml_reader *r);

/** yaml_plain_length - up to ": ", " #" and, in a flow collection, its punctuation */
size_t yaml_plain_length(const struct yaml_reader *r, bool flow);
int yaml_plain(struct yaml_reader *r, bool flow, struct yaml *y) MSB_MUST_CHECK;
int yaml_quoted(struct yaml_reader *r, struct yaml *y) MSB_MUST_CHECK;

/** yaml_block_text - text over several lines, behind | or >; @parent: the column it belongs to */
int yaml_block_text(struct yaml_reader *r, int parent, struct yaml *y) MSB_MUST_CHECK;
