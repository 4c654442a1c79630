/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 (RFC 9113) of an intercepted connection: msb-tls is the server of the guest and the client
 * of the server, and passes on what each stream says.
 *
 * It speaks HTTP/2 itself at both ends: frames, settings, pings, priorities and tables of fields
 * are between it and each of its peers. What goes through are requests and answers: their fields,
 * one by one, the bytes of their bodies, their trailers, resets, and the end of the connection.
 * Every request must be for the host that the connection is for, as with HTTP/1.1 (exchange.h).
 *
 * No I/O: bytes come from a socket by h2_read() and go to one by h2_write(). A window is opened for
 * one peer only as the other one has taken what came, so memory is bounded however slow one is.
 */
#pragma once

#include "base/buf.h"

#include "net/intercept/exchange.h"

enum h2_side { H2_GUEST = 0, H2_SERVER = 1 };

enum {
	H2_STREAMS_MAX = 128, /* that a guest may have open */
	H2_FIELDS_MAX = 1024, /* of a head */
	H2_HEAD_MAX = HTTP_HEAD_MAX, /* its fields, each with the 32 bytes of RFC 9113 6.5.2 */
	H2_TRAILER_MAX = 16 * 1024,
	H2_WINDOW = 65535, /* of a stream, at first: what it is if nobody says anything */
	H2_WINDOW_MAX = 1024 * 1024, /* of one whose reader is fast */
	H2_WINDOWS_MORE = 4 * 1024 * 1024, /* of all such streams together, beyond the first */
	H2_WRITE_BYTES = 64 * 1024, /* h2_write() puts no more where there is as much */
};

struct h2;

struct h2_rules {
	const char *host; /* whom the connection is for; borrowed, lower case */
	uint16_t port;
	const struct secrets *secrets; /* NULL: none */
	struct secret_place place;
	/* A request was answered, or will not be. */
	void (*done)(void *ctx, const struct exchange_request *r);
	/* A request goes no further. @secret: name of the one that is the reason, or NULL */
	void (*refused)(void *ctx, const char *why, const char *secret);
	/* A peer does not speak HTTP/2 as it should. */
	void (*failed)(void *ctx, enum h2_side side, const char *why);
	void *ctx;
};

/** h2_new - 0 or -ENOMEM */
int h2_new(const struct h2_rules *rules, struct h2 **ret) MSB_MUST_CHECK;

/** h2_free - NULL is fine; returns NULL */
struct h2 *h2_free(struct h2 *h);

/** h2_may_read - may more bytes of @from come? Otherwise they must wait */
bool h2_may_read(const struct h2 *h, enum h2_side from);

/**
 * h2_read - bytes that came from @from, all of them
 *
 * Return: 0, -EBADMSG: that was no HTTP/2, and .failed has been told; -ENOMEM. After an error there
 * is nothing but h2_free().
 */
int h2_read(struct h2 *h, enum h2_side from, const void *p, size_t n) MSB_MUST_CHECK;

/** h2_end - no more bytes will come from @from */
void h2_end(struct h2 *h, enum h2_side from);

/** h2_write - append what is to be said to @to. Return: 1: something, 0: nothing, or an error */
int h2_write(struct h2 *h, enum h2_side to, struct buf *out) MSB_MUST_CHECK;

/** h2_over - nothing will be said to @side any more, nor heard from it */
bool h2_over(const struct h2 *h, enum h2_side side);
