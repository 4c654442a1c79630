/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: see net.h.
 *
 * #syscalls(vmm:loop): sendmsg recvmsg epoll_ctl
 */
#include "vmm/virtio/net.h"

#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <sys/socket.h>

enum { Q_RX, Q_TX, N_QUEUES };

enum {
	RUN_FRAMES = 64, /* of each direction */
	RX_CHAINS =
		64, /* buffers of one frame: enough for the largest in pieces of an Ethernet one */
	FRAME_MIN = NETFRAME_HEADER + NETFRAME_ETH,
};

_Static_assert(sizeof(struct virtio_net_hdr_v1) == NETFRAME_HEADER, "header of the link");

#define FEATURE(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

static struct virtio_net *to_net(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_net, dev);
}

/* Nobody is at the other end any more. */
static void link_down(struct virtio_net *n) VMM_REQUIRES(n->dev.lock);

static void link_down(struct virtio_net *n)
{
	n->gone = true;
	n->space.status = 0;
	virtio_dev_config_changed(&n->dev);
}

/* The buffers that a frame is to land in. */
struct landing {
	struct virtq_chain chains[RX_CHAINS];
	struct iovec iov[VIRTIO_NET_QUEUE_SIZE + RX_CHAINS];
	size_t n_chains;
	uint16_t n_iov;
	size_t room;
};

/* A driver without these would not understand such a frame. */
static bool understands(const struct virtio_net *n, const struct virtio_net_hdr_v1 *h)
	VMM_REQUIRES(n->dev.lock);

static bool understands(const struct virtio_net *n, const struct virtio_net_hdr_v1 *h)
{
	uint64_t acked = n->dev.acked;

	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(acked & FEATURE(GUEST_CSUM)))
		return false;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return acked & FEATURE(GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return acked & FEATURE(GUEST_TSO6);
	default:
		return false;
	}
}

/*
 * Takes buffers for @len bytes. Return: 0, with less room when there never will be more; -EAGAIN
 * when there are too few yet; -EPROTO.
 */
static int prepare(struct virtio_net *n, struct landing *l, size_t len) VMM_REQUIRES(n->dev.lock);

static int prepare(struct virtio_net *n, struct landing *l, size_t len)
{
	size_t max = n->dev.acked & FEATURE(MRG_RXBUF) ? RX_CHAINS : 1;
	struct virtq *vq = &n->dev.queues[Q_RX];

	l->n_chains = l->room = 0;
	l->n_iov = 0;
	while (l->room < len && l->n_chains < max) {
		struct virtq_chain *c = &l->chains[l->n_chains];
		int r = virtq_next(vq, l->iov + l->n_iov, ARRAY_SIZE(l->iov) - l->n_iov, c);

		/* With all of the ring in hand there is nothing to wait for. */
		if (r == VIRTQ_EMPTY)
			return vq->in_flight < vq->size ? -EAGAIN : 0;
		if (r != 0)
			return MIN(r, 0);
		l->n_chains++;
		/* What the device may only read is not where a frame can go. */
		if (c->n_out > 0 || c->in_len < NETFRAME_HEADER)
			return virtq_break(vq, "receive buffer of the wrong kind");
		l->n_iov = (uint16_t)(l->n_iov + c->n_in);
		l->room += c->in_len;
	}
	return 0;
}

static void put_back(struct virtio_net *n, const struct landing *l) VMM_REQUIRES(n->dev.lock);

static void put_back(struct virtio_net *n, const struct landing *l)
{
	for (size_t i = 0; i < l->n_chains; i++)
		virtq_unpop(&n->dev.queues[Q_RX]);
}

/* Return: length of the next packet, whatever fits into @to; -1 with errno. */
static ssize_t take(const struct virtio_net *n, void *to, size_t size, int flags)
{
	struct iovec iov = {to, size};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return recvmsg(n->fd, &m, MSG_TRUNC | MSG_DONTWAIT | flags);
}

/* The next packet is of no use. */
static void discard(struct virtio_net *n, size_t len) VMM_REQUIRES(n->dev.lock);

static void discard(struct virtio_net *n, size_t len)
{
	uint8_t nowhere[1];

	n->dev.stats.dropped += len;
	if (take(n, nowhere, sizeof(nowhere), 0) <= 0)
		link_down(n);
}

static void land(struct virtio_net *n, struct landing *l, size_t len) VMM_REQUIRES(n->dev.lock);

static void land(struct virtio_net *n, struct landing *l, size_t len)
{
	struct msghdr m = {.msg_iov = l->iov, .msg_iovlen = l->n_iov};
	uint16_t num_buffers = (uint16_t)l->n_chains;

	if (recvmsg(n->fd, &m, MSG_DONTWAIT) != (ssize_t)len) {
		put_back(n, l);
		link_down(n);
		return;
	}
	/* Each chain has room for a header: see prepare(). */
	(void)!chain_write(&l->chains[0], offsetof(struct virtio_net_hdr_v1, num_buffers),
		&num_buffers, sizeof(num_buffers));
	n->dev.stats.requests++;
	n->dev.stats.bytes_in += len;
	for (size_t i = 0; i < l->n_chains; i++) {
		size_t part = MIN(len, l->chains[i].in_len);

		virtq_push(&n->dev.queues[Q_RX], &l->chains[i], (uint32_t)part);
		len -= part;
	}
}

/* One frame for the guest. Return: was there one, and could it go? */
static bool receive(struct virtio_net *n) VMM_REQUIRES(n->dev.lock);

