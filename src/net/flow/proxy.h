/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to a proxy before a connection through it is one: SOCKS 4, 4a and 5 (RFC 1928,
 * 1929), HTTP CONNECT (RFC 9110 9.3.6) with Basic authentication (RFC 7617).
 *
 * Pure: bytes of the proxy come in, bytes for it go out. What the proxy says is hostile input. Not
 * a byte behind its last answer is taken: that is the server's.
 */
#pragma once

#include "net/proxy.h"

enum { PROXY_OUT = 1400, PROXY_HEAD_MAX = 8192 };

struct proxy_talk {
	const struct net_proxy *proxy; /* borrowed */
	struct net_peer to;
	char name[256]; /* instead of the address; "": none */
	unsigned int step;
	size_t n_out; /* to be sent, from out */
	size_t n_in; /* of the answer that is being read */
	size_t seen; /* HTTP: bytes of the head so far */
	uint8_t out[PROXY_OUT]; /* has the password in it */
	uint8_t in[32];
};

/** proxy_talk_begin - ask for @to, by @name where it is not NULL and the proxy takes names; 0, or
 * -EAFNOSUPPORT for what the proxy cannot say */
int proxy_talk_begin(struct proxy_talk *t, const struct net_proxy *proxy, const struct net_peer *to,
	const char *name) MSB_MUST_CHECK;

/** proxy_talk_sent - the first @n bytes of .out were */
void proxy_talk_sent(struct proxy_talk *t, size_t n);

/**
 * proxy_talk_take - the proxy has said @p
 * @ret_used: how many of the bytes belong to the talk
 *
 * Return: 1 when the connection is there, 0 for more (perhaps with something to send), -EPROTO for
 * what is no answer, and what the proxy says went wrong: -EACCES, -ECONNREFUSED, -EHOSTUNREACH,
 * -ENETUNREACH, -ETIMEDOUT.
 */
int proxy_talk_take(struct proxy_talk *t, const uint8_t *p, size_t n, size_t *ret_used)
	MSB_MUST_CHECK;
