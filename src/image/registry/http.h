/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange at a time: the only file of this folder that knows libcurl.
 *
 * A `struct http` belongs to one thread and keeps connections open between exchanges. Nothing is
 * followed, stored or sent on its own: redirects, credentials and retries are the caller's
 * (client.h). Every exchange is bounded: time to connect, a minimum speed, bytes of headers and of
 * body. The response is as hostile as the server.
 */
#pragma once

#include <stdatomic.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#include "image/registry/headers.h"
#include "image/registry/net.h"

enum {
	HTTP_URL_MAX = 8192,
	HTTP_HEADERS_MAX = 64 * 1024,
	HTTP_ERROR_BODY_MAX = 16 * 1024,
	HTTP_TYPE_MAX = 160,
};

struct http_options {
	char *ca_pem; /* system's and the user's certificates, NULL: libcurl's default */
	size_t ca_len;
	unsigned int connect_s;
	unsigned int stall_s; /* this long below HTTP_SPEED_MIN ends the exchange */
	const atomic_bool *cancel; /* ends the exchange soon after it becomes true; may be NULL */
};

/* Bytes a second. */
enum { HTTP_SPEED_MIN = 1024 };

/* How an exchange went, as far as it decides what to do next. */
enum http_outcome {
	HTTP_DONE, /* a complete response, of any status */
	HTTP_PASSING, /* the network or the server failed: trying again may help */
	HTTP_UNREACHED, /* no such name, or nobody there: the same, if there was somebody before */
	HTTP_NO_TLS, /* TLS did not come about, but not for lack of trust */
	HTTP_REFUSED, /* we do not want this: untrusted certificate, forbidden address, sink's no */
	HTTP_CANCELLED,
};

struct http_response {
	unsigned int status;
	char content_type[HTTP_TYPE_MAX + 1];
	bool has_length;
	uint64_t length;
	bool has_range;
	struct content_range range;
	bool has_retry_after;
	uint64_t retry_after_s;
	size_t n_challenges;
	struct challenge challenges[CHALLENGES_MAX];
	bool bad_challenge; /* one that we could not read */
	char location[HTTP_URL_MAX + 1];
	bool proxied;
	enum net_reach peer; /* of the server; meaningless when proxied */
	struct buf error_body; /* of a response that is no success */
};

struct http_request {
	const char *url;
	const char *accept; /* NULL: anything */
	const char *bearer; /* token, NULL: none */
	const char *username; /* basic authentication, NULL: none */
	const char *password;
	const char *form; /* POST of this urlencoded form, NULL: GET */
	uint64_t from; /* first byte wanted */
	bool verify; /* the server's certificate */
	bool guard; /* refuse addresses that @origin may not send us to */
	enum net_reach origin;

	/*
	 * Body of a success. @begin is called once, with everything but the body known; both end
	 * the exchange with a negative result, and say why in their own place.
	 */
	int (*begin)(void *arg, const struct http_response *res);
	int (*body)(void *arg, const void *p, size_t n);
	void *arg;
};

struct http;

/** http_global_init - once, before any thread */
int http_global_init(struct msb_err *err) MSB_MUST_CHECK;

/** http_options_ca - put the certificates of @path beside the system's and earlier ones */
int http_options_ca(struct http_options *o, const char *path, struct msb_err *err) MSB_MUST_CHECK;

/** http_options_copy - @ret: http_options_deinit(), also after a failure */
int http_options_copy(struct http_options *ret, const struct http_options *from,
	struct msb_err *err) MSB_MUST_CHECK;
void http_options_deinit(struct http_options *o);

/** http_new - @options must outlive it; NULL when out of memory */
struct http *http_new(const struct http_options *options);
struct http *http_free(struct http *h);
DEFINE_CLEANUP(struct http *, http_free);

/**
 * http_exchange - send a request, receive the response
 * @res: valid until the next exchange of @h
 *
 * Failures of HTTP_REFUSED, HTTP_PASSING and HTTP_NO_TLS have a message in @err, except when the
 * sink said no.
 */
enum http_outcome http_exchange(struct http *h, const struct http_request *req,
	const struct http_response **res, struct msb_err *err) MSB_MUST_CHECK;

/* URLs, by libcurl's parser, which also connects: so both always mean the same. */

struct http_url {
	char text[HTTP_URL_MAX + 1]; /* normalised, without fragment */
	char origin[512]; /* scheme://host:port */
	char scheme[8]; /* "http" or "https" */
	char host[256];
	uint16_t port;
};

/**
 * http_url_parse - an absolute URL, or one relative to @base (may be NULL)
 *
 * Refused (-EINVAL): other schemes, user names, unreadable text.
 */
int http_url_parse(const char *text, const struct http_url *base, struct http_url *ret)
	MSB_MUST_CHECK;

/** http_url_add_query - append name=value, encoded; 0 or -EINVAL */
int http_url_add_query(struct http_url *url, const char *name, const char *value) MSB_MUST_CHECK;

/** http_escape - append @value to @out, encoded for a form */
int http_escape(struct buf *out, const char *value) MSB_MUST_CHECK;
