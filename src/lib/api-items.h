/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of things with their properties, as libmsb hands them out. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/caps.h"
#include "base/err.h"

#include "image/ref.h"
#include "msb/store.h"

enum { ITEM_JSON_MAX = 16 * MIB };

struct item {
	char name[REF_TEXT_MAX + 1];
	char image[REF_TEXT_MAX + 1];
	char digest[MSB_DIGEST_SIZE];
	const char *kind; /* of static storage, NULL: none */
	char *json; /* owned, NULL: none */
	char *problem; /* the same */
	uint64_t bytes;
	uint64_t used;
	uint64_t created_ns;
};

struct msb_items {
	size_t n;
	struct item items[];
};

/** items_new - @n empty ones; @ret: msb_items_free(), NULL after a failure */
int items_new(size_t n, struct msb_items **ret) MSB_MUST_CHECK;

/** item_put - a text that is cut off where it does not fit; NULL is "" */
void item_put(char *to, size_t size, const char *text);

/** item_take_json - the text as the caller's own, if writing it has gone well (@r); @ret: free() */
int item_take_json(struct buf *text, int r, char **ret, struct msb_err *err) MSB_MUST_CHECK;
