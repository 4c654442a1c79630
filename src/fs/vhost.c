/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs device for QEMU: see vhost.h.
 *
 * #syscalls(fs:serve): poll ppoll restart_syscall
 */
#include "fs/vhost.h"

#include <linux/fuse.h>
#include <poll.h>

enum {
	PIECES_MAX = FS_IOV_MAX, /* of a chain: a request has a piece for each page */
	WORK_MAX = 64, /* requests of one queue before the others are looked at */
};

static const struct vhost_user_ops fs_ops = {.n_queues = VHOST_QUEUES};

struct vhost *vhost_new(struct fs *fs, int fd)
{
	struct vhost *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->fs = fs;
	vhost_user_init(&v->user, &fs_ops, fd);
	return v;
}

struct vhost *vhost_free(struct vhost *v)
{
	if (!v)
		return NULL;
	vhost_user_deinit(&v->user);
	free(v);
	return NULL;
}

/* The readable part: what the server wants in one piece, and the payload of a write where it is. */
static void gather(struct vhost *v, struct virtq_chain *c, struct fs_request *rq)
{
	struct fuse_in_header h = {0};
	size_t n = MIN((size_t)c->out_len, (size_t)FS_HEAD_WRITE);
	struct iovec *data = c->iov;

	*rq = (struct fs_request){.head = v->head, .head_len = n};
	if (!chain_read(c, 0, v->head, n) || n < sizeof(h)) {
		v->malformed++;
		rq->head_len = 0;
		return;
	}
	memcpy(&h, v->head, sizeof(h));
	if (h.opcode == FUSE_WRITE) {
		rq->n_data = (unsigned int)iov_window(&data, c->n_out, n, c->out_len - n);
		rq->data = data;
		rq->data_len = c->out_len - n;
		return;
	}
	/* The part that is here already is not read again: it could be another one. */
	rq->head_len = MIN((size_t)c->out_len, sizeof(v->head));
	if (rq->head_len > n && !chain_read(c, n, v->head + n, rq->head_len - n))
		rq->head_len = n;
}

static uint32_t answer(struct vhost *v, struct virtq_chain *c)
{
	struct iovec room[PIECES_MAX];
	struct iovec *data = room;
	struct fs_reply rp = {
		.buf = v->reply, .room = MIN((size_t)c->in_len, (size_t)FS_REPLY_MAX)};
	struct fs_request rq;
	size_t len;

	gather(v, c, &rq);
	memcpy(room, c->iov + c->n_out, c->n_in * sizeof(room[0]));
	if (rp.room > FS_REPLY_HEAD)
		rp.n_data = (unsigned int)iov_window(
			&data, c->n_in, FS_REPLY_HEAD, rp.room - FS_REPLY_HEAD);
	rp.data = data;
	len = fs_handle(v->fs, &rq, &rp);
	if (len > 0 && !chain_write(c, 0, v->reply, rp.in_data ? FS_REPLY_HEAD : len))
		return 0;
	return (uint32_t)len;
}

bool vhost_work(struct vhost *v, unsigned int i)
{
	struct vhost_user_queue *q = &v->user.queues[i];
	struct iovec iov[PIECES_MAX];
	bool more = true;

	virtq_notify_off(&q->vq);
	for (unsigned int n = 0; n < WORK_MAX; n++) {
		struct virtq_chain c;
		int r = virtq_next(&q->vq, iov, PIECES_MAX, &c);

		if (r == VIRTQ_NO_SPACE)
			r = virtq_break(&q->vq, "chain of too many pieces");
		if (r != 0) {
			more = false;
			break;
		}
		virtq_push(&q->vq, &c, answer(v, &c));
		if (!vhost_user_publish(q))
			v->malformed++;
	}
	return more;
}

/* Which queues have something to do; fills @p. */
static bool watch_queues(const struct vhost *v, const bool *more, struct pollfd *p)
{
	bool busy = false;

	for (unsigned int i = 0; i < VHOST_QUEUES; i++) {
		const struct vhost_user_queue *q = &v->user.queues[i];

		p[i] = (struct pollfd){
			.fd = vhost_user_running(q) ? q->kick_fd : -1, .events = POLLIN};
		busy = busy || (more[i] && vhost_user_running(q));
	}
	return busy;
}

static void work_queues(struct vhost *v, bool *more, const struct pollfd *p)
{
	for (unsigned int i = 0; i < VHOST_QUEUES; i++) {
		if (p[i].revents)
			vhost_user_take_kick(&v->user.queues[i]);
		if (vhost_user_running(&v->user.queues[i]) && (p[i].revents || more[i]))
			more[i] = vhost_work(v, i);
	}
}

int vhost_run(struct vhost *v)
{
	bool more[VHOST_QUEUES] = {false};

	for (;;) {
		struct pollfd p[1 + VHOST_QUEUES] = {{.fd = v->user.fd, .events = POLLIN}};
		bool busy = watch_queues(v, more, p + 1);
		int r;

		if (poll(p, ARRAY_SIZE(p), busy ? 0 : -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		work_queues(v, more, p + 1);
		r = p[0].revents ? vhost_user_socket(&v->user) : 1;
		if (r <= 0)
			return r;
	}
}
