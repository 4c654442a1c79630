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
	RUN_BYTES = 512 * 1024,
	LOOK_EVERY = 8, /* runs, for a second frame where none has been */
	EMIT_IOV = 16,
};

/* A datagram for the guest that waits for the limit. */
struct wire_frame {
	struct wire_frame *next;
	size_t len;
	uint8_t b[];
};

/* Gone: the machine has ended, and with it everything that is to be done here. */
static void hang_up(struct net_wire *w)
{
	net_wire_deinit(w);
	loop_stop(w->loop, 0);
}

/* A hangup is told of whatever is waited for. */
static void watch(struct net_wire *w)
{
	uint32_t events = w->egress_timer.loop ? 0 : EPOLLIN;

	if (loop_fd_set(&w->src, w->blocked ? events | EPOLLOUT : events) < 0)
		hang_up(w);
}

static void on_egress_due(struct loop_timer *t)
{
	watch(container_of(t, struct net_wire, egress_timer));
}

/* May the guest send another frame? If not, the timer says when. */
static bool may_receive(struct net_wire *w)
{
	uint64_t due;

	if (!net_meter_limited(&w->egress))
		return true;
	due = net_meter_due(&w->egress, clock_mono_ns());
	if (due)
		loop_timer_set(w->loop, &w->egress_timer, due, on_egress_due);
	return due == 0;
}

/* One frame of the guest. Return: its length, 0 when there was none. */
static size_t receive(struct net_wire *w)
{
	/* Not on the stack, which is small; one thread. */
	static uint8_t frame[NETFRAME_MAX + 1];
	size_t skip = w->link == NET_BARE ? NETFRAME_HEADER : 0;
	struct iovec iov = {frame + skip, sizeof(frame) - skip};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(w->src.fd, &m, MSG_DONTWAIT);
	size_t len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* A socket of datagrams has no end, and an empty one is no frame. */
	if (n < 0 || (n == 0 && w->link == NET_HEADERS)) {
		hang_up(w);
		return 0;
	}
	if (m.msg_flags & MSG_TRUNC)
		return NETFRAME_MAX;
	len = (size_t)n + skip;
	net_meter_take(&w->egress, len - MIN(len, (size_t)NETFRAME_HEADER));
	memset(frame, 0, skip);
	stack_input(w->stack, frame, len);
	return len;
}

/*
 * What the guest has sent, as one batch. While frames come one by one a second look would find
 * nothing: it is taken now and then, and at the end. What it would have found is told of by the
 * loop.
 */
static void receive_run(struct net_wire *w, bool last)
{
	unsigned int frames = 0;
	bool more = false;
	size_t bytes = 0;

	stack_hold(w->stack);
	while (!more && may_receive(w)) {
		size_t n = receive(w);

		if (n == 0)
			break;
		bytes += n;
		if (++frames == 1 && w->alone && !last && ++w->runs % LOOK_EVERY)
			break;
		more = frames == RUN_FRAMES || bytes >= RUN_BYTES;
	}
	w->alone = frames == 1;
	stack_release(w->stack, more && !last);
	if (w->drops)
		net_drops_look(w->drops);
}

static void on_ingress_due(struct loop_timer *t);

static void on_link(struct loop_fd *src, uint32_t events)
{
	struct net_wire *w = container_of(src, struct net_wire, src);

	if ((events & EPOLLOUT) && w->blocked) {
		w->blocked = false;
		on_ingress_due(&w->ingress_timer);
	}
	receive_run(w, events & (EPOLLHUP | EPOLLERR));
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

void net_wire_limit(struct net_wire *w, const struct net_limits *l)
{
	uint64_t now = clock_mono_ns();

	net_meter_init(&w->egress, &l->egress, now);
	net_meter_init(&w->ingress, &l->ingress, now);
}

static struct wire_frame *dequeue(struct net_wire *w)
{
	struct wire_frame *f = w->first;

	if (f) {
		w->first = f->next;
		w->queued -= f->len;
	}
	if (!w->first)
		w->last = NULL;
	return f;
}

void net_wire_deinit(struct net_wire *w)
{
	struct wire_frame *f;

	loop_fd_del(&w->src);
	loop_timer_del(&w->egress_timer);
	loop_timer_del(&w->ingress_timer);
	while ((f = dequeue(w)))
		free(f);
}

static size_t length_of(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* The stack keeps segments itself. Headers are in the first piece. */
static bool is_tcp(const struct iovec *iov)
{
	const uint8_t *eth = (const uint8_t *)iov->iov_base + NETFRAME_HEADER;

	if (iov->iov_len < NETFRAME_HEADER + NETFRAME_ETH + 20)
		return false;
	if (eth[12] == 8 && eth[13] == 0)
		return eth[NETFRAME_ETH + 9] == IPPROTO_TCP;
	return eth[12] == 0x86 && eth[13] == 0xdd && eth[NETFRAME_ETH + 6] == IPPROTO_TCP;
}

static void enqueue(struct net_wire *w, const struct iovec *iov, int n)
{
	size_t len = length_of(iov, n);
	struct wire_frame *f = NULL;
	size_t at = 0;

	if (w->queued + len <= WIRE_QUEUE_BYTES)
		f = malloc(sizeof(*f) + len);
	if (!f) {
		w->lost++;
		return;
	}
	for (int i = 0; i < n; i++) {
		memcpy(f->b + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	f->len = len;
	f->next = NULL;
	if (w->last)
		w->last->next = f;
	else
		w->first = f;
	w->last = f;
	w->queued += len;
}

static int put(struct net_wire *w, const struct iovec *iov, int n);
static bool may_send(struct net_wire *w);

static void on_ingress_due(struct loop_timer *t)
{
	struct net_wire *w = container_of(t, struct net_wire, ingress_timer);

	while (w->first && !w->blocked && may_send(w)) {
		struct wire_frame *f = dequeue(w);
		const struct iovec iov = {f->b, f->len};

		/* Behind a full socket it would be lost without a limit, too. */
		(void)!put(w, &iov, 1);
		free(f);
	}
	if (w->src.loop && !w->blocked && !w->ingress_timer.loop)
		stack_link_ready(w->stack);
}

/* May the guest be sent another frame? If not, the timer says when. */
static bool may_send(struct net_wire *w)
{
	uint64_t due;

	if (!net_meter_limited(&w->ingress))
		return true;
	if (w->ingress_timer.loop)
		return false;
	due = net_meter_due(&w->ingress, clock_mono_ns());
	if (due)
		loop_timer_set(w->loop, &w->ingress_timer, due, on_ingress_due);
	return due == 0;
}

int net_wire_emit(struct net_wire *w, const struct iovec *iov, int n)
{
	if (!w->src.loop)
		return -EPIPE;
	if (!w->blocked && !may_send(w)) {
		if (is_tcp(iov))
			return -EAGAIN;
		enqueue(w, iov, n);
		return 0;
	}
	return put(w, iov, n);
}

static int put(struct net_wire *w, const struct iovec *iov, int n)
{
	struct iovec v[EMIT_IOV];
	struct msghdr m = {.msg_iov = v};
	size_t skip = w->link == NET_BARE ? NETFRAME_HEADER : 0;

	if (w->blocked)
		return -EAGAIN;
	if (n > EMIT_IOV)
		return -EPIPE;
	net_meter_take(
		&w->ingress, length_of(iov, n) - MIN(length_of(iov, n), (size_t)NETFRAME_HEADER));
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
