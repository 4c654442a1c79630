/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as every part of msb-net passes them, and the two ends of a flow.
 *
 * Values only. An IPv6 packet from or to an IPv4-mapped address never gets through the stack, so
 * the two families do not overlap.
 */
#pragma once

#include <netinet/in.h>

#include "base/base.h"

enum net_family { NET_NONE = 0, NET_V4 = 4, NET_V6 = 6 };

struct net_addr {
	uint8_t family; /* enum net_family */
	uint8_t b[16]; /* network order; NET_V4 uses the first four, the rest is zero */
};

/* One end of a flow. */
struct net_peer {
	struct net_addr addr;
	uint16_t port; /* host order */
};

/* A flow as the guest sees it, whoever began it. */
struct net_tuple {
	struct net_peer guest;
	struct net_peer remote;
};

static inline struct net_addr net_addr_v4(const uint8_t b[4])
{
	struct net_addr a = {.family = NET_V4};

	memcpy(a.b, b, 4);
	return a;
}

static inline struct net_addr net_addr_v6(const uint8_t b[16])
{
	struct net_addr a = {.family = NET_V6};

	memcpy(a.b, b, 16);
	return a;
}

/** net_addr_len - bytes in use: 4, 16, or 0 */
static inline size_t net_addr_len(const struct net_addr *a)
{
	return a->family == NET_V4 ? 4 : a->family == NET_V6 ? 16 : 0;
}

static inline bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, net_addr_len(a)) == 0;
}

static inline bool net_peer_equal(const struct net_peer *a, const struct net_peer *b)
{
	return a->port == b->port && net_addr_equal(&a->addr, &b->addr);
}

/** net_peer_to_sockaddr - for connect() and its like: @ret filled; its length */
socklen_t net_peer_to_sockaddr(const struct net_peer *p, struct sockaddr_storage *ret);

/** net_peer_from_sockaddr - a mapped address becomes NET_V4; 0 or -EAFNOSUPPORT */
int net_peer_from_sockaddr(const struct sockaddr_storage *sa, struct net_peer *ret) MSB_MUST_CHECK;
