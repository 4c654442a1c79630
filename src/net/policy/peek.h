/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the first bytes of a connection want to talk to: the server name of a TLS ClientHello (RFC
 * 8446, 6066) or the Host of an HTTP/1 request (RFC 9112).
 *
 * Stateless: called again with all bytes so far when more have come, until it says something else
 * than PEEK_MORE. What a server might read in another way than we do (two Hosts, bare line feeds,
 * folded lines, two names, lengths that do not fit), and HTTP/2 without TLS, is PEEK_BAD and to be
 * refused. Only the first request of a connection is looked at.
 */
#pragma once

#include "base/base.h"

#include "net/policy/policy.h"

enum peek_kind {
	PEEK_MORE = 0, /* not enough yet; at POLICY_PEEK_MAX bytes, or in the end: refuse */
	PEEK_OTHER, /* neither TLS nor HTTP/1 */
	PEEK_TLS,
	PEEK_HTTP,
	PEEK_BAD,
};

struct peek {
	enum peek_kind kind;
	bool named;
	bool hidden; /* PEEK_TLS: with an encrypted ClientHello, real or for show */
	bool h2; /* PEEK_TLS: the client offers HTTP/2 */
	/* .named: a host name, or an address as it was written ("10.0.0.1", "[::1]"). */
	char name[POLICY_NAME_MAX];
};

/** peek_bytes - look at the first @len bytes that the client sent */
void peek_bytes(const uint8_t *data, size_t len, struct peek *ret);

/** peek_apply - what was seen, into the question to policy_decide(); @p is borrowed */
static inline void peek_apply(const struct peek *p, struct policy_query *q)
{
	q->inspected = true;
	q->hidden = p->hidden;
	q->authority = p->named ? p->name : NULL;
}
