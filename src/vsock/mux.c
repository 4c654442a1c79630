/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the guest: see mux.h.
 *
 *	WAITING -> DIALLING -> OPEN -> DYING -> (free)
 *
 * A connection that the guest gives up while it is dialled is ABANDONED, out of sight of the guest,
 * until the answer is there. DYING is one whose reset is still to be sent. Whatever is to be sent
 *is noted in the connection and the connection is put in the line of those that have something for
 *the guest: nothing is queued but connections.
 *
 * #syscalls(vsock:serve): recvmsg sendmsg shutdown close epoll_ctl
 */
#include "vsock/mux.h"

#include <endian.h>
#include <sys/socket.h>

enum { BUCKETS = 1024, NONE = -1, PIECES = 64, RETRY_MS = 5 };

enum state { FREE, WAITING, DIALLING, ABANDONED, OPEN, DYING };

enum {
	TELL_RESPONSE = 1 << 0,
	TELL_CREDIT = 1 << 1,
	TELL_SHUTDOWN = 1 << 2,
};

enum { BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND };

struct conn {
	struct vsock_mux *mux;
	struct loop_fd src;
	int fd;
	uint8_t state;
	uint8_t tell; /* TELL_* */
	uint8_t guest_shut; /* what the guest will not do any more, VIRTIO_VSOCK_SHUTDOWN_* */
	uint8_t host_shut; /* the same of the host */
	bool lined_up; /* in the line for the guest */
	bool dialling; /* an answer is awaited */
	bool readable; /* the socket may have something */
	bool hung_up; /* the socket has ended both ways: it is not watched any more */
	uint32_t route;
	uint32_t guest_port;
	uint32_t peer_alloc; /* the guest's words */
	uint32_t peer_fwd;
	uint32_t sent; /* bytes to the guest, modulo 2^32 like the next ones */
	uint32_t received; /* bytes from the guest */
	uint32_t told_fwd; /* of those, the guest knows to be gone */
	uint64_t deadline_ns; /* of dialling */
	uint8_t *buf; /* ring of VSOCK_BUFFER bytes, made when it is needed */
	uint32_t head;
	uint32_t fill;
	int next; /* in the bucket, the line of dials or the list of free ones */
	int next_line;
};

struct port_pair {
	uint32_t guest;
	uint32_t host;
};

struct line {
	int first;
	int last;
};

struct vsock_mux {
	struct loop *loop;
	const struct vsock_mux_ops *ops;
	void *ctx;
	uint32_t n_routes;
	uint32_t *ports;
	uint32_t *live; /* connections of each */
	struct conn *conns;
	uint32_t n_conns;
	int free;
	int buckets[BUCKETS];
	struct line ready; /* by next_line */
	struct line dials; /* the same: a connection is in one of them */
	uint32_t n_dialling;
	struct loop_timer retry;
	struct port_pair resets[VSOCK_RESETS_MAX];
	uint32_t n_resets;
	struct vsock_stats stats;
};

static int index_of(const struct vsock_mux *m, const struct conn *c)
{
	return (int)(c - m->conns);
}

static void line_push(struct vsock_mux *m, struct line *l, struct conn *c)
{
	int i = index_of(m, c);

	c->next_line = NONE;
	if (l->last == NONE)
		l->first = i;
	else
		m->conns[l->last].next_line = i;
	l->last = i;
}

static struct conn *line_pop(struct vsock_mux *m, struct line *l)
{
	struct conn *c;

	if (l->first == NONE)
		return NULL;
	c = &m->conns[l->first];
	l->first = c->next_line;
	if (l->first == NONE)
		l->last = NONE;
	return c;
}

static bool idle(const struct vsock_mux *m)
{
	return m->ready.first == NONE && m->n_resets == 0;
}

static void line_up(struct conn *c)
{
	struct vsock_mux *m = c->mux;
	bool was_idle = idle(m);

	if (c->lined_up)
		return;
	c->lined_up = true;
	line_push(m, &m->ready, c);
	if (was_idle)
		m->ops->ready(m->ctx);
}

