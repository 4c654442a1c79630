/* SPDX-License-Identifier: Apache-2.0 */
/* The clients' side of the relay: see relay.h. */
#include "base/io.h"
#include "base/log.h"

#include "sandbox/relay-internal.h"

/* Finds the stream of number @id and puts it first: the next frame is likely for it, too. */
static struct relay_stream *find_stream(struct relay_client *c, uint32_t id)
{
	for (struct relay_stream **at = &c->streams; *at; at = &(*at)->next) {
		struct relay_stream *s = *at;

		if (s->client_id == id) {
			*at = s->next;
			s->next = c->streams;
			c->streams = s;
			return s;
		}
	}
	return NULL;
}

void relay_client_remove_stream(struct relay_client *c, struct relay_stream *s)
{
	struct relay_stream **at = &c->streams;

	while (*at != s) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = s->next;
	s->next = NULL;
	s->client = NULL;
	c->n_streams--;
}

/* Nobody wants the stream any more; it stays until the guest has ended it. */
static void orphan_stream(struct relay_client *c, struct relay_stream *s)
{
	struct relay *r = c->relay;

	relay_client_remove_stream(c, s);
	if (s->cancelled || r->channel_fd < 0)
		return;
	s->cancelled = true;
	if (frame_put(&r->channel_out, FRAME_CANCEL, 0, relay_stream_id(r, s), NULL, 0) < 0)
		log_debug("no room to cancel a stream");
}

void relay_client_drop(struct relay_client *c)
{
	struct relay *r = c->relay;
	struct relay_client **at = &r->clients;
	bool owner = c->owner;

	while (c->streams)
		orphan_stream(c, c->streams);
	while (*at != c) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = c->next;
	if (r->resizer == c)
		r->resizer = NULL;
	if (r->changer == c)
		r->changer = NULL;
	r->n_clients--;
	r->n_blocked -= c->blocked;
	r->queued -= buf_len(&c->out);
	loop_fd_del(&c->src);
	fd_close(c->fd);
	fd_close(c->given_fd);
	buf_deinit(&c->in);
	buf_deinit(&c->out);
	free(c);

	if (r->finishing) {
		if (!r->clients)
			r->events->finished(r);
		return;
	}
	relay_flush_guest(r);
	if (owner)
		r->events->owner_gone(r);
}

/*
 * Accounts for what was appended to the queue of @c since it was @before bytes long. Whoever cannot
 * be sent everything has lost its place; it is dropped where the clients are flushed, never under
 * the feet of a caller.
 */
static void client_charge(struct relay_client *c, size_t before, int error)
{
	struct relay *r = c->relay;

	r->queued += buf_len(&c->out) - before;
	if (error == 0 && r->queued > LIMIT_RELAY_QUEUE)
		error = -ENOBUFS;
	if (error < 0) {
		log_ratelimit(LOG_WARN, "a client that does not read is disconnected: %s",
			strerror(-error));
		c->doomed = true;
	}
}

void relay_client_put(struct relay_client *c, uint8_t type, uint8_t flags, uint32_t stream,
	const void *payload, size_t len)
{
	size_t before = buf_len(&c->out);

	if (!c->doomed)
		client_charge(c, before, frame_put(&c->out, type, flags, stream, payload, len));
}

/* Events to wait for; a client that only has to take its last bytes is not read any more. */
static uint32_t client_events(const struct relay_client *c)
{
	bool deaf = c->blocked || c->waits || c->relay->finishing;
	uint32_t events = deaf ? 0 : EPOLLIN;

	return events | (buf_len(&c->out) ? EPOLLOUT : 0);
}

/* Returns whether @c is still there. */
static bool client_flush(struct relay_client *c)
{
	while (!c->doomed && buf_len(&c->out)) {
		ssize_t n = buf_send_fd(&c->out, c->fd);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			relay_client_drop(c);
			return false;
		}
		c->relay->queued -= (size_t)n;
	}
	if (c->doomed || (c->relay->finishing && !buf_len(&c->out)) ||
		loop_fd_set(&c->src, client_events(c)) < 0) {
		relay_client_drop(c);
		return false;
	}
	return true;
}

void relay_flush_clients(struct relay *r)
{
	struct relay_client *next;

	for (struct relay_client *c = r->clients; c; c = next) {
		next = c->next;
		if (c->doomed || (buf_len(&c->out) && !(c->src.events & EPOLLOUT)))
			(void)client_flush(c);
	}
}

/* Refuses a request without bothering the guest. */
static void refuse(struct relay_client *c, const struct frame *f, enum msg_stage stage, int error,
	const char *what)
{
	struct msg_failure m = {.stage = stage, .errno_ = (uint32_t)error, .what = what};
	size_t before = buf_len(&c->out);

	client_charge(c, before, msg_put_failed(&c->out, f->stream, &m));
}

