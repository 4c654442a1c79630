/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A datagram flow of the guest and a connected socket of the host.
 *
 * The socket takes datagrams of the one peer only. Its errors become ICMP errors to the guest, as
 * the guest would have got them without us, and end the flow; the next datagram begins a new one.
 *
 * A datagram that the guest wants whole goes out whole or not at all, and the guest is told how
 * long it may be; that is how programs find out what a path takes. Longer ones than an Ethernet
 * carries are cut up whatever the guest wants: only our link is as wide as that.
 *
 * #syscalls(net:loop): sendto recvfrom getsockopt setsockopt close
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/flow/internal.h"

enum { WHOLE_MAX = 1500 - 28 }; /* behind the headers of IPv4 and UDP */

struct udp_flow {
	struct flist link;
	struct flows *flows;
	struct stack_udp *u;
	struct loop_fd src;
	int fd;
	struct flow_query query;
	uint32_t tag;
	bool whole; /* the socket does not cut datagrams up */
	uint64_t up, down;
};

static struct udp_flow *flow_of(struct flist *l)
{
	return container_of(l, struct udp_flow, link);
}

static void flow_free(struct udp_flow *t)
{
	loop_fd_del(&t->src);
	(void)close(t->fd);
	flist_del(&t->link);
	free(t);
}

static void finish(struct udp_flow *t, int error)
{
	flow_event(t->flows, FLOW_EVENT_CLOSED, &t->query, t->tag, error, t->up, t->down);
	flow_free(t);
}

static void refuse(struct udp_flow *t, int error)
{
	stack_udp_refuse(t->u, flow_refusal(error));
	finish(t, error);
}

static void too_big(struct udp_flow *t)
{
	bool v4 = t->query.tuple.guest.addr.family == NET_V4;
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	if (getsockopt(t->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &len) ==
			0 &&
		mtu >= 576 && mtu <= UINT16_MAX)
		stack_udp_too_big(t->u, (uint16_t)mtu);
}

/* Where the kernel does not take it, datagrams are cut up: late is better than lost. */
static void set_whole(struct udp_flow *t, bool whole)
{
	bool v4 = t->query.tuple.guest.addr.family == NET_V4;
	int how = whole ? IP_PMTUDISC_DO : IP_PMTUDISC_WANT;

	static_assert(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO && IP_PMTUDISC_WANT == IPV6_PMTUDISC_WANT,
		"one word for both");
	if (whole == t->whole)
		return;
	t->whole = whole;
	(void)setsockopt(t->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &how, sizeof(how));
}

static void on_datagram(struct stack_udp *u, void *user, const void *data, size_t len)
{
	struct udp_flow *t = user;
	ssize_t n;

	set_whole(t, len <= WHOLE_MAX && stack_udp_whole(u));
	n = send(t->fd, data, len, MSG_NOSIGNAL);
	if (n < 0 &&
		errno == ECONNREFUSED) /* about an earlier one: this one goes out all the same */
		n = send(t->fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
		t->up += (uint64_t)n;
	else if (errno == EMSGSIZE)
		too_big(t);
	else if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		refuse(t, -errno);
}

static void on_closed(struct stack_udp *u, void *user, enum stack_end why)
{
	(void)u;
	(void)why;
	finish(user, 0);
}

static const struct stack_udp_ops handler = {on_datagram, on_closed};

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct udp_flow *t = container_of(src, struct udp_flow, src);

	(void)events;
	for (int i = 0; i < UDP_BATCH; i++) {
		ssize_t n = recv(t->fd, t->flows->datagram, sizeof(t->flows->datagram), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 && errno == EMSGSIZE) { /* somebody on the way says so */
			too_big(t);
			return;
		}
		if (n < 0) {
			refuse(t, -errno);
			return;
		}
		t->down += (uint64_t)n;
		stack_udp_send(t->u, t->flows->datagram, (size_t)n);
	}
}

static void dial(struct flows *f, struct stack_udp *u, const struct flow_query *q,
	const struct flow_verdict *v)
{
	struct udp_flow *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	if (t) {
		t->fd = -EBADF;
		r = flow_dial(&v->dial, SOCK_DGRAM, 0, &t->fd);
	}
	if (r == 0)
		r = loop_fd_add(f->loop, &t->src, t->fd, EPOLLIN, on_socket);
	if (r < 0) {
		if (t)
			(void)fd_close(t->fd);
		free(t);
		stack_udp_refuse(u, flow_refusal(r));
		flow_event(f, FLOW_EVENT_FAILED, q, v->tag, r, 0, 0);
		return;
	}
	t->flows = f;
	t->u = u;
	t->query = *q;
	t->tag = v->tag;
	flist_add_tail(&f->udp, &t->link);
	stack_udp_handle(u, &handler, t);
	flow_event(f, FLOW_EVENT_OPENED, q, v->tag, 0, 0, 0);
}

void flow_udp_wanted(struct flows *f, struct stack_udp *u, const struct net_tuple *tuple)
{
	struct flow_query q = {.id = ++f->last_id, .proto = FLOW_UDP, .tuple = *tuple};
	struct flow_verdict v;

	flow_decide(f, &q, &v);
	switch (v.action) {
	case FLOW_HAND:
		v.hand_udp(v.user, u, tuple);
		break;
	case FLOW_DIAL:
		dial(f, u, &q, &v);
		break;
	case FLOW_DENY:
	case FLOW_DIVERT:
	case FLOW_INSPECT: /* a datagram cannot wait for its successors */
		stack_udp_refuse(u, v.refusal);
		break;
	}
}

void flow_udp_redecide(struct flows *f)
{
	struct flist *next;

	for (struct flist *l = f->udp.next; l != &f->udp; l = next) {
		struct udp_flow *t = flow_of(l);
		struct flow_verdict v;

		next = l->next;
		flow_decide(f, &t->query, &v);
		if (v.action != FLOW_DIAL)
			refuse(t, -EACCES);
	}
}

void flow_udp_deinit(struct flows *f)
{
	while (!flist_empty(&f->udp))
		flow_free(flow_of(f->udp.next));
}
