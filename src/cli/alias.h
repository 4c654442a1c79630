/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of `msb install`: small shell scripts in MSB_HOME/bin that run an image.
 *
 * The second line of a script says in JSON what it was made from; it also is the mark by which
 * msb knows its own. The arguments of a script are those of its command.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/opt.h"

enum { ALIAS_BYTES_MAX = 128 * 1024 };

struct alias {
	const char *image;
	const char *sandbox; /* the one that stays and is used again; NULL: a new one every time */
	struct opt_list options; /* of msb run, words */
	struct opt_list command; /* may be empty: what the image runs */
	const char *msb; /* absolute path of the program */
	const char *home; /* MSB_HOME */
	const char *lib; /* MSB_LIB, or NULL */
};

/** alias_name_check - may a command have this name? 0 or -EINVAL with a message */
int alias_name_check(const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** alias_print - append the script; 0, -ENOBUFS, -ENOMEM, or -EILSEQ for words that are no UTF-8 */
int alias_print(const struct alias *a, struct buf *out) MSB_MUST_CHECK;

/** alias_parse - what a script was made from: an object with image, mode and command
 *
 * Return: 0, or -ENOMSG for a text that is no script of ours. json_free()
 */
int alias_parse(const char *text, size_t len, struct json **ret) MSB_MUST_CHECK;
