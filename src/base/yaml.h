/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader for the part of YAML 1.2 that people write configuration in: block and flow collections,
 * plain and quoted scalars, literal and folded text, comments, one document.
 *
 * Strict where YAML surprises: anchors, aliases, tags, merge keys, directives, several documents,
 * duplicate keys, plain scalars over several lines, tabs as indentation, and the words yes, no, on
 * and off without quotes are errors. Nothing is interpreted: a scalar is its text, and says whether
 * it was quoted. Size, depth and number of nodes are bounded (caps.h).
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml {
	enum yaml_kind kind;
	bool quoted; /* YAML_SCALAR: it is a text, whatever it looks like */
	const char *text; /* YAML_SCALAR: UTF-8 without NUL */
	const char *key; /* as an entry of a map */
	const char *file; /* @name of yaml_parse(), kept by the document */
	uint32_t line; /* of the value; of the key if there is none */
	uint32_t column;
	uint32_t key_line;
	uint32_t key_column;
	struct yaml *first; /* YAML_MAP, YAML_LIST: entries, keys differ */
	struct yaml *next;
	uint32_t n; /* entries */
};

struct yaml_doc;

/**
 * yaml_parse - read a whole document
 * @name: of the file, for messages, which begin NAME:LINE:COLUMN
 * @ret: yaml_free()
 *
 * Return: 0; -EINVAL, -E2BIG (a cap) or -ENOMEM with a message of kind MSB_USAGE.
 */
int yaml_parse(const char *name, const char *text, size_t len, struct yaml_doc **ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** yaml_root - a document that is empty has a root of kind YAML_NULL */
struct yaml *yaml_root(const struct yaml_doc *doc);

/** yaml_keep - @len bytes and a NUL that live as long as the document; NULL without memory */
char *yaml_keep(struct yaml_doc *doc, const char *s, size_t len);

/** yaml_wrap - a map whose only entry is @y, under @key, which must live as long; NULL without
 * memory */
struct yaml *yaml_wrap(struct yaml_doc *doc, struct yaml *y, const char *key);

void yaml_free(struct yaml_doc *doc);

/** yaml_get - entry @key of a map, NULL if there is none */
struct yaml *yaml_get(const struct yaml *map, const char *key);
