/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of the relay: see relay.h. */
#include "sandbox/relay.h"

#include "base/log.h"

#include "sandbox/relay-internal.h"

void relay_init(struct relay *r, struct loop *loop, const struct relay_events *events)
{
	/* The stream table is left alone: untouched pages cost nothing. */
	r->loop = loop;
	r->events = events;
	r->channel_fd = -EBADF;
	buf_init(&r->channel_in, FRAME_HEADER + LIMIT_FRAME_PAYLOAD + RELAY_READ_MAX);
	buf_init(&r->channel_out, (size_t)LIMIT_CTRL_BACKLOG * 2);
	buf_init(&r->greeting, FRAME_HEADER + LIMIT_FRAME_PAYLOAD);
}

static void channel_close(struct relay *r)
{
	loop_fd_del(&r->channel_src);
	r->channel_fd = -EBADF;
	buf_deinit(&r->channel_in);
	buf_deinit(&r->channel_out);
}

void relay_deinit(struct relay *r)
{
	r->finishing = true;
	while (r->clients)
		relay_client_drop(r->clients);
	channel_close(r);
	buf_deinit(&r->greeting);
}

uint32_t relay_stream_id(const struct relay *r, const struct relay_stream *s)
{
	return (uint32_t)(s - r->streams) + 1;
}

bool relay_is_use(uint8_t request)
{
	return request == FRAME_EXEC || request == FRAME_FS || request == FRAME_FREEZE;
}

struct relay_stream *relay_stream_new(struct relay *r)
{
	struct relay_stream *s = r->free_streams;

	if (s)
		r->free_streams = s->next;
	else if (r->high_water < LIMIT_STREAMS)
		s = &r->streams[r->high_water++];
	else
		return NULL;
	r->n_streams++;
	*s = (struct relay_stream){};
	credit_tx_init(&s->to_guest);
	credit_tx_init(&s->to_client);
	return s;
}

void relay_stream_free(struct relay *r, struct relay_stream *s)
{
	if (relay_is_use(s->request)) {
		r->n_busy--;
		r->active_ns = clock_mono_ns();
	}
	if (r->main == s)
		r->main = NULL;
	*s = (struct relay_stream){.next = r->free_streams};
	r->free_streams = s;
	r->n_streams--;
}

bool relay_guest_full(struct relay *r)
{
	return buf_len(&r->channel_out) >= LIMIT_CTRL_BACKLOG;
}

static void channel_broken(struct relay *r, const struct msb_err *err)
{
	channel_close(r);
	r->events->broken(r, err);
}

void relay_flush_guest(struct relay *r)
{
	struct msb_err err;
	int e;

	if (r->channel_fd < 0)
		return;
	while (buf_len(&r->channel_out)) {
		ssize_t n = buf_send_fd(&r->channel_out, r->channel_fd);

		if (n == -EAGAIN)
			break;
		if (n == -EPIPE || n == -ECONNRESET) {
			/* The machine is ending; what it said before is still to be read. */
			buf_deinit(&r->channel_out);
			break;
		}
		if (n < 0) {
			(void)msb_err_errno(&err, (int)n, "write to the guest's channel");
			channel_broken(r, &err);
			return;
		}
	}
	/* Blocked clients go on when the channel can be written to, even if nothing waits for it.
	 */
	e = loop_fd_set(&r->channel_src,
		EPOLLIN | (buf_len(&r->channel_out) || r->n_blocked ? EPOLLOUT : 0));
	if (e < 0) {
		(void)msb_err_errno(&err, e, "watch the guest's channel");
		channel_broken(r, &err);
	}
}

/* Terminal frames by request; FAILED fits all. */
static uint8_t terminal_of(uint8_t request)
{
	switch (request) {
	case FRAME_EXEC:
		return FRAME_EXITED;
	case FRAME_FS:
		return FRAME_FS_DONE;
	case FRAME_PING:
		return FRAME_PONG;
	case FRAME_METRICS:
		return FRAME_METRICS_DONE;
	case FRAME_FREEZE:
		return FRAME_THAWED;
	case FRAME_MODIFY:
		return FRAME_MODIFIED;
	default:
		return 0;
	}
}

