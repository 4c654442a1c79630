/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intercepted flows: see session.h.
 *
 * A flow goes through stages. The guest's hello says whom it wants; then the server is asked, its
 * certificate verified and its choice of a protocol heard; only then the guest is answered, with a
 * certificate for the name it wanted and the same choice. So whatever is wrong with the server
 * looks wrong to the guest, too.
 *
 * Afterwards there are two lanes, one a direction, each with a bounded buffer: who is slow slows
 * the other end down. A lane ends by itself; an end that is no orderly one is passed on as such.
 * session_run() does what can be done now and then watches both sockets for what is waited for;
 * it is the only place where a session is freed.
 */
#include "net/intercept/session.h"

#include <sys/socket.h>

#include "net/intercept/exchange.h"
#include "net/intercept/h2.h"

enum { READ_BYTES = 32 * 1024, PIECES = 64, ROUNDS = 16, HANDSHAKE_S = 30, LINGER_S = 30 };

enum stage {
	STAGE_HELLO, /* of the guest */
	STAGE_SERVER, /* its handshake */
	STAGE_ANSWER, /* the rest of the guest's */
	STAGE_REJECT, /* an alert to the guest, then the end */
	STAGE_OPEN,
};

struct side {
	struct session *session;
	int fd;
	struct tls_conn *tls; /* NULL: plain */
	struct loop_fd src;
	uint32_t events; /* wanted */
};

struct lane {
	struct side *from, *to;
	struct buf in; /* read, not understood yet */
	struct buf bytes; /* to be written */
	int (*pass)(struct exchange *x, struct buf *in, struct buf *out);
	bool ended; /* no more of @from */
	bool dirty; /* and that was no orderly end */
	bool judged; /* the answers have ended with it, or not */
	bool closed; /* @to knows */
	bool private; /* .bytes may have values of secrets: they are overwritten */
};

struct session {
	struct session *next, **link;
	struct intercept *in;
	struct intercept_flow flow;
	enum stage stage;
	struct side guest, server;
	struct lane up, down;
	struct exchange exchange;
	struct h2 *h2; /* NULL: HTTP/1.1, or not known yet */
	struct secrets *secrets; /* those of when it began; NULL: none */
	bool refused; /* the guest gets what is under way, then the end */
	struct loop_timer deadline; /* of the handshakes, or of the end */
	struct loop_timer again; /* there is more to do than one run does */
};

static void session_run(struct session *s);

static void side_deinit(struct side *p)
{
	loop_fd_del(&p->src);
	p->tls = tls_conn_free(p->tls);
	p->fd = fd_close(p->fd);
}

static void lane_deinit(struct lane *l)
{
	if (l->private && l->bytes.base)
		explicit_bzero(l->bytes.base, l->bytes.cap);
	buf_deinit(&l->in);
	buf_deinit(&l->bytes);
}

static void session_free(struct session *s)
{
	loop_timer_del(&s->deadline);
	loop_timer_del(&s->again);
	side_deinit(&s->guest);
	side_deinit(&s->server);
	lane_deinit(&s->up);
	lane_deinit(&s->down);
	s->h2 = h2_free(s->h2);
	exchange_deinit(&s->exchange);
	s->secrets = secrets_free(s->secrets);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
}

static void tell_of(
	const struct session *s, enum net_event_kind kind, const char *what, const char *secret)
{
	const struct intercept_flow *f = &s->flow;
	bool v6 = f->remote.addr.family == NET_V6;
	char text[NET_EVENT_TEXT];
	const struct net_event ev = {.kind = (uint8_t)kind,
		.log = true,
		.flow = f->id,
		.guest = f->guest,
		.remote = f->remote,
		.name = f->authority[0] ? f->authority : NULL,
		.error = kind == NET_EVENT_FAILED ? EPROTO : 0,
		.secret = secret,
		.text = text};

	(void)snprintf(text, sizeof(text), "egress tcp %s%s%s:%u%s%s: %s: %s", v6 ? "[" : "",
		f->addr, v6 ? "]" : "", f->port, f->authority[0] ? " " : "", f->authority,
		kind == NET_EVENT_FAILED ? "failed" : "denied", what);
	net_events_tell(s->in->events, &ev);
}

