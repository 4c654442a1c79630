/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes of addresses: what an address is, and which address hides inside it.
 *
 * An IPv6 address can name an IPv4 host: mapped (::ffff:a.b.c.d), IPv4-compatible, NAT64
 * (64:ff9b::/96), 6to4 (2002::/16) and Teredo (2001::/32, two of them). Somebody on the way unwraps
 * these, so a policy that looks at the IPv6 bytes alone can be walked around. net_addr_class()
 * therefore answers for the address that is meant in the end, and the worst of several.
 */
#pragma once

#include "base/base.h"

#include "net/addr.h"

/*
 * What an address is. Classes are disjoint; the numbers are the order of danger, so that of two
 * embedded addresses the higher one decides.
 */
enum net_class {
	NET_CLASS_PUBLIC, /* everything that is nothing else */
	NET_CLASS_MULTICAST, /* 224/4, ff00::/8 */
	NET_CLASS_RESERVED, /* 0/8, 240/4, ::, discard: no group covers it, only `any` and addresses
			     */
	NET_CLASS_PRIVATE, /* 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7, fec0::/10, local
			      NAT64 */
	NET_CLASS_LINK_LOCAL, /* 169.254/16, fe80::/10 */
	NET_CLASS_LOOPBACK, /* 127/8, ::1 */
	NET_CLASS_META, /* what clouds answer instance credentials on */
	NET_CLASS_HOST, /* this sandbox's gateway; only policy_decide() knows it */
	NET_CLASS_COUNT
};

enum { NET_ADDR_TEXT = 48, NET_EMBEDDED_MAX = 2 };

/** net_addr_unmap - ::ffff:a.b.c.d as a.b.c.d, every other address as it is */
struct net_addr net_addr_unmap(const struct net_addr *a);

/** net_addr_embedded - v4 addresses inside a transition address (not a mapped one); how many */
size_t net_addr_embedded(const struct net_addr *a, struct net_addr ret[NET_EMBEDDED_MAX]);

/** net_addr_class - never NET_CLASS_HOST; NET_CLASS_RESERVED without a family */
enum net_class net_addr_class(const struct net_addr *a);

/** net_class_name - word of the rule grammar, "reserved" for the class without one */
const char *net_class_name(enum net_class c);

/**
 * net_addr_special - is it in a range that no public name has business to resolve to
 *
 * The ranges of rebind protection: every special-purpose block of the registries, also embedded.
 */
bool net_addr_special(const struct net_addr *a);

/** net_addr_in - are the first @bits bits of @a those of @net; families differ: false */
bool net_addr_in(const struct net_addr *a, const struct net_addr *net, unsigned int bits);

/** net_addr_mask - zero what is behind the first @bits bits */
void net_addr_mask(struct net_addr *a, unsigned int bits);

/** net_addr_parse - dotted quad (decimal, no leading zeros) or IPv6 text without brackets and zone;
 * 0 or -EINVAL */
int net_addr_parse(const char *text, struct net_addr *ret) MSB_MUST_CHECK;

/** net_addr_text - text without brackets, "-" for no address; @to */
const char *net_addr_text(const struct net_addr *a, char to[NET_ADDR_TEXT]);
