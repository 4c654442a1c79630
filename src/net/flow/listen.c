/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports: sockets of the host whose clients become flows from the gateway to the guest.
 *
 * A client of TCP is accepted first and called through then: a guest without a listener makes it
 * see a reset. Of UDP every client has a flow of its own, with a source port that stands for it
 * inside.
 *
 * The service may listen on the guest's 127.0.0.1 only, so where its own address refuses, that is
 * asked: of TCP connection by connection, of UDP by sending the datagram once more when the guest
 * says that nobody takes it, and there first from then on.
 *
 * Answers come from the address that the client has used, also where the socket is bound to all of
 * them: clients and firewalls drop others. Who opened the socket has asked for IP_PKTINFO or
 * IPV6_RECVPKTINFO.
 *
 * #syscalls(net:loop): accept4 recvmsg sendmsg close
 */
#include <sys/socket.h>

#include "net/flow/internal.h"

enum { ACCEPT_BATCH = 16, CLIENTS_MAX = 1024, KEPT_MAX = 4096 };
#define RETRY_NS (100 * NSEC_PER_MSEC)

struct listener;

/* The address of ours that a datagram was for, in the form of the socket calls. */
struct local {
	struct net_addr addr; /* NET_NONE: unknown, the routing table chooses */
	unsigned int interface; /* of a link-local address; else 0 */
};

struct client {
	struct flist link;
	struct listener *listener;
	struct stack_udp *u;
	struct net_peer peer;
	struct local local;
	struct flow_query query;
	uint32_t tag;
	uint64_t up, down;
	enum call_target target;
	/* The last datagram, until the service has said something; NULL: none, or a large one. */
	uint8_t *kept;
	size_t n_kept;
};

struct listener {
	struct flist link;
	struct flows *flows;
	struct loop_fd src;
	struct loop_timer retry;
	int fd;
	uint16_t guest_port;
	enum call_target target; /* UDP: where the service was last */
	struct flist clients[UDP_BUCKETS]; /* UDP only */
	uint32_t n_clients;
	void (*fn)(struct loop_fd *src, uint32_t events);
};

static struct listener *listener_of(struct flist *l)
{
	return container_of(l, struct listener, link);
}

static struct client *client_of(struct flist *l)
{
	return container_of(l, struct client, link);
}

static void client_free(struct client *c)
{
	flist_del(&c->link);
	c->listener->n_clients--;
	free(c->kept);
	free(c);
}

void flow_listen_deinit(struct flows *f)
{
	while (!flist_empty(&f->listeners)) {
		struct listener *l = listener_of(f->listeners.next);

		for (size_t i = 0; i < UDP_BUCKETS; i++) {
			while (!flist_empty(&l->clients[i]))
				client_free(client_of(l->clients[i].next));
		}
		loop_fd_del(&l->src);
		loop_timer_del(&l->retry);
		(void)close(l->fd);
		flist_del(&l->link);
		free(l);
	}
}

static void on_retry(struct loop_timer *t)
{
	struct listener *l = container_of(t, struct listener, retry);

	if (loop_fd_add(l->flows->loop, &l->src, l->fd, EPOLLIN, l->fn) < 0)
		loop_timer_set(l->flows->loop, t, clock_mono_ns() + RETRY_NS, on_retry);
}

/* Nothing left to accept with: look away for a moment instead of being told without pause. */
static void rest(struct listener *l)
{
	loop_fd_del(&l->src);
	loop_timer_set(l->flows->loop, &l->retry, clock_mono_ns() + RETRY_NS, on_retry);
}

/* May this client in? */
static bool admit(struct listener *l, const struct sockaddr_storage *sa, enum flow_proto proto,
	struct flow_query *q, uint32_t *tag)
{
	const struct stack_config *c = &l->flows->cfg.stack;
	struct flow_verdict v;

	*q = (struct flow_query){.id = ++l->flows->last_id, .proto = proto, .ingress = true};
	if (net_peer_from_sockaddr(sa, &q->tuple.remote) < 0)
		return false;
	q->tuple.guest.addr = c->guest4.family ? c->guest4 : c->guest6;
	q->tuple.guest.port = l->guest_port;
	flow_decide(l->flows, q, &v);
	*tag = v.tag;
	return v.action != FLOW_DENY;
}

static void turn_away(int fd)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
}

static void on_accept(struct loop_fd *src, uint32_t events)
{
	struct listener *l = container_of(src, struct listener, src);

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		struct flow_query q;
		uint32_t tag;
		int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
				errno == ENOMEM)
				rest(l);
			return;
		}
		if (admit(l, &sa, FLOW_TCP, &q, &tag))
			flow_tcp_call(l->flows, fd, &q, tag);
		else
			turn_away(fd);
	}
}

