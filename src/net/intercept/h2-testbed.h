/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of HTTP/2: a client and a server that nghttp2 is, with a struct h2 between them. */
#pragma once

#include "net/intercept/h2-internal.h"

#include "test.h"

enum { STREAMS = 64, LOG_BYTES = 4096, BIG = 1024 * 1024, LINK_BYTES = 256 * 1024 };

/* What one end knows of a stream. */
struct view {
	int32_t id;
	char log[LOG_BYTES]; /* fields as they came, a line each; "-" where a head ends */
	size_t log_len;
	bool secret_indexed;
	size_t got, bad; /* bytes of the body; those that were not what they should be */
	size_t put, to_put; /* of ours */
	const char *trailer; /* behind them */
	bool hold; /* the body does not end */
	bool ended, closed;
	uint32_t code;
};

struct peer {
	nghttp2_session *session;
	bool server;
	bool deaf; /* consumes nothing */
	struct view views[STREAMS];
	size_t n_views;
	/* A server's answer to everything. */
	size_t answer_bytes;
	const char *answer_trailer;
	bool silent; /* it does not answer */
	uint32_t goaway; /* it was told, plus one */
};

struct fixture {
	struct h2 *h2;
	struct peer client, server;
	struct buf to_client, to_server;
	struct buf tape; /* what h2_read() was given: side, length, bytes */
	bool stuck; /* the client does not read its socket */
	bool clogged; /* the server does not */
	int broken; /* what h2_read() said */
	char why[128], secret[32], failed[128];
	unsigned int done, refused, failures;
	struct exchange_request last;
};

/** make_with - @max_streams: what the server takes at once */
struct fixture *make_with(const struct secrets *secrets, uint32_t max_streams);
struct fixture *make(void);
void drop(struct fixture *f);

/** settle - until nobody has anything to say */
void settle(struct fixture *f);

/* A request; of @body count .to_put, .trailer and .hold. */
#define OURS ":method: GET", ":scheme: https", ":authority: www.example"

struct view *ask_lines(struct fixture *f, const char *const *lines, struct view body);
#define ask(f, body, ...) ask_lines(f, (const char *const[]){__VA_ARGS__, NULL}, body)
#define NOTHING		  ((struct view){.id = 0})

/** new_view - of a stream that begins */
struct view *new_view(struct peer *p, int32_t id);

/** nv_of - @lines: "name: value" each, up to NULL; how many there are */
size_t nv_of(const char *const *lines, nghttp2_nv *nv);

/** answer - as the server's peer says */
void answer(struct peer *p, struct view *v);

/** has - did this line come? */
bool has(const struct view *v, const char *line);

/** waiting - bytes from @from that are in memory */
size_t waiting(const struct fixture *f, enum h2_side from);
