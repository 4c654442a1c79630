/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 (RFC 9112) as a stream of pieces: heads, bytes of bodies, and the framing around them.
 *
 * Strict, because two readers of the same bytes that disagree about where a message ends are a
 * hole: what can be read in two ways is refused, not repaired (bare CR or LF, folded lines, space
 * before a colon, Content-Length beside Transfer-Encoding or twice, codings but chunked, chunk
 * extensions). Nothing is copied and nothing is changed: who forwards the pieces forwards the
 * message byte for byte. No I/O, no allocation.
 */
#pragma once

#include "base/base.h"

enum { HTTP_HEAD_MAX = 64 * 1024, HTTP_FIELDS_MAX = 128 };

enum http_side { HTTP_REQUEST, HTTP_RESPONSE };

/* A part of the bytes that were given. */
struct http_text {
	const char *at;
	size_t len;
};

struct http_field {
	struct http_text name;
	struct http_text value; /* without the blanks around it */
};

struct http_head {
	bool minor; /* HTTP/1.1, not 1.0 */
	struct http_text method, target; /* requests */
	unsigned int status; /* responses */
	uint32_t n_fields;
	struct http_field fields[HTTP_FIELDS_MAX];
};

enum http_piece {
	HTTP_MORE, /* nothing yet */
	HTTP_HEAD, /* a head: .head, valid as long as the bytes */
	HTTP_DATA, /* bytes of a body */
	HTTP_FRAME, /* of a chunked body what is no data of it */
	HTTP_END, /* of a message; no bytes */
	HTTP_RAW, /* bytes of another protocol, or up to the end of the connection */
	HTTP_BAD, /* .why; nothing after it can be read */
};

struct http_stream {
	enum http_side side;
	uint8_t state;
	bool until_end; /* the body has no other end than that of the connection */
	bool last_chunk; /* has come: what follows is the trailer */
	uint64_t left; /* of a body or chunk */
	const char *why;
	struct http_head head;
	/* Of responses: what the next head answers. Set by the owner before it comes. */
	bool no_body; /* HEAD */
};

void http_init(struct http_stream *s, enum http_side side);

/**
 * http_next - the next piece at the beginning of @len bytes
 * @ret_n: how many bytes it has; the next call begins behind them
 */
enum http_piece http_next(struct http_stream *s, const void *in, size_t len, size_t *ret_n);

/** http_raw - all that follows is another protocol's */
void http_raw(struct http_stream *s);

/** http_idle - is this between two messages? */
bool http_idle(const struct http_stream *s);

/** http_find - the field @name, the first one from number @from on; NULL: none */
const struct http_field *http_find(const struct http_head *h, const char *name, uint32_t from);

/** http_has_word - is @word one of the comma-separated words of a field @name? */
bool http_has_word(const struct http_head *h, const char *name, const char *word);

/** http_is - is the text @word, whatever the case of its letters? */
bool http_is(const struct http_text *t, const char *word);

/** http_is_host - is the text @host, perhaps with @port? Brackets are around addresses of IPv6 */
bool http_is_host(struct http_text t, const char *host, uint16_t port);
