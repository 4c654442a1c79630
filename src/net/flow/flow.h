/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows of one sandbox: every connection, datagram flow and echo of its guest, spliced to a socket
 * of the host.
 *
 * Owns the stack (net/stack/stack.h) and all upstream sockets, on one loop and one thread. The
 * process around it gives it a link for frames, a decision for every destination, and ears for what
 * happened; it knows no policy, no DNS and no TLS. A decision may hand a flow to somebody else in
 * the process (the DNS forwarder, an interceptor), who then speaks with the stack's handle
 * directly.
 *
 * What a guest sees: a connection is answered after its upstream socket is connected; a refused
 * peer refuses, an unreachable one is unreachable, a denied one resets at once. Bytes wait in one
 * bounded buffer a direction and connection; whoever is slow slows the other end down. Each end of
 * a stream is passed on by itself.
 */
#pragma once

#include "base/loop.h"

#include "net/stack/tcp.h"

struct flows;
struct net_proxy;

enum flow_proto { FLOW_TCP, FLOW_UDP, FLOW_ECHO };

/* One flow to decide about. */
struct flow_query {
	uint64_t id; /* no other flow of this process has it */
	enum flow_proto proto;
	bool ingress; /* a client of the host came to a published port; remote is that client */
	struct net_tuple tuple;
};

enum flow_action {
	FLOW_DENY, /* refused as `refusal` says */
	FLOW_DIAL, /* splice to a socket connected to `dial` */
	FLOW_INSPECT, /* TCP: the same, but the guest's bytes wait for what `inspect` says of them
		       */
	FLOW_HAND, /* `hand_tcp` or `hand_udp` takes the stack's handle */
	FLOW_DIVERT, /* of `inspect` only: all bytes go to the socket that `divert` makes */
};

/* The decision; prepared as: FLOW_DENY, STACK_REFUSED for TCP and STACK_PROHIBITED for others, dial
 * = the guest's words. */
struct flow_verdict {
	enum flow_action action;
	enum stack_refusal refusal;
	struct net_peer dial; /* e.g. 127.0.0.1 for the gateway's address */
	/* TCP: ask this proxy for `dial`, or for `proxy_name` if that is not NULL; borrowed, the
	 * name only during the call. NULL: no proxy */
	const struct net_proxy *proxy;
	const char *proxy_name;
	/* Called at once: must give the handle a handler and accept or refuse it, now or later. */
	void (*hand_tcp)(void *user, struct stack_tcp *c, const struct net_tuple *t);
	void (*hand_udp)(void *user, struct stack_udp *u, const struct net_tuple *t);
	void *user;
	bool hold_down; /* FLOW_INSPECT: the server's bytes wait, too */
	uint32_t tag; /* of the caller, e.g. the number of the rule; comes back in events */
};

enum flow_event_kind {
	FLOW_EVENT_DENIED, /* by the decision */
	FLOW_EVENT_FAILED, /* allowed, but the upstream did not come about: `error` */
	FLOW_EVENT_OPENED,
	FLOW_EVENT_CLOSED, /* `up` and `down` are final, `error` is 0 for an orderly end */
};

struct flow_event {
	enum flow_event_kind kind;
	struct flow_query query;
	uint32_t tag;
	int error; /* negative errno */
	uint64_t up, down; /* payload bytes from and to the guest */
};

struct flow_ops {
	/* As stack_ops.emit: 0, or -EAGAIN and later stack_link_ready(). */
	int (*emit)(void *ctx, const struct iovec *iov, int n);
	void (*decide)(void *ctx, const struct flow_query *q, struct flow_verdict *v);
	/*
	 * The first @len bytes of a flow under FLOW_INSPECT, not asked before there is one; @last:
	 * there will be no others (their end has come, and then @len may be 0; there are
	 * inspect_max of them; or inspect_ms have passed since the first one).
	 * Return: FLOW_DIAL lets all bytes go, FLOW_DIVERT, too, but to `divert`; FLOW_DENY
	 * resets, FLOW_INSPECT wants more (unless @last: that counts as FLOW_DENY). May change
	 * *@tag.
	 */
	enum flow_action (*inspect)(void *ctx, const struct flow_query *q, const void *data,
		size_t len, bool last, uint32_t *tag);
	/*
	 * Somebody else speaks with the server of a flow under FLOW_INSPECT with .hold_down:
	 * @upstream is connected to it, and owned by the callee from here on. @data and @len as
	 * shown to `inspect`; they are still to be read from the guest. Return: 0 with a stream
	 * socket that takes the guest's bytes and gives it those of its server in @ret_fd, or a
	 * negative errno.
	 */
	int (*divert)(void *ctx, const struct flow_query *q, const void *data, size_t len,
		int upstream, int *ret_fd);
	/* What happened, for log and ledger; must not call back. May be NULL. */
	void (*event)(void *ctx, const struct flow_event *e);
	/* Bytes went through a published port, either way; often, so be quick. May be NULL. */
	void (*used)(void *ctx);
};

struct flow_config {
	struct stack_config stack; /* max_tcp is --max-connections */
	uint32_t connect_timeout_ms; /* 0: 30 s */
	uint32_t inspect_max; /* 0: 16 KiB */
	uint32_t inspect_ms; /* from the first byte on; 0: 5 s */
	uint32_t max_echo; /* echo requests under way, 0: 64 */
	uint32_t echo_ms; /* that one is waited for, 0: 5 s */
};

/** flows_new - @ops and @ctx must outlive it. 0, -EINVAL, -ENOMEM */
int flows_new(struct loop *l, const struct flow_config *cfg, const struct flow_ops *ops, void *ctx,
	struct flows **ret) MSB_MUST_CHECK;

/** flows_free - closes every socket (reset where bytes were under way); NULL is fine. Returns NULL
 */
struct flows *flows_free(struct flows *f);

/** flows_stack - for handlers that took a flow and for statistics; input goes to it: stack_input()
 */
struct stack *flows_stack(struct flows *f);

/**
 * flows_listen_tcp - publish a port: clients of @fd become connections from the gateway to
 * @guest_port
 * @fd: bound, listening, non-blocking; owned by the flows when this succeeds
 */
int flows_listen_tcp(struct flows *f, int fd, uint16_t guest_port) MSB_MUST_CHECK;

/** flows_listen_udp - the same for a bound, non-blocking datagram socket */
int flows_listen_udp(struct flows *f, int fd, uint16_t guest_port) MSB_MUST_CHECK;

/**
 * flows_redecide - the policy has changed: ask again about every open flow and end those that are
 * denied now
 *
 * Where the first bytes decide, `inspect` is shown those of then; a flow of which nobody has seen
 * them, or only with more than fit, ends too.
 *
 * Flows that were handed over are not asked about; their new owner does that.
 */
void flows_redecide(struct flows *f);