static void tell(struct conn *c, uint8_t what)
{
	c->tell |= what;
	line_up(c);
}

static int *bucket_of(struct vsock_mux *m, uint32_t guest_port, uint32_t route)
{
	return &m->buckets[(guest_port * 31 + route) % BUCKETS];
}

static struct conn *find(struct vsock_mux *m, uint32_t guest_port, uint32_t route)
{
	for (int i = *bucket_of(m, guest_port, route); i != NONE; i = m->conns[i].next) {
		if (m->conns[i].guest_port == guest_port && m->conns[i].route == route)
			return &m->conns[i];
	}
	return NULL;
}

static void unhash(struct conn *c)
{
	struct vsock_mux *m = c->mux;
	int *at = bucket_of(m, c->guest_port, c->route);

	while (*at != index_of(m, c))
		at = &m->conns[*at].next;
	*at = c->next;
}

/* All that belongs to the host. */
static void drop_socket(struct conn *c)
{
	loop_fd_del(&c->src);
	c->fd = fd_close(c->fd);
	free(c->buf);
	c->buf = NULL;
	c->fill = c->head = 0;
	c->readable = false;
}

static void release(struct conn *c)
{
	struct vsock_mux *m = c->mux;

	m->live[c->route]--;
	*c = (struct conn){.mux = m, .fd = -EBADF, .state = FREE, .next = m->free};
	m->free = index_of(m, c);
}

/* Nothing more is to be said to the guest. */
static void forget(struct conn *c)
{
	drop_socket(c);
	unhash(c);
	/* What is in a line, or awaits an answer, goes when its turn comes. */
	if (c->lined_up || c->state == WAITING || c->state == DIALLING)
		c->state = ABANDONED;
	else
		release(c);
}

/* The guest is told that there is no connection (any more). */
static void kill_conn(struct conn *c)
{
	drop_socket(c);
	c->state = DYING;
	line_up(c);
}

