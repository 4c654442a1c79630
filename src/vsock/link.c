/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets from and to msb-vmm: see link.h.
 *
 * #syscalls(vsock:serve): recvmsg sendmsg
 */
#include "vsock/link.h"

#include <sys/socket.h>

enum { RUN_PACKETS = 64 }; /* before the sockets of the host get their turn */

_Static_assert(sizeof(struct virtio_vsock_hdr) == VSOCKLINK_HEADER, "header of the link");
_Static_assert((int)VSOCKLINK_CID_GUEST == (int)VSOCK_CID_GUEST, "number of the guest");

/* The machine has ended, and with it everything that is to be done here. */
static void hang_up(struct vsock_link *l)
{
	loop_fd_del(&l->src);
	loop_stop(l->loop, 0);
}

/* What is in @out. Return: is it gone? */
static bool send_out(struct vsock_link *l)
{
	struct iovec iov = {l->out, l->out_len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (sendmsg(l->src.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		l->full = errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
		if (!l->full)
			hang_up(l);
		return false;
	}
	l->full = false;
	l->out_len = 0;
	return true;
}

/* One packet to the guest. Return: was there one, and could it go? */
static bool send_next(struct vsock_link *l)
{
	struct virtio_vsock_hdr h;
	struct iovec room = {l->out + sizeof(h), sizeof(l->out) - sizeof(h)};
	ssize_t len;

	if (l->out_len > 0)
		return send_out(l);
	len = vsock_mux_next(l->mux, &h, &room, 1);
	if (len < 0)
		return false;
	memcpy(l->out, &h, sizeof(h));
	l->out_len = sizeof(h) + (size_t)len;
	return send_out(l);
}

/* One packet of the guest. Return: was there one? */
static bool receive(struct vsock_link *l)
{
	struct iovec iov = {l->in, sizeof(l->in)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct virtio_vsock_hdr h;
	struct iovec data;
	ssize_t n = recvmsg(l->src.fd, &m, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < (ssize_t)sizeof(h) || m.msg_flags & MSG_TRUNC || (size_t)n == sizeof(l->in)) {
		hang_up(l);
		return false;
	}
	memcpy(&h, l->in, sizeof(h));
	data = (struct iovec){l->in + sizeof(h), (size_t)n - sizeof(h)};
	vsock_mux_take(l->mux, &h, &data, 1, data.iov_len);
	return true;
}

static void watch(struct vsock_link *l)
{
	uint32_t events = 0;

	if (!l->src.loop)
		return;
	if (vsock_mux_accepts(l->mux))
		events |= EPOLLIN;
	if (l->full)
		events |= EPOLLOUT;
	if (loop_fd_set(&l->src, events) < 0)
		hang_up(l);
}

static void on_work(struct loop_timer *t)
{
	struct vsock_link *l = container_of(t, struct vsock_link, work);
	bool more = true;

	for (unsigned int i = 0; i < RUN_PACKETS && more && l->src.loop; i++)
		more = send_next(l);
	if (more && l->src.loop)
		vsock_link_ready(l);
	watch(l);
}

static void on_link(struct loop_fd *src, uint32_t events)
{
	struct vsock_link *l = container_of(src, struct vsock_link, src);

	if (events & EPOLLOUT && l->full)
		vsock_link_ready(l);
	for (unsigned int i = 0;
		i < RUN_PACKETS && src->loop && vsock_mux_accepts(l->mux) && receive(l); i++)
		;
	if (src->loop && events & (EPOLLHUP | EPOLLERR))
		hang_up(l);
	watch(l);
}

void vsock_link_ready(struct vsock_link *l)
{
	loop_defer(l->loop, &l->work, on_work);
}

int vsock_link_init(struct vsock_link *l, struct loop *loop, int fd, struct vsock_mux *mux)
{
	*l = (struct vsock_link){.loop = loop, .mux = mux};
	return loop_fd_add(loop, &l->src, fd, EPOLLIN, on_link);
}

void vsock_link_deinit(struct vsock_link *l)
{
	loop_fd_del(&l->src);
	loop_timer_del(&l->work);
}