static void tell(const struct session *s, enum net_event_kind kind, const char *what)
{
	tell_of(s, kind, what, NULL);
}

/*
 * The user wants the sandbox to end when a placeholder goes astray, and it ends with this process.
 * The supervisor is told by an event, too; its socket may be full.
 */
static MSB_NORETURN void end_it_all(const char *why)
{
	(void)dprintf(STDERR_FILENO, "%s\n", why);
	_exit(1);
}

/* A request goes no further; @secret is the name of the one that is the reason, or NULL. */
static void tell_refused(const struct session *s, const char *why, const char *secret)
{
	char text[NET_EVENT_TEXT];

	if (!secret) {
		tell(s, NET_EVENT_DENIED, why);
		return;
	}
	(void)snprintf(text, sizeof(text), "secret %s: %s", secret, why);
	if (secrets_loud(s->secrets))
		tell_of(s, NET_EVENT_DENIED, text, secret);
	if (secrets_fatal(s->secrets))
		end_it_all(text);
}

static void tell_failed(const struct session *s, const char *what, const struct msb_err *err)
{
	char text[sizeof(err->msg) + 64];

	(void)snprintf(text, sizeof(text), "%s: %s", what, err->msg);
	tell(s, NET_EVENT_FAILED, text);
}

/* Who the guest wants: what its certificate must say, and the server's. */
static const char *host_of(const struct session *s)
{
	return s->flow.authority[0] ? s->flow.authority : s->flow.addr;
}

static void reject(struct session *s, enum tls_reject why)
{
	tls_conn_reject(s->guest.tls, why);
	s->stage = STAGE_REJECT;
}

/* The hello is there. Return: go on? */
static bool ask_server(struct session *s)
{
	const struct tls_hello *h = tls_conn_hello(s->guest.tls);
	const char *host = host_of(s);
	bool verify;
	struct tls_client *client = upstream_find(&s->in->upstream, host, &verify);

	/* The policy has seen the same bytes. If not, it has allowed something else. */
	if (!streq(h->name, s->flow.authority)) {
		tell(s, NET_EVENT_DENIED, "the name is not clear");
		reject(s, TLS_REJECT_DENIED);
		return true;
	}
	if (h->alpn && h->offer.n == 0) {
		tell(s, NET_EVENT_DENIED,
			"its client speaks neither HTTP/1.1 nor HTTP/2, and nothing else can be "
			"intercepted; --tls-bypass lets it alone");
		reject(s, TLS_REJECT_NO_PROTOCOL);
		return true;
	}
	s->stage = STAGE_SERVER;
	return tls_connect(client, s->server.fd, host, &h->offer, verify, &s->server.tls) == 0;
}

static void on_answered(void *ctx, const struct exchange_request *r)
{
	const struct session *s = ctx;
	const struct intercept_flow *f = &s->flow;
	const struct net_event ev = {.kind = NET_EVENT_HTTP,
		.flow = f->id,
		.guest = f->guest,
		.remote = f->remote,
		.name = host_of(s),
		.method = r->method,
		.path = r->path,
		.secret = r->secret,
		.status = (uint16_t)r->status,
		.up = r->up,
		.down = r->down,
		.took_ns = clock_mono_ns() - r->began_ns};

	net_events_tell(s->in->events, &ev);
}

static void on_h2_refused(void *ctx, const char *why, const char *secret)
{
	tell_refused(ctx, why, secret);
}

static void on_h2_failed(void *ctx, enum h2_side side, const char *why)
{
	char text[NET_EVENT_TEXT];

	(void)snprintf(text, sizeof(text), "%s speaks bad HTTP/2: %s",
		side == H2_GUEST ? "the guest" : "the server", why);
	tell(ctx, NET_EVENT_FAILED, text);
}

