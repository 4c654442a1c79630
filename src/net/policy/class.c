/* SPDX-License-Identifier: Apache-2.0 */
/* What an address is: see class.h. Ranges: the IANA special-purpose registries, RFC 4291, RFC 6052.
 */
#include "net/policy/class.h"

#include <arpa/inet.h>

struct range {
	uint8_t b[16];
	uint8_t bits;
	uint8_t class;
};

/* First match; the rest is public. */
static const struct range ranges4[] = {
	{{169, 254, 169, 254}, 32, NET_CLASS_META}, /* nearly everybody */
	{{169, 254, 170, 2}, 32, NET_CLASS_META}, /* credentials of containers, AWS */
	{{169, 254, 170, 23}, 32, NET_CLASS_META},
	{{100, 100, 100, 200}, 32, NET_CLASS_META}, /* Alibaba */
	{{168, 63, 129, 16}, 32, NET_CLASS_META}, /* Azure, a public address */
	{{192, 0, 0, 192}, 32, NET_CLASS_META}, /* Oracle */
	{{127}, 8, NET_CLASS_LOOPBACK},
	{{10}, 8, NET_CLASS_PRIVATE},
	{{172, 16}, 12, NET_CLASS_PRIVATE},
	{{192, 168}, 16, NET_CLASS_PRIVATE},
	{{100, 64}, 10, NET_CLASS_PRIVATE},
	{{169, 254}, 16, NET_CLASS_LINK_LOCAL},
	{{224}, 4, NET_CLASS_MULTICAST},
	{{0}, 8, NET_CLASS_RESERVED},
	{{240}, 4, NET_CLASS_RESERVED},
};

static const struct range ranges6[] = {
	{{0xfd, 0, 0x0e, 0xc2, [14] = 0x02, 0x54}, 128, NET_CLASS_META}, /* AWS */
	{{0xfd, 0, 0x0e, 0xc2, [14] = 0x00, 0x23}, 128, NET_CLASS_META},
	{{0xfd, 0x20, 0, 0xce, [14] = 0x02, 0x54}, 128, NET_CLASS_META}, /* Google */
	{{[15] = 1}, 128, NET_CLASS_LOOPBACK},
	{{0}, 96, NET_CLASS_RESERVED}, /* :: and IPv4-compatible addresses */
	{{0xfc}, 7, NET_CLASS_PRIVATE}, {{0xfe, 0xc0}, 10, NET_CLASS_PRIVATE},
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, NET_CLASS_PRIVATE}, /* NAT64 of one's own, RFC 8215 */
	{{0xfe, 0x80}, 10, NET_CLASS_LINK_LOCAL}, {{0xff}, 8, NET_CLASS_MULTICAST},
	{{0x01}, 64, NET_CLASS_RESERVED}, /* discard, RFC 6666 */
};

/* Beyond the classes: blocks that are public to the policy, but to no public name. */
static const struct range special4[] = {
	{{192, 0, 0}, 24, 0},
	{{192, 0, 2}, 24, 0},
	{{192, 88, 99}, 24, 0},
	{{198, 18}, 15, 0},
	{{198, 51, 100}, 24, 0},
	{{203, 0, 113}, 24, 0},
};
static const struct range special6[] = {
	{{0x20, 0x01, 0x0d, 0xb8}, 32, 0},
	{{0x3f, 0xff}, 20, 0},
};

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int whole = bits / 8;
	unsigned int rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static const struct range *find_range(const struct range *list, size_t n, const uint8_t *b)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_equal(b, list[i].b, list[i].bits))
			return &list[i];
	}
	return NULL;
}

struct net_addr net_addr_unmap(const struct net_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	if (a->family == NET_V6 && memcmp(a->b, mapped, sizeof(mapped)) == 0)
		return net_addr_v4(a->b + 12);
	return *a;
}

