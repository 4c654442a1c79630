/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire to the machine: see link.h.
 *
 * #syscalls(net:loop): recvmsg sendmsg
 */
#include "net/link.h"

#include <sys/socket.h>

#include "proto/netframe.h"

enum {
	RUN_FRAMES = 64, /* before the sockets of the other side get their turn */
	EMIT_IOV = 16,
};

/* Gone: the machine has ended, and with it everything that is to be done here. */
static void hang_up(struct net_wire *w)
{
	loop_fd_del(&w->src);
	loop_stop(w->loop, 0);
}

/* One frame of the guest. Return: was there one? */
static bool receive(struct net_wire *w)
{
	/* Not on the stack, which is small; one thread. */
	static uint8_t frame[NETFRAME_MAX + 1];
	size_t skip = w->link == NET_BARE ? NETFRAME_HEADER : 0;
	struct iovec iov = {frame + skip, sizeof(frame) - skip};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(w->src.fd, &m, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* A socket of datagrams has no end, and an empty one is no frame. */
	if (n < 0 || (n == 0 && w->link == NET_HEADERS)) {
		hang_up(w);
		return false;
	}
	if (m.msg_flags & MSG_TRUNC)
		return true;
	memset(frame, 0, skip);
	stack_input(w->stack, frame, (size_t)n + skip);
	return true;
}

static void watch(struct net_wire *w)
{
	if (loop_fd_set(&w->src, w->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN) < 0)
		hang_up(w);
}

static void on_link(struct loop_fd *src, uint32_t events)
{
	struct net_wire *w = container_of(src, struct net_wire, src);

	if ((events & EPOLLOUT) && w->blocked) {
		w->blocked = false;
		stack_link_ready(w->stack);
	}
	for (unsigned int i = 0; i < RUN_FRAMES && receive(w); i++)
		;
	if ((events & (EPOLLHUP | EPOLLERR)) && w->src.loop)
		hang_up(w);
	if (w->src.loop)
		watch(w);
}

int net_wire_init(struct net_wire *w, struct loop *loop, int fd, enum net_link link)
{
	*w = (struct net_wire){.loop = loop, .link = link};
	return loop_fd_add(loop, &w->src, fd, EPOLLIN, on_link);
}

int net_wire_emit(struct net_wire *w, const struct iovec *iov, int n)
{
	struct iovec v[EMIT_IOV];
	struct msghdr m = {.msg_iov = v};
	size_t skip = w->link == NET_BARE ? NETFRAME_HEADER : 0;

	if (w->blocked)
		return -EAGAIN;
	if (!w->src.loop || n > EMIT_IOV)
		return -EPIPE;
	for (int i = 0; i < n; i++) {
		size_t off = MIN(skip, iov[i].iov_len);

		skip -= off;
		if (iov[i].iov_len > off)
			v[m.msg_iovlen++] = (struct iovec){
				(uint8_t *)iov[i].iov_base + off, iov[i].iov_len - off};
	}
	if (sendmsg(w->src.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) {
		w->blocked = true;
		watch(w);
		return -EAGAIN;
	}
	/* What else goes wrong is found out by the next read. */
	w->lost++;
	return -errno;
}
