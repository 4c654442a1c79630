/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flows as an object: the stack on its loop, decisions, deadlines.
 *
 * #syscalls(net:loop): socket connect setsockopt getsockopt close
 */
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/flow/internal.h"

enum {
	CONNECT_MS = 30000,
	INSPECT_BYTES = 16 * 1024,
	INSPECT_MS = 5000,
	ECHO_MAX = 64,
	ECHO_MS = 5000,
	FIRST_PORT = 49152
};

static void waiting_timer(struct loop_timer *t)
{
	struct waiting *q = container_of(t, struct waiting, timer);
	uint64_t now = clock_mono_ns();

	while (!flist_empty(&q->list)) {
		struct waiter *w = container_of(q->list.next, struct waiter, link);

		if (w->deadline > now) {
			loop_timer_set(q->loop, t, w->deadline, waiting_timer);
			break;
		}
		flist_del(&w->link);
		q->due(w);
	}
}

void waiting_init(
	struct waiting *q, struct loop *l, uint64_t delay_ns, void (*due)(struct waiter *w))
{
	flist_init(&q->list);
	q->loop = l;
	q->delay_ns = delay_ns;
	q->due = due;
}

void waiting_add(struct waiting *q, struct waiter *w)
{
	w->deadline = clock_mono_ns() + q->delay_ns;
	flist_add_tail(&q->list, &w->link);
	if (!q->timer.loop)
		loop_timer_set(q->loop, &q->timer, w->deadline, waiting_timer);
}

void waiting_del(struct waiter *w)
{
	flist_del(&w->link);
}

void waiting_deinit(struct waiting *q)
{
	loop_timer_del(&q->timer);
}

void flow_event(struct flows *f, enum flow_event_kind kind, const struct flow_query *q,
	uint32_t tag, int error, uint64_t up, uint64_t down)
{
	struct flow_event e = {
		.kind = kind, .query = *q, .tag = tag, .error = error, .up = up, .down = down};

	if (f->ops->event)
		f->ops->event(f->ctx, &e);
}

void flow_decide(struct flows *f, const struct flow_query *q, struct flow_verdict *v)
{
	*v = (struct flow_verdict){
		.action = FLOW_DENY,
		.refusal = q->proto == FLOW_TCP ? STACK_REFUSED : STACK_PROHIBITED,
		.dial = q->tuple.remote,
	};
	f->ops->decide(f->ctx, q, v);
	if (v->action == FLOW_DENY)
		flow_event(f, FLOW_EVENT_DENIED, q, v->tag, 0, 0, 0);
}

enum stack_refusal flow_refusal(int error)
{
	switch (error) {
	case -ENETUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
		return STACK_NET_UNREACHABLE;
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
	case -ETIMEDOUT:
		return STACK_HOST_UNREACHABLE;
	case -EACCES:
	case -EPERM:
		return STACK_PROHIBITED; /* a firewall of the host */
	default:
		return STACK_REFUSED;
	}
}

