/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports: see sup-port.h.
 *
 * They are bound here, with the user's rights and before the machine is started: msb-net has no
 * rights left, and a port that is taken shall be said before anything boots.
 */
#include "sandbox/sup-port.h"

#include <sys/socket.h>

static int explain(const struct net_port *p, int r, struct msb_err *err)
{
	char text[NET_PORT_TEXT];

	(void)net_port_host_text(p, text);
	switch (r) {
	case -EADDRINUSE:
		r = msb_err_set(err, r, MSB_BUSY, "port %s of the host is taken", text);
		return msb_err_hint(err, r,
			"publish another one, or 0 for any that is free (-p 0:%u%s); 'ss -lnp%c' "
			"shows who has it",
			p->guest, p->udp ? "/udp" : "", p->udp ? 'u' : 't');
	case -EACCES:
	case -EPERM:
		r = msb_err_set(err, r, MSB_PERMISSION,
			"port %s of the host may not be opened by this user", text);
		return msb_err_hint(err, r,
			"take one above those that sysctl net.ipv4.ip_unprivileged_port_start "
			"keeps for root");
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
		return msb_err_set(err, r, MSB_USAGE,
			"port %s cannot be opened: the host does not have this address", text);
	default:
		return msb_err_errno(err, r, "port %s of the host", text);
	}
}

static int set(int fd, int level, int name)
{
	const int on = 1;

	return setsockopt(fd, level, name, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int bind_to(int fd, const struct net_port *p, uint16_t *ret_host)
{
	const struct net_peer want = {.addr = p->bind, .port = p->host};
	struct net_peer got = {.port = 0};
	struct sockaddr_storage sa;
	socklen_t len = net_peer_to_sockaddr(&want, &sa);
	int r = 0;

	/* [::] beside 0.0.0.0 is no contradiction. */
	if (p->bind.family == NET_V6)
		r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	/* Answers to datagrams come from the address that was asked (net/flow/listen.c). */
	if (r == 0 && p->udp)
		r = p->bind.family == NET_V6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO)
					     : set(fd, IPPROTO_IP, IP_PKTINFO);
	/* Connections of an earlier start that linger do not hold the port. */
	if (r == 0 && !p->udp)
		r = set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&sa, len) < 0)
		return -errno;
	if (!p->udp && listen(fd, SOMAXCONN) < 0)
		return -errno;
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	r = net_peer_from_sockaddr(&sa, &got);
	*ret_host = got.port;
	return r;
}

static int open_port(const struct net_port *p, uint16_t *ret_host, int *ret_fd)
{
	cleanup_fd int fd = socket(p->bind.family == NET_V6 ? AF_INET6 : AF_INET,
		(p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : bind_to(fd, p, ret_host);

	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int sup_ports_open(const struct net_ports *ports, struct sup_ports *ret, struct msb_err *err)
{
	ret->n = 0;
	for (uint32_t i = 0; i < ports->n; i++) {
		int r = open_port(&ports->list[i], &ret->host[i], &ret->fds[i]);

		if (r < 0) {
			r = explain(&ports->list[i], r, err);
			sup_ports_close(ret);
			return r;
		}
		ret->n++;
	}
	return 0;
}

void sup_ports_close(struct sup_ports *p)
{
	while (p->n)
		(void)fd_close(p->fds[--p->n]);
}
