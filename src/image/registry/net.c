/* SPDX-License-Identifier: Apache-2.0 */
/* Where connections may go: see net.h. */
#include "image/registry/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

#include "base/str.h"

enum { HOST_MAX = 256 };

struct range {
	uint8_t prefix[16];
	unsigned int bits;
	enum net_reach reach;
};

/* IANA's special-purpose registry of IPv4; what is in none of them is public. */
static const struct range ranges4[] = {
	{{0}, 8, NET_NOWHERE},
	{{10}, 8, NET_PRIVATE},
	{{100, 64}, 10, NET_PRIVATE},
	{{127}, 8, NET_LOOPBACK},
	{{169, 254}, 16, NET_LINK_LOCAL},
	{{172, 16}, 12, NET_PRIVATE},
	{{192, 0, 0}, 24, NET_PRIVATE},
	{{192, 0, 2}, 24, NET_PRIVATE},
	{{192, 168}, 16, NET_PRIVATE},
	{{198, 18}, 15, NET_PRIVATE},
	{{198, 51, 100}, 24, NET_PRIVATE},
	{{203, 0, 113}, 24, NET_PRIVATE},
	{{224}, 4, NET_NOWHERE},
	{{240}, 4, NET_NOWHERE},
};

/* The same of IPv6. Only 2000::/3 is given out; the rest is special in one way or another. */
static const struct range ranges6[] = {
	{{[15] = 1}, 128, NET_LOOPBACK},
	{{0xfe, 0x80}, 10, NET_LINK_LOCAL},
	{{0xfe, 0xc0}, 10, NET_PRIVATE},
	{{0xfc}, 7, NET_PRIVATE},
	{{0x20, 0x01, 0x0d, 0xb8}, 32, NET_PRIVATE},
	{{0x20, 0x01}, 23, NET_PRIVATE}, /* Teredo, ORCHID and other protocol assignments */
	{{0x20}, 3, NET_PUBLIC},
};

/* IPv6 addresses that mean an IPv4 one, and where it stands in them. */
static const struct {
	uint8_t prefix[16];
	unsigned int bits;
	size_t at;
} carriers[] = {
	{{[10] = 0xff, [11] = 0xff}, 96, 12}, /* mapped */
	{{0, 0x64, 0xff, 0x9b}, 96, 12}, /* NAT64 */
	{{0x20, 0x02}, 16, 2}, /* 6to4 */
};

static bool prefix_matches(const uint8_t *addr, const uint8_t *prefix, unsigned int bits)
{
	unsigned int whole = bits / 8;
	unsigned int rest = bits % 8;

	if (memcmp(addr, prefix, whole) != 0)
		return false;
	return rest == 0 || (addr[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

static enum net_reach reach4(const uint8_t *addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges4); i++) {
		if (prefix_matches(addr, ranges4[i].prefix, ranges4[i].bits))
			return ranges4[i].reach;
	}
	return NET_PUBLIC;
}

static enum net_reach reach6(const uint8_t *addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(carriers); i++) {
		if (prefix_matches(addr, carriers[i].prefix, carriers[i].bits))
			return reach4(addr + carriers[i].at);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges6); i++) {
		if (prefix_matches(addr, ranges6[i].prefix, ranges6[i].bits))
			return ranges6[i].reach;
	}
	return NET_NOWHERE;
}

enum net_reach net_reach_of(const struct sockaddr *sa)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		return reach4((const uint8_t *)&in.sin_addr);
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		return reach6((const uint8_t *)&in6.sin6_addr);
	}
	return NET_NOWHERE;
}

/* Address without brackets and port; "" when it does not fit. */
static void bare_host(const char *host, char ret[HOST_MAX])
{
	size_t len;

	ret[0] = '\0';
	if (host[0] == '[') {
		host++;
		len = strcspn(host, "]");
	} else {
		const char *colon = strchr(host, ':');

		/* More than one colon: an IPv6 address without brackets. */
		len = colon && !strchr(colon + 1, ':') ? (size_t)(colon - host) : strlen(host);
	}
	if (len < HOST_MAX) {
		memcpy(ret, host, len);
		ret[len] = '\0';
	}
}

static bool is_localhost(const char *host)
{
	size_t len = strlen(host);

	if (len && host[len - 1] == '.')
		len--;
	return (len == 9 && strncasecmp(host, "localhost", 9) == 0) ||
	       (len > 10 && strncasecmp(host + len - 10, ".localhost", 10) == 0);
}