/* DATA of the guest: only on streams that carry some, on channels not ended, within the credit. */
static const char *check_data(struct relay_stream *s, const struct frame *f)
{
	uint8_t channel = f->flags & FRAME_CHANNEL;
	uint8_t bit = (uint8_t)(1u << channel);
	bool fits =
		s->request == FRAME_EXEC ? channel != 0 : s->request == FRAME_FS && channel == 0;

	if (!fits)
		return "DATA on a channel that does not exist";
	if (s->guest_eof & bit)
		return "DATA after the end of a channel";
	if (!f->len && !(f->flags & FRAME_EOF))
		return "empty DATA";
	if (f->len > s->to_client.avail)
		return "DATA beyond its credit";
	credit_tx_take(&s->to_client, f->len);
	if (f->flags & FRAME_EOF)
		s->guest_eof |= bit;
	return NULL;
}

static const char *check_credit(struct relay_stream *s, const struct frame *f)
{
	uint32_t n;

	if (msg_get_u32(f, &n) < 0 || n == 0)
		return "malformed CREDIT";
	if (credit_tx_return(&s->to_guest, n) < 0)
		return "CREDIT for bytes that were never sent";
	return NULL;
}

/* Returns what is wrong with frame @f of the guest on the open stream @s. */
static const char *check_stream_frame(struct relay_stream *s, const struct frame *f)
{
	switch (f->type) {
	case FRAME_DATA:
		return check_data(s, f);
	case FRAME_CREDIT:
		return check_credit(s, f);
	case FRAME_STARTED:
		if (s->request != FRAME_EXEC || s->started)
			return "unexpected STARTED";
		s->started = true;
		return NULL;
	case FRAME_FROZEN:
		if (s->request != FRAME_FREEZE || s->started || f->len)
			return "unexpected FROZEN";
		s->started = true;
		return NULL;
	default:
		if (f->type != FRAME_FAILED && f->type != terminal_of(s->request))
			return "a frame of the wrong type";
		return NULL;
	}
}

/* Nobody else takes the output of a detached command. Without room for the frame the next DATA
 * tries again: half of the window is still open then. */
static void return_credit(struct relay *r, struct relay_stream *s, uint32_t least)
{
	uint32_t due = LIMIT_STREAM_WINDOW - s->to_client.avail;

	if (due >= least && r->channel_fd >= 0 &&
		msg_put_u32(&r->channel_out, FRAME_CREDIT, relay_stream_id(r, s), due) == 0 &&
		credit_tx_return(&s->to_client, due) < 0)
		log_debug("credit of a detached stream");
}

void relay_stream_detach(struct relay *r, struct relay_stream *s)
{
	s->detached = true;
	/* A terminal stays open, whoever sits in front of it. */
	if (!s->client_eof && !s->pty && r->channel_fd >= 0 &&
		frame_put(&r->channel_out, FRAME_DATA, FRAME_EOF, relay_stream_id(r, s), NULL, 0) ==
			0)
		s->client_eof = true;
	return_credit(r, s, 1);
	if (s == r->main && r->events->main_detached)
		r->events->main_detached(r);
}

/* As a shell has it. */
static void tell_main_ended(struct relay *r, bool detached, const struct frame *f)
{
	struct msg_failure failure;
	struct msg_exited m;

	if (!r->events->main_ended)
		return;
	if (f->type == FRAME_EXITED && msg_get_exited(f, &m) == 0)
		r->events->main_ended(r, detached,
			m.signal ? 128 + (int)(m.signal & 0x7f) : (int)(m.code & 0xff), "");
	else if (f->type == FRAME_FAILED && msg_get_failure(f, &failure) == 0)
		r->events->main_ended(r, detached, 127, failure.what);
	else
		r->events->main_ended(r, detached, 255, "");
}

static void look_at_given(struct relay *r, const struct frame *f)
{
	struct msg_failure failure;
	struct msg_fs_done done;
	int error = -EIO;

	if (f->type == FRAME_FS_DONE && msg_get_fs_done(f, &done) == 0)
		error = done.errno_ < 4096 ? -(int)done.errno_ : -EIO;
	else if (f->type == FRAME_FAILED && msg_get_failure(f, &failure) == 0)
		error = failure.errno_ && failure.errno_ < 4096 ? -(int)failure.errno_ : -EIO;
	if (error && r->events->give_failed)
		r->events->give_failed(r, error);
}

static const char *look_at_modified(struct relay *r, const struct frame *f)
{
	uint32_t online;

	if (msg_get_u32(f, &online) < 0 || online > LIMIT_VCPUS)
		return "malformed MODIFIED";
	if (online && r->events->cpus)
		r->events->cpus(r, online);
	return NULL;
}

