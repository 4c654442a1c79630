/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows on their way to msb-tls: see divert.h.
 *
 * #syscalls(net:loop): socketpair(0=AF_UNIX) sendmsg
 */
#include "net/divert.h"

#include <sys/socket.h>

#include "base/io.h"

#include "net/intercept/wire.h"
#include "net/policy/peek.h"

static bool is_pinned(const struct net_gate *g, const struct net_addr *addr, const char *name)
{
	const char *names[DNS_PIN_NAMES_MAX];
	size_t n = g->names ? names_of(g->names, addr, names, ARRAY_SIZE(names)) : 0;

	for (size_t i = 0; i < n; i++) {
		if (streq(names[i], name))
			return true;
	}
	return false;
}

static int send_flow(int fd, const struct intercept_flow *flow, const int fds[INTERCEPT_FDS])
{
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(INTERCEPT_FDS * sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)flow, .iov_len = sizeof(*flow)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(INTERCEPT_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, INTERCEPT_FDS * sizeof(int));
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int net_divert(const struct net_gate *g, int fd, const struct flow_query *q, const void *data,
	size_t len, int upstream, int *ret_fd)
{
	const struct net_peer *remote = &q->tuple.remote;
	struct intercept_flow flow = {.version = INTERCEPT_VERSION,
		.port = remote->port,
		.id = q->id,
		.guest = q->tuple.guest,
		.remote = *remote};
	cleanup_fd int server = upstream;
	cleanup_fd int theirs = -EBADF;
	cleanup_fd int ours = -EBADF;
	struct peek seen;
	int fds[2];
	int r;

	peek_bytes(data, len, &seen);
	flow.kind = seen.kind == PEEK_TLS ? INTERCEPT_TLS : INTERCEPT_HTTP;
	(void)net_addr_text(&remote->addr, flow.addr);
	if (seen.named) {
		memcpy(flow.authority, seen.name, sizeof(flow.authority));
		flow.pinned = is_pinned(g, &remote->addr, seen.name);
	}
	r = io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds);
	if (r < 0)
		return r;
	ours = fds[0];
	theirs = fds[1];
	r = send_flow(fd, &flow, (const int[INTERCEPT_FDS]){theirs, server});
	if (r == 0)
		*ret_fd = TAKE_FD(ours);
	return r;
}