static int forward(struct relay *r, const struct relay_stream *s, const struct frame *f)
{
	return frame_put(
		&r->channel_out, f->type, f->flags, relay_stream_id(r, s), f->payload, f->len);
}

static int client_request(struct relay_client *c, const struct frame *f)
{
	struct relay *r = c->relay;
	struct relay_stream *s;

	if (find_stream(c, f->stream))
		return -EPROTO;
	if (c->n_streams >= LIMIT_CLIENT_STREAMS) {
		refuse(c, f, STAGE_LIMIT, EMFILE, "streams of one client");
		return 0;
	}
	s = relay_stream_new(r);
	if (!s) {
		refuse(c, f, STAGE_LIMIT, ENFILE, "streams of one sandbox");
		return 0;
	}
	s->request = f->type;
	if (relay_is_use(f->type))
		r->n_busy++;
	if (f->type == FRAME_EXEC) {
		s->exec_id = ++r->n_execs;
		/* The flags come first; the agent looks at the rest. */
		s->pty = f->len && (f->payload[0] & EXEC_PTY);
	}
	if (f->type == FRAME_EXEC && c->owner && !r->main)
		r->main = s;
	s->client = c;
	s->client_id = f->stream;
	s->next = c->streams;
	c->streams = s;
	c->n_streams++;
	return forward(r, s, f);
}

static int client_data(struct relay_stream *s, const struct frame *f)
{
	if ((f->flags & FRAME_CHANNEL) || s->client_eof || (!f->len && !(f->flags & FRAME_EOF)))
		return -EPROTO;
	if (s->request != FRAME_EXEC && s->request != FRAME_FS)
		return -EPROTO;
	if (f->len > s->to_guest.avail)
		return -EPROTO;
	credit_tx_take(&s->to_guest, f->len);
	s->client_eof = f->flags & FRAME_EOF;
	return 0;
}

/* For the client its stream ends, for the guest nothing does. */
static int client_detach(struct relay_client *c, struct relay_stream *s)
{
	struct msg_exited none = {.code = 0};
	size_t before = buf_len(&c->out);

	if (s->request != FRAME_EXEC)
		return -EPROTO;
	if (s->cancelled)
		return 0;
	client_charge(c, before, msg_put_exited(&c->out, s->client_id, &none));
	relay_client_remove_stream(c, s);
	relay_stream_detach(c->relay, s);
	return 0;
}

static int client_signal(struct relay_client *c, const struct frame *f)
{
	uint32_t signo;

	if (find_stream(c, f->stream) || msg_get_u32(f, &signo) < 0 || signo == 0 || signo > 64)
		return -EPROTO;
	if (c->relay->events->signal && c->relay->events->signal(c->relay, (int)signo))
		relay_client_put(c, FRAME_PONG, 0, f->stream, NULL, 0);
	else
		refuse(c, f, STAGE_REQUEST, ESRCH, "no main process");
	return 0;
}

static int client_prepared(struct relay_client *c, const struct frame *f)
{
	const struct relay_events *e = c->relay->events;

	if (find_stream(c, f->stream) || f->len)
		return -EPROTO;
	if (c->owner && c->relay->ready && e->prepared && e->prepared(c->relay))
		relay_client_put(c, FRAME_PONG, 0, f->stream, NULL, 0);
	else
		refuse(c, f, STAGE_REQUEST, EPERM, "nobody waits for that");
	return 0;
}

static int client_memory(struct relay_client *c, const struct frame *f)
{
	struct relay *r = c->relay;
	uint32_t mib;
	int e;

	if (find_stream(c, f->stream) || msg_get_u32(f, &mib) < 0)
		return -EPROTO;
	if (r->resizing) {
		refuse(c, f, STAGE_REQUEST, EBUSY, "its memory is being changed");
		return 0;
	}
	r->resizing = true;
	r->resizer = c;
	r->resizer_id = f->stream;
	e = r->events->memory ? r->events->memory(r, mib) : -EOPNOTSUPP;
	if (e < 0) {
		r->resizing = false;
		r->resizer = NULL;
		refuse(c, f, STAGE_REQUEST, -e,
			e == -EOPNOTSUPP ? "no room for a balloon device beside its volumes"
					 : "memory");
	}
	return 0;
}

void relay_memory_done(struct relay *r, uint32_t mib, const char *why)
{
	const struct frame f = {.stream = r->resizer_id};
	struct relay_client *c = r->resizer;
	size_t before = c ? buf_len(&c->out) : 0;

	r->resizing = false;
	r->resizer = NULL;
	if (!c || c->doomed)
		return;
	if (why)
		refuse(c, &f, STAGE_REQUEST, 0, why);
	else
		client_charge(c, before, msg_put_u32(&c->out, FRAME_MODIFIED, f.stream, mib));
	relay_flush_clients(r);
}

