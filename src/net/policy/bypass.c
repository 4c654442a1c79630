/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other ways to look names up: see bypass.h.
 *
 * The lists hold the resolvers that browsers and libraries bring along. A resolver of the guest's
 * own that speaks HTTPS cannot be told from any other host; what it says does not pin names, so it
 * opens nothing.
 */
#include "net/policy/bypass.h"

#include "net/policy/class.h"

static const uint8_t addrs4[][4] = {
	{1, 0, 0, 1},
	{1, 0, 0, 2},
	{1, 0, 0, 3},
	{1, 1, 1, 1},
	{1, 1, 1, 2},
	{1, 1, 1, 3},
	{8, 8, 4, 4},
	{8, 8, 8, 8},
	{9, 9, 9, 9},
	{9, 9, 9, 10},
	{9, 9, 9, 11},
	{94, 140, 14, 14},
	{94, 140, 15, 15},
	{149, 112, 112, 9},
	{149, 112, 112, 10},
	{149, 112, 112, 11},
	{149, 112, 112, 112},
	{208, 67, 220, 220},
	{208, 67, 222, 222},
};

static const uint8_t addrs6[][16] = {
	{0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x44},
	{0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x88},
	{0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x10, 0x01},
	{0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x11, 0x11},
	{0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x11, 0x12},
	{0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x10, 0x02},
	{0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x11, 0x13},
	{0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x10, 0x03},
	{0x26, 0x20, 0x00, 0xfe, [15] = 0x09},
	{0x26, 0x20, 0x00, 0xfe, [15] = 0xfe},
};

static const struct policy_rule names[] = {
	{.target = POLICY_SUFFIX, .name = "cloudflare-dns.com"},
	{.target = POLICY_DOMAIN, .name = "one.one.one.one"},
	{.target = POLICY_DOMAIN, .name = "dns.google"},
	{.target = POLICY_DOMAIN, .name = "dns.google.com"},
	{.target = POLICY_DOMAIN, .name = "dns64.dns.google"},
	{.target = POLICY_SUFFIX, .name = "quad9.net"},
	{.target = POLICY_DOMAIN, .name = "doh.opendns.com"},
	{.target = POLICY_DOMAIN, .name = "doh.familyshield.opendns.com"},
	{.target = POLICY_SUFFIX, .name = "adguard-dns.com"},
	{.target = POLICY_SUFFIX, .name = "dns.nextdns.io"},
	{.target = POLICY_SUFFIX, .name = "doh.cleanbrowsing.org"},
	{.target = POLICY_SUFFIX, .name = "dns.mullvad.net"},
	{.target = POLICY_DOMAIN, .name = "doh.xfinity.com"},
	/* Firefox: no such name, no DNS over HTTPS by default. */
	{.target = POLICY_DOMAIN, .name = "use-application-dns.net"},
};

bool bypass_port(enum policy_proto proto, uint16_t port)
{
	if (proto == POLICY_TCP)
		return port == 853;
	return proto == POLICY_UDP && (port == 853 || port == 5353 || port == 5355 || port == 137);
}

static bool listed(const struct net_addr *a)
{
	size_t n = a->family == NET_V4 ? ARRAY_SIZE(addrs4) : ARRAY_SIZE(addrs6);

	for (size_t i = 0; i < n; i++) {
		if (a->family == NET_V4 ? memcmp(a->b, addrs4[i], 4) == 0
					: memcmp(a->b, addrs6[i], 16) == 0)
			return true;
	}
	return false;
}

bool bypass_address(const struct net_addr *addr)
{
	struct net_addr a = net_addr_unmap(addr);
	struct net_addr inner[NET_EMBEDDED_MAX];
	size_t n = net_addr_embedded(&a, inner);

	if (listed(&a))
		return true;
	for (size_t i = 0; i < n; i++) {
		if (listed(&inner[i]))
			return true;
	}
	return false;
}

bool bypass_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (policy_name_matches(&names[i], name))
			return true;
	}
	return false;
}
