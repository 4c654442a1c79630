/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the registry client. */
#pragma once

#include <pthread.h>

#include "image/registry/client.h"

enum client_scheme { SCHEME_UNKNOWN, SCHEME_HTTPS, SCHEME_HTTP };

struct client {
	struct client_place place;
	char *repository; /* with prefix */
	const struct http_options *options;
	struct creds creds;

	pthread_mutex_t lock; /* guards the rest */
	enum client_scheme scheme;
	bool answered; /* somebody is there */
	enum net_reach reach; /* of the registry; NET_PUBLIC until known */
	bool basic; /* it asked for basic authentication */
	char *token; /* bearer, owned */
	unsigned int token_number; /* grows with each new one */
};

struct client_conn {
	struct client *client;
	struct http *own; /* to the registry */
	struct http *foreign; /* to wherever it sends us */
};

/* May we speak plain HTTP with and because of this registry? */
bool client_allows_http(const struct client *c);

/** client_lost - what to do after an exchange that did not come to a response */
enum client_outcome client_lost(enum http_outcome outcome);

/**
 * client_authenticate - get what a 401 asks for
 * @seen: token_number of the refused request
 * @seen_basic: it carried basic authentication
 *
 * Return: CLIENT_OK when the request is worth another attempt.
 */
enum client_outcome client_authenticate(struct client_conn *conn, const struct http_response *res,
	unsigned int seen, bool seen_basic, struct msb_err *err) MSB_MUST_CHECK;

/**
 * client_follow - send @req and follow redirects
 * @first: handle for @req itself; every other origin is reached by conn->foreign, without
 *	   credentials
 */
enum http_outcome client_follow(struct client_conn *conn, struct http *first,
	struct http_request *req, const struct http_response **res, struct msb_err *err)
	MSB_MUST_CHECK;