/* Both ends have agreed upon HTTP/2: the guest is only answered what the server has chosen. */
static bool begin_h2(struct session *s)
{
	const struct h2_rules rules = {.host = s->exchange.host,
		.port = s->exchange.port,
		.secrets = s->secrets,
		.place = s->exchange.upload.place,
		.done = on_answered,
		.refused = on_h2_refused,
		.failed = on_h2_failed,
		.ctx = s};

	return h2_new(&rules, &s->h2) == 0;
}

/* Return: is there a session left? *@ret_wait: nothing more can be done now. */
static bool handshake_guest(struct session *s, bool *ret_wait)
{
	struct msb_err err = {0};
	int r = tls_handshake(s->guest.tls, &err);

	if (r == -EAGAIN) {
		s->guest.events = tls_wants(s->guest.tls);
		*ret_wait = true;
		return true;
	}
	if (r == -EINPROGRESS)
		return s->stage == STAGE_HELLO && ask_server(s);
	if (r < 0) {
		if (s->stage != STAGE_REJECT)
			tell_failed(s, "the guest", &err);
		return false;
	}
	loop_timer_del(&s->deadline);
	s->stage = STAGE_OPEN;
	return tls_conn_protocol(s->guest.tls) != TLS_PROTOCOL_HTTP2 || begin_h2(s);
}

static bool handshake_server(struct session *s, bool *ret_wait)
{
	struct msb_err err = {0};
	int r = tls_handshake(s->server.tls, &err);

	if (r == -EAGAIN) {
		s->server.events = tls_wants(s->server.tls);
		*ret_wait = true;
		return true;
	}
	if (r < 0) {
		tell_failed(s, "the server", &err);
		reject(s, TLS_REJECT_UPSTREAM);
		return true;
	}
	if (tls_conn_answer(s->guest.tls, host_of(s), tls_conn_protocol(s->server.tls)) < 0) {
		tell(s, NET_EVENT_FAILED, "no certificate can be made for this name");
		reject(s, TLS_REJECT_DENIED);
		return true;
	}
	s->stage = STAGE_ANSWER;
	return true;
}

static ssize_t side_read(struct side *p, void *to, size_t n)
{
	ssize_t got;

	if (p->tls) {
		got = tls_read(p->tls, to, n);
		if (got == -EAGAIN)
			p->events |= tls_wants(p->tls);
		return got;
	}
	got = recv(p->fd, to, n, 0);
	if (got < 0 && errno == EAGAIN)
		p->events |= EPOLLIN;
	return got < 0 ? -errno : got;
}

static ssize_t side_write(struct side *p, const void *from, size_t n)
{
	ssize_t put;

	if (p->tls) {
		put = tls_write(p->tls, from, n);
		if (put == -EAGAIN)
			p->events |= tls_wants(p->tls);
		return put;
	}
	put = send(p->fd, from, n, MSG_NOSIGNAL);
	if (put < 0 && errno == EAGAIN)
		p->events |= EPOLLOUT;
	return put < 0 ? -errno : put;
}

/* Return: 1: some bytes came, 0: none now, negative: the flow is over. */
static int lane_fill(struct lane *l)
{
	uint8_t *room;
	ssize_t n;

	if (l->ended || buf_space(&l->in) < READ_BYTES || buf_len(&l->bytes) >= READ_BYTES)
		return 0;
	room = buf_reserve(&l->in, READ_BYTES);
	if (!room)
		return -ENOMEM;
	n = side_read(l->from, room, READ_BYTES);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n > 0) {
		buf_commit(&l->in, (size_t)n);
		return 1;
	}
	/* Servers that just close are common; what they have said still counts. */
	if (n < 0 && n != -EPIPE)
		return (int)n;
	l->ended = true;
	l->dirty = n < 0;
	return 1;
}

static int lane_flush(struct lane *l)
{
	ssize_t n;

	if (buf_len(&l->bytes) == 0)
		return 0;
	n = side_write(l->to, buf_data(&l->bytes), buf_len(&l->bytes));
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n < 0)
		return (int)n;
	buf_consume(&l->bytes, (size_t)n);
	if (l->private && buf_len(&l->bytes) == 0)
		explicit_bzero(l->bytes.base, l->bytes.cap);
	return 1;
}

