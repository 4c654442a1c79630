/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eth0: see net.h.
 *
 * All requests go to the kernel in one message and their answers come back in order, so the network
 * costs the start two system calls and what the driver does. The IPv6 address needs no duplicate
 * address detection: nobody else is on this wire.
 */
#include "net.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#define DEVICE "eth0"

enum { REQUESTS_MAX = 5, MESSAGE_MAX = 1024 };

struct batch {
	char buf[MESSAGE_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	size_t len;
	struct nlmsghdr *head; /* the request being written */
	const char *names[REQUESTS_MAX];
	uint32_t n;
};

static void *reserve(struct batch *b, size_t len)
{
	void *p = b->buf + b->len;

	/* Five requests of a fixed form: they fit. */
	assert(b->len + NLMSG_ALIGN(len) <= sizeof(b->buf));
	memset(p, 0, NLMSG_ALIGN(len));
	b->len += NLMSG_ALIGN(len);
	return p;
}

static void *request(struct batch *b, const char *name, uint16_t type, size_t body)
{
	assert(b->n < REQUESTS_MAX);
	b->names[b->n] = name;
	b->head = reserve(b, sizeof(*b->head));
	*b->head = (struct nlmsghdr){
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK |
			       (type == RTM_NEWLINK ? 0 : NLM_F_CREATE | NLM_F_REPLACE),
		.nlmsg_seq = b->n++,
		.nlmsg_len = (uint32_t)(sizeof(*b->head) + NLMSG_ALIGN(body)),
	};
	return reserve(b, body);
}

static void attribute(struct batch *b, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = reserve(b, RTA_LENGTH(len));

	*a = (struct rtattr){.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(len)};
	memcpy(RTA_DATA(a), data, len);
	b->head->nlmsg_len += (uint32_t)RTA_ALIGN(a->rta_len);
}

/*
 * Packets between eth0 and 127.0.0.1 are let through, so that msb-net can call services that listen
 * nowhere else (published ports). Nobody but msb-net can send any.
 */
static void route_loopback(struct batch *b)
{
	/* A nest in a nest in a nest, each around the next one. */
	struct {
		struct rtattr spec, family, conf, flag;
		uint32_t value;
	} a = {
		.spec = {sizeof(a), IFLA_AF_SPEC | NLA_F_NESTED},
		.family = {sizeof(a) - RTA_LENGTH(0), AF_INET | NLA_F_NESTED},
		.conf = {sizeof(a) - 2 * RTA_LENGTH(0), IFLA_INET_CONF | NLA_F_NESTED},
		.flag = {RTA_LENGTH(sizeof(a.value)), IPV4_DEVCONF_ROUTE_LOCALNET},
		.value = 1,
	};

	memcpy(reserve(b, sizeof(a)), &a, sizeof(a));
	b->head->nlmsg_len += (uint32_t)sizeof(a);
}

static void link_up(struct batch *b, int index, uint32_t mtu)
{
	struct ifinfomsg *m = request(b, "bring up " DEVICE, RTM_NEWLINK, sizeof(*m));

	m->ifi_index = index;
	m->ifi_flags = m->ifi_change = IFF_UP;
	attribute(b, IFLA_MTU, &mtu, sizeof(mtu));
	route_loopback(b);
}

static void address(struct batch *b, int index, uint8_t family, uint32_t prefix, const void *ip)
{
	struct ifaddrmsg *m = request(b, "address of " DEVICE, RTM_NEWADDR, sizeof(*m));
	size_t len = family == AF_INET ? 4 : 16;

	m->ifa_family = family;
	m->ifa_prefixlen = (uint8_t)prefix;
	m->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	m->ifa_index = (uint32_t)index;
	attribute(b, IFA_LOCAL, ip, len);
	attribute(b, IFA_ADDRESS, ip, len);
}

static void default_route(struct batch *b, int index, uint8_t family, const void *gateway)
{
	struct rtmsg *m = request(b, "route through " DEVICE, RTM_NEWROUTE, sizeof(*m));
	uint32_t out = (uint32_t)index;

	m->rtm_family = family;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_BOOT;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	attribute(b, RTA_GATEWAY, gateway, family == AF_INET ? 4 : 16);
	attribute(b, RTA_OIF, &out, sizeof(out));
}

/* Return: 0 with all answers heard, or a negative errno and in @ret_name what it is about. */
static int hear(int fd, const struct batch *b, const char **ret_name)
{
	uint32_t heard = 0;

	while (heard < b->n) {
		char buf[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq >= b->n)
				continue;
			*ret_name = b->names[h->nlmsg_seq];
			if (e->error < 0)
				return e->error;
			heard++;
		}
	}
	return 0;
}

static bool has6(const struct msg_net *n)
{
	return n->ip6[0] || n->ip6[1];
}

static void to_bytes6(const uint64_t v[2], uint64_t ret[2])
{
	ret[0] = htobe64(v[0]);
	ret[1] = htobe64(v[1]);
}

void net_gateway4(const struct msg_net *n, char to[NET_ADDRESS_MAX])
{
	uint32_t ip = htonl(n->gateway4);

	to[0] = '\0';
	if (n->mtu && n->gateway4)
		(void)inet_ntop(AF_INET, &ip, to, NET_ADDRESS_MAX);
}

void net_gateway6(const struct msg_net *n, char to[NET_ADDRESS_MAX])
{
	uint64_t ip[2];

	to_bytes6(n->gateway6, ip);
	to[0] = '\0';
	if (n->mtu && has6(n))
		(void)inet_ntop(AF_INET6, ip, to, NET_ADDRESS_MAX);
}

static int configure(const struct msg_net *n, int fd, int index, const char **ret_name)
{
	struct batch b = {.len = 0};
	uint32_t ip4 = htonl(n->ip4);
	uint32_t gateway4 = htonl(n->gateway4);
	uint64_t ip6[2];
	uint64_t gateway6[2];

	link_up(&b, index, n->mtu);
	if (n->ip4) {
		address(&b, index, AF_INET, n->prefix4, &ip4);
		default_route(&b, index, AF_INET, &gateway4);
	}
	if (has6(n)) {
		to_bytes6(n->ip6, ip6);
		to_bytes6(n->gateway6, gateway6);
		address(&b, index, AF_INET6, n->prefix6, ip6);
		default_route(&b, index, AF_INET6, gateway6);
	}
	if (send(fd, b.buf, b.len, 0) != (ssize_t)b.len)
		return -errno;
	return hear(fd, &b, ret_name);
}

int net_up(const struct msg_net *n, struct boot_error *err)
{
	cleanup_fd int fd = -EBADF;
	const char *name = "configure " DEVICE;
	unsigned int index;
	int r;

	if (!n->mtu)
		return 0;
	index = if_nametoindex(DEVICE);
	if (index == 0)
		return boot_fail(err, STAGE_NETWORK, "no device " DEVICE);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return boot_fail(err, STAGE_NETWORK, "netlink socket");
	r = configure(n, fd, (int)index, &name);
	if (r < 0) {
		errno = -r;
		return boot_fail(err, STAGE_NETWORK, "%s", name);
	}
	return 0;
}
