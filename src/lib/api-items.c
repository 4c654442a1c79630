/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: lists of things with their properties: see api-items.h. */
#include "lib/api-items.h"

#include "base/str.h"

_Static_assert(MSB_DIGEST_SIZE == REF_DIGEST_LEN + 1, "digests fit");

int items_new(size_t n, struct msb_items **ret)
{
	struct msb_items *l;
	size_t bytes;

	*ret = NULL;
	if (!size_mul(n, sizeof(struct item), &bytes) || !size_add(bytes, sizeof(*l), &bytes))
		return -ENOMEM;
	l = calloc(1, bytes);
	if (!l)
		return -ENOMEM;
	l->n = n;
	*ret = l;
	return 0;
}

struct msb_items *msb_items_free(struct msb_items *l)
{
	for (size_t i = 0; l && i < l->n; i++) {
		free(l->items[i].json);
		free(l->items[i].problem);
	}
	free(l);
	return NULL;
}

void item_put(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text ? text : "");
}

int item_take_json(struct buf *text, int r, char **ret, struct msb_err *err)
{
	const char *s = r == 0 ? buf_cstr(text) : NULL;

	*ret = s ? strdup(s) : NULL;
	if (*ret)
		return 0;
	return msb_err_errno(err, r < 0 ? r : -ENOMEM, "the description");
}

size_t msb_items_size(const struct msb_items *l)
{
	return l->n;
}

const char *msb_items_name(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].name : "";
}

const char *msb_items_digest(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].digest : "";
}

const char *msb_items_kind(const struct msb_items *l, size_t i)
{
	return i < l->n && l->items[i].kind ? l->items[i].kind : "";
}

const char *msb_items_image(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].image : "";
}

const char *msb_items_problem(const struct msb_items *l, size_t i)
{
	return i < l->n && l->items[i].problem ? l->items[i].problem : "";
}

const char *msb_items_json(const struct msb_items *l, size_t i)
{
	return i < l->n && l->items[i].json ? l->items[i].json : "";
}

uint64_t msb_items_bytes(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].bytes : 0;
}

uint64_t msb_items_used(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].used : 0;
}

uint64_t msb_items_created_ns(const struct msb_items *l, size_t i)
{
	return i < l->n ? l->items[i].created_ns : 0;
}