static void refuse_policy(struct relay_client *c, const struct frame *f, int error)
{
	refuse(c, f, STAGE_REQUEST, -error, "the rules cannot be changed");
}

static int client_policy(struct relay_client *c, const struct frame *f)
{
	struct relay *r = c->relay;
	int e = -ENETDOWN;

	if (find_stream(c, f->stream) || !f->len)
		return -EPROTO;
	if (r->changing) {
		refuse(c, f, STAGE_REQUEST, EBUSY, "its rules are being changed");
		return 0;
	}
	if (r->events->policy)
		e = r->events->policy(r, f->payload, f->len);
	if (e < 0) {
		refuse_policy(c, f, e);
		return 0;
	}
	r->changing = true;
	r->changer = c;
	r->changer_id = f->stream;
	return 0;
}

static int client_secrets(struct relay_client *c, const struct frame *f)
{
	const struct relay_events *e = c->relay->events;
	cleanup_fd int fd = TAKE_FD(c->given_fd);
	int r = -ENETDOWN;

	if (find_stream(c, f->stream) || !f->len)
		return -EPROTO;
	if (e->secrets)
		r = e->secrets(c->relay, f->payload, f->len, fd);
	if (r == 0)
		relay_client_put(c, FRAME_PONG, 0, f->stream, NULL, 0);
	else
		refuse(c, f, STAGE_REQUEST, -r, "the secrets cannot be changed");
	return 0;
}

void relay_policy_done(struct relay *r, int error)
{
	const struct frame f = {.stream = r->changer_id};
	struct relay_client *c = r->changer;

	r->changing = false;
	r->changer = NULL;
	if (!c || c->doomed)
		return;
	if (error < 0)
		refuse_policy(c, &f, error);
	else
		relay_client_put(c, FRAME_PONG, 0, f.stream, NULL, 0);
	relay_flush_clients(r);
}

static int client_stream_frame(struct relay_client *c, const struct frame *f)
{
	struct relay_stream *s = find_stream(c, f->stream);
	uint32_t n;
	int e = 0;

	if (!s)
		return 0;
	switch (f->type) {
	case FRAME_DATA:
		e = client_data(s, f);
		break;
	case FRAME_CREDIT:
		e = msg_get_u32(f, &n);
		if (e == 0)
			e = n ? credit_tx_return(&s->to_client, n) : -EPROTO;
		break;
	case FRAME_DETACH:
		return f->len ? -EPROTO : client_detach(c, s);
	case FRAME_CANCEL:
		if (s->cancelled)
			return 0;
		s->cancelled = true;
		break;
	default: /* RESIZE, SIGNAL: the agent looks inside */
		break;
	}
	return e < 0 ? e : forward(c->relay, s, f);
}

static int client_stop(struct relay_client *c, const struct frame *f)
{
	struct msg_shutdown m;
	int e = msg_get_shutdown(f, &m);

	if (e == 0)
		c->relay->events->stop(c->relay, m.grace_ms);
	return e;
}

/* -EAGAIN: not now, the queue to the guest is full. */
static int client_frame(struct relay_client *c, const struct frame *f)
{
	switch (f->type) {
	case FRAME_SB_STOP:
		return client_stop(c, f);
	case FRAME_SB_TOUCH:
		c->relay->active_ns = clock_mono_ns();
		return f->len ? -EPROTO : 0;
	case FRAME_SB_PREPARED:
		return client_prepared(c, f);
	case FRAME_SB_POLICY:
		return client_policy(c, f);
	case FRAME_SB_SECRETS:
		return client_secrets(c, f);
	case FRAME_SB_SIGNAL:
		return relay_guest_full(c->relay) ? -EAGAIN : client_signal(c, f);
	case FRAME_SB_MEMORY:
		return client_memory(c, f);
	case FRAME_EXEC:
	case FRAME_FS:
	case FRAME_PING:
	case FRAME_METRICS:
	case FRAME_FREEZE:
	case FRAME_MODIFY:
		return relay_guest_full(c->relay) ? -EAGAIN : client_request(c, f);
	case FRAME_DATA:
	case FRAME_CREDIT:
	case FRAME_RESIZE:
	case FRAME_SIGNAL:
	case FRAME_DETACH:
	case FRAME_CANCEL:
		return relay_guest_full(c->relay) ? -EAGAIN : client_stream_frame(c, f);
	default:
		return -EPROTO;
	}
}

