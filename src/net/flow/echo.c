/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo requests of the guest, sent through ping sockets of the host: datagram sockets of ICMP that
 * any user may open where the host's group range says so. Where it does not, requests are not
 * answered.
 *
 * One socket per peer and identifier. The kernel puts its own identifier in place of the guest's
 * and gives us replies to that one only.
 *
 * #syscalls(net:loop): sendto recvfrom close
 */
#include <sys/socket.h>

#include "net/flow/internal.h"

enum { HEAD = 8, REQUEST4 = 8, REQUEST6 = 128, REPLY4 = 0, REPLY6 = 129 };

struct echo_flow {
	struct flist link;
	struct waiter waiter;
	struct flows *flows;
	struct loop_fd src;
	int fd;
	struct net_addr guest, remote;
	uint16_t id;
};

static void flow_free(struct echo_flow *t)
{
	loop_fd_del(&t->src);
	(void)close(t->fd);
	waiting_del(&t->waiter);
	flist_del(&t->link);
	t->flows->n_echo--;
	free(t);
}

void flow_echo_due(struct waiter *w)
{
	flow_free(container_of(w, struct echo_flow, waiter));
}

void flow_echo_deinit(struct flows *f)
{
	while (!flist_empty(&f->echo))
		flow_free(container_of(f->echo.next, struct echo_flow, link));
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct echo_flow *t = container_of(src, struct echo_flow, src);
	uint8_t *b = t->flows->datagram;
	struct stack_echo e = {.guest = t->guest, .remote = t->remote, .id = t->id};
	ssize_t n = recv(t->fd, b, sizeof(t->flows->datagram), 0);

	(void)events;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		flow_free(t); /* unreachable: the guest hears nothing, as from most of the world */
		return;
	}
	if (n < HEAD || b[0] != (t->guest.family == NET_V4 ? REPLY4 : REPLY6))
		return;
	e.seq = (uint16_t)(b[6] << 8 | b[7]);
	e.data = b + HEAD;
	e.len = (size_t)n - HEAD;
	stack_echo_reply(t->flows->stack, &e);
}

static struct echo_flow *flow_find(struct flows *f, const struct stack_echo *e)
{
	for (struct flist *l = f->echo.next; l != &f->echo; l = l->next) {
		struct echo_flow *t = container_of(l, struct echo_flow, link);

		if (t->id == e->id && net_addr_equal(&t->remote, &e->remote))
			return t;
	}
	return NULL;
}

static struct echo_flow *flow_new(
	struct flows *f, const struct stack_echo *e, const struct net_addr *dial)
{
	struct net_peer peer = {.addr = *dial};
	struct echo_flow *t;

	if (f->n_echo >= f->cfg.max_echo)
		flow_free(container_of(f->echo.next, struct echo_flow, link));
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->flows = f;
	t->guest = e->guest;
	t->remote = e->remote;
	t->id = e->id;
	if (flow_dial(&peer, SOCK_DGRAM, dial->family == NET_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
		    &t->fd) < 0) {
		free(t);
		return NULL;
	}
	if (loop_fd_add(f->loop, &t->src, t->fd, EPOLLIN, on_socket) < 0) {
		(void)close(t->fd);
		free(t);
		return NULL;
	}
	flist_init(&t->waiter.link);
	flist_add_tail(&f->echo, &t->link);
	f->n_echo++;
	return t;
}

static void relay(struct flows *f, const struct stack_echo *e, const struct net_addr *dial)
{
	struct echo_flow *t = flow_find(f, e);
	uint8_t *b = f->datagram;

	if (!t)
		t = flow_new(f, e, dial);
	if (!t || e->len > sizeof(f->datagram) - HEAD)
		return;
	waiting_del(&t->waiter);
	waiting_add(&f->echoing, &t->waiter);
	memset(b, 0, HEAD); /* the kernel fills in identifier and checksum */
	b[0] = dial->family == NET_V4 ? REQUEST4 : REQUEST6;
	b[6] = (uint8_t)(e->seq >> 8);
	b[7] = (uint8_t)e->seq;
	memcpy(b + HEAD, e->data, e->len);
	(void)!send(t->fd, b, HEAD + e->len, MSG_NOSIGNAL);
}

void flow_echo(struct flows *f, const struct stack_echo *e)
{
	struct flow_query q = {.id = ++f->last_id,
		.proto = FLOW_ECHO,
		.tuple = {.guest.addr = e->guest, .remote.addr = e->remote}};
	struct flow_verdict v;

	flow_decide(f, &q, &v);
	if (v.action == FLOW_DIAL && v.dial.addr.family == e->guest.family)
		relay(f, e, &v.dial.addr);
	else if (v.action == FLOW_DENY)
		stack_echo_refuse(f->stack, e, v.refusal);
}