/* Room for one of them, whichever it is. */
union control {
	struct cmsghdr head;
	uint8_t v4[CMSG_SPACE(sizeof(struct in_pktinfo))];
	uint8_t v6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static struct local local_of(struct msghdr *msg)
{
	struct local l = {.addr.family = NET_NONE};
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (!c)
		return l;
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo i;

		memcpy(&i, CMSG_DATA(c), sizeof(i));
		l.addr = net_addr_v4((const uint8_t *)&i.ipi_spec_dst);
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo i;

		memcpy(&i, CMSG_DATA(c), sizeof(i));
		if (IN6_IS_ADDR_MULTICAST(&i.ipi6_addr))
			return l;
		l.addr = net_addr_v6((const uint8_t *)&i.ipi6_addr);
		if (IN6_IS_ADDR_LINKLOCAL(&i.ipi6_addr))
			l.interface = i.ipi6_ifindex;
	}
	return l;
}

/* What sendmsg() is to know of it, into @to, which is zero. */
static void put_local(struct msghdr *msg, union control *to, const struct local *l)
{
	struct in_pktinfo v4 = {.ipi_ifindex = 0};
	struct in6_pktinfo v6 = {.ipi6_ifindex = l->interface};

	if (l->addr.family == NET_NONE)
		return;
	msg->msg_control = to;
	if (l->addr.family == NET_V4) {
		memcpy(&v4.ipi_spec_dst, l->addr.b, 4);
		to->head = (struct cmsghdr){.cmsg_level = IPPROTO_IP,
			.cmsg_type = IP_PKTINFO,
			.cmsg_len = CMSG_LEN(sizeof(v4))};
		msg->msg_controllen = sizeof(to->v4);
		memcpy(CMSG_DATA(&to->head), &v4, sizeof(v4));
		return;
	}
	memcpy(&v6.ipi6_addr, l->addr.b, 16);
	to->head = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6,
		.cmsg_type = IPV6_PKTINFO,
		.cmsg_len = CMSG_LEN(sizeof(v6))};
	msg->msg_controllen = sizeof(to->v6);
	memcpy(CMSG_DATA(&to->head), &v6, sizeof(v6));
}

static void on_reply(struct stack_udp *u, void *user, const void *data, size_t len)
{
	struct client *c = user;
	union control control = {};
	struct sockaddr_storage sa;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr msg = {.msg_name = &sa,
		.msg_namelen = net_peer_to_sockaddr(&c->peer, &sa),
		.msg_iov = &iov,
		.msg_iovlen = 1};
	ssize_t n;

	(void)u;
	free(c->kept);
	c->kept = NULL;
	flow_used(c->listener->flows);
	put_local(&msg, &control, &c->local);
	n = sendmsg(c->listener->fd, &msg, MSG_NOSIGNAL);
	if (n > 0)
		c->up += (uint64_t)n;
}

static void client_end(struct client *c)
{
	flow_event(c->listener->flows, FLOW_EVENT_CLOSED, &c->query, c->tag, 0, c->up, c->down);
	client_free(c);
}

static void on_idle(struct stack_udp *u, void *user, enum stack_end why)
{
	(void)u;
	(void)why;
	client_end(user);
}

static bool client_open(struct client *c);

/* Nobody takes datagrams there: the last one goes to another address, once. */
static void on_refused(struct stack_udp *u, void *user)
{
	struct client *c = user;

	if (!c->kept)
		return;
	c->target = c->target == CALL_GUEST ? CALL_LOOPBACK : CALL_GUEST;
	/* First: to make room for the other one this could be the flow that gives way. */
	stack_udp_close(u);
	c->u = NULL;
	if (!client_open(c)) {
		client_end(c);
		return;
	}
	c->listener->target = c->target;
	stack_udp_send(c->u, c->kept, c->n_kept);
	free(c->kept);
	c->kept = NULL;
}

static const struct stack_udp_ops handler = {
	.datagram = on_reply, .closed = on_idle, .refused = on_refused};

/* A flow to where c->target says, into c->u. */
static bool client_open(struct client *c)
{
	struct listener *l = c->listener;
	struct net_tuple t;

	for (int tries = 0; tries < 64 && !c->u; tries++) {
		if (!flow_call_tuple(l->flows, c->target, l->guest_port, &t))
			break;
		c->u = stack_udp_open(l->flows->stack, &t, &handler, c);
		if (!c->u && errno != EADDRINUSE)
			break;
	}
	return c->u != NULL;
}