static void watch(struct conn *c)
{
	uint32_t events = 0;

	if (c->state != OPEN || c->hung_up || c->fd < 0)
		return;
	if (!c->readable && !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
		!(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		events |= EPOLLIN;
	if (c->fill > 0)
		events |= EPOLLOUT;
	if (loop_fd_set(&c->src, events) < 0)
		kill_conn(c);
}

/* Bytes of the guest that do not take room here any more. */
static uint32_t forwarded(const struct conn *c)
{
	return c->received - c->fill;
}

/* Bytes that the guest has room for, as it says. */
static uint32_t credit(const struct conn *c)
{
	return vsock_credit(c->sent, c->peer_fwd, c->peer_alloc);
}

/* What the host does not do any more; with both, its socket is of no use. */
static void host_shut(struct conn *c, uint8_t flags)
{
	if ((c->host_shut & flags) == flags)
		return;
	c->host_shut |= flags;
	if (c->host_shut == BOTH)
		drop_socket(c);
	tell(c, TELL_SHUTDOWN);
}

/* Does the guest believe that less than half of the room is left, and is wrong? */
static void maybe_tell_credit(struct conn *c)
{
	if (c->received - c->told_fwd > VSOCK_BUFFER / 2 && forwarded(c) != c->told_fwd)
		tell(c, TELL_CREDIT);
}

/* All is sent that the guest has said: what it has shut is shut. */
static void flushed(struct conn *c)
{
	if (c->guest_shut == BOTH) {
		kill_conn(c);
		return;
	}
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND && c->fd >= 0)
		(void)shutdown(c->fd, SHUT_WR);
}

static void flush_buffer(struct conn *c)
{
	while (c->fill > 0) {
		uint32_t n = MIN(c->fill, (uint32_t)VSOCK_BUFFER - c->head);
		struct iovec iov = {c->buf + c->head, n};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t done = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
			break;
		if (done < 0) {
			/* Nobody reads this any more; what was written may still come. */
			c->fill = 0;
			host_shut(c, VIRTIO_VSOCK_SHUTDOWN_RCV);
			break;
		}
		c->head = (c->head + (uint32_t)done) % VSOCK_BUFFER;
		c->fill -= (uint32_t)done;
	}
	maybe_tell_credit(c);
	if (c->fill == 0)
		flushed(c);
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct conn *c = container_of(src, struct conn, src);

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		c->readable = true;
		if (credit(c) > 0 || events & (EPOLLHUP | EPOLLERR))
			line_up(c);
	}
	if (c->fill > 0 && events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		flush_buffer(c);
	/* Told again and again otherwise; reading and writing tell the same from now on. */
	if (events & (EPOLLHUP | EPOLLERR) && c->state == OPEN) {
		loop_fd_del(&c->src);
		c->hung_up = true;
	}
	watch(c);
}

static void dial_next(struct vsock_mux *m)
{
	while (m->n_dialling < VSOCK_DIALS_MAX && !m->retry.loop) {
		struct conn *c = line_pop(m, &m->dials);

		if (!c)
			return;
		if (c->state == ABANDONED) {
			release(c);
			continue;
		}
		c->state = DIALLING;
		c->dialling = true;
		m->n_dialling++;
		m->ops->dial(m->ctx, c->route, (uint32_t)index_of(m, c));
	}
}

static void on_retry(struct loop_timer *t)
{
	dial_next(container_of(t, struct vsock_mux, retry));
}

static void queue_dial(struct conn *c)
{
	c->state = WAITING;
	line_push(c->mux, &c->mux->dials, c);
}

static void open_conn(struct conn *c, int fd)
{
	c->fd = fd;
	c->state = OPEN;
	if (loop_fd_add(c->mux->loop, &c->src, fd, EPOLLIN, on_socket) < 0) {
		kill_conn(c);
		return;
	}
	c->mux->stats.opened++;
	tell(c, TELL_RESPONSE);
}

void vsock_mux_dialled(struct vsock_mux *m, uint32_t token, int fd)
{
	struct conn *c = token < m->n_conns ? &m->conns[token] : NULL;

	if (!c || !c->dialling) {
		fd_close(fd);
		return;
	}
	c->dialling = false;
	m->n_dialling--;
	if (c->state == ABANDONED) {
		fd_close(fd);
		release(c);
	} else if (fd >= 0) {
		open_conn(c, fd);
	} else if (fd == -EAGAIN && clock_mono_ns() < c->deadline_ns) {
		queue_dial(c);
		loop_timer_set(
			m->loop, &m->retry, clock_mono_ns() + RETRY_MS * NSEC_PER_MSEC, on_retry);
	} else {
		m->stats.refused++;
		kill_conn(c);
	}
	dial_next(m);
}

bool vsock_mux_accepts(const struct vsock_mux *m)
{
	return m->n_resets < VSOCK_RESETS_MAX;
}

static void reset(struct vsock_mux *m, const struct virtio_vsock_hdr *h)
{
	bool was_idle = idle(m);

	/* A reset is not answered, or two of them would never end. */
	if (le16toh(h->op) == VIRTIO_VSOCK_OP_RST || !vsock_mux_accepts(m))
		return;
	m->resets[m->n_resets++] =
		(struct port_pair){.guest = le32toh(h->src_port), .host = le32toh(h->dst_port)};
	if (was_idle)
		m->ops->ready(m->ctx);
}

static int route_of(const struct vsock_mux *m, uint32_t port)
{
	for (uint32_t i = 0; i < m->n_routes; i++) {
		if (m->ports[i] == port)
			return (int)i;
	}
	return NONE;
}

static struct conn *new_conn(struct vsock_mux *m, uint32_t route, uint32_t guest_port)
{
	int *bucket = bucket_of(m, guest_port, route);
	struct conn *c;

	if (m->free == NONE || m->live[route] == VSOCK_STREAMS_MAX)
		return NULL;
	c = &m->conns[m->free];
	m->free = c->next;
	m->live[route]++;
	*c = (struct conn){.mux = m,
		.fd = -EBADF,
		.route = route,
		.guest_port = guest_port,
		.deadline_ns = clock_mono_ns() + VSOCK_DIAL_MS * NSEC_PER_MSEC,
		.next = *bucket};
	*bucket = index_of(m, c);
	return c;
}

/* Copies what is left of @data behind @off into the ring; there is room. */
static bool keep(struct conn *c, const struct iovec *data, size_t n, size_t off, size_t len)
{
	if (!c->buf)
		c->buf = malloc(VSOCK_BUFFER);
	if (!c->buf)
		return false;
	for (size_t i = 0; i < n && off < len; i++) {
		const uint8_t *p = data[i].iov_base;
		size_t here = MIN(data[i].iov_len, len);

		len -= here;
		if (off >= here) {
			off -= here;
			continue;
		}
		for (size_t at = off; at < here;) {
			uint32_t tail = (c->head + c->fill) % VSOCK_BUFFER;
			size_t part = MIN(here - at, (size_t)(VSOCK_BUFFER - tail));

			memcpy(c->buf + tail, p + at, part);
			c->fill += (uint32_t)part;
			at += part;
		}
		/* From here on everything is kept. */
		off = 0;
	}
	return true;
}

/* The first @len bytes of @data in @msg, at most PIECES pieces; how many bytes these are. */
static size_t cut(struct msghdr *msg, const struct iovec *data, size_t n, size_t len)
{
	struct iovec *to = msg->msg_iov;
	size_t sum = 0;
	int i;

	for (i = 0; (size_t)i < MIN(n, (size_t)PIECES) && sum < len; i++) {
		to[i] = (struct iovec){data[i].iov_base, MIN(data[i].iov_len, len - sum)};
		sum += to[i].iov_len;
	}
	msg->msg_iovlen = (typeof(msg->msg_iovlen))i; /* the C libraries disagree about it */
	return sum;
}

static void take_data(struct conn *c, const struct iovec *data, size_t n, size_t len)
{
	struct iovec pieces[PIECES];
	struct msghdr msg = {.msg_iov = pieces};
	ssize_t done = 0;

	if (len > VSOCK_BUFFER - c->fill || c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) {
		c->mux->stats.malformed++;
		kill_conn(c);
		return;
	}
	if (len == 0)
		return;
	c->received += (uint32_t)len;
	/* Nobody will read it; the guest hears of that, or has. */
	if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		maybe_tell_credit(c);
		return;
	}
	if (c->fill == 0) {
		(void)cut(&msg, data, n, len);
		done = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			host_shut(c, VIRTIO_VSOCK_SHUTDOWN_RCV);
			return;
		}
		done = MAX(done, 0);
	}
	if ((size_t)done < len && !keep(c, data, n, (size_t)done, len)) {
		kill_conn(c);
		return;
	}
	maybe_tell_credit(c);
	watch(c);
}

