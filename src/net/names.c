/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's questions about names: see names.h.
 *
 * A client is a flow of the guest, known to the forwarder by a number that is never used again, so
 * an answer that comes too late finds nobody. A slot is a query on its way, with a socket of its
 * own: what the forwarder needs is in its deadline, what it gets is what came over that socket.
 *
 * #syscalls(net:loop): socket(0=AF_INET) socket(0=AF_INET6) connect sendto recvfrom getrandom
 */
#include "net/names.h"

#include <sys/random.h>
#include <sys/socket.h>

#include "net/tell.h"

enum {
	CLIENTS_MAX = 512,
	LENGTH = 2, /* in front of a message over TCP */
	TCP_IN = LENGTH + DNS_QUERY_MAX,
	SLOT_OUT = LENGTH + DNS_QUERY_OUT_MAX,
	SLOT_IN = LENGTH + DNS_MESSAGE_MAX,
};

/* A flow of the guest. Exactly one of the handles. */
struct client {
	struct names *names;
	struct client *next;
	uint64_t cookie;
	struct stack_udp *udp;
	struct stack_tcp *tcp;
	struct net_addr resolver;
	uint32_t waiting; /* answers that will come */
	bool gone; /* the handle is; freed once nobody is at work on it */
	size_t n_in; /* TCP: beginning of the next query */
	uint8_t in[TCP_IN];
};

/* A query on its way to a name server. */
struct slot {
	struct loop_fd src;
	struct names *names;
	bool open;
	bool tcp;
	size_t n_out; /* TCP: what is to be sent once connected */
	uint8_t out[SLOT_OUT];
	uint8_t *in; /* TCP: SLOT_IN bytes of room */
	size_t n_in;
};

struct names {
	struct loop *loop;
	struct dns_forwarder *forwarder;
	struct net_events *events;
	const struct policy *policy;
	struct loop_timer timer;
	struct client *clients;
	uint32_t n_clients;
	uint64_t last_cookie;
	bool inside; /* the forwarder is at work and must not be called */
	struct slot slots[DNS_PENDING_MAX];
};

static void settle(struct names *n);

static void on_timer(struct loop_timer *t)
{
	struct names *n = container_of(t, struct names, timer);

	n->inside = true;
	dns_forwarder_tick(n->forwarder, clock_mono_ns());
	settle(n);
}

static void sweep(struct names *n)
{
	for (struct client **at = &n->clients; *at;) {
		struct client *c = *at;

		if (!c->gone) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		n->n_clients--;
		dns_forwarder_cancel(n->forwarder, c->cookie);
		free(c);
	}
}

/* After every call into the forwarder. */
static void settle(struct names *n)
{
	uint64_t deadline;

	n->inside = false;
	sweep(n);
	deadline = dns_forwarder_deadline(n->forwarder);
	if (deadline)
		loop_timer_set(n->loop, &n->timer, deadline, on_timer);
	else
		loop_timer_del(&n->timer);
}

/* Slots. */

static unsigned int slot_number(const struct slot *s)
{
	return (unsigned int)(s - s->names->slots);
}

static void slot_close(struct slot *s)
{
	if (!s->open)
		return;
	loop_fd_del(&s->src);
	fd_close(s->src.fd);
	free(s->in);
	*s = (struct slot){.names = s->names};
}

static void slot_failed(struct slot *s)
{
	struct names *n = s->names;
	unsigned int number = slot_number(s);

	slot_close(s);
	n->inside = true;
	dns_forwarder_failed(n->forwarder, clock_mono_ns(), number);
	settle(n);
}

static void slot_reply(struct slot *s, const uint8_t *msg, size_t len)
{
	struct names *n = s->names;

	n->inside = true;
	dns_forwarder_reply(n->forwarder, clock_mono_ns(), slot_number(s), msg, len);
	settle(n);
}

