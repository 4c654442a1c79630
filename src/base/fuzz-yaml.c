/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_parse() of arbitrary bytes: a tree within the caps, or a message that says where. */
#include "base/caps.h"
#include "base/str.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int check(const struct yaml *y, unsigned int depth)
{
	unsigned int nodes = 1;
	uint32_t n = 0;

	assert(depth <= LIMIT_YAML_DEPTH + 1);
	assert(y->line > 0 && y->column > 0);
	assert((y->kind == YAML_SCALAR) == (y->text != NULL) || y->kind == YAML_NULL);
	for (const struct yaml *e = y->first; e; e = e->next) {
		assert((y->kind == YAML_MAP) == (e->key != NULL));
		if (e->key)
			assert(yaml_get(y, e->key) == e);
		nodes += check(e, depth + 1);
		n++;
	}
	assert(n == y->n);
	return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_doc *doc = NULL;
	struct msb_err err = {0};
	int r = yaml_parse("f", (const char *)data, size, &doc, &err);

	if (r < 0) {
		assert(str_starts(err.msg, "f:") || size > LIMIT_YAML_BYTES);
		return 0;
	}
	assert(check(yaml_root(doc), 0) <= LIMIT_YAML_NODES);
	yaml_free(doc);
	return 0;
}