static void take_shutdown(struct conn *c, uint32_t flags)
{
	c->guest_shut |= flags & BOTH;
	if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV && c->fd >= 0) {
		c->readable = false;
		(void)shutdown(c->fd, SHUT_RD);
	}
	if (c->fill == 0)
		flushed(c);
	watch(c);
}

static void take_request(struct vsock_mux *m, const struct virtio_vsock_hdr *h, int route)
{
	struct conn *c = NULL;

	if (route != NONE)
		c = new_conn(m, (uint32_t)route, le32toh(h->src_port));
	if (!c) {
		m->stats.refused++;
		reset(m, h);
		return;
	}
	c->peer_alloc = le32toh(h->buf_alloc);
	c->peer_fwd = le32toh(h->fwd_cnt);
	queue_dial(c);
	dial_next(m);
}

static void take_for(
	struct conn *c, const struct virtio_vsock_hdr *h, const struct iovec *data, size_t n)
{
	c->peer_alloc = le32toh(h->buf_alloc);
	c->peer_fwd = le32toh(h->fwd_cnt);
	if (c->state != OPEN) {
		/* An answer is on its way; until then the guest has nothing to say but this. */
		if (c->state == DYING)
			return;
		unhash(c);
		c->state = ABANDONED;
		reset(c->mux, h);
		return;
	}
	switch (le16toh(h->op)) {
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		take_shutdown(c, le32toh(h->flags));
		break;
	case VIRTIO_VSOCK_OP_RW:
		take_data(c, data, n, le32toh(h->len));
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		tell(c, TELL_CREDIT);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	default:
		c->mux->stats.malformed++;
		kill_conn(c);
		break;
	}
	if (c->state == OPEN && c->readable && credit(c) > 0)
		line_up(c);
}

