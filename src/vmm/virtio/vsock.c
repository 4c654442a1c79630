/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock: see vsock.h.
 *
 * #syscalls(vmm:loop): sendmsg recvmsg epoll_ctl
 */
#include "vmm/virtio/vsock.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <sys/socket.h>

/* The queue of events exists; there are none. */
enum { Q_RX, Q_TX, Q_EVENT, N_QUEUES };

enum { RUN_PACKETS = 64, EVENTS = 4 };

_Static_assert(sizeof(struct virtio_vsock_hdr) == VSOCKLINK_HEADER, "header of the link");

static struct virtio_vsock *to_vsock(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_vsock, dev);
}

/* The next packet of the socket into @packet. Return: is there one? */
static bool fetch(struct virtio_vsock *v)
{
	struct iovec iov = {v->packet, sizeof(v->packet)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (v->held || v->gone)
		return v->held;
	n = recvmsg(v->fd, &m, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < VSOCKLINK_HEADER || m.msg_flags & MSG_TRUNC) {
		v->gone = true;
		return false;
	}
	v->len = (uint32_t)n - VSOCKLINK_HEADER;
	v->done = 0;
	v->held = true;
	return true;
}

/* One buffer for the guest. Return: was there something, and could it go? */
static bool receive(struct virtio_vsock *v) VMM_REQUIRES(v->dev.lock);

static bool receive(struct virtio_vsock *v)
{
	struct virtq *vq = &v->dev.queues[Q_RX];
	struct iovec iov[VIRTIO_VSOCK_QUEUE_SIZE];
	struct virtio_vsock_hdr h;
	struct virtq_chain c;
	uint32_t part;
	int r;

	if (!vq->live || !fetch(v))
		return false;
	r = virtq_next(vq, iov, ARRAY_SIZE(iov), &c);
	if (r != 0)
		return false;
	if (c.n_out > 0 || c.in_len <= sizeof(h)) {
		virtq_unpop(vq);
		(void)virtq_break(vq, "receive buffer of the wrong kind");
		return false;
	}
	part = MIN(v->len - v->done, c.in_len - (uint32_t)sizeof(h));
	memcpy(&h, v->packet, sizeof(h));
	h.len = htole32(part);
	/* Fits: see above. */
	(void)!chain_write(&c, 0, &h, sizeof(h));
	(void)!chain_write(&c, sizeof(h), v->packet + sizeof(h) + v->done, part);
	virtq_push(vq, &c, (uint32_t)sizeof(h) + part);
	v->done += part;
	v->held = v->done < v->len;
	v->dev.stats.requests++;
	v->dev.stats.bytes_in += part;
	return true;
}

/* Return: 0; -EAGAIN when the socket is full; another negative errno when it cannot be sent. */
static int transmit(const struct virtio_vsock *v, const struct virtq_chain *c)
{
	struct msghdr m = {.msg_iov = c->iov, .msg_iovlen = c->n_out};

	if (c->out_len < VSOCKLINK_HEADER ||
		c->out_len > VSOCKLINK_HEADER + VSOCKLINK_FROM_GUEST_MAX)
		return -EMSGSIZE;
	if (sendmsg(v->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/* No memory for the message is as passing as no room for it. */
	return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}

/* One packet of the guest. Return: was there one, and could it go? */
static bool send_next(struct virtio_vsock *v) VMM_REQUIRES(v->dev.lock);

static bool send_next(struct virtio_vsock *v)
{
	struct virtq *vq = &v->dev.queues[Q_TX];
	struct iovec iov[VIRTIO_VSOCK_QUEUE_SIZE];
	struct virtq_chain c;
	int r;

	if (v->blocked || virtq_next(vq, iov, ARRAY_SIZE(iov), &c) != 0)
		return false;
	r = v->gone ? -EPIPE : transmit(v, &c);
	if (r == -EAGAIN) {
		virtq_unpop(vq);
		v->blocked = true;
		return false;
	}
	if (r == 0) {
		v->dev.stats.requests++;
		v->dev.stats.bytes_out += c.out_len;
	} else {
		v->dev.stats.dropped += c.out_len;
		if (r == -EMSGSIZE)
			virtio_dev_malformed(&v->dev, "packet of an impossible length");
		else
			v->gone = true;
	}
	virtq_push(vq, &c, 0);
	return true;
}

static bool vsock_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool vsock_run(struct virtio_dev *dev)
{
	struct virtio_vsock *v = to_vsock(dev);
	bool in = true;
	bool out = true;

	vmm_lock_held(&v->dev.lock);
	for (unsigned int i = 0; i < RUN_PACKETS && (in || out); i++) {
		in = in && receive(v);
		out = out && send_next(v);
	}
	return in || out;
}

static void vsock_watch(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

/* Packets for a driver that does not run, or has no room, stay in the socket, but for one. */
static void vsock_watch(struct virtio_dev *dev)
{
	struct virtio_vsock *v = to_vsock(dev);
	uint32_t events = 0;

	vmm_lock_held(&v->dev.lock);
	if (v->dev.queues[Q_RX].live && !v->held)
		events |= EPOLLIN;
	if (v->blocked)
		events |= EPOLLOUT;
	if (v->gone)
		loop_fd_del(&v->src);
	else if (loop_fd_set(&v->src, events) < 0)
		v->gone = true;
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct virtio_vsock *v = container_of(src, struct virtio_vsock, src);

	if (events & EPOLLOUT)
		v->blocked = false;
	/* What msb-vsock has said before it ended is of no use: its connections ended with it. */
	if (events & (EPOLLHUP | EPOLLERR)) {
		v->blocked = false;
		v->gone = true;
	}
	virtio_dev_run(&v->dev);
}

static const struct virtio_ops vsock_ops = {
	.device_id = VIRTIO_ID_VSOCK,
	.name = "virtio-vsock",
	.n_queues = N_QUEUES,
	.queue_sizes = {VIRTIO_VSOCK_QUEUE_SIZE, VIRTIO_VSOCK_QUEUE_SIZE, EVENTS},
	.run = vsock_run,
	.watch = vsock_watch,
};

int virtio_vsock_init(struct virtio_vsock *v, const struct virtio_env *env, int fd)
{
	int r;

	*v = (struct virtio_vsock){.fd = fd, .space = {.guest_cid = htole64(VSOCKLINK_CID_GUEST)}};
	r = virtio_dev_init(&v->dev, &vsock_ops, env, 0, &v->space, sizeof(v->space));
	if (r < 0)
		return r;
	r = loop_fd_add(env->loop, &v->src, fd, 0, on_socket);
	if (r < 0)
		virtio_dev_deinit(&v->dev);
	return r;
}

void virtio_vsock_deinit(struct virtio_vsock *v)
{
	loop_fd_del(&v->src);
	virtio_dev_deinit(&v->dev);
}
