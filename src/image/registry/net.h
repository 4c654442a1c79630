/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where connections may go: kinds of addresses, hosts that may be spoken to without TLS, proxies.
 *
 * A registry tells us to fetch from other places, by redirects and by the address of its token
 * server. A hostile one would have us call into the network we stand in. So what a registry names
 * may never be nearer to us than the registry itself: a public one sends us to public addresses, a
 * private one may also send us to private ones, one on this machine anywhere but to link-local
 * addresses, where clouds answer questions about the machine.
 */
#pragma once

#include <sys/socket.h>

#include "base/base.h"

enum net_reach {
	NET_PUBLIC,
	NET_PRIVATE, /* RFC 1918, shared, unique local, documentation-like special ranges */
	NET_LOOPBACK,
	NET_LINK_LOCAL,
	NET_NOWHERE, /* unspecified, multicast, reserved, no IP at all */
};

/** net_reach_of - kind of an address; one that carries another (mapped, NAT64, 6to4) is that */
enum net_reach net_reach_of(const struct sockaddr *sa);

/** net_reach_of_literal - kind of a host that is an address or localhost; NET_PUBLIC for names */
enum net_reach net_reach_of_literal(const char *host);

/** net_may_send_us - may a registry at @from name a place at @to */
bool net_may_send_us(enum net_reach from, enum net_reach to);

/** net_is_loopback - localhost, 127.0.0.0/8, ::1; @host with or without port */
bool net_is_loopback(const char *host);

/**
 * net_proxy - proxy for a connection by the environment, NULL for none
 * @get: getenv() or a test's
 *
 * https_proxy and HTTPS_PROXY, http_proxy and HTTP_PROXY, and no_proxy or NO_PROXY: a list of
 * hosts, which cover the names below them, addresses, networks in CIDR form and '*', each with an
 * optional port. This machine is never reached through a proxy.
 */
const char *net_proxy(
	const char *scheme, const char *host, uint16_t port, char *(*get)(const char *name));
