/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs: see fs.h.
 *
 * #syscalls(vmm:loop): sendmsg recvmsg epoll_ctl
 */
#include "vmm/virtio/fs.h"

#include <linux/fuse.h>
#include <linux/virtio_ids.h>
#include <sys/socket.h>

enum { N_QUEUES = 2, RUN_REQUESTS = 64 };

_Static_assert(FSLINK_REPLY_MIN == sizeof(struct fuse_out_header), "head of a reply");

static struct virtio_fs *to_fs(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_fs, dev);
}

static bool wants_reply(const struct virtq_chain *c)
{
	return c->in_len >= FSLINK_REPLY_MIN;
}

/* An answer of ours. The number may have changed since the request was sent: the guest's loss. */
static void refuse(struct virtio_fs *f, struct virtq *vq, struct virtq_chain *c)
	VMM_REQUIRES(f->dev.lock);

static void refuse(struct virtio_fs *f, struct virtq *vq, struct virtq_chain *c)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = -EIO};
	struct fuse_in_header in = {0};

	f->dev.stats.failed++;
	if (chain_read(c, 0, &in, sizeof(in)))
		out.unique = in.unique;
	virtq_push(vq, c, chain_write(c, 0, &out, sizeof(out)) ? sizeof(out) : 0);
}

static void land(struct virtio_fs *f, size_t n) VMM_REQUIRES(f->dev.lock);

/* The oldest request has its reply, of @n bytes; 0: it never will. */
static void land(struct virtio_fs *f, size_t n)
{
	struct virtio_fs_flight *fl = &f->flights[f->first];
	struct virtq *vq = &f->dev.queues[fl->queue];

	f->first = (f->first + 1) % VIRTIO_FS_FLIGHTS;
	f->n_flights--;
	/* The driver may have taken its queue back, and even given another in its place. */
	if (fl->forgotten || !vq->live || vq->in_flight == 0)
		return;
	if (n == 0) {
		refuse(f, vq, &fl->chain);
		return;
	}
	f->dev.stats.bytes_in += n;
	virtq_push(vq, &fl->chain, (uint32_t)n);
}

/* One reply. Return: was there one? */
static bool receive(struct virtio_fs *f) VMM_REQUIRES(f->dev.lock);

