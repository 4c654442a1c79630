/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of QEMU in this process: see vhost-user.h. The protocol is QEMU's
 * docs/interop/vhost-user.
 *
 * #syscalls(fs:serve): recvmsg recvfrom sendto read write lseek
 * #syscalls(vsock:serve): recvmsg recvfrom sendto read write lseek
 */
#include "vmm/virtio/vhost-user.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	RESET_OWNER = 4,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

enum {
	FLAG_VERSION = 1,
	FLAG_REPLY = 4,
	FLAG_NEED_REPLY = 8,
	VRING_NO_FD = 0x100,
};

#define F_PROTOCOL  (UINT64_C(1) << 30)
#define F_EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT  (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define F_VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
#define FEATURES    (F_PROTOCOL | F_EVENT_IDX | F_INDIRECT | F_VERSION_1)

#define P_MQ	    (UINT64_C(1) << 0)
#define P_REPLY_ACK (UINT64_C(1) << 3)
#define P_CONFIG    (UINT64_C(1) << 9)

struct vring_state {
	uint32_t index;
	uint32_t num;
};

struct vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct memory_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user;
	uint64_t offset;
};

struct config_head {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
};

struct memory_table {
	uint32_t n;
	uint32_t padding;
	struct memory_region regions[8];
};

_Static_assert(sizeof(struct memory_table) == VHOST_USER_PAYLOAD_MAX, "the largest message");

static void drop_memory(struct vhost_user *v)
{
	for (unsigned int i = 0; i < v->n_regions; i++)
		(void)munmap(v->regions[i].map, v->regions[i].map_size);
	v->n_regions = 0;
	gmem_init(&v->mem);
}

static void stop_queue(struct vhost_user_queue *q)
{
	virtq_disable(&q->vq);
	q->kick_fd = fd_close(q->kick_fd);
}

void vhost_user_init(struct vhost_user *v, const struct vhost_user_ops *ops, int fd)
{
	*v = (struct vhost_user){.ops = ops, .fd = fd};
	gmem_init(&v->mem);
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		v->queues[i] = (struct vhost_user_queue){.kick_fd = -EBADF, .call_fd = -EBADF};
		virtq_init(&v->queues[i].vq, &v->mem, VIRTQ_SIZE_MAX);
	}
}

void vhost_user_deinit(struct vhost_user *v)
{
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		stop_queue(&v->queues[i]);
		v->queues[i].call_fd = fd_close(v->queues[i].call_fd);
	}
	drop_memory(v);
}

bool vhost_user_publish(struct vhost_user_queue *q)
{
	const uint64_t one = 1;

	/* A full event counter is a wake-up that was not read yet. */
	return !virtq_publish(&q->vq) || q->call_fd < 0 ||
	       write(q->call_fd, &one, sizeof(one)) >= 0 || errno == EAGAIN;
}

static int add_region(struct vhost_user *v, const struct memory_region *m, int fd)
{
	struct vhost_user_region *r = &v->regions[v->n_regions];
	uint64_t end;
	off_t file;
	void *p;
	int e;

	if (v->n_regions == GMEM_REGIONS_MAX)
		return -E2BIG;
	file = lseek(fd, 0, SEEK_END);
	if (file < 0)
		return -errno;
	/* Beyond the end of the file there is no memory but a signal. */
	if (__builtin_add_overflow(m->offset, m->size, &end) || end > (uint64_t)file ||
		m->size == 0 || m->user + m->size < m->user)
		return -EINVAL;
	p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m->offset);
	if (p == MAP_FAILED)
		return -errno;
	e = gmem_add(&v->mem, m->gpa, p, m->size);
	if (e < 0) {
		(void)munmap(p, m->size);
		return e;
	}
	*r = (struct vhost_user_region){m->gpa, m->size, m->user, p, m->size};
	v->n_regions++;
	return 0;
}

