/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that a guest may use but not have: it holds placeholders, and in requests to the hosts
 * that a secret is for they become its value.
 *
 * Values are read once, from a file that has no name, into memory that is never swapped out and in
 * no core file; the file is overwritten then. They leave this memory only in requests on their way
 * into TLS: whoever gives a buffer for these reserves all of it at once, since growing leaves
 * copies behind, and overwrites it.
 *
 * Of the parts of a request each has a function here, of whatever version of HTTP. All of them
 * append to a buffer and return
 *   0: go on; .name of the verdict is a secret that was put in, NULL: none was,
 *   -EACCES: a placeholder is where none may be (.name, .why): the request must not go on,
 *   -E2BIG: with its values it is too long,
 *   -ENOMEM.
 * After a failure what was appended is to be thrown away.
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

/** secrets_renew - the same; values that the file leaves out are those that @old has, which stays;
 * NULL: none */
int secrets_renew(const struct secret_settings *s, int fd, const struct secrets *old,
	struct secrets **ret, struct msb_err *err) MSB_MUST_CHECK;

/** secrets_ref - one more owner; NULL is fine; returns @s */
struct secrets *secrets_ref(struct secrets *s);

/** secrets_free - one owner less; the last one overwrites the values; NULL is fine; returns NULL */
struct secrets *secrets_free(struct secrets *s);

/** secrets_loud - are violations told? */
bool secrets_loud(const struct secrets *s);

/** secrets_fatal - is a violation the end of the sandbox? */
bool secrets_fatal(const struct secrets *s);

/* Where a request goes. */
struct secret_place {
	const char *host; /* lower case */
	bool tls; /* and its server has shown a certificate for it */
	bool pinned; /* the guest's lookups have bound the name to the address */
};

/* What was done, or why the request must not go on. */
struct secret_verdict {
	const char *name; /* of the secret, NULL: there is none in it; lives as long as they do */
	const char *why; /* violation: what is wrong */
};

/** secrets_none - nothing may be in @t; @why is for the verdict, and lives for ever */
int secrets_none(const struct secrets *s, struct http_text t, const char *why,
	struct secret_verdict *ret) MSB_MUST_CHECK;

/** secrets_field - append the value of a field; its name is looked at, too */
int secrets_field(const struct secrets *s, const struct secret_place *place,
	const struct http_field *f, struct buf *out, struct secret_verdict *ret) MSB_MUST_CHECK;

/** secrets_target - append a path with its query: in there values are percent-encoded */
int secrets_target(const struct secrets *s, const struct secret_place *place,
	struct http_text target, struct buf *out, struct secret_verdict *ret) MSB_MUST_CHECK;

/**
 * secrets_head - append the head @h of @n bytes at @raw, with values for placeholders
 * @length: for its Content-Length, and without its Expect; NULL: as they are
 *
 * After a failure nothing was appended.
 */
int secrets_head(const struct secrets *s, const struct secret_place *place, const char *raw,
	size_t n, const struct http_head *h, const char *length, struct buf *out,
	struct secret_verdict *ret) MSB_MUST_CHECK;

/** secrets_undo - drop and overwrite what was appended behind the first @before bytes */
void secrets_undo(struct buf *out, size_t before);

enum {
	SECRET_CARRY = 1024,
	SECRET_ROOM = SECRET_CARRY + 3 * SECRET_VALUE_MAX, /* one value, percent-encoded */
	SECRET_GROWTH_MAX = 16 * 1024 * 1024, /* of one body, by its values */
};

/*
 * A body on its way, in any pieces: what becomes of it is the same as if it came at once. Bytes
 * that may be the beginning of a placeholder wait in .carry, at most as many as the longest has.
 */
struct secret_body {
	const struct secrets *secrets; /* borrowed, as is .place */
	const struct secret_place *place;
	bool form; /* application/x-www-form-urlencoded: values are percent-encoded */
	size_t growth;
	size_t n;
	char carry[SECRET_CARRY];
};

/** secrets_in_bodies - is there any secret that is put into bodies at @place? */
bool secrets_in_bodies(const struct secrets *s, const struct secret_place *place);

/** secrets_is_form - is the body of this head application/x-www-form-urlencoded? */
bool secrets_is_form(const struct http_head *h);

void secret_body_init(struct secret_body *b, const struct secrets *s,
	const struct secret_place *place, bool form);

/**
 * secret_body_feed - the next @n bytes
 * @out: as much is appended as it has room for; SECRET_ROOM is enough for a step. NULL: nothing is
 * put in, the bytes are only looked at, all of them; of a placeholder that must not be the first
 * bytes may have passed in earlier pieces, the last one never.
 * @ret_used: how many of the bytes were taken; those that are left are given again
 */
int secret_body_feed(struct secret_body *b, const void *p, size_t n, struct buf *out,
	size_t *ret_used, struct secret_verdict *ret) MSB_MUST_CHECK;

/** secret_body_end - nothing follows; @out as above, with room for SECRET_ROOM */
int secret_body_end(struct secret_body *b, struct buf *out, struct secret_verdict *ret)
	MSB_MUST_CHECK;
