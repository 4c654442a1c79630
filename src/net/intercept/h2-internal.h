/* SPDX-License-Identifier: Apache-2.0 */
/* What h2.c, h2-stream.c and h2-fields.c share; nobody else knows nghttp2. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "net/intercept/h2.h"

enum {
	H2_QUEUED_MAX = 1024 * 1024, /* bytes of fields that wait to be said to one side */
	H2_FRAMES_MAX = 1024, /* frames, the same */
	H2_BAD_MAX = 100, /* frames of a guest that are none */
};

/* One field within the text of its struct h2_fields: the name, then the value. */
struct h2_field {
	uint32_t at, name_len, value_len;
	bool no_index; /* must be in no table of anybody */
};

/* Fields in their order. */
struct h2_fields {
	struct buf text;
	struct buf list; /* of struct h2_field */
	size_t size; /* as RFC 9113 6.5.2 counts */
	bool too_large; /* there were more */
	bool private; /* has values of secrets: is overwritten */
};

/* One direction of a stream. */
struct h2_flow {
	struct buf bytes; /* wait for the other side's window */
	struct h2_fields *trailer; /* behind them */
	uint32_t window,
		taken; /* of this side; taken by the other since it was last opened wider */
	bool ended; /* all there is has come */
	bool waiting; /* the other side's session waits for bytes */
};

struct h2_stream {
	struct h2 *h2;
	struct h2_stream *next, **link;
	int32_t id[2]; /* by side; 0: none */
	bool open[2]; /* .id is a stream that nghttp2 will still close */
	struct h2_flow from[2];
	bool understood; /* .request is one that was passed on */
	bool answered; /* the head of its answer was passed on */
	bool said; /* the guest has all of the answer */
	bool refused; /* answered by us, whatever else comes is dropped */
	struct exchange_request request;
	/* The body of the request, where secrets may be put in: .raw becomes .from[H2_GUEST].bytes.
	 */
	bool fill;
	bool filled; /* all of it, and there is no more */
	struct buf raw;
	struct secret_body body; /* otherwise this only looks */
};

struct h2 {
	struct h2_rules rules;
	nghttp2_session *session[2];
	struct h2_fields *fields[2]; /* that are coming in */
	size_t queued[2]; /* bytes of fields on their way to each side */
	bool ended[2]; /* nothing more comes from there */
	bool gone[2]; /* that side knows that this connection ends */
	uint32_t max_streams; /* that the guest was told */
	size_t more; /* bytes of windows beyond the first ones */
	struct h2_block *blocks; /* of nghttp2, h2.c */
	bool unsound; /* its objects are: it ran out of memory */
	uint32_t bad; /* frames of the guest */
	uint32_t n_streams;
	struct h2_stream *streams;
};

/* h2-fields.c */

struct h2_fields *h2_fields_new(void);
struct h2_fields *h2_fields_free(struct h2_fields *f);

/** h2_fields_add - what is beyond @max is not kept, and .too_large said; 0 or -ENOMEM */
int h2_fields_add(struct h2_fields *f, size_t max, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len, bool no_index) MSB_MUST_CHECK;

size_t h2_fields_count(const struct h2_fields *f);
struct http_text h2_field_name(const struct h2_fields *f, size_t i);
struct http_text h2_field_value(const struct h2_fields *f, size_t i);

/** h2_fields_nv - for nghttp2, which copies what is in it; owned by the caller, NULL: no memory */
nghttp2_nv *h2_fields_nv(const struct h2_fields *f) MSB_MUST_CHECK;

size_t h2_nv_size(const nghttp2_nv *nv, size_t n);

/** h2_fields_request - is this a request for our host? NULL: yes; otherwise why not */
const char *h2_fields_request(const struct h2_fields *f, const struct h2_rules *rules,
	struct exchange_request *r, unsigned int *ret_refusal);

/** h2_fields_find - the value of the first field of this name; false: there is none */
bool h2_fields_find(const struct h2_fields *f, const char *name, struct http_text *ret);

/** h2_fields_status - of an answer; 0: it has none */
unsigned int h2_fields_status(const struct h2_fields *f);

/**
 * h2_fields_fill - the same fields with values of secrets in them
 * @length: keep the Content-Length; otherwise the body may become another one
 *
 * Return: as net/secrets/secret.h says, and @ret_v why.
 */
int h2_fields_fill(const struct h2_fields *f, const struct h2_rules *rules, bool length,
	struct h2_fields **ret, struct secret_verdict *ret_v) MSB_MUST_CHECK;

/* h2-stream.c: all return 0 or -ENOMEM */

/** h2_stream_new - that the guest opens */
int h2_stream_new(struct h2 *h, int32_t id, struct h2_stream **ret) MSB_MUST_CHECK;
void h2_stream_free(struct h2_stream *st);

/** h2_stream_fields - a head or a trailer of @from is whole; @f may be taken, then it is NULL */
int h2_stream_fields(struct h2_stream *st, enum h2_side from, struct h2_fields **f, bool is_trailer,
	bool ended) MSB_MUST_CHECK;

int h2_stream_data(struct h2_stream *st, enum h2_side from, const uint8_t *p, size_t n)
	MSB_MUST_CHECK;

/** h2_stream_ended - nothing more comes from @from on it */
int h2_stream_ended(struct h2_stream *st, enum h2_side from) MSB_MUST_CHECK;

/** h2_stream_said - the guest was given the end of it */
void h2_stream_said(struct h2_stream *st);

/** h2_stream_closed - nghttp2 has closed it; may free it */
void h2_stream_closed(struct h2_stream *st, enum h2_side side, uint32_t code);
