/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that part a terminal from its command: "ctrl-p,ctrl-q", found in what is typed. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { DETACH_KEYS_MAX = 16 };

struct detach_keys {
	uint8_t key[DETACH_KEYS_MAX];
	unsigned int n; /* 0: none */
	unsigned int seen; /* of them typed so far, held back */
};

/** detach_keys_parse - option value: keys or ctrl-KEY with commas between, or none */
int detach_keys_parse(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/**
 * detach_keys_feed - what was typed goes to @out, without the keys
 *
 * The beginning of the sequence is held back until the next byte shows whether it is one.
 *
 * Return: 1 when the sequence is complete (the rest of @p is dropped), 0, or a negative errno.
 */
int detach_keys_feed(struct detach_keys *k, const uint8_t *p, size_t n, struct buf *out)
	MSB_MUST_CHECK;