/* Pass the end on. An end that was none of the protocol's is passed on without a word. */
static int lane_end(struct lane *l)
{
	int r = 0;

	if (!l->ended || l->closed || buf_len(&l->bytes) > 0 || buf_len(&l->in) > 0)
		return 0;
	if (l->dirty)
		return -EPIPE;
	if (l->to->tls)
		r = tls_end(l->to->tls);
	if (r == -EAGAIN) {
		l->to->events |= EPOLLOUT;
		return 0;
	}
	if (r < 0)
		return r;
	(void)shutdown(l->to->fd, SHUT_WR);
	l->closed = true;
	return 1;
}

/* The guest hears why, if it can; the server sees an end in the middle of nothing. */
static int refuse(struct session *s)
{
	tell_refused(s, s->exchange.why, s->exchange.secret);
	if (!exchange_refusal(&s->exchange, &s->down.bytes))
		return -EACCES;
	s->refused = true;
	s->up.ended = s->up.closed = s->down.ended = true;
	s->up.dirty = s->down.dirty = false;
	buf_consume(&s->up.in, buf_len(&s->up.in));
	buf_consume(&s->up.bytes, buf_len(&s->up.bytes));
	buf_consume(&s->down.in, buf_len(&s->down.in));
	return 1;
}

/* Several pieces: most are small. Return: 1: some, 0: none, negative: the flow is over. */
static int lane_pass(struct session *s, struct lane *l)
{
	int any = 0;
	int r = 1;

	for (int i = 0; i < PIECES && r > 0 && !s->refused; i++) {
		r = l->pass(&s->exchange, &l->in, &l->bytes);
		any = any || r > 0;
	}
	if (r == -EACCES)
		return refuse(s);
	if (r == -EBADMSG)
		tell(s, NET_EVENT_FAILED, s->exchange.why);
	if (r < 0)
		return r;
	/* What will never be whole is not passed on. */
	if (r == 0 && l->ended && buf_len(&l->in) > 0 && buf_space(&l->bytes) >= EXCHANGE_BYTES &&
		!s->exchange.tunnel && !(l == &s->up && s->exchange.n_pending))
		return -EPIPE;
	return any;
}

/* Bytes of one direction, as far as they go. Return: as above. */
static int lane_run(struct session *s, struct lane *l)
{
	int filled = lane_fill(l);
	int passed = filled < 0 ? filled : lane_pass(s, l);
	int flushed = passed < 0 ? passed : lane_flush(l);
	int ended;

	if (flushed < 0)
		return flushed;
	if (passed == 0 && l == &s->down && l->ended && !l->judged && !s->refused) {
		l->judged = true;
		l->dirty = !exchange_end(&s->exchange) || l->dirty;
	}
	ended = passed == 0 || s->refused ? lane_end(l) : 0;
	return ended < 0 ? ended : filled + passed + flushed + ended;
}

/* Return: is there a session left? *@ret_wait: nothing more can be done now. */
static bool relay(struct session *s, bool *ret_wait)
{
	int up;
	int down;

	s->guest.events = s->server.events = 0;
	up = lane_run(s, &s->up);
	down = up < 0 ? up : lane_run(s, &s->down);
	if (down < 0)
		return false;
	*ret_wait = up + down == 0;
	return !(s->up.closed && s->down.closed);
}

/* A server that is gone may have said what the guest is still to hear. */
static int h2_lane_fill(struct session *s, struct lane *l)
{
	int r = lane_fill(l);

	if (r >= 0 || r == -ENOMEM || l == &s->up)
		return r;
	l->ended = true;
	return 1;
}

static int h2_lane_flush(struct session *s, struct lane *l)
{
	int r = l->closed ? 0 : lane_flush(l);

	if (r < 0 && l == &s->up)
		l->closed = true;
	if (!l->closed)
		return r;
	buf_consume(&l->bytes, buf_len(&l->bytes));
	return 0;
}

