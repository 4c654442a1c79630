/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection of the guest and a socket of the host, spliced.
 *
 * Towards the socket bytes go straight from the guest's frame; what the socket does not take waits
 * in the stack's buffer and closes the guest's window. Towards the guest they are read straight
 * into the buffer they are sent from; without space the socket is not read.
 *
 * The socket is watched only for what is wanted of it, and not at all when that is nothing: an end
 * or an error that nobody can act on yet would be reported without pause. Each end of a stream is
 * passed on by itself; a reset becomes a reset.
 *
 * The stack calls back from stack_input() and stack_tick() only, never from a call made here, so a
 * flow does not go away under a function of this file that has not ended it itself.
 *
 * #syscalls(net:loop): readv sendmsg sendto recvfrom shutdown setsockopt getsockopt close
 */
#include <sys/socket.h>

#include "net/flow/internal.h"
#include "net/flow/proxy.h"

/* A ClientHello has about 2 KiB, with keys against quantum computers. */
enum { SAID_MAX = 4096 };

enum state {
	DIALLING, /* the socket connects; the guest waits for an answer to its SYN */
	ASKING, /* the socket is connected to a proxy, which is asked for the peer */
	CALLING, /* a client of a published port; we ask the addresses of the guest in turn */
	INSPECTING, /* connected, but the guest's bytes wait for a verdict */
	OPEN,
};

struct tcp_flow {
	struct flist link;
	struct waiter waiter;
	struct flows *flows;
	struct stack_tcp *c;
	struct loop_fd src;
	int fd; /* negative: both directions of the socket have ended */
	enum state state;
	struct proxy_talk *talk; /* until the proxy has answered; owned */
	enum call_target target; /* CALLING: who is asked now */
	bool inspect; /* to be done when connected */
	bool hold_down;
	bool up_full; /* the socket took less than there was */
	bool up_ended, down_ended;
	bool down_full; /* no space towards the guest */
	struct flow_query query;
	uint32_t tag;
	uint64_t up, down;
	/* The first bytes, once they have decided, in case the policy changes; NULL: too many. */
	uint8_t *said;
	size_t n_said;
};

static void on_socket(struct loop_fd *src, uint32_t events);

static struct tcp_flow *flow_of(struct flist *l)
{
	return container_of(l, struct tcp_flow, link);
}

static void talk_free(struct tcp_flow *t)
{
	if (t->talk)
		explicit_bzero(t->talk, sizeof(*t->talk));
	free(t->talk);
	t->talk = NULL;
}

static void flow_free(struct tcp_flow *t)
{
	talk_free(t);
	loop_fd_del(&t->src);
	t->fd = fd_close(t->fd);
	waiting_del(&t->waiter);
	flist_del(&t->link);
	free(t->said);
	free(t);
}