void vsock_mux_take(struct vsock_mux *m, const struct virtio_vsock_hdr *h, const struct iovec *data,
	size_t n, size_t len)
{
	int route = route_of(m, le32toh(h->dst_port));
	uint16_t op = le16toh(h->op);
	struct conn *c = NULL;

	if (le64toh(h->src_cid) != VSOCK_CID_GUEST || le64toh(h->dst_cid) != VSOCK_CID_HOST ||
		le32toh(h->len) > len) {
		m->stats.malformed++;
		return;
	}
	if (le16toh(h->type) != VIRTIO_VSOCK_TYPE_STREAM) {
		m->stats.malformed++;
		reset(m, h);
		return;
	}
	if (route != NONE)
		c = find(m, le32toh(h->src_port), (uint32_t)route);
	if (c && op == VIRTIO_VSOCK_OP_RST)
		forget(c);
	else if (c)
		take_for(c, h, data, n);
	else if (op == VIRTIO_VSOCK_OP_REQUEST)
		take_request(m, h, route);
	else
		reset(m, h);
}

static void put(struct virtio_vsock_hdr *h, uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	*h = (struct virtio_vsock_hdr){.src_cid = htole64(VSOCK_CID_HOST),
		.dst_cid = htole64(VSOCK_CID_GUEST),
		.src_port = htole32(host_port),
		.dst_port = htole32(guest_port),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op)};
}

static void put_for(struct conn *c, struct virtio_vsock_hdr *h, uint16_t op)
{
	put(h, c->guest_port, c->mux->ports[c->route], op);
	h->buf_alloc = htole32(VSOCK_BUFFER);
	h->fwd_cnt = htole32(forwarded(c));
	c->told_fwd = forwarded(c);
	c->tell &= (uint8_t)~TELL_CREDIT;
}

/* Bytes of the socket, if there are any and the guest has room. Return: how many, -EAGAIN: none. */
static ssize_t put_data(
	struct conn *c, struct virtio_vsock_hdr *h, const struct iovec *room, size_t n)
{
	struct iovec pieces[PIECES];
	struct msghdr msg = {.msg_iov = pieces};
	ssize_t got;

	if (!c->readable || c->fd < 0 || c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		return -EAGAIN;
	/* The end of the stream takes no room, but to see it a byte must fit. */
	if (cut(&msg, room, n, credit(c)) == 0)
		return -EAGAIN;
	got = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		c->readable = false;
		watch(c);
		return -EAGAIN;
	}
	if (got <= 0) {
		c->readable = false;
		host_shut(c, got < 0 ? BOTH : VIRTIO_VSOCK_SHUTDOWN_SEND);
		watch(c);
		return -EAGAIN;
	}
	c->sent += (uint32_t)got;
	put_for(c, h, VIRTIO_VSOCK_OP_RW);
	h->len = htole32((uint32_t)got);
	return got;
}