static bool receive(struct virtio_net *n)
{
	struct virtio_net_hdr_v1 h = {0};
	struct landing l;
	ssize_t len;
	int r;

	if (n->gone)
		return false;
	/* Nothing changes in a packet that is in the socket: look first, then find it a place. */
	len = take(n, &h, sizeof(h), MSG_PEEK);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (len < FRAME_MIN || len > NETFRAME_MAX) {
		link_down(n);
		return false;
	}
	if (!understands(n, &h)) {
		discard(n, (size_t)len);
		return true;
	}
	r = prepare(n, &l, (size_t)len);
	if (r == 0 && l.room >= (size_t)len) {
		land(n, &l, (size_t)len);
		return !n->gone;
	}
	put_back(n, &l);
	/* The guest has too little room at the moment, or will never have. */
	if (r == -EAGAIN)
		n->starved = true;
	else if (r == 0)
		discard(n, (size_t)len);
	return r == 0;
}

/* Return: 0; -EAGAIN when the socket is full; another negative errno when it cannot be sent. */
static int transmit(const struct virtio_net *n, const struct virtq_chain *c)
{
	struct msghdr m = {.msg_iov = c->iov, .msg_iovlen = c->n_out};

	if (sendmsg(n->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/* No memory for the message is as passing as no room for it. */
	return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}

/* One frame of the guest. Return: was there one, and could it go? */
static bool send_next(struct virtio_net *n) VMM_REQUIRES(n->dev.lock);

static bool send_next(struct virtio_net *n)
{
	struct virtq *vq = &n->dev.queues[Q_TX];
	struct iovec iov[VIRTIO_NET_QUEUE_SIZE];
	struct virtq_chain c;
	int r = -EMSGSIZE;

	if (n->blocked || virtq_next(vq, iov, ARRAY_SIZE(iov), &c) != 0)
		return false;
	if (n->gone)
		r = -EPIPE;
	else if (c.out_len >= FRAME_MIN && c.out_len <= NETFRAME_MAX)
		r = transmit(n, &c);
	if (r == -EAGAIN) {
		virtq_unpop(vq);
		n->blocked = true;
		return false;
	}
	if (r == 0) {
		n->dev.stats.requests++;
		n->dev.stats.bytes_out += c.out_len;
	} else {
		n->dev.stats.dropped += c.out_len;
		/* Too long for a packet is the driver's mistake; all else is the end of msb-net. */
		if (r != -EMSGSIZE && !n->gone)
			link_down(n);
	}
	virtq_push(vq, &c, 0);
	return true;
}

static bool net_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool net_run(struct virtio_dev *dev)
{
	struct virtio_net *n = to_net(dev);
	bool in = true;
	bool out = true;

	vmm_lock_held(&n->dev.lock);
	n->starved = false;
	for (unsigned int i = 0; i < RUN_FRAMES && (in || out); i++) {
		in = in && receive(n);
		out = out && send_next(n);
	}
	return in || out;
}

static void net_watch(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

/* Frames for a driver that does not run, or has no room, stay in the socket. */
static void net_watch(struct virtio_dev *dev)
{
	struct virtio_net *n = to_net(dev);
	uint32_t events = 0;

	vmm_lock_held(&n->dev.lock);
	if (n->dev.queues[Q_RX].live && !n->starved)
		events |= EPOLLIN;
	if (n->blocked)
		events |= EPOLLOUT;
	if (n->gone)
		loop_fd_del(&n->src);
	else if (loop_fd_set(&n->src, events) < 0)
		link_down(n);
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct virtio_net *n = container_of(src, struct virtio_net, src);

	if (events & EPOLLOUT)
		n->blocked = false;
	/* What msb-net has said before it ended is of no use: its connections ended with it. */
	if (events & (EPOLLHUP | EPOLLERR)) {
		vmm_lock(&n->dev.lock);
		n->blocked = false;
		link_down(n);
		vmm_unlock(&n->dev.lock);
	}
	virtio_dev_run(&n->dev);
}

static const struct virtio_ops net_ops = {
	.device_id = VIRTIO_ID_NET,
	.name = "virtio-net",
	.features = FEATURE(CSUM) | FEATURE(GUEST_CSUM) | FEATURE(MAC) | FEATURE(STATUS) |
		    FEATURE(HOST_TSO4) | FEATURE(HOST_TSO6) | FEATURE(HOST_ECN) |
		    FEATURE(GUEST_TSO4) | FEATURE(GUEST_TSO6) | FEATURE(GUEST_ECN) |
		    FEATURE(MRG_RXBUF),
	.n_queues = N_QUEUES,
	.queue_sizes = {VIRTIO_NET_QUEUE_SIZE, VIRTIO_NET_QUEUE_SIZE},
	.run = net_run,
	.watch = net_watch,
};

int virtio_net_init(struct virtio_net *n, const struct virtio_env *env, int fd,
	const uint8_t mac[VIRTIO_NET_MAC])
{
	int r;

	*n = (struct virtio_net){.fd = fd, .space = {.status = VIRTIO_NET_S_LINK_UP}};
	memcpy(n->space.mac, mac, VIRTIO_NET_MAC);
	r = virtio_dev_init(&n->dev, &net_ops, env, 0, &n->space, sizeof(n->space));
	if (r < 0)
		return r;
	r = loop_fd_add(env->loop, &n->src, fd, 0, on_socket);
	if (r < 0)
		virtio_dev_deinit(&n->dev);
	return r;
}

void virtio_net_deinit(struct virtio_net *n)
{
	loop_fd_del(&n->src);
	virtio_dev_deinit(&n->dev);
}
