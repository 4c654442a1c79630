/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that a guest may use but not have: it holds placeholders, and in requests to the hosts
 * that a secret is for they become its value.
 *
 * Values are read once, from a file that has no name, into memory that is never swapped out and in
 * no core file; the file is overwritten then. They leave this memory only in heads of requests on
 * their way into TLS.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include "net/intercept/http.h"
#include "net/secrets/settings.h"

struct secrets;

/** secrets_new - @fd holds the values, see secret_value_write(); borrowed, and empty afterwards */
int secrets_new(const struct secret_settings *s, int fd, struct secrets **ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** secrets_free - overwrites the values; NULL is fine; returns NULL */
struct secrets *secrets_free(struct secrets *s);

/** secrets_loud - are violations told? */
bool secrets_loud(const struct secrets *s);

/* Where a request goes. */
struct secret_place {
	const char *host; /* lower case */
	bool tls; /* and its server has shown a certificate for it */
	bool pinned; /* the guest's lookups have bound the name to the address */
};

/* What was done, or why the request must not go on. */
struct secret_verdict {
	const char *name; /* of the secret, NULL: there is none in it */
	const char *why; /* violation: what is wrong */
};

/**
 * secrets_head - append the head @h of @n bytes at @raw to @out, with values for placeholders
 *
 * Return: 0, -EACCES: a placeholder where none may be, nothing was appended; -ENOMEM.
 */
int secrets_head(const struct secrets *s, const struct secret_place *place, const char *raw,
	size_t n, const struct http_head *h, struct buf *out, struct secret_verdict *ret)
	MSB_MUST_CHECK;

enum { SECRET_CARRY = 1024 };

/* The end of what has been seen of a body. */
struct secret_scan {
	size_t n;
	char carry[SECRET_CARRY];
};

/** secrets_body - the next @n bytes of a body: 0, or -EACCES: a placeholder is in it */
int secrets_body(const struct secrets *s, struct secret_scan *scan, const void *p, size_t n,
	struct secret_verdict *ret) MSB_MUST_CHECK;