/* Bytes of one direction with HTTP/2. Return: 1: some, 0: none, negative: the flow is over. */
static int h2_lane_run(struct session *s, struct lane *l)
{
	enum h2_side from = l == &s->up ? H2_GUEST : H2_SERVER;
	int filled = h2_lane_fill(s, l);
	int written;
	int flushed;

	if (filled < 0)
		return filled;
	if (buf_len(&l->in) && h2_may_read(s->h2, from)) {
		int r = h2_read(s->h2, from, buf_data(&l->in), buf_len(&l->in));

		if (r < 0)
			return r;
		buf_consume(&l->in, buf_len(&l->in));
		filled = 1;
	}
	if (l->ended && (buf_len(&l->in) == 0 || h2_over(s->h2, from)))
		h2_end(s->h2, from);
	written = h2_write(s->h2, !from, &l->bytes);
	flushed = written < 0 ? written : h2_lane_flush(s, l);
	return flushed < 0 ? flushed : filled + written + flushed;
}

/* Whoever does not hear it sees the connection end. */
static void say_end(struct side *p)
{
	int r = tls_end(p->tls);

	(void)r;
}

static void on_lingered(struct loop_timer *t)
{
	session_free(container_of(t, struct session, deadline));
}

/* The same as relay(). Streams end within HTTP/2; when the guest has no more of them, all ends. */
static bool relay_h2(struct session *s, bool *ret_wait)
{
	int up;
	int down;

	s->guest.events = s->server.events = 0;
	up = h2_lane_run(s, &s->up);
	down = up < 0 ? up : h2_lane_run(s, &s->down);
	if (down < 0)
		return false;
	*ret_wait = up + down == 0;
	if (!h2_over(s->h2, H2_GUEST) || !*ret_wait)
		return true;
	h2_end(s->h2, H2_GUEST);
	if (h2_write(s->h2, H2_SERVER, &s->up.bytes) < 0 || h2_lane_flush(s, &s->up) < 0)
		return false;
	if (buf_len(&s->up.bytes) == 0 && buf_len(&s->down.bytes) == 0) {
		say_end(&s->guest);
		say_end(&s->server);
		return false;
	}
	if (!s->deadline.loop)
		loop_timer_set(s->in->loop, &s->deadline, clock_mono_ns() + LINGER_S * NSEC_PER_SEC,
			on_lingered);
	return true;
}

static void on_socket(struct loop_fd *src, uint32_t events);

static int watch(struct session *s, struct side *p)
{
	if (p->events == 0) {
		loop_fd_del(&p->src);
		return 0;
	}
	if (p->src.loop)
		return loop_fd_set(&p->src, p->events);
	return loop_fd_add(s->in->loop, &p->src, p->fd, p->events, on_socket);
}

static void on_again(struct loop_timer *t)
{
	session_run(container_of(t, struct session, again));
}

static void session_run(struct session *s)
{
	bool alive = true;
	bool wait = false;

	for (int i = 0; i < ROUNDS && alive && !wait; i++) {
		s->guest.events = s->server.events = 0;
		switch (s->stage) {
		case STAGE_HELLO:
		case STAGE_ANSWER:
		case STAGE_REJECT:
			alive = handshake_guest(s, &wait);
			break;
		case STAGE_SERVER:
			alive = handshake_server(s, &wait);
			break;
		case STAGE_OPEN:
			alive = s->h2 ? relay_h2(s, &wait) : relay(s, &wait);
			break;
		}
	}
	if (alive && !wait)
		loop_defer(s->in->loop, &s->again, on_again);
	if (!alive || watch(s, &s->guest) < 0 || watch(s, &s->server) < 0)
		session_free(s);
}

static void on_socket(struct loop_fd *src, uint32_t events)
{
	(void)events;
	session_run(container_of(src, struct side, src)->session);
}

static void on_deadline(struct loop_timer *t)
{
	struct session *s = container_of(t, struct session, deadline);

	tell(s, NET_EVENT_FAILED, "no TLS handshake within the time for it");
	session_free(s);
}