static int set_memory(struct vhost_user *v, const uint8_t *payload, uint32_t size, const int *fds,
	unsigned int n_fds)
{
	struct memory_table t = {0};

	if (size < 8 || size > sizeof(t))
		return -EPROTO;
	memcpy(&t, payload, size);
	if (t.n != n_fds || t.n > ARRAY_SIZE(t.regions) || size < 8 + t.n * sizeof(t.regions[0]))
		return -EPROTO;
	/* The rings lie in the old memory. */
	for (unsigned int i = 0; i < v->ops->n_queues; i++)
		stop_queue(&v->queues[i]);
	drop_memory(v);
	for (uint32_t i = 0; i < t.n; i++) {
		int r = add_region(v, &t.regions[i], fds[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Address in QEMU to guest address; what is nowhere becomes one that is nowhere. */
static uint64_t to_gpa(const struct vhost_user *v, uint64_t user)
{
	for (unsigned int i = 0; i < v->n_regions; i++) {
		const struct vhost_user_region *r = &v->regions[i];

		if (user >= r->user && user - r->user < r->size)
			return r->gpa + (user - r->user);
	}
	return UINT64_MAX;
}

static int start_queue(struct vhost_user *v, struct vhost_user_queue *q)
{
	struct virtq *vq = &q->vq;
	uint16_t size = vq->setup.size;
	int r;

	vq->setup = (struct virtq_setup){.desc = to_gpa(v, q->desc),
		.avail = to_gpa(v, q->avail),
		.used = to_gpa(v, q->used),
		.size = size};
	r = virtq_enable(vq, v->features & F_EVENT_IDX, v->features & F_INDIRECT);
	if (r < 0)
		return r;
	vq->next_avail = vq->avail_seen = q->base;
	vq->next_used = vq->published = guest_ld16(vq->used + offsetof(struct vring_used, idx));
	vq->live = true;
	return 0;
}

static struct vhost_user_queue *queue_of(struct vhost_user *v, uint64_t index)
{
	return index < v->ops->n_queues ? &v->queues[index] : NULL;
}

/* A queue and a number of it; NULL: the message is none of that kind. */
static struct vhost_user_queue *state_of(
	struct vhost_user *v, const uint8_t *payload, uint32_t size, struct vring_state *ret)
{
	if (size != sizeof(*ret))
		return NULL;
	memcpy(ret, payload, sizeof(*ret));
	return queue_of(v, ret->index);
}

/* KICK, CALL and ERR: a queue and maybe a descriptor. */
static int set_event(struct vhost_user *v, uint32_t request, const uint8_t *payload, uint32_t size,
	int *fds, unsigned int n_fds)
{
	struct vhost_user_queue *q;
	uint64_t word;
	int fd = -EBADF;

	if (size != sizeof(word))
		return -EPROTO;
	memcpy(&word, payload, sizeof(word));
	q = queue_of(v, word & 0xff);
	if (!q || (word & VRING_NO_FD ? n_fds != 0 : n_fds != 1))
		return -EPROTO;
	if (n_fds == 1 && request != SET_VRING_ERR)
		fd = TAKE_FD(fds[0]);
	if (request == SET_VRING_CALL) {
		fd_close(q->call_fd);
		q->call_fd = fd;
	} else if (request == SET_VRING_KICK) {
		fd_close(q->kick_fd);
		q->kick_fd = fd;
		return start_queue(v, q);
	}
	return 0;
}

static int set_vring(struct vhost_user *v, uint32_t request, const uint8_t *payload, uint32_t size)
{
	struct vring_state s;
	struct vhost_user_queue *q;

	q = state_of(v, payload, size, &s);
	if (!q)
		return -EPROTO;
	if (request == SET_VRING_ENABLE) {
		q->enabled = s.num != 0;
		return 0;
	}
	/* What a running queue works with is frozen. */
	if (q->vq.setup.ready || s.num > UINT16_MAX)
		return -EPROTO;
	if (request == SET_VRING_NUM)
		q->vq.setup.size = (uint16_t)s.num;
	else
		q->base = (uint16_t)s.num;
	return 0;
}

static int set_addr(struct vhost_user *v, const uint8_t *payload, uint32_t size)
{
	struct vring_addr a;
	struct vhost_user_queue *q;

	if (size != sizeof(a))
		return -EPROTO;
	memcpy(&a, payload, sizeof(a));
	q = queue_of(v, a.index);
	if (!q || q->vq.setup.ready)
		return -EPROTO;
	q->desc = a.desc;
	q->avail = a.avail;
	q->used = a.used;
	return 0;
}

/* Also stops the queue. */
static int get_base(struct vhost_user *v, const uint8_t *payload, uint32_t size, uint8_t *reply,
	uint32_t *ret_size)
{
	struct vring_state s;
	struct vhost_user_queue *q;

	q = state_of(v, payload, size, &s);
	if (!q)
		return -EPROTO;
	q->base = q->vq.setup.ready ? q->vq.next_avail : q->base;
	stop_queue(q);
	s.num = q->base;
	memcpy(reply, &s, sizeof(s));
	*ret_size = sizeof(s);
	return 0;
}

static uint64_t protocol_features(const struct vhost_user *v)
{
	return P_MQ | P_REPLY_ACK | (v->ops->config_len > 0 ? P_CONFIG : 0);
}

static int set_word(uint64_t *to, uint64_t allowed, const uint8_t *payload, uint32_t size)
{
	uint64_t word;

	if (size != sizeof(word))
		return -EPROTO;
	memcpy(&word, payload, sizeof(word));
	if (word & ~allowed)
		return -EPROTO;
	*to = word;
	return 0;
}

static int put_word(uint64_t word, uint8_t *reply, uint32_t *ret_size)
{
	memcpy(reply, &word, sizeof(word));
	*ret_size = sizeof(word);
	return 0;
}

/* A part of the configuration space, behind where it is. */
static int get_config(const struct vhost_user *v, const uint8_t *payload, uint32_t size,
	uint8_t *reply, uint32_t *ret_size)
{
	struct config_head h;

	if (size < sizeof(h))
		return -EPROTO;
	memcpy(&h, payload, sizeof(h));
	if (h.size != size - sizeof(h) || h.offset > v->ops->config_len ||
		h.size > v->ops->config_len - h.offset)
		return -EPROTO;
	memcpy(reply, &h, sizeof(h));
	/* A device without a configuration has nothing to copy from either. */
	if (h.size)
		memcpy(reply + sizeof(h), (const uint8_t *)v->ops->config + h.offset, h.size);
	*ret_size = size;
	return 0;
}

static int dispatch(struct vhost_user *v, const struct vhost_user_head *h, const uint8_t *payload,
	int *fds, unsigned int n_fds, uint8_t *reply, uint32_t *ret_size)
{
	switch (h->request) {
	case GET_FEATURES:
		return put_word(FEATURES | v->ops->features, reply, ret_size);
	case SET_FEATURES:
		return set_word(&v->features, FEATURES | v->ops->features, payload, h->size);
	case GET_PROTOCOL_FEATURES:
		return put_word(protocol_features(v), reply, ret_size);
	case SET_PROTOCOL_FEATURES:
		return set_word(&v->protocol, protocol_features(v), payload, h->size);
	case GET_QUEUE_NUM:
		return put_word(v->ops->n_queues, reply, ret_size);
	case SET_OWNER:
	case RESET_OWNER:
		return 0;
	case SET_MEM_TABLE:
		return set_memory(v, payload, h->size, fds, n_fds);
	case SET_VRING_NUM:
	case SET_VRING_BASE:
	case SET_VRING_ENABLE:
		return set_vring(v, h->request, payload, h->size);
	case SET_VRING_ADDR:
		return set_addr(v, payload, h->size);
	case GET_VRING_BASE:
		return get_base(v, payload, h->size, reply, ret_size);
	case SET_VRING_KICK:
	case SET_VRING_CALL:
	case SET_VRING_ERR:
		return set_event(v, h->request, payload, h->size, fds, n_fds);
	case GET_CONFIG:
		return get_config(v, payload, h->size, reply, ret_size);
	default:
		return -EPROTO; /* nothing that we offered leads to it */
	}
}

int vhost_user_message(struct vhost_user *v, const struct vhost_user_head *h,
	const uint8_t *payload, int *fds, unsigned int n_fds, uint8_t *ret_reply,
	uint32_t *ret_size)
{
	int r;

	*ret_size = 0;
	r = dispatch(v, h, payload, fds, n_fds, ret_reply, ret_size);
	if (r == 0 && *ret_size == 0 && h->flags & FLAG_NEED_REPLY && v->protocol & P_REPLY_ACK)
		return put_word(0, ret_reply, ret_size);
	return r;
}

static int send_reply(
	const struct vhost_user *v, uint32_t request, const uint8_t *payload, uint32_t size)
{
	uint8_t m[sizeof(struct vhost_user_head) + VHOST_USER_PAYLOAD_MAX];
	struct vhost_user_head h = {request, FLAG_VERSION | FLAG_REPLY, size};
	size_t n = sizeof(h) + size;

	memcpy(m, &h, sizeof(h));
	memcpy(m + sizeof(h), payload, size);
	return send(v->fd, m, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -EIO;
}

/* The head of a message and the descriptors that come with its first byte. */
static int read_head(
	const struct vhost_user *v, struct vhost_user_head *h, int *fds, unsigned int *ret_n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_FDS * sizeof(int))];
	} control;
	struct iovec iov = {h, sizeof(*h)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c;
	ssize_t n = recvmsg(v->fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);

	*ret_n = 0;
	/* A peer that was killed with something unread. */
	if (n <= 0)
		return n < 0 && errno != ECONNRESET ? -errno : 0;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*ret_n = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	return n == (ssize_t)sizeof(*h) && !(m.msg_flags & MSG_CTRUNC) ? 1 : -EPROTO;
}

int vhost_user_socket(struct vhost_user *v)
{
	uint8_t payload[VHOST_USER_PAYLOAD_MAX];
	uint8_t reply[VHOST_USER_PAYLOAD_MAX];
	int fds[VHOST_USER_FDS];
	unsigned int n_fds = 0;
	uint32_t size = 0;
	struct vhost_user_head h;
	int r = read_head(v, &h, fds, &n_fds);

	if (r == 1 && h.size > sizeof(payload))
		r = -EPROTO;
	if (r == 1 && h.size > 0 && recv(v->fd, payload, h.size, MSG_WAITALL) != (ssize_t)h.size)
		r = -EPROTO;
	if (r == 1) {
		r = vhost_user_message(v, &h, payload, fds, n_fds, reply, &size);
		if (r == 0 && size > 0)
			r = send_reply(v, h.request, reply, size);
		r = r == 0 ? 1 : r;
	}
	for (unsigned int i = 0; i < n_fds; i++)
		fd_close(fds[i]);
	return r;
}

bool vhost_user_running(const struct vhost_user_queue *q)
{
	return q->vq.live && q->enabled;
}

void vhost_user_take_kick(const struct vhost_user_queue *q)
{
	uint64_t count;

	/* Nothing to read means that it was read already. */
	if (read(q->kick_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
}