static size_t length_at(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

/*
 * One question, one answer. The forwarder may be done with the slot while it looks at the message,
 * and may have a new question in it afterwards.
 */
static void slot_tcp_reply(struct slot *s)
{
	cleanup_free uint8_t *in = TAKE_PTR(s->in);

	slot_reply(s, in + LENGTH, length_at(in));
	if (s->open && s->tcp && !s->in)
		slot_failed(s);
}

static void slot_tcp_readable(struct slot *s)
{
	ssize_t n = recv(s->src.fd, s->in + s->n_in, SLOT_IN - s->n_in, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		slot_failed(s);
		return;
	}
	s->n_in += (size_t)n;
	if (s->n_in >= LENGTH && s->n_in - LENGTH >= length_at(s->in))
		slot_tcp_reply(s);
}

static void slot_tcp_connected(struct slot *s)
{
	/* An empty socket takes as little as this at once. */
	if (send(s->src.fd, s->out, s->n_out, MSG_NOSIGNAL) != (ssize_t)s->n_out ||
		loop_fd_set(&s->src, EPOLLIN) < 0)
		slot_failed(s);
}

static void slot_udp_readable(struct slot *s)
{
	static uint8_t msg[DNS_MESSAGE_MAX];
	ssize_t n = recv(s->src.fd, msg, sizeof(msg), 0);

	if (n >= 0)
		slot_reply(s, msg, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		slot_failed(s);
}

static void on_slot(struct loop_fd *src, uint32_t events)
{
	struct slot *s = container_of(src, struct slot, src);

	if (!s->tcp)
		slot_udp_readable(s);
	else if (events & EPOLLOUT)
		slot_tcp_connected(s);
	else
		slot_tcp_readable(s);
}

static int slot_connect(struct slot *s, int fd, const struct net_peer *server)
{
	struct sockaddr_storage sa;
	socklen_t len = net_peer_to_sockaddr(server, &sa);
	int r = connect(fd, (const struct sockaddr *)&sa, len) < 0 ? -errno : 0;

	if (r == -EINPROGRESS && s->tcp)
		r = 0;
	if (r == 0)
		r = loop_fd_add(s->names->loop, &s->src, fd, s->tcp ? EPOLLOUT : EPOLLIN, on_slot);
	return r;
}

static int on_send(void *arg, unsigned int number, const struct net_peer *server, bool tcp,
	const uint8_t *msg, size_t len)
{
	struct names *n = arg;
	struct slot *s = &n->slots[number];
	int family = server->addr.family == NET_V6 ? AF_INET6 : AF_INET;
	cleanup_fd int fd = -EBADF;
	int r;

	slot_close(s);
	if (len > DNS_QUERY_OUT_MAX)
		return -EMSGSIZE;
	fd = socket(family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	*s = (struct slot){.names = n, .tcp = tcp};
	if (tcp) {
		s->in = malloc(SLOT_IN);
		if (!s->in)
			return -ENOMEM;
		s->out[0] = (uint8_t)(len >> 8);
		s->out[1] = (uint8_t)len;
		memcpy(s->out + LENGTH, msg, len);
		s->n_out = LENGTH + len;
	}
	r = slot_connect(s, fd, server);
	if (r == 0 && !tcp && send(fd, msg, len, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r < 0) {
		loop_fd_del(&s->src);
		free(s->in);
		*s = (struct slot){.names = n};
		return r;
	}
	s->open = true;
	(void)TAKE_FD(fd);
	return 0;
}

static void on_done(void *arg, unsigned int number)
{
	struct names *n = arg;

	slot_close(&n->slots[number]);
}

/* Clients. */

static struct client *client_new(struct names *n, const struct net_tuple *t)
{
	struct client *c = n->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->names = n;
	c->cookie = ++n->last_cookie;
	c->resolver = t->remote.addr;
	c->next = n->clients;
	n->clients = c;
	n->n_clients++;
	return c;
}

static struct client *client_find(struct names *n, uint64_t cookie)
{
	struct client *c = n->clients;

	while (c && (c->cookie != cookie || c->gone))
		c = c->next;
	return c;
}

/* Its handle is gone. */
static void client_end(struct client *c)
{
	c->gone = true;
	c->udp = NULL;
	c->tcp = NULL;
	if (!c->names->inside)
		settle(c->names);
}

static void client_ask(struct client *c, const uint8_t *msg, size_t len)
{
	const struct dns_client who = {
		.cookie = c->cookie, .tcp = c->tcp != NULL, .resolver = c->resolver};
	struct names *n = c->names;

	c->waiting++;
	n->inside = true;
	dns_forwarder_query(n->forwarder, clock_mono_ns(), &who, msg, len);
	settle(n);
}

static void on_datagram(struct stack_udp *u, void *user, const void *data, size_t len)
{
	(void)u;
	client_ask(user, data, len);
}

static void on_udp_closed(struct stack_udp *u, void *user, enum stack_end why)
{
	(void)u;
	(void)why;
	client_end(user);
}

/* Return: was there a whole query? -EPROTO for one that is too long. */
static int next_query(struct client *c)
{
	uint8_t msg[DNS_QUERY_MAX];
	size_t len;

	if (c->n_in < LENGTH)
		return 0;
	len = length_at(c->in);
	if (len > sizeof(msg))
		return -EPROTO;
	if (c->n_in - LENGTH < len)
		return 0;
	memcpy(msg, c->in + LENGTH, len);
	c->n_in -= LENGTH + len;
	memmove(c->in, c->in + LENGTH + len, c->n_in);
	client_ask(c, msg, len);
	return 1;
}

/* Takes bytes of the stream. Return: how many. */
static size_t take_in(struct client *c)
{
	struct iovec iov[STACK_TCP_IOV];
	int n = 0;
	size_t taken = 0;

	if (stack_tcp_peek(c->tcp, iov, &n) == 0)
		return 0;
	for (int i = 0; i < n && c->n_in < sizeof(c->in); i++) {
		size_t part = MIN(iov[i].iov_len, sizeof(c->in) - c->n_in);

		memcpy(c->in + c->n_in, iov[i].iov_base, part);
		c->n_in += part;
		taken += part;
	}
	stack_tcp_consume(c->tcp, taken);
	return taken;
}

static void client_abort(struct client *c)
{
	stack_tcp_abort(c->tcp);
	client_end(c);
}

static void on_tcp_readable(struct stack_tcp *tcp, void *user)
{
	const uint64_t cookie = ((struct client *)user)->cookie;
	struct names *n = ((struct client *)user)->names;
	struct client *c = user;

	for (;;) {
		int r = next_query(c);

		if (r < 0) {
			client_abort(c);
			return;
		}
		/* An answer at once may have ended the client. */
		c = client_find(n, cookie);
		if (!c)
			return;
		if (r == 0 && take_in(c) == 0)
			break;
	}
	if (stack_tcp_eof(tcp) && c->waiting == 0)
		stack_tcp_shutdown(tcp);
}

static void on_tcp_closed(struct stack_tcp *tcp, void *user, enum stack_end why)
{
	(void)tcp;
	(void)why;
	client_end(user);
}

static void answer_tcp(struct client *c, const uint8_t *msg, size_t len)
{
	const uint8_t head[LENGTH] = {(uint8_t)(len >> 8), (uint8_t)len};

	/* Who asks for more than the stack holds without reading may ask again. */
	if (stack_tcp_write(c->tcp, head, LENGTH) != LENGTH ||
		stack_tcp_write(c->tcp, msg, len) != len) {
		client_abort(c);
		return;
	}
	if (stack_tcp_eof(c->tcp) && c->waiting == 0)
		stack_tcp_shutdown(c->tcp);
}

static void on_answer(void *arg, const struct dns_client *who, const uint8_t *msg, size_t len)
{
	struct client *c = client_find(arg, who->cookie);

	if (!c)
		return;
	c->waiting--;
	if (c->tcp)
		answer_tcp(c, msg, len);
	else
		stack_udp_send(c->udp, msg, len);
}

static void on_random(void *arg, void *to, size_t n)
{
	(void)arg;
	/* Short reads and failures do not happen to requests of this size once the pool is up. */
	if (getrandom(to, n, 0) != (ssize_t)n)
		abort();
}

static void on_event(void *arg, const struct dns_event *e)
{
	struct names *n = arg;

	tell_lookup(n->events, n->policy, e);
}

static const struct stack_udp_ops udp_ops = {.datagram = on_datagram, .closed = on_udp_closed};
static const struct stack_tcp_ops tcp_ops = {.readable = on_tcp_readable, .closed = on_tcp_closed};
static const struct dns_ops dns_ops = {.send = on_send,
	.done = on_done,
	.answer = on_answer,
	.event = on_event,
	.random = on_random};

void names_take_udp(void *user, struct stack_udp *u, const struct net_tuple *t)
{
	struct client *c = client_new(user, t);

	if (!c) {
		stack_udp_refuse(u, STACK_SILENT);
		return;
	}
	c->udp = u;
	stack_udp_handle(u, &udp_ops, c);
}

void names_take_tcp(void *user, struct stack_tcp *tcp, const struct net_tuple *t)
{
	struct client *c = client_new(user, t);

	if (!c) {
		stack_tcp_refuse(tcp, STACK_REFUSED);
		return;
	}
	c->tcp = tcp;
	stack_tcp_handle(tcp, &tcp_ops, c);
	stack_tcp_accept(tcp);
}

size_t names_of(struct names *n, const struct net_addr *addr, const char **ret, size_t max)
{
	return dns_pins_find(dns_forwarder_pins(n->forwarder), clock_mono_ns(), addr, ret, max);
}

int names_new(struct loop *l, const struct dns_config *config, const struct policy *policy,
	struct net_events *events, struct names **ret)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->loop = l;
	n->events = events;
	n->policy = policy;
	for (size_t i = 0; i < ARRAY_SIZE(n->slots); i++)
		n->slots[i].names = n;
	n->forwarder = dns_forwarder_new(config, policy, &dns_ops, n);
	if (!n->forwarder) {
		free(n);
		return -ENOMEM;
	}
	*ret = n;
	return 0;
}

struct names *names_free(struct names *n)
{
	if (!n)
		return NULL;
	loop_timer_del(&n->timer);
	for (size_t i = 0; i < ARRAY_SIZE(n->slots); i++)
		slot_close(&n->slots[i]);
	while (n->clients) {
		struct client *c = n->clients;

		n->clients = c->next;
		free(c);
	}
	dns_forwarder_free(n->forwarder);
	free(n);
	return NULL;
}
