/* SPDX-License-Identifier: Apache-2.0 */
/* The device as QEMU has it: see vhost.h. */
#include "vsock/vhost.h"

#include <endian.h>

enum { Q_RX, Q_TX };

enum {
	RUN_PACKETS = 64, /* of each direction */
	PIECES_MAX = 64,
};

static const struct virtio_vsock_config config = {.guest_cid = VSOCK_CID_GUEST};

/* The queue of events is QEMU's own. */
static const struct vhost_user_ops vsock_ops = {
	.n_queues = 2, .config = &config, .config_len = sizeof(config)};

/* One packet of the guest. Return: was there one? */
static bool receive(struct vsock_vhost *v)
{
	struct vhost_user_queue *q = &v->user.queues[Q_TX];
	struct iovec pieces[PIECES_MAX];
	struct iovec *data = pieces;
	struct virtio_vsock_hdr h;
	struct virtq_chain c;
	size_t n;
	int r;

	if (!vsock_mux_accepts(v->mux))
		return false;
	r = virtq_next(&q->vq, pieces, PIECES_MAX, &c);
	if (r == VIRTQ_NO_SPACE)
		r = virtq_break(&q->vq, "packet of too many pieces");
	if (r != 0)
		return false;
	if (chain_read(&c, 0, &h, sizeof(h))) {
		n = iov_window(&data, c.n_out, sizeof(h), c.out_len - sizeof(h));
		vsock_mux_take(v->mux, &h, data, n, c.out_len - sizeof(h));
	}
	virtq_push(&q->vq, &c, 0);
	return true;
}

/* One packet to the guest. Return: was there one, and a buffer for it? */
static bool send_next(struct vsock_vhost *v)
{
	struct vhost_user_queue *q = &v->user.queues[Q_RX];
	struct iovec pieces[PIECES_MAX];
	struct iovec copy[PIECES_MAX];
	struct iovec *room = copy;
	struct virtio_vsock_hdr h;
	struct virtq_chain c;
	ssize_t len;
	size_t n;
	int r = virtq_next(&q->vq, pieces, PIECES_MAX, &c);

	if (r == VIRTQ_NO_SPACE)
		r = virtq_break(&q->vq, "buffer of too many pieces");
	if (r != 0)
		return false;
	if (c.n_out > 0 || c.in_len <= sizeof(h)) {
		(void)virtq_break(&q->vq, "receive buffer of the wrong kind");
		return false;
	}
	memcpy(copy, pieces, c.n_in * sizeof(copy[0]));
	n = iov_window(&room, c.n_in, sizeof(h), c.in_len - sizeof(h));
	len = vsock_mux_next(v->mux, &h, room, n);
	if (len < 0) {
		virtq_unpop(&q->vq);
		return false;
	}
	(void)!chain_write(&c, 0, &h, sizeof(h)); /* fits: see above */
	virtq_push(&q->vq, &c, (uint32_t)(sizeof(h) + (size_t)len));
	return true;
}

bool vsock_vhost_run(struct vsock_vhost *v)
{
	struct vhost_user_queue *rx = &v->user.queues[Q_RX];
	struct vhost_user_queue *tx = &v->user.queues[Q_TX];
	bool in = vhost_user_running(tx);
	bool out = vhost_user_running(rx);

	if (in)
		virtq_notify_off(&tx->vq);
	for (unsigned int i = 0; i < RUN_PACKETS && (in || out); i++) {
		out = out && send_next(v);
		in = in && receive(v);
		/* A packet may have made something to say. */
		out = out || (in && vhost_user_running(rx));
	}
	if (vhost_user_running(tx))
		(void)vhost_user_publish(tx);
	if (vhost_user_running(rx))
		(void)vhost_user_publish(rx);
	return in || out;
}

static void on_work(struct loop_timer *t)
{
	struct vsock_vhost *v = container_of(t, struct vsock_vhost, work);

	if (vsock_vhost_run(v))
		vsock_vhost_ready(v);
}

static void on_kick_rx(struct loop_fd *src, uint32_t events)
{
	struct vsock_vhost *v = container_of(src, struct vsock_vhost, kicks[Q_RX]);

	(void)events;
	vhost_user_take_kick(&v->user.queues[Q_RX]);
	vsock_vhost_ready(v);
}

static void on_kick_tx(struct loop_fd *src, uint32_t events)
{
	struct vsock_vhost *v = container_of(src, struct vsock_vhost, kicks[Q_TX]);

	(void)events;
	vhost_user_take_kick(&v->user.queues[Q_TX]);
	vsock_vhost_ready(v);
}

static void unwatch_kicks(struct vsock_vhost *v)
{
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++)
		loop_fd_del(&v->kicks[i]);
}

static int watch_kicks(struct vsock_vhost *v)
{
	int r = 0;

	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX && r == 0; i++) {
		if (vhost_user_running(&v->user.queues[i]))
			r = loop_fd_add(v->loop, &v->kicks[i], v->user.queues[i].kick_fd, EPOLLIN,
				i == Q_RX ? on_kick_rx : on_kick_tx);
	}
	/* What was kicked before is in the rings. */
	vsock_vhost_ready(v);
	return r;
}

/* A message may close and replace what is watched. */
static void on_qemu(struct loop_fd *src, uint32_t events)
{
	struct vsock_vhost *v = container_of(src, struct vsock_vhost, src);
	int r;

	(void)events;
	unwatch_kicks(v);
	r = vhost_user_socket(&v->user);
	if (r > 0)
		r = watch_kicks(v) < 0 ? -EIO : 1;
	if (r <= 0)
		loop_stop(v->loop, r);
}

void vsock_vhost_ready(struct vsock_vhost *v)
{
	loop_defer(v->loop, &v->work, on_work);
}

int vsock_vhost_init(struct vsock_vhost *v, struct loop *loop, int fd, struct vsock_mux *mux)
{
	*v = (struct vsock_vhost){.loop = loop, .mux = mux};
	vhost_user_init(&v->user, &vsock_ops, fd);
	return loop_fd_add(loop, &v->src, fd, EPOLLIN, on_qemu);
}

void vsock_vhost_deinit(struct vsock_vhost *v)
{
	unwatch_kicks(v);
	loop_fd_del(&v->src);
	loop_timer_del(&v->work);
	vhost_user_deinit(&v->user);
}