size_t net_addr_embedded(const struct net_addr *a, struct net_addr ret[NET_EMBEDDED_MAX])
{
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8_t teredo[4] = {0x20, 0x01};
	static const uint8_t siit[12] = {[8] = 0xff, 0xff}; /* RFC 7915, "IPv4-translated" */
	static const uint8_t zero[12];
	uint8_t client[4];

	if (a->family != NET_V6)
		return 0;
	if (memcmp(a->b, nat64, sizeof(nat64)) == 0) {
		ret[0] = net_addr_v4(a->b + 12);
		return 1;
	}
	if (a->b[0] == 0x20 && a->b[1] == 0x02) {
		ret[0] = net_addr_v4(a->b + 2);
		return 1;
	}
	if (memcmp(a->b, teredo, sizeof(teredo)) == 0) {
		for (size_t i = 0; i < 4; i++)
			client[i] = (uint8_t)~a->b[12 + i];
		ret[0] = net_addr_v4(client);
		ret[1] = net_addr_v4(a->b + 4);
		return 2;
	}
	if (memcmp(a->b, siit, sizeof(siit)) == 0) {
		ret[0] = net_addr_v4(a->b + 12);
		return 1;
	}
	/* IPv4-compatible; :: and ::1 are addresses of their own. */
	if (memcmp(a->b, zero, sizeof(zero)) == 0 && (a->b[12] || a->b[13] || a->b[14])) {
		ret[0] = net_addr_v4(a->b + 12);
		return 1;
	}
	return 0;
}

static enum net_class class_of(const struct net_addr *a)
{
	const struct range *r = a->family == NET_V4
					? find_range(ranges4, ARRAY_SIZE(ranges4), a->b)
					: find_range(ranges6, ARRAY_SIZE(ranges6), a->b);

	return r ? (enum net_class)r->class : NET_CLASS_PUBLIC;
}

enum net_class net_addr_class(const struct net_addr *addr)
{
	struct net_addr a = net_addr_unmap(addr);
	struct net_addr inner[NET_EMBEDDED_MAX];
	enum net_class worst;
	size_t n;

	if (a.family != NET_V4 && a.family != NET_V6)
		return NET_CLASS_RESERVED;
	worst = class_of(&a);
	n = net_addr_embedded(&a, inner);
	for (size_t i = 0; i < n; i++)
		worst = MAX(worst, class_of(&inner[i]));
	return worst;
}

const char *net_class_name(enum net_class c)
{
	static const char *const names[] = {
		[NET_CLASS_PUBLIC] = "public",
		[NET_CLASS_MULTICAST] = "multicast",
		[NET_CLASS_RESERVED] = "reserved",
		[NET_CLASS_PRIVATE] = "private",
		[NET_CLASS_LINK_LOCAL] = "link-local",
		[NET_CLASS_LOOPBACK] = "loopback",
		[NET_CLASS_META] = "meta",
		[NET_CLASS_HOST] = "host",
	};

	static_assert(ARRAY_SIZE(names) == NET_CLASS_COUNT, "a name for every class");
	return (unsigned int)c < NET_CLASS_COUNT ? names[c] : "unknown";
}

static bool special_one(const struct net_addr *a)
{
	if (class_of(a) != NET_CLASS_PUBLIC)
		return true;
	return a->family == NET_V4 ? find_range(special4, ARRAY_SIZE(special4), a->b) != NULL
				   : find_range(special6, ARRAY_SIZE(special6), a->b) != NULL;
}

bool net_addr_special(const struct net_addr *addr)
{
	struct net_addr a = net_addr_unmap(addr);
	struct net_addr inner[NET_EMBEDDED_MAX];
	size_t n;

	if (a.family != NET_V4 && a.family != NET_V6)
		return true;
	if (special_one(&a))
		return true;
	n = net_addr_embedded(&a, inner);
	for (size_t i = 0; i < n; i++) {
		if (special_one(&inner[i]))
			return true;
	}
	return false;
}

bool net_addr_in(const struct net_addr *a, const struct net_addr *net, unsigned int bits)
{
	return a->family == net->family && bits <= net_addr_len(a) * 8 &&
	       prefix_equal(a->b, net->b, bits);
}

void net_addr_mask(struct net_addr *a, unsigned int bits)
{
	for (unsigned int i = 0; i < sizeof(a->b); i++) {
		if (bits >= (i + 1) * 8)
			continue;
		a->b[i] = bits > i * 8 ? (uint8_t)(a->b[i] & (0xff00u >> (bits - i * 8))) : 0;
	}
}

int net_addr_parse(const char *text, struct net_addr *ret)
{
	struct net_addr a = {.family = NET_V4};

	if (inet_pton(AF_INET, text, a.b) == 1) {
		*ret = a;
		return 0;
	}
	a = (struct net_addr){.family = NET_V6};
	if (inet_pton(AF_INET6, text, a.b) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

const char *net_addr_text(const struct net_addr *a, char to[NET_ADDR_TEXT])
{
	int af = a->family == NET_V4 ? AF_INET : AF_INET6;

	if (net_addr_len(a) == 0 || !inet_ntop(af, a->b, to, NET_ADDR_TEXT)) {
		to[0] = '-';
		to[1] = '\0';
	}
	return to;
}
