/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets, between the files of this directory. */
#pragma once

#include "net/policy/pattern.h"
#include "net/secrets/secret.h"

enum {
	PLACEHOLDER_MAX = sizeof(SECRET_PLACEHOLDER) + SECRET_NAME_MAX,
	LETTER_MAX = 6, /* \uXXXX */
};

_Static_assert(SECRET_CARRY >= LETTER_MAX * PLACEHOLDER_MAX, "room for any placeholder");

struct secret {
	char name[SECRET_NAME_MAX + 1];
	size_t name_len;
	uint32_t inject; /* of SECRET_IN_* */
	uint32_t n_hosts;
	struct name_pattern hosts[SECRET_HOSTS_MAX];
	const char *value;
	uint32_t value_len;
};

struct secrets {
	uint32_t refs;
	uint32_t n;
	uint32_t violation; /* enum secret_violation */
	struct secret list[SECRETS_MAX];
	char *values; /* .size bytes that are locked */
	size_t size;
};

enum secret_match { SECRET_MATCH_NONE, SECRET_MATCH_YES, SECRET_MATCH_MORE };

/* How its letters are written, besides plainly. */
enum { SECRET_BY_PERCENT = 1 << 0, SECRET_BY_UNICODE = 1 << 1 };

struct secret_found {
	const struct secret *secret; /* the one with the longest name; NULL: none */
	size_t len; /* in bytes, as it is written */
	unsigned int how;
};

/**
 * secret_match - is there a placeholder at the beginning of @t?
 * @last: nothing comes behind the @n bytes; otherwise the answer may depend on what does:
 * SECRET_MATCH_MORE, with the best of now in @ret
 */
enum secret_match secret_match(
	const struct secrets *s, const char *t, size_t n, bool last, struct secret_found *ret);

/** secret_skip - how many bytes at the beginning of @t surely begin no placeholder */
size_t secret_skip(const char *t, size_t n);
