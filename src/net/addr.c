/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses between the form of msb-net and that of the socket calls. */
#include "net/addr.h"

socklen_t net_peer_to_sockaddr(const struct net_peer *p, struct sockaddr_storage *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(p->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(p->port)};

	memset(ret, 0, sizeof(*ret));
	if (p->addr.family == NET_V4) {
		memcpy(&in.sin_addr, p->addr.b, 4);
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	}
	memcpy(&in6.sin6_addr, p->addr.b, 16);
	memcpy(ret, &in6, sizeof(in6));
	return sizeof(in6);
}

int net_peer_from_sockaddr(const struct sockaddr_storage *sa, struct net_peer *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->ss_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		*ret = (struct net_peer){.addr = net_addr_v4((const uint8_t *)&in.sin_addr),
			.port = ntohs(in.sin_port)};
		return 0;
	}
	if (sa->ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(&in6, sa, sizeof(in6));
	ret->port = ntohs(in6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		ret->addr = net_addr_v4((const uint8_t *)&in6.sin6_addr + 12);
	else
		ret->addr = net_addr_v6((const uint8_t *)&in6.sin6_addr);
	return 0;
}