static bool receive(struct virtio_fs *f)
{
	struct virtio_fs_flight *fl = &f->flights[f->first];
	uint8_t nowhere[FSLINK_REPLY_MIN];
	struct iovec rest = {nowhere, sizeof(nowhere)};
	struct msghdr m = {.msg_iov = &rest, .msg_iovlen = 1};
	ssize_t n;

	if (f->n_flights > 0 && !fl->forgotten) {
		m.msg_iov = fl->iov + fl->chain.n_out;
		m.msg_iovlen = fl->chain.n_in;
	}
	n = recvmsg(f->fd, &m, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* A reply that nobody asked for is the end of the understanding. */
	if (n < (ssize_t)FSLINK_REPLY_MIN || f->n_flights == 0) {
		f->gone = true;
		return false;
	}
	land(f, (size_t)n);
	return true;
}

/* Return: 0; -EAGAIN when the socket is full; another negative errno when it cannot be sent. */
static int transmit(struct virtio_fs *f, const struct virtq_chain *c)
{
	struct fslink_head head = {.room = c->in_len};
	struct iovec iov[VIRTIO_FS_QUEUE_SIZE + 1] = {{&head, sizeof(head)}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = c->n_out + (size_t)1};

	memcpy(iov + 1, c->iov, c->n_out * sizeof(iov[0]));
	if (sendmsg(f->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/* No memory for the message is as passing as no room for it. */
	return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}

static void submit(struct virtio_fs *f, unsigned int queue, const struct virtq_chain *c)
	VMM_REQUIRES(f->dev.lock);

/* It was sent; @c has its iovecs in the slot already. */
static void submit(struct virtio_fs *f, unsigned int queue, const struct virtq_chain *c)
{
	struct virtio_fs_flight *fl = &f->flights[(f->first + f->n_flights) % VIRTIO_FS_FLIGHTS];

	f->dev.stats.requests++;
	f->dev.stats.bytes_out += c->out_len;
	if (!wants_reply(c)) {
		virtq_push(&f->dev.queues[queue], c, 0);
		return;
	}
	fl->chain = *c;
	fl->queue = queue;
	fl->forgotten = false;
	f->n_flights++;
}

/* One request. Return: was there one, and could it go? */
static bool send_next(struct virtio_fs *f, unsigned int queue) VMM_REQUIRES(f->dev.lock);

static bool send_next(struct virtio_fs *f, unsigned int queue)
{
	struct virtq *vq = &f->dev.queues[queue];
	struct virtio_fs_flight *fl = &f->flights[(f->first + f->n_flights) % VIRTIO_FS_FLIGHTS];
	struct virtq_chain c;
	int r;

	if (f->n_flights == VIRTIO_FS_FLIGHTS || f->blocked)
		return false;
	if (virtq_next(vq, fl->iov, VIRTIO_FS_QUEUE_SIZE, &c) != 0)
		return false;
	r = f->gone ? -EPIPE : transmit(f, &c);
	if (r == 0) {
		submit(f, queue, &c);
	} else if (r == -EAGAIN) {
		virtq_unpop(vq);
		f->blocked = true;
		return false;
	} else {
		/* Too long for a message is the driver's mistake; all else is the end of msb-fs. */
		f->gone = f->gone || r != -EMSGSIZE;
		refuse(f, vq, &c);
	}
	return true;
}

static bool fs_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool fs_run(struct virtio_dev *dev)
{
	struct virtio_fs *f = to_fs(dev);

	vmm_lock_held(&f->dev.lock);
	for (unsigned int i = 0; i < RUN_REQUESTS; i++) {
		bool moved = !f->gone && f->n_flights > 0 && receive(f);

		while (f->gone && f->n_flights > 0)
			land(f, 0);
		for (unsigned int q = 0; q < N_QUEUES; q++)
			moved = send_next(f, q) || moved;
		if (!moved)
			return false;
	}
	return true;
}

static void fs_watch(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

/* Also when the device does not run: replies for a driver that was reset must not pile up. */
static void fs_watch(struct virtio_dev *dev)
{
	struct virtio_fs *f = to_fs(dev);

	vmm_lock_held(&f->dev.lock);
	while (!f->gone && f->n_flights > 0) {
		struct virtio_fs_flight *fl = &f->flights[f->first];

		if (!f->dev.queues[fl->queue].live)
			fl->forgotten = true;
		if (!fl->forgotten || !receive(f))
			break;
	}
	if (f->gone)
		loop_fd_del(&f->src);
	else if (loop_fd_set(&f->src, f->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN) < 0)
		f->gone = true;
}

static void fs_reset(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static void fs_reset(struct virtio_dev *dev)
{
	struct virtio_fs *f = to_fs(dev);

	vmm_lock_held(&f->dev.lock);
	for (unsigned int i = 0; i < f->n_flights; i++)
		f->flights[(f->first + i) % VIRTIO_FS_FLIGHTS].forgotten = true;
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct virtio_fs *f = container_of(src, struct virtio_fs, src);

	if (events & EPOLLOUT)
		f->blocked = false;
	if (events & (EPOLLHUP | EPOLLERR))
		f->gone = true;
	vmm_lock(&f->dev.lock);
	if (f->n_flights == 0 && !f->gone)
		(void)receive(f); /* nobody asked: that ends it */
	vmm_unlock(&f->dev.lock);
	virtio_dev_run(&f->dev);
}

static const struct virtio_ops fs_ops = {
	.device_id = VIRTIO_ID_FS,
	.name = "virtio-fs",
	.n_queues = N_QUEUES,
	.queue_sizes = {VIRTIO_FS_QUEUE_SIZE, VIRTIO_FS_QUEUE_SIZE},
	.run = fs_run,
	.watch = fs_watch,
	.reset = fs_reset,
};

int virtio_fs_init(struct virtio_fs *f, const struct virtio_env *env, int fd, const char *tag)
{
	int r;

	*f = (struct virtio_fs){.fd = fd, .space = {.num_request_queues = 1}};
	memcpy(f->space.tag, tag, strnlen(tag, sizeof(f->space.tag)));
	r = virtio_dev_init(&f->dev, &fs_ops, env, 0, &f->space, sizeof(f->space));
	if (r < 0)
		return r;
	r = loop_fd_add(env->loop, &f->src, fd, EPOLLIN, on_socket);
	if (r < 0)
		virtio_dev_deinit(&f->dev);
	return r;
}

void virtio_fs_deinit(struct virtio_fs *f)
{
	loop_fd_del(&f->src);
	virtio_dev_deinit(&f->dev);
}
