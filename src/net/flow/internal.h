/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the flows share; nobody else includes this. */
#pragma once

#include "net/flow/flow.h"

enum { UDP_BUCKETS = 256, UDP_BATCH = 32, DATAGRAM_MAX = 65535 };

struct flist {
	struct flist *prev, *next;
};

static inline void flist_init(struct flist *l)
{
	l->prev = l;
	l->next = l;
}

static inline bool flist_empty(const struct flist *l)
{
	return l->next == l;
}

static inline void flist_add_tail(struct flist *l, struct flist *e)
{
	e->prev = l->prev;
	e->next = l;
	l->prev->next = e;
	l->prev = e;
}

static inline void flist_del(struct flist *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	flist_init(e);
}

struct waiter {
	struct flist link;
	uint64_t deadline;
};

/* A queue of things that all wait equally long: the head is due first, one timer serves it. */
struct waiting {
	struct flist list;
	struct loop *loop;
	struct loop_timer timer;
	uint64_t delay_ns;
	void (*due)(struct waiter *w);
};

struct flows {
	struct loop *loop;
	struct flow_config cfg;
	const struct flow_ops *ops;
	void *ctx;
	struct stack *stack;
	struct loop_timer stack_timer;
	struct flist tcp, udp, echo, listeners;
	struct waiting connecting, inspecting, echoing;
	uint32_t n_echo;
	uint64_t last_id; /* of a flow_query */
	uint16_t port; /* last one used for calls to the guest */
	uint8_t datagram[DATAGRAM_MAX];
};

/* flow.c */
void waiting_init(
	struct waiting *q, struct loop *l, uint64_t delay_ns, void (*due)(struct waiter *w));
void waiting_add(struct waiting *q, struct waiter *w);
void waiting_del(struct waiter *w);
void waiting_deinit(struct waiting *q);
void flow_decide(struct flows *f, const struct flow_query *q, struct flow_verdict *v);
void flow_event(struct flows *f, enum flow_event_kind kind, const struct flow_query *q,
	uint32_t tag, int error, uint64_t up, uint64_t down);
/* What the guest is told about an errno of the host. */
enum stack_refusal flow_refusal(int error);
/* A non-blocking socket on the way to @p: @ret_fd, and 0 or -EINPROGRESS. */
int flow_dial(const struct net_peer *p, int type, int proto, int *ret_fd);
/* Where a service of the guest may listen, in the order of asking. */
enum call_target { CALL_GUEST, CALL_LOOPBACK, CALL_GUEST6, CALL_TARGETS };
/* Ends of a call from the gateway to a published port of the guest, with an unused source port.
 * false: there is no such target on this link. */
bool flow_call_tuple(
	struct flows *f, enum call_target target, uint16_t guest_port, struct net_tuple *ret);
/* Bytes went through a published port. */
void flow_used(struct flows *f);

/* tcp.c */
void flow_tcp_wanted(struct flows *f, struct stack_tcp *c, const struct net_tuple *t);
/* @fd: an accepted client, owned from here on. */
void flow_tcp_call(struct flows *f, int fd, const struct flow_query *q, uint32_t tag);
void flow_tcp_redecide(struct flows *f);
void flow_tcp_deinit(struct flows *f);
void flow_tcp_connect_due(struct waiter *w);
void flow_tcp_inspect_due(struct waiter *w);

/* udp.c */
void flow_udp_wanted(struct flows *f, struct stack_udp *u, const struct net_tuple *t);
void flow_udp_redecide(struct flows *f);
void flow_udp_deinit(struct flows *f);

/* echo.c */
void flow_echo(struct flows *f, const struct stack_echo *e);
void flow_echo_deinit(struct flows *f);
void flow_echo_due(struct waiter *w);

/* listen.c */
void flow_listen_redecide(struct flows *f);
void flow_listen_deinit(struct flows *f);