static const char *guest_stream_frame(struct relay *r, const struct frame *f)
{
	struct relay_client *c;
	struct relay_stream *s;
	bool main_ended = false;
	bool detached;
	bool given;
	const char *bad;
	uint32_t id;

	if (!r->ready || f->stream > r->high_water || !r->streams[f->stream - 1].request)
		return "a stream that is not open";
	s = &r->streams[f->stream - 1];
	bad = check_stream_frame(s, f);
	if (!bad && f->type == FRAME_MODIFIED)
		bad = look_at_modified(r, f);
	if (bad)
		return bad;
	c = s->client;
	id = s->client_id;
	if (f->type == FRAME_DATA && s->request == FRAME_EXEC && r->events->output)
		r->events->output(r, s, f->flags & FRAME_CHANNEL, f->payload, f->len);
	detached = s->detached;
	given = s->given;
	if (frame_is_terminal(f->type)) {
		main_ended = s == r->main;
		if (c)
			relay_client_remove_stream(c, s);
		relay_stream_free(r, s);
	} else if (detached) {
		return_credit(r, s, LIMIT_STREAM_WINDOW / 2);
	}
	if (c)
		relay_client_put(c, f->type, f->flags, id, f->payload, f->len);
	if (main_ended)
		tell_main_ended(r, detached, f);
	if (given && frame_is_terminal(f->type))
		look_at_given(r, f);
	return NULL;
}

static const char *guest_hello(struct relay *r, const struct frame *f)
{
	struct msg_hello m;

	if (r->hello || msg_get_hello(f, &m) < 0)
		return "malformed or repeated HELLO";
	if (m.version != PROTO_VERSION)
		return "another version of the protocol";
	r->hello = true;
	r->events->hello(r, &m);
	return NULL;
}

static const char *guest_ready(struct relay *r, const struct frame *f)
{
	struct msg_ready m;

	if (!r->hello || r->ready || msg_get_ready(f, &m) < 0)
		return "malformed or repeated READY";
	r->ready = true;
	r->events->ready(r, &m);
	return NULL;
}

static const char *guest_control_frame(struct relay *r, const struct frame *f)
{
	struct msg_failure failure;
	uint32_t v;

	switch (f->type) {
	case FRAME_HELLO:
		return guest_hello(r, f);
	case FRAME_READY:
		return guest_ready(r, f);
	case FRAME_BOOT_FAILED:
		if (r->ready || r->bye || msg_get_failure(f, &failure) < 0)
			return "malformed BOOT_FAILED";
		r->bye = true;
		r->events->boot_failed(r, &failure);
		return NULL;
	case FRAME_BYE:
		if (!r->hello || r->bye || msg_get_u32(f, &v) < 0)
			return "malformed or repeated BYE";
		r->bye = true;
		r->events->bye(r, v);
		return NULL;
	default:
		return "a frame that only the host may send";
	}
}

static void guest_violation(struct relay *r, const char *what, const struct frame *f)
{
	struct msb_err err;

	if (f)
		(void)msb_err_set(&err, -EPROTO, MSB_GUEST,
			"the guest broke the protocol of its channel: %s (%s, stream %u)", what,
			frame_type_name(f->type), f->stream);
	else
		(void)msb_err_set(&err, -EPROTO, MSB_GUEST,
			"the guest broke the protocol of its channel: %s", what);
	channel_broken(r, &err);
}

/* Takes in every complete frame. The channel may be gone afterwards. */
static void guest_frames(struct relay *r)
{
	struct frame f;
	int e;

	while ((e = frame_decode(&r->channel_in, &f)) == 0) {
		const char *bad = f.stream ? guest_stream_frame(r, &f) : guest_control_frame(r, &f);

		if (bad) {
			guest_violation(r, bad, &f);
			return;
		}
		/* An event may have closed the channel. */
		if (r->channel_fd < 0)
			return;
		buf_consume(&r->channel_in, FRAME_HEADER + f.len);
	}
	if (e != -EAGAIN)
		guest_violation(r, "a malformed frame", NULL);
}

/* One read's worth of frames. Returns whether there may be more. */
static bool channel_read(struct relay *r)
{
	ssize_t n = buf_read_fd(&r->channel_in, r->channel_fd, RELAY_READ_MAX);
	struct msb_err err;

	if (n == -EAGAIN)
		return false;
	if (n == 0 || n == -ECONNRESET || n == -EIO) {
		channel_close(r);
		r->events->channel_end(r);
		return false;
	}
	if (n < 0) {
		(void)msb_err_errno(&err, (int)n, "read from the guest's channel");
		channel_broken(r, &err);
		return false;
	}
	guest_frames(r);
	return r->channel_fd >= 0;
}