/* The last event of a flow, and its end. The handle is gone or about to be. */
static void finish(struct tcp_flow *t, int error)
{
	bool opened = t->state == OPEN || t->state == INSPECTING;

	if (error && t->fd >= 0) {
		struct linger reset = {.l_onoff = 1, .l_linger = 0};

		(void)setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	flow_event(t->flows, opened ? FLOW_EVENT_CLOSED : FLOW_EVENT_FAILED, &t->query, t->tag,
		error, t->up, t->down);
	flow_free(t);
}

static void abort_both(struct tcp_flow *t, int error)
{
	stack_tcp_abort(t->c);
	finish(t, error);
}

/* Watch the socket for what is wanted of it. false: that failed and the flow is over. */
static bool watch(struct tcp_flow *t)
{
	uint32_t events = 0;
	int r = 0;

	if (t->fd < 0)
		return true;
	if (t->state == DIALLING || t->up_full || (t->state == ASKING && t->talk->n_out))
		events |= EPOLLOUT;
	if (t->state == ASKING)
		events |= EPOLLIN;
	if ((t->state == OPEN || (t->state == INSPECTING && !t->hold_down)) && !t->down_ended &&
		!t->down_full)
		events |= EPOLLIN;
	if (t->up_ended && t->down_ended) {
		loop_fd_del(&t->src);
		t->fd = fd_close(t->fd);
	} else if (events == 0) {
		loop_fd_del(&t->src);
	} else if (t->src.loop) {
		r = loop_fd_set(&t->src, events);
	} else {
		r = loop_fd_add(t->flows->loop, &t->src, t->fd, events, on_socket);
	}
	if (r < 0)
		abort_both(t, r);
	return r >= 0;
}

/* From the guest to the socket, as much as it takes. false: the flow is over. */
static bool pump_up(struct tcp_flow *t)
{
	struct iovec iov[STACK_TCP_IOV];
	struct msghdr msg = {.msg_iov = iov};
	size_t want;
	int n;

	while (!t->up_full && (want = stack_tcp_peek(t->c, iov, &n)) > 0) {
		ssize_t sent;

		msg.msg_iovlen = (size_t)n;
		sent = sendmsg(t->fd, &msg, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN) {
			abort_both(t, -errno);
			return false;
		}
		if (sent > 0) {
			stack_tcp_consume(t->c, (size_t)sent);
			t->up += (uint64_t)sent;
			if (t->query.ingress)
				flow_used(t->flows);
		}
		t->up_full = sent < 0 || (size_t)sent < want;
	}
	if (!t->up_ended && stack_tcp_eof(t->c)) {
		t->up_ended = true;
		(void)shutdown(t->fd, SHUT_WR);
	}
	return true;
}

/* From the socket to the guest, one read. false: the flow is over. */
static bool pump_down(struct tcp_flow *t)
{
	struct iovec iov[2];
	ssize_t got;
	int n;

	if (stack_tcp_reserve(t->c, iov, &n) == 0) {
		t->down_full = true;
		return true;
	}
	got = readv(t->fd, iov, n);
	if (got < 0 && errno != EAGAIN && errno != EINTR) {
		abort_both(t, -errno);
		return false;
	}
	if (got > 0) {
		t->down += (uint64_t)got;
		if (t->query.ingress)
			flow_used(t->flows);
		stack_tcp_commit(t->c, (size_t)got);
	} else if (got == 0) {
		t->down_ended = true;
		stack_tcp_shutdown(t->c);
	}
	return true;
}

/* The socket becomes another one, of somebody who has the old one. false: the flow is over. */
static bool divert(struct tcp_flow *t, const void *bytes, size_t len)
{
	const struct flow_ops *ops = t->flows->ops;
	int r = ops->divert ? 0 : -EOPNOTSUPP;
	int fd = -EBADF;

	if (r == 0) {
		loop_fd_del(&t->src);
		r = ops->divert(t->flows->ctx, &t->query, bytes, len, TAKE_FD(t->fd), &fd);
	}
	if (r < 0) {
		abort_both(t, r);
		return false;
	}
	t->fd = fd;
	t->up_full = false;
	t->state = OPEN;
	return pump_up(t);
}

static void remember(struct tcp_flow *t, const uint8_t *bytes, size_t len)
{
	if (len > SAID_MAX || (t->said = malloc(len + 1)) == NULL)
		return;
	memcpy(t->said, bytes, len);
	t->n_said = len;
}

/*
 * Show the first bytes to whoever decides. false: the flow is over.
 *
 * Without a byte there is nothing to look at, however long that lasts: the time runs from the first
 * one on, or who only waits would be let go and could then name whom it wants.
 */
static bool inspect(struct tcp_flow *t, bool last)
{
	const struct flow_ops *ops = t->flows->ops;
	uint32_t max = t->flows->cfg.inspect_max;
	struct iovec iov[STACK_TCP_IOV];
	cleanup_free uint8_t *bytes = malloc(max);
	enum flow_action action = FLOW_DENY;
	size_t len = 0;
	int n;

	(void)stack_tcp_peek(t->c, iov, &n);
	for (int i = 0; bytes && i < n && len < max; i++) {
		size_t part = MIN(iov[i].iov_len, max - len);

		memcpy(bytes + len, iov[i].iov_base, part);
		len += part;
	}
	last = last || len == max || stack_tcp_eof(t->c);
	if (bytes && len == 0 && !last)
		return true;
	if (bytes && ops->inspect)
		action = ops->inspect(t->flows->ctx, &t->query, bytes, len, last, &t->tag);
	if (action == FLOW_INSPECT && !last) {
		if (flist_empty(&t->waiter.link))
			waiting_add(&t->flows->inspecting, &t->waiter);
		return true;
	}
	waiting_del(&t->waiter);
	if (action == FLOW_DIVERT || action == FLOW_DIAL)
		remember(t, bytes, len);
	if (action == FLOW_DIVERT)
		return divert(t, bytes, len);
	if (action != FLOW_DIAL) {
		flow_event(t->flows, FLOW_EVENT_DENIED, &t->query, t->tag, 0, 0, 0);
		abort_both(t, -EACCES);
		return false;
	}
	t->state = OPEN;
	return pump_up(t);
}

static void on_readable(struct stack_tcp *c, void *user)
{
	struct tcp_flow *t = user;
	bool alive = true;

	(void)c;
	if (t->state == INSPECTING)
		alive = inspect(t, false);
	else if (t->state == OPEN && t->fd >= 0)
		alive = pump_up(t);
	if (alive)
		(void)watch(t);
}

static void on_writable(struct stack_tcp *c, void *user)
{
	struct tcp_flow *t = user;

	(void)c;
	t->down_full = false;
	(void)watch(t);
}

/* The guest took our call: let the client's bytes flow. */
static void on_connected(struct stack_tcp *c, void *user)
{
	struct tcp_flow *t = user;

	(void)c;
	if (t->state != CALLING)
		return;
	t->state = OPEN;
	waiting_del(&t->waiter);
	flow_event(t->flows, FLOW_EVENT_OPENED, &t->query, t->tag, 0, 0, 0);
	(void)watch(t);
}

static bool call_next(struct tcp_flow *t);

static void on_closed(struct stack_tcp *c, void *user, enum stack_end why)
{
	static const int errors[] = {
		[STACK_END_DONE] = 0,
		[STACK_END_RESET] = -ECONNRESET,
		[STACK_END_TIMEOUT] = -ETIMEDOUT,
		[STACK_END_IDLE] = -ETIMEDOUT,
	};

	struct tcp_flow *t = user;

	(void)c;
	if (t->state == CALLING && why == STACK_END_RESET && call_next(t))
		return;
	finish(t, errors[why]);
}

static const struct stack_tcp_ops handler = {on_connected, on_readable, on_writable, on_closed};

/* Call the service where t->target says. false: there is none to be called. */
static bool call(struct tcp_flow *t)
{
	struct flows *f = t->flows;
	struct net_tuple tuple;

	t->c = NULL;
	for (int tries = 0; tries < 64 && !t->c; tries++) {
		if (!flow_call_tuple(f, t->target, t->query.tuple.guest.port, &tuple))
			return false;
		t->c = stack_tcp_connect(f->stack, &tuple, &handler, t);
		if (!t->c && errno != EADDRINUSE)
			break;
	}
	return t->c != NULL;
}

/* Nobody listens there: perhaps at another address of the guest. */
static bool call_next(struct tcp_flow *t)
{
	while (++t->target < CALL_TARGETS) {
		if (call(t))
			return true;
	}
	return false;
}

static struct tcp_flow *flow_new(struct flows *f, const struct flow_query *q, uint32_t tag)
{
	struct tcp_flow *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->flows = f;
	t->fd = -EBADF;
	t->query = *q;
	t->tag = tag;
	flist_init(&t->waiter.link);
	flist_add_tail(&f->tcp, &t->link);
	return t;
}

static void fail(struct tcp_flow *t, int error)
{
	stack_tcp_refuse(t->c, flow_refusal(error));
	finish(t, error);
}

/* The socket is connected: answer the guest's SYN. */
static void established(struct tcp_flow *t)
{
	waiting_del(&t->waiter);
	t->state = t->inspect ? INSPECTING : OPEN;
	flow_event(t->flows, FLOW_EVENT_OPENED, &t->query, t->tag, 0, 0, 0);
	stack_tcp_accept(t->c);
	(void)watch(t);
}

/* Tell the proxy what there is to be told. Return: 0 or a negative errno. */
static int talk_send(struct tcp_flow *t)
{
	ssize_t n;

	if (!t->talk->n_out)
		return 0;
	n = send(t->fd, t->talk->out, t->talk->n_out, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	proxy_talk_sent(t->talk, (size_t)n);
	return 0;
}

/* What follows the proxy's answer is the server's: looked at first, then only the answer is taken.
 * Return: as proxy_talk_take(). */
static int talk_receive(struct tcp_flow *t)
{
	uint8_t bytes[512];
	ssize_t n = recv(t->fd, bytes, sizeof(bytes), MSG_PEEK);
	size_t used = 0;
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNREFUSED;
	r = proxy_talk_take(t->talk, bytes, (size_t)n, &used);
	if (r >= 0 && used && recv(t->fd, bytes, used, 0) != (ssize_t)used)
		return -EPROTO;
	return r;
}

/* The guest learns of the proxy only what it would learn of the peer. */
static void ask(struct tcp_flow *t, uint32_t events)
{
	int r = talk_send(t);

	if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = talk_receive(t);
	if (r == 0)
		r = talk_send(t);
	if (r < 0) {
		fail(t, r);
	} else if (r > 0) {
		talk_free(t);
		established(t);
	} else {
		(void)watch(t);
	}
}

/* The socket is connected, perhaps to the proxy only. */
static void connected(struct tcp_flow *t)
{
	if (!t->talk) {
		established(t);
		return;
	}
	if (flist_empty(&t->waiter.link))
		waiting_add(&t->flows->connecting, &t->waiter);
	t->state = ASKING;
	ask(t, 0);
}

static void on_dialled(struct tcp_flow *t)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		fail(t, -error);
	else
		connected(t);
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	struct tcp_flow *t = container_of(src, struct tcp_flow, src);

	if (t->state == DIALLING) {
		on_dialled(t);
		return;
	}
	if (t->state == ASKING) {
		ask(t, events);
		return;
	}
	if (t->state == OPEN && (events & (EPOLLOUT | EPOLLERR))) {
		t->up_full = false;
		if (!pump_up(t))
			return;
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !t->down_ended && !pump_down(t))
		return;
	(void)watch(t);
}

static int talk_begin(struct tcp_flow *t, const struct flow_verdict *v)
{
	t->talk = malloc(sizeof(*t->talk));
	return t->talk ? proxy_talk_begin(t->talk, v->proxy, &v->dial, v->proxy_name) : -ENOMEM;
}

static void dial(struct flows *f, struct stack_tcp *c, const struct flow_query *q,
	const struct flow_verdict *v)
{
	struct tcp_flow *t = flow_new(f, q, v->tag);
	int r;

	if (!t) {
		stack_tcp_refuse(c, STACK_REFUSED);
		flow_event(f, FLOW_EVENT_FAILED, q, v->tag, -ENOMEM, 0, 0);
		return;
	}
	t->c = c;
	t->inspect = v->action == FLOW_INSPECT;
	t->hold_down = v->hold_down;
	stack_tcp_handle(c, &handler, t);
	r = v->proxy ? talk_begin(t, v) : 0;
	if (r == 0)
		r = flow_dial(v->proxy ? &v->proxy->at : &v->dial, SOCK_STREAM, 0, &t->fd);
	if (r == 0) {
		connected(t);
	} else if (r == -EINPROGRESS) {
		waiting_add(&f->connecting, &t->waiter);
		(void)watch(t);
	} else {
		fail(t, r);
	}
}

void flow_tcp_wanted(struct flows *f, struct stack_tcp *c, const struct net_tuple *tuple)
{
	struct flow_query q = {.id = ++f->last_id, .proto = FLOW_TCP, .tuple = *tuple};
	struct flow_verdict v;

	flow_decide(f, &q, &v);
	switch (v.action) {
	case FLOW_DENY:
	case FLOW_DIVERT:
		stack_tcp_refuse(c, v.refusal);
		break;
	case FLOW_HAND:
		v.hand_tcp(v.user, c, tuple);
		break;
	case FLOW_DIAL:
	case FLOW_INSPECT:
		dial(f, c, &q, &v);
		break;
	}
}

void flow_tcp_call(struct flows *f, int fd, const struct flow_query *q, uint32_t tag)
{
	struct tcp_flow *t = flow_new(f, q, tag);

	if (!t) {
		flow_event(f, FLOW_EVENT_FAILED, q, tag, -ENOMEM, 0, 0);
		(void)close(fd);
		return;
	}
	t->fd = fd;
	t->state = CALLING;
	if (!call(t)) {
		finish(t, -EAGAIN);
		return;
	}
	waiting_add(&f->connecting, &t->waiter);
}

void flow_tcp_connect_due(struct waiter *w)
{
	struct tcp_flow *t = container_of(w, struct tcp_flow, waiter);

	if (t->state == DIALLING || t->state == ASKING)
		fail(t, -ETIMEDOUT);
	else
		abort_both(t, -ETIMEDOUT);
}

void flow_tcp_inspect_due(struct waiter *w)
{
	struct tcp_flow *t = container_of(w, struct tcp_flow, waiter);

	if (inspect(t, true))
		(void)watch(t);
}

/*
 * Would this flow be let through today? Where its first bytes decide and nobody has looked at them,
 * or they were too many to be kept, it is not: it may come again.
 */
static bool still_allowed(struct tcp_flow *t)
{
	const struct flow_ops *ops = t->flows->ops;
	enum flow_action action = FLOW_DENY;
	struct flow_verdict v;

	flow_decide(t->flows, &t->query, &v);
	if (v.action != FLOW_INSPECT)
		return v.action == FLOW_DIAL;
	if (t->state == DIALLING || t->state == INSPECTING) {
		t->inspect = true;
		t->hold_down = v.hold_down;
		return true;
	}
	if (t->said && ops->inspect)
		action = ops->inspect(t->flows->ctx, &t->query, t->said, t->n_said, true, &t->tag);
	if (action == FLOW_DIAL || action == FLOW_DIVERT)
		return true;
	flow_event(t->flows, FLOW_EVENT_DENIED, &t->query, t->tag, 0, 0, 0);
	return false;
}

void flow_tcp_redecide(struct flows *f)
{
	struct flist *next;

	for (struct flist *l = f->tcp.next; l != &f->tcp; l = next) {
		struct tcp_flow *t = flow_of(l);

		next = l->next;
		if (!still_allowed(t))
			abort_both(t, -EACCES);
		else
			(void)watch(t);
	}
}

void flow_tcp_deinit(struct flows *f)
{
	while (!flist_empty(&f->tcp))
		flow_free(flow_of(f->tcp.next));
}
