/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of an intercepted connection and their answers, on their way from one end to the
 * other.
 *
 * Every request must be for the host that the connection is for: whoever allowed the connection has
 * allowed that one. CONNECT is refused; a protocol that client and server change to passes as it
 * is once the server has agreed, if it is WebSocket: HTTP/2 would name other hosts. No I/O: bytes
 * go from one buffer to another one.
 */
#pragma once

#include "base/buf.h"

#include "net/intercept/upload.h"

enum { EXCHANGE_PENDING = 16, EXCHANGE_BYTES = HTTP_HEAD_MAX + 64 * 1024 };

/* One request, until its answer has ended. */
struct exchange_request {
	char method[32];
	char path[256]; /* without what follows a '?': that may be private */
	unsigned int status; /* 0: no answer */
	uint64_t up, down; /* bytes of the bodies */
	uint64_t began_ns;
	const char *secret; /* name of one that was put in; NULL: none */
	bool no_body; /* its answer has none: HEAD */
	bool upgrade;
};

struct exchange {
	const char *host; /* whom the connection is for */
	uint16_t port;
	struct http_stream up, down;
	struct exchange_request pending[EXCHANGE_PENDING]; /* the first one is answered next */
	uint32_t n_pending;
	bool tunnel; /* another protocol has begun */
	bool asking; /* the last of them is not all passed on */
	bool answering; /* a part of an answer has been passed on */
	struct upload upload;
	size_t owed; /* bytes of a body that .up is behind already: there was no room for them */
	/* Why a request is refused. */
	const char *secret; /* name of the secret that is the reason, NULL: none is */
	unsigned int refusal;
	const char *why;
	/* An answer has ended. */
	void (*done)(void *ctx, const struct exchange_request *r);
	void *ctx;
};

/** exchange_init - @host is borrowed, lower case */
void exchange_init(struct exchange *x, const char *host, uint16_t port);

void exchange_deinit(struct exchange *x);

/**
 * exchange_up - pass on what a client said, from @in to @out
 *
 * Return: 1: something happened, 0: nothing can be done now, -EACCES: a request is refused with
 * .refusal and .why, -ENOMEM.
 */
int exchange_up(struct exchange *x, struct buf *in, struct buf *out) MSB_MUST_CHECK;

/** exchange_down - what the server said: 1, 0, -EBADMSG (.why), -ENOMEM */
int exchange_down(struct exchange *x, struct buf *in, struct buf *out) MSB_MUST_CHECK;

/** exchange_end - the server has no more to say; is that a good place to end? */
bool exchange_end(struct exchange *x);

/** exchange_refusal - the answer to a refused request; false: another answer is under way */
bool exchange_refusal(struct exchange *x, struct buf *out);