static struct flist *bucket_of(struct listener *l, const struct net_peer *p)
{
	uint32_t h = p->port;

	for (size_t i = 0; i < sizeof(p->addr.b); i++)
		h = h * 31 + p->addr.b[i];
	return &l->clients[h % UDP_BUCKETS];
}

static struct client *client_new(
	struct listener *l, const struct sockaddr_storage *sa, const struct local *local)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (l->n_clients >= CLIENTS_MAX || !admit(l, sa, FLOW_UDP, &c->query, &c->tag)) {
		free(c);
		return NULL;
	}
	c->peer = c->query.tuple.remote;
	c->local = *local;
	c->listener = l;
	c->target = l->target;
	if (!client_open(c)) {
		free(c);
		return NULL;
	}
	flist_add_tail(bucket_of(l, &c->peer), &c->link);
	l->n_clients++;
	flow_event(l->flows, FLOW_EVENT_OPENED, &c->query, c->tag, 0, 0, 0);
	return c;
}

static struct client *client_find(
	struct listener *l, const struct net_peer *p, const struct local *local)
{
	struct flist *b = bucket_of(l, p);

	for (struct flist *e = b->next; e != b; e = e->next) {
		struct client *c = client_of(e);

		if (net_peer_equal(&c->peer, p) && net_addr_equal(&c->local.addr, &local->addr))
			return c;
	}
	return NULL;
}

/* The guest may say that it was the wrong address. */
static void keep(struct client *c, const void *data, size_t len)
{
	free(c->kept);
	c->kept = NULL;
	if (c->up || !len || len > KEPT_MAX || (c->kept = malloc(len)) == NULL)
		return;
	memcpy(c->kept, data, len);
	c->n_kept = len;
}

static void on_client_datagram(struct loop_fd *src, uint32_t events)
{
	struct listener *l = container_of(src, struct listener, src);
	uint8_t *b = l->flows->datagram;

	(void)events;
	for (int i = 0; i < UDP_BATCH; i++) {
		struct sockaddr_storage sa = {0};
		union control control = {};
		struct iovec iov = {.iov_base = b, .iov_len = sizeof(l->flows->datagram)};
		struct msghdr msg = {.msg_name = &sa,
			.msg_namelen = sizeof(sa),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};
		struct net_peer peer;
		struct local local;
		struct client *c;
		ssize_t n = recvmsg(l->fd, &msg, 0);

		if (n < 0)
			return;
		if (net_peer_from_sockaddr(&sa, &peer) < 0)
			continue;
		local = local_of(&msg);
		c = client_find(l, &peer, &local);
		if (!c)
			c = client_new(l, &sa, &local);
		if (!c)
			continue;
		c->down += (uint64_t)n;
		keep(c, b, (size_t)n);
		flow_used(l->flows);
		stack_udp_send(c->u, b, (size_t)n);
	}
}

void flow_listen_redecide(struct flows *f)
{
	for (struct flist *e = f->listeners.next; e != &f->listeners; e = e->next) {
		struct listener *l = listener_of(e);

		for (size_t i = 0; i < UDP_BUCKETS; i++) {
			struct flist *next;

			for (struct flist *at = l->clients[i].next; at != &l->clients[i];
				at = next) {
				struct client *c = client_of(at);
				struct flow_verdict v;

				next = at->next;
				flow_decide(f, &c->query, &v);
				if (v.action == FLOW_DIAL)
					continue;
				stack_udp_close(c->u);
				client_end(c);
			}
		}
	}
}

static int listen_on(struct flows *f, int fd, uint16_t guest_port,
	void (*fn)(struct loop_fd *src, uint32_t events))
{
	struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->flows = f;
	l->guest_port = guest_port;
	l->fn = fn;
	for (size_t i = 0; i < UDP_BUCKETS; i++)
		flist_init(&l->clients[i]);
	r = loop_fd_add(f->loop, &l->src, fd, EPOLLIN, fn);
	if (r < 0) {
		free(l);
		return r;
	}
	l->fd = fd;
	flist_add_tail(&f->listeners, &l->link);
	return 0;
}

int flows_listen_tcp(struct flows *f, int fd, uint16_t guest_port)
{
	return listen_on(f, fd, guest_port, on_accept);
}

int flows_listen_udp(struct flows *f, int fd, uint16_t guest_port)
{
	return listen_on(f, fd, guest_port, on_client_datagram);
}