enum net_reach net_reach_of_literal(const char *host)
{
	char bare[HOST_MAX];
	uint8_t addr[16];

	bare_host(host, bare);
	if (is_localhost(bare))
		return NET_LOOPBACK;
	if (inet_pton(AF_INET, bare, addr) == 1)
		return reach4(addr);
	bare[strcspn(bare, "%")] = '\0';
	return inet_pton(AF_INET6, bare, addr) == 1 ? reach6(addr) : NET_PUBLIC;
}

bool net_may_send_us(enum net_reach from, enum net_reach to)
{
	switch (to) {
	case NET_PUBLIC:
		return true;
	case NET_PRIVATE:
		return from == NET_PRIVATE || from == NET_LOOPBACK;
	case NET_LOOPBACK:
		return from == NET_LOOPBACK;
	case NET_LINK_LOCAL:
		return from == NET_LINK_LOCAL;
	case NET_NOWHERE:
		break;
	}
	return false;
}

bool net_is_loopback(const char *host)
{
	return net_reach_of_literal(host) == NET_LOOPBACK;
}

/* "10.0.0.0/8": does it cover @host, which is an address then? */
static bool network_covers(const char *network, const char *host)
{
	char prefix[HOST_MAX];
	const char *slash = strchr(network, '/');
	uint8_t a[16];
	uint8_t b[16];
	uint32_t bits;
	int family;

	if (!slash || (size_t)(slash - network) >= sizeof(prefix))
		return false;
	memcpy(prefix, network, (size_t)(slash - network));
	prefix[slash - network] = '\0';
	family = strchr(prefix, ':') ? AF_INET6 : AF_INET;
	return str_to_u32(slash + 1, 0, family == AF_INET ? 32 : 128, &bits) == 0 &&
	       inet_pton(family, prefix, a) == 1 && inet_pton(family, host, b) == 1 &&
	       prefix_matches(b, a, bits);
}

static bool is_address(const char *host)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

/* The item itself or, for a name, anything below it. */
static bool name_covers(const char *item, const char *host)
{
	size_t n;
	size_t len = strlen(host);

	if (item[0] == '*' && item[1] == '.')
		item++;
	if (item[0] == '.')
		item++;
	n = strlen(item);
	if (n == 0 || n > len || strcasecmp(host + len - n, item) != 0)
		return false;
	return n == len || (host[len - n - 1] == '.' && !is_address(item) && !is_address(host));
}

/* Cuts ":port" off @item; false when it names another port. */
static bool take_port(char *item, uint16_t port)
{
	char *colon = strrchr(item, ':');
	uint32_t wanted;

	if (item[0] == '[') {
		char *end = strchr(item, ']');

		if (!end)
			return false;
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		memmove(item, item + 1, strlen(item));
		if (!colon)
			return true;
	} else if (!colon || strchr(item, ':') != colon) {
		return true;
	}
	if (str_to_u32(colon + 1, 1, UINT16_MAX, &wanted) < 0 || wanted != port)
		return false;
	*colon = '\0';
	return true;
}

static bool is_excluded(const char *list, const char *host, uint16_t port)
{
	while (*list) {
		size_t len = strcspn(list, ", \t");
		char item[HOST_MAX];

		if (len > 0 && len < sizeof(item)) {
			memcpy(item, list, len);
			item[len] = '\0';
			if (streq(item, "*"))
				return true;
			if (take_port(item, port) &&
				(name_covers(item, host) || network_covers(item, host)))
				return true;
		}
		list += len;
		list += strspn(list, ", \t");
	}
	return false;
}

static const char *either(char *(*get)(const char *name), const char *lower, const char *upper)
{
	const char *v = get(lower);

	if (!v || !v[0])
		v = get(upper);
	return v && v[0] ? v : NULL;
}

const char *net_proxy(
	const char *scheme, const char *host, uint16_t port, char *(*get)(const char *name))
{
	const char *proxy = streq(scheme, "https") ? either(get, "https_proxy", "HTTPS_PROXY")
						   : either(get, "http_proxy", "HTTP_PROXY");
	const char *list = either(get, "no_proxy", "NO_PROXY");
	char bare[HOST_MAX];

	bare_host(host, bare);
	if (!proxy || net_is_loopback(host) || (list && is_excluded(list, bare, port)))
		return NULL;
	return proxy;
}