static void channel_event(struct loop_fd *src, uint32_t events)
{
	struct relay *r = container_of(src, struct relay, channel_src);

	if (events & EPOLLOUT)
		relay_flush_guest(r);
	if (r->channel_fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		(void)channel_read(r);
	if (r->channel_fd >= 0 && !relay_guest_full(r))
		relay_unblock_clients(r);
	relay_flush_clients(r);
}

int relay_attach(struct relay *r, int fd, const struct buf *config)
{
	int e = loop_fd_add(r->loop, &r->channel_src, fd, EPOLLIN, channel_event);

	if (e < 0)
		return e;
	r->channel_fd = fd;
	e = buf_append(&r->channel_out, buf_data(config), buf_len(config));
	if (e < 0) {
		channel_close(r);
		return e;
	}
	relay_flush_guest(r);
	return 0;
}

/* Opens a stream of our own; its answer goes to look_at_given(). */
static int give(struct relay *r, const struct msg_fs *m, struct relay_stream **ret)
{
	struct relay_stream *s = relay_stream_new(r);
	int e;

	if (!s)
		return -ENFILE;
	s->given = true;
	e = msg_put_fs(&r->channel_out, relay_stream_id(r, s), m);
	if (e < 0) {
		relay_stream_free(r, s);
		return e;
	}
	s->request = FRAME_FS;
	r->n_busy++;
	*ret = s;
	return 0;
}

int relay_give_directory(struct relay *r, const char *path, uint32_t mode)
{
	const struct msg_fs m = {
		.op = FS_MKDIR, .flags = FS_PARENTS, .mode = mode, .path = path, .path2 = ""};
	struct relay_stream *s;
	int e = r->channel_fd < 0 ? -ENOTCONN : give(r, &m, &s);

	if (e == 0)
		relay_flush_guest(r);
	return e;
}

int relay_give_file(struct relay *r, const char *path, uint32_t mode, const void *p, size_t len)
{
	const struct msg_fs m = {.op = FS_WRITE, .mode = mode, .path = path, .path2 = ""};
	const uint8_t *at = p;
	struct relay_stream *s;
	int e;

	if (r->channel_fd < 0)
		return -ENOTCONN;
	if (len > LIMIT_STREAM_WINDOW)
		return -EFBIG;
	e = give(r, &m, &s);
	if (e < 0)
		return e;
	credit_tx_take(&s->to_guest, len);
	s->client_eof = true;
	do {
		size_t part = MIN(len, (size_t)LIMIT_FRAME_PAYLOAD);

		e = frame_put(&r->channel_out, FRAME_DATA, part == len ? FRAME_EOF : 0,
			relay_stream_id(r, s), at, part);
		at += part;
		len -= part;
	} while (e == 0 && len);
	if (e == 0)
		relay_flush_guest(r);
	return e;
}

void relay_detach(struct relay *r)
{
	/* The peer is dead: what is in the socket is all there is. */
	while (r->channel_fd >= 0 && channel_read(r))
		;
	if (r->channel_fd >= 0)
		channel_close(r);
}

int relay_shutdown_guest(struct relay *r, uint32_t grace_ms)
{
	struct msg_shutdown m = {.grace_ms = grace_ms};
	int e;

	if (r->channel_fd < 0)
		return -ENOTCONN;
	e = msg_put_shutdown(&r->channel_out, FRAME_SHUTDOWN, &m);
	if (e == 0)
		relay_flush_guest(r);
	return e;
}

bool relay_signal_main(struct relay *r, int signo)
{
	if (!r->main || r->channel_fd < 0 ||
		msg_put_u32(&r->channel_out, FRAME_SIGNAL, relay_stream_id(r, r->main),
			(uint32_t)signo) < 0)
		return false;
	relay_flush_guest(r);
	return true;
}

int relay_set_clock(struct relay *r)
{
	struct msg_clock m = {.real_ns = clock_real_ns()};
	int e;

	if (r->channel_fd < 0)
		return -ENOTCONN;
	e = msg_put_clock(&r->channel_out, &m);
	if (e == 0)
		relay_flush_guest(r);
	return e;
}