/* Takes in complete frames. A client that does what it may not is doomed. */
static void client_frames(struct relay_client *c)
{
	struct frame f;
	int e;

	while (!c->doomed && !c->relay->finishing && (e = frame_decode(&c->in, &f)) != -EAGAIN) {
		/* To end it is never too early. */
		if (e == 0 && c->relay->held && !c->owner && f.type != FRAME_SB_STOP) {
			c->waits = true;
			return;
		}
		if (e == 0)
			e = client_frame(c, &f);
		if (e == -EAGAIN) {
			c->blocked = true;
			c->relay->n_blocked++;
			return;
		}
		if (e < 0) {
			log_debug("a client is disconnected: %s", strerror(-e));
			c->doomed = true;
			return;
		}
		buf_consume(&c->in, FRAME_HEADER + f.len);
	}
}

/* Bytes, and perhaps a descriptor. */
static ssize_t client_read(struct relay_client *c)
{
	uint8_t *to = buf_reserve(&c->in, MIN(c->read_size, buf_space(&c->in)));
	ssize_t n;
	int fd;

	if (!to)
		return -errno;
	n = io_recv_fd(c->fd, to, MIN(c->read_size, buf_space(&c->in)), 0, &fd);
	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	if (fd >= 0) {
		fd_close(c->given_fd);
		c->given_fd = fd;
	}
	return n;
}

static void client_event(struct loop_fd *src, uint32_t events)
{
	struct relay_client *c = container_of(src, struct relay_client, src);
	struct relay *r = c->relay;
	ssize_t n;

	if ((events & EPOLLOUT) && !client_flush(c))
		return;
	if (!(events & EPOLLIN)) {
		if (events & (EPOLLHUP | EPOLLERR))
			relay_client_drop(c);
		return;
	}
	if (c->blocked || c->waits || r->finishing)
		return;
	n = client_read(c);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		relay_client_drop(c);
		return;
	}
	if ((size_t)n == c->read_size && c->read_size < RELAY_READ_MAX)
		c->read_size *= 2;
	client_frames(c);
	if (client_flush(c))
		relay_flush_guest(r);
}

void relay_unblock_clients(struct relay *r)
{
	struct relay_client *next;

	for (struct relay_client *c = r->clients; c && !relay_guest_full(r); c = next) {
		next = c->next;
		if (!c->blocked)
			continue;
		c->blocked = false;
		r->n_blocked--;
		client_frames(c);
		(void)client_flush(c);
	}
	relay_flush_guest(r);
}

int relay_add_client(struct relay *r, int fd, bool owner)
{
	struct relay_client *c;
	int e;

	if (r->finishing)
		return -ESHUTDOWN;
	if (r->n_clients >= LIMIT_CLIENTS)
		return -EMFILE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->relay = r;
	c->fd = fd;
	c->given_fd = -EBADF;
	c->owner = owner;
	c->read_size = RELAY_READ_MIN;
	buf_init(&c->in, FRAME_HEADER + LIMIT_FRAME_PAYLOAD + RELAY_READ_MAX);
	buf_init(&c->out, LIMIT_CLIENT_QUEUE);
	e = buf_append(&c->out, buf_data(&r->greeting), buf_len(&r->greeting));
	if (e == 0)
		e = loop_fd_add(r->loop, &c->src, fd, client_events(c), client_event);
	if (e < 0) {
		buf_deinit(&c->out);
		free(c);
		return e;
	}
	r->queued += buf_len(&c->out);
	c->next = r->clients;
	r->clients = c;
	r->n_clients++;
	return 0;
}

/* Appends @frame to the queue of every client. */
static void broadcast(struct relay *r, const struct buf *frame)
{
	struct relay_client *next;

	for (struct relay_client *c = r->clients; c; c = next) {
		size_t before = buf_len(&c->out);

		next = c->next;
		client_charge(c, before, buf_append(&c->out, buf_data(frame), buf_len(frame)));
	}
}

void relay_hold(struct relay *r)
{
	r->held = true;
}

void relay_release(struct relay *r)
{
	r->held = false;
	/* Not now, this is called for one of them: when the queue to the guest is looked at next.
	 */
	for (struct relay_client *c = r->clients; c; c = c->next) {
		r->n_blocked += c->waits && !c->blocked;
		c->blocked |= c->waits;
		c->waits = false;
	}
}

int relay_announce(struct relay *r, const struct buf *greeting)
{
	int e = buf_append(&r->greeting, buf_data(greeting), buf_len(greeting));

	if (e < 0)
		return e;
	broadcast(r, greeting);
	relay_flush_clients(r);
	return 0;
}

void relay_finish(struct relay *r, const struct buf *last)
{
	struct relay_client *next;

	if (r->finishing)
		return;
	r->finishing = true;
	if (!r->clients) {
		r->events->finished(r);
		return;
	}
	broadcast(r, last);
	for (struct relay_client *c = r->clients; c; c = next) {
		next = c->next;
		(void)client_flush(c);
	}
}
