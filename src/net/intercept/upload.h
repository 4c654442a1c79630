/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of HTTP/1.1 with values of secrets in them, on their way to the server.
 *
 * A body that no value may be put into is looked at and passes as it came. Of one that may get some
 * the length may change: a chunked one is chunked anew, piece by piece; one with a Content-Length
 * is kept until it is all there, because its head has to say the new length. What is kept has the
 * placeholders; values are put in on the way out only, so there is never a copy with them.
 */
#pragma once

#include "base/buf.h"

#include "net/intercept/http.h"
#include "net/secrets/secret.h"

enum {
	UPLOAD_KEPT_MAX = 16 * 1024 * 1024, /* one body */
	UPLOAD_KEPT_ALL = 64 * 1024 * 1024, /* all of this process */
};

enum upload_mode {
	UPLOAD_LOOK,
	UPLOAD_CHUNKS,
	UPLOAD_KEEP, /* until it is all there */
	UPLOAD_SEND, /* it is: goes on whenever there is room */
};

struct upload {
	const struct secrets *secrets; /* NULL: none, everything passes */
	struct secret_place place;
	enum upload_mode mode;
	bool trailer; /* the last chunk has been passed on */
	bool greet; /* the client waits for "100 Continue" before it sends what is kept */
	bool form;
	struct secret_body body;
	struct buf kept; /* the head, then the body */
	size_t head; /* bytes of it */
	size_t at; /* what has been sent on */
	size_t promised; /* our part of *total */
	size_t *total; /* of all uploads of the process; NULL: nobody counts */
};

void upload_deinit(struct upload *u);

/*
 * The pieces of http_next(), at the beginning of @in; all of them return 0, or -EACCES, -E2BIG,
 * -EBUSY (too much is kept already), -ENOMEM: then the request must not go on. Of data @ret_used
 * bytes are taken, as far as there is room.
 */

/** upload_head - a head of @n bytes; @left: the length of its body, if it has one */
int upload_head(struct upload *u, const struct http_head *h, const void *in, size_t n,
	uint64_t left, struct buf *out, struct secret_verdict *ret) MSB_MUST_CHECK;
int upload_data(struct upload *u, const void *in, size_t n, struct buf *out, size_t *ret_used,
	struct secret_verdict *ret) MSB_MUST_CHECK;

/** upload_frame - @last: it belongs to the end of the body */
int upload_frame(struct upload *u, bool last, const void *in, size_t n, struct buf *out,
	struct secret_verdict *ret) MSB_MUST_CHECK;
int upload_end(struct upload *u, struct buf *out, struct secret_verdict *ret) MSB_MUST_CHECK;

/** upload_send - more of what was kept, as far as there is room; UPLOAD_LOOK again when done */
int upload_send(struct upload *u, struct buf *out, struct secret_verdict *ret) MSB_MUST_CHECK;
