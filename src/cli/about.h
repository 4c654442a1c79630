/* SPDX-License-Identifier: Apache-2.0 */
/* What the library knows about images and snapshots, for people and for programs. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/json.h"

#include "msb/store.h"

enum { ABOUT_TEXT_MAX = 16 << 20, ABOUT_DIGEST = 20 };

/** about_line - "Name:        value", further lines without the name; what could move a cursor is
 * shown as '?' */
int about_line(struct buf *out, const char *name, const char *value) MSB_MUST_CHECK;

/** about_str - a string of the description, "" if there is none */
const char *about_str(const struct json *doc, const char *key);

/** about_u64 - a number of the description, 0 if there is none */
uint64_t about_u64(const struct json *doc, const char *key);

/** about_json - the description of one of them; @ret: json_free() */
int about_json(const struct msb_items *l, size_t i, struct json **ret) MSB_MUST_CHECK;

/** about_digest - the beginning of a digest, for tables */
const char *about_digest(char to[ABOUT_DIGEST], const char *digest);

/** about_print - write @text to stdout if writing it has gone well (@r); returns an exit status */
int about_print(struct buf *text, int r);

/** about_print_list - the descriptions of all that can be read, an array; returns an exit status */
int about_print_list(const struct msb_items *l);