int flow_dial(const struct net_peer *p, int type, int proto, int *ret_fd)
{
	int family = p->addr.family == NET_V4 ? AF_INET : AF_INET6;
	struct sockaddr_storage sa;
	cleanup_fd int fd = -EBADF;
	socklen_t len;
	int r = 0;

	if (p->addr.family == NET_NONE)
		return -EAFNOSUPPORT;
	fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM) {
		int on = 1;

		/* The guest's kernel has already waited for more if its program wanted that. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	len = net_peer_to_sockaddr(p, &sa);
	if (connect(fd, (struct sockaddr *)&sa, len) < 0)
		r = -errno;
	if (r == 0 || r == -EINPROGRESS)
		*ret_fd = TAKE_FD(fd);
	return r;
}

void flow_used(struct flows *f)
{
	if (f->ops->used)
		f->ops->used(f->ctx);
}

bool flow_call_tuple(
	struct flows *f, enum call_target target, uint16_t guest_port, struct net_tuple *ret)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	const struct stack_config *c = &f->cfg.stack;
	bool has4 = c->guest4.family == NET_V4;
	bool v4 = has4 && target != CALL_GUEST6;

	if (target != CALL_GUEST && (!has4 || (!v4 && c->guest6.family != NET_V6)))
		return false;
	f->port = f->port < FIRST_PORT || f->port == UINT16_MAX ? FIRST_PORT
								: (uint16_t)(f->port + 1);
	*ret = (struct net_tuple){
		.guest = {.addr = v4 ? c->guest4 : c->guest6, .port = guest_port},
		.remote = {.addr = v4 ? c->gateway4 : c->gateway6, .port = f->port},
	};
	if (target == CALL_LOOPBACK)
		ret->guest.addr = net_addr_v4(loopback);
	return true;
}

static int on_emit(void *ctx, const struct iovec *iov, int n)
{
	struct flows *f = ctx;

	return f->ops->emit(f->ctx, iov, n);
}

static uint64_t on_now(void *ctx)
{
	(void)ctx;
	return clock_mono_ns();
}

static void on_stack_timer(struct loop_timer *t)
{
	stack_tick(container_of(t, struct flows, stack_timer)->stack);
}

static void on_arm(void *ctx, uint64_t deadline_ns)
{
	struct flows *f = ctx;

	loop_timer_set(f->loop, &f->stack_timer, deadline_ns, on_stack_timer);
}

static void on_tcp(void *ctx, struct stack_tcp *c, const struct net_tuple *t)
{
	flow_tcp_wanted(ctx, c, t);
}

static void on_udp(void *ctx, struct stack_udp *u, const struct net_tuple *t)
{
	flow_udp_wanted(ctx, u, t);
}

static void on_echo(void *ctx, const struct stack_echo *e)
{
	flow_echo(ctx, e);
}

static const struct stack_ops stack_ops = {
	.emit = on_emit,
	.now = on_now,
	.arm = on_arm,
	.tcp_wanted = on_tcp,
	.udp_wanted = on_udp,
	.echo = on_echo,
};

int flows_new(struct loop *l, const struct flow_config *cfg, const struct flow_ops *ops, void *ctx,
	struct flows **ret)
{
	struct flows *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->loop = l;
	f->cfg = *cfg;
	f->cfg.connect_timeout_ms = cfg->connect_timeout_ms ? cfg->connect_timeout_ms : CONNECT_MS;
	f->cfg.inspect_max = cfg->inspect_max ? cfg->inspect_max : INSPECT_BYTES;
	f->cfg.inspect_ms = cfg->inspect_ms ? cfg->inspect_ms : INSPECT_MS;
	f->cfg.max_echo = cfg->max_echo ? cfg->max_echo : ECHO_MAX;
	f->cfg.echo_ms = cfg->echo_ms ? cfg->echo_ms : ECHO_MS;
	f->ops = ops;
	f->ctx = ctx;
	flist_init(&f->tcp);
	flist_init(&f->udp);
	flist_init(&f->echo);
	flist_init(&f->listeners);
	waiting_init(
		&f->connecting, l, f->cfg.connect_timeout_ms * NSEC_PER_MSEC, flow_tcp_connect_due);
	waiting_init(&f->inspecting, l, f->cfg.inspect_ms * NSEC_PER_MSEC, flow_tcp_inspect_due);
	waiting_init(&f->echoing, l, f->cfg.echo_ms * NSEC_PER_MSEC, flow_echo_due);
	r = stack_new(&cfg->stack, &stack_ops, f, &f->stack);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

struct flows *flows_free(struct flows *f)
{
	if (!f)
		return NULL;
	flow_listen_deinit(f);
	flow_tcp_deinit(f);
	flow_udp_deinit(f);
	flow_echo_deinit(f);
	f->stack = stack_free(f->stack);
	waiting_deinit(&f->connecting);
	waiting_deinit(&f->inspecting);
	waiting_deinit(&f->echoing);
	loop_timer_del(&f->stack_timer);
	free(f);
	return NULL;
}

struct stack *flows_stack(struct flows *f)
{
	return f->stack;
}

void flows_redecide(struct flows *f)
{
	flow_tcp_redecide(f);
	flow_udp_redecide(f);
	flow_listen_redecide(f);
}