/* What the connection has to say first. Return: length of the payload, -EAGAIN: nothing. */
static ssize_t say(struct conn *c, struct virtio_vsock_hdr *h, const struct iovec *room, size_t n)
{
	ssize_t len;

	if (c->tell & TELL_RESPONSE) {
		c->tell &= (uint8_t)~TELL_RESPONSE;
		put_for(c, h, VIRTIO_VSOCK_OP_RESPONSE);
		return 0;
	}
	if (c->tell & TELL_SHUTDOWN) {
		c->tell &= (uint8_t)~TELL_SHUTDOWN;
		put_for(c, h, VIRTIO_VSOCK_OP_SHUTDOWN);
		h->flags = htole32(c->host_shut);
		return 0;
	}
	len = put_data(c, h, room, n);
	if (len != -EAGAIN)
		return len;
	/* The read may have found the end. */
	if (c->tell & TELL_SHUTDOWN)
		return say(c, h, room, n);
	if (c->tell & TELL_CREDIT) {
		put_for(c, h, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		return 0;
	}
	return -EAGAIN;
}

ssize_t vsock_mux_next(
	struct vsock_mux *m, struct virtio_vsock_hdr *ret, const struct iovec *room, size_t n)
{
	struct conn *c;

	if (m->n_resets > 0) {
		const struct port_pair *p = &m->resets[0];

		put(ret, p->guest, p->host, VIRTIO_VSOCK_OP_RST);
		m->n_resets--;
		memmove(m->resets, m->resets + 1, m->n_resets * sizeof(m->resets[0]));
		return 0;
	}
	while ((c = line_pop(m, &m->ready))) {
		ssize_t len;

		c->lined_up = false;
		if (c->state == ABANDONED) {
			release(c);
			continue;
		}
		if (c->state == DYING) {
			put(ret, c->guest_port, m->ports[c->route], VIRTIO_VSOCK_OP_RST);
			unhash(c);
			release(c);
			return 0;
		}
		/*
		 * At the end of the line again, for the rest; the others come first. Who had
		 * nothing to say has nothing until something happens: its socket may well have
		 * bytes that the guest does not take any more.
		 */
		len = say(c, ret, room, n);
		if (len != -EAGAIN && (c->tell || (c->readable && credit(c) > 0)))
			line_up(c);
		if (len != -EAGAIN)
			return len;
	}
	return -EAGAIN;
}

struct vsock_stats vsock_mux_stats(const struct vsock_mux *m)
{
	return m->stats;
}

uint32_t vsock_mux_held(const struct vsock_mux *m)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < m->n_routes; i++)
		sum += m->live[i];
	return sum;
}

struct vsock_mux *vsock_mux_new(struct loop *loop, const uint32_t *ports, uint32_t n,
	const struct vsock_mux_ops *ops, void *ctx)
{
	struct vsock_mux *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->loop = loop;
	m->ops = ops;
	m->ctx = ctx;
	m->n_routes = n;
	m->n_conns = n * VSOCK_STREAMS_MAX;
	m->ready = m->dials = (struct line){NONE, NONE};
	m->ports = calloc(n, sizeof(*m->ports));
	m->live = calloc(n, sizeof(*m->live));
	m->conns = calloc(m->n_conns, sizeof(*m->conns));
	for (uint32_t i = 0; m->conns && i < m->n_conns; i++)
		m->conns[i] = (struct conn){
			.mux = m, .fd = -EBADF, .next = i + 1 < m->n_conns ? (int)i + 1 : NONE};
	if (!m->ports || !m->live || !m->conns)
		return vsock_mux_free(m);
	memcpy(m->ports, ports, n * sizeof(*ports));
	for (unsigned int i = 0; i < BUCKETS; i++)
		m->buckets[i] = NONE;
	return m;
}

struct vsock_mux *vsock_mux_free(struct vsock_mux *m)
{
	if (!m)
		return NULL;
	loop_timer_del(&m->retry);
	for (uint32_t i = 0; m->conns && i < m->n_conns; i++)
		drop_socket(&m->conns[i]);
	free(m->conns);
	free(m->live);
	free(m->ports);
	free(m);
	return NULL;
}