void intercept_take(struct intercept *in, const struct intercept_flow *flow, int guest, int server)
{
	struct session *s = calloc(1, sizeof(*s));
	bool verify;

	if (!s) {
		fd_close(guest);
		fd_close(server);
		return;
	}
	*s = (struct session){.in = in,
		.flow = *flow,
		.stage = STAGE_OPEN,
		.guest = {.fd = guest, .session = s},
		.server = {.fd = server, .session = s},
		.next = in->sessions,
		.link = &in->sessions};
	s->up = (struct lane){.from = &s->guest, .to = &s->server, .pass = exchange_up};
	s->down = (struct lane){.from = &s->server, .to = &s->guest, .pass = exchange_down};
	buf_init(&s->up.in, EXCHANGE_BYTES);
	buf_init(&s->down.in, EXCHANGE_BYTES);
	buf_init(&s->up.bytes, (size_t)2 * EXCHANGE_BYTES);
	buf_init(&s->down.bytes, (size_t)2 * EXCHANGE_BYTES);
	exchange_init(&s->exchange, host_of(s), flow->port);
	(void)upstream_find(&in->upstream, host_of(s), &verify);
	s->secrets = secrets_ref(in->secrets);
	s->exchange.upload.secrets = s->secrets;
	s->exchange.upload.total = &in->kept;
	s->exchange.upload.place = (struct secret_place){.host = host_of(s),
		.tls = flow->kind == INTERCEPT_TLS && verify,
		.pinned = flow->pinned || !flow->authority[0]};
	s->exchange.done = on_answered;
	s->exchange.ctx = s;
	if (s->next)
		s->next->link = &s->next;
	in->sessions = s;
	s->up.private = in->secrets != NULL;
	/* All of it at once: growing would leave copies behind. */
	if (s->up.private && !buf_reserve(&s->up.bytes, (size_t)2 * EXCHANGE_BYTES)) {
		session_free(s);
		return;
	}
	if (flow->kind == INTERCEPT_TLS) {
		s->stage = STAGE_HELLO;
		if (tls_accept(in->server, guest, &s->guest.tls) < 0) {
			session_free(s);
			return;
		}
		loop_timer_set(in->loop, &s->deadline, clock_mono_ns() + HANDSHAKE_S * NSEC_PER_SEC,
			on_deadline);
	}
	session_run(s);
}

int intercept_init(struct intercept *in, struct loop *loop, struct net_events *events,
	const struct intercept_config *c, int secrets_fd, struct msb_err *err)
{
	const struct tls_settings *t = &c->tls;
	int r = 0;

	*in = (struct intercept){.loop = loop, .events = events};
	if (c->secrets.n)
		r = secrets_new(&c->secrets, secrets_fd, &in->secrets, err);
	if (r == 0)
		r = tls_ca_open(t->ca_cert, t->ca_key, &in->ca, err);
	if (r == 0)
		r = tls_server_new(in->ca, &in->server, err);
	if (r == 0)
		r = upstream_init(&in->upstream, t, err);
	/* Whatever the library reads or sets up at its first certificate, it does now. */
	if (r == 0 && !tls_ca_leaf(in->ca, "localhost"))
		r = msb_err_set(err, -EIO, MSB_FAIL, "cannot make a certificate");
	if (r < 0)
		intercept_deinit(in);
	return r;
}

void intercept_deinit(struct intercept *in)
{
	while (in->sessions)
		session_free(in->sessions);
	in->secrets = secrets_free(in->secrets);
	upstream_deinit(&in->upstream);
	in->server = tls_server_free(in->server);
	in->ca = tls_ca_free(in->ca);
}

int intercept_secrets(
	struct intercept *in, const void *text, size_t len, int fd, struct msb_err *err)
{
	struct secret_settings settings = {.n = 0};
	struct secrets *new = NULL;
	struct json *doc = NULL;
	int r = json_parse(text, len, &doc, err);

	if (r == 0)
		r = secret_settings_from_json(doc, &settings, err);
	if (r == 0 && settings.n)
		r = secrets_renew(&settings, fd, in->secrets, &new, err);
	(void)json_free(doc);
	if (r < 0)
		return msb_err_prefix(err, r, "secrets");
	(void)secrets_free(in->secrets);
	in->secrets = new;
	return 0;
}
