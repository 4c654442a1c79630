/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy that a sandbox's connections go through, as a user describes it.
 *
 * The password is never in a description on disk: there is the name of the environment variable
 * that holds it at every start. What was in it travels in memory files to msb-net only.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include "net/addr.h"

enum net_proxy_kind {
	NET_PROXY_NONE = 0,
	NET_PROXY_SOCKS4, /* addresses of IPv4 only */
	NET_PROXY_SOCKS4A, /* and names */
	NET_PROXY_SOCKS5,
	NET_PROXY_HTTP, /* CONNECT */
	NET_PROXY_KINDS,
};

enum { NET_PROXY_WORD = 255, NET_PROXY_ENV = 128 };

struct net_proxy {
	uint8_t kind; /* enum net_proxy_kind */
	struct net_peer at;
	char user[NET_PROXY_WORD + 1]; /* "": none */
	char password_env[NET_PROXY_ENV + 1]; /* "": no password */
	char password[NET_PROXY_WORD + 1]; /* from there; secret */
};

/** net_proxy_parse - KIND://ADDRESS:PORT; 0 or -EINVAL with a message for the user */
int net_proxy_parse(struct net_proxy *p, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** net_proxy_check - do user and password fit the kind of proxy? */
int net_proxy_check(const struct net_proxy *p, struct msb_err *err) MSB_MUST_CHECK;

/** net_proxy_to_json - as member @key of the open object, if there is one; @secret: with its
 * password */
void net_proxy_to_json(const struct net_proxy *p, struct json_out *o, const char *key, bool secret);

/** net_proxy_from_json - member @key of @root, if it is there; strict. A password in the document
 * is overwritten */
int net_proxy_from_json(const struct json *root, const char *key, struct net_proxy *ret,
	struct msb_err *err) MSB_MUST_CHECK;
