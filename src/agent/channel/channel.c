/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the channel: see channel.h. */
#include "channel.h"

#include "base/io.h"
#include "base/log.h"

enum {
	IN_MAX = 2 * (FRAME_HEADER + LIMIT_FRAME_PAYLOAD),
	IN_PORT_BUFFER = 4096, /* a read of a port gives at most this much */
	IN_READS = 16, /* reads in one turn of the loop */
};

/* What must fit into `out` beyond OUT_READ: one terminal frame for every stream, and the answers to
 * the frames of one more decoded request. */
_Static_assert(OUT_READ + LIMIT_STREAMS * 256 + 2 * LIMIT_FRAME_PAYLOAD <= LIMIT_CTRL_BACKLOG,
	"answers always fit");

static void channel_event(struct loop_fd *src, uint32_t events);
static void channel_flush_timer(struct loop_timer *t);

static size_t bucket_of(uint32_t id)
{
	return (id * UINT32_C(2654435761)) >> 24;
}
_Static_assert(STREAM_BUCKETS == 256, "bucket_of() gives 8 bits");

int channel_init(struct channel *ch, struct loop *loop, int fd, const struct channel_owner *owner)
{
	int r;

	*ch = (struct channel){.loop = loop, .owner = owner, .fd = fd, .up = true};
	buf_init(&ch->in, IN_MAX);
	buf_init(&ch->out, LIMIT_CTRL_BACKLOG);
	/* Reserved once: running out of memory later must not lose a frame. */
	if (!buf_reserve(&ch->in, IN_MAX) || !buf_reserve(&ch->out, LIMIT_CTRL_BACKLOG)) {
		r = -ENOMEM;
		goto fail;
	}
	r = loop_fd_add(loop, &ch->src, fd, EPOLLIN, channel_event);
	if (r < 0)
		goto fail;
	return 0;
fail:
	buf_deinit(&ch->in);
	buf_deinit(&ch->out);
	return r;
}

void channel_deinit(struct channel *ch)
{
	channel_drop_streams(ch);
	loop_fd_del(&ch->src);
	loop_timer_del(&ch->flush);
	buf_deinit(&ch->in);
	buf_deinit(&ch->out);
}

void channel_drop_streams(struct channel *ch)
{
	for (size_t i = 0; i < STREAM_BUCKETS; i++) {
		while (ch->streams[i]) {
			struct stream *s = ch->streams[i];

			stream_close(s);
			s->ops->drop(s);
		}
	}
}

void channel_break(struct channel *ch, int error)
{
	if (ch->dead)
		return;
	ch->dead = true;
	loop_fd_del(&ch->src);
	loop_timer_del(&ch->flush);
	ch->owner->broken(ch, error);
}

/* Answers that pile up in `out` stop the reading: what is read could not be handled, and `in` is
 * small. */
static bool channel_reads(const struct channel *ch)
{
	return ch->up && !ch->dead && !ch->stopped && buf_len(&ch->out) < OUT_READ;
}

/* Watches what the channel can use right now. */
static void channel_watch(struct channel *ch, bool out_blocked)
{
	uint32_t events = 0;
	int r;

	if (ch->dead)
		return;
	if (ch->up) {
		if (channel_reads(ch))
			events |= EPOLLIN;
		if (out_blocked)
			events |= EPOLLOUT;
	} else {
		/* A closed port hangs up for as long as it is closed: only changes count. */
		events = EPOLLIN | EPOLLOUT | (uint32_t)EPOLLET;
	}
	r = loop_fd_set(&ch->src, events);
	if (r < 0)
		channel_break(ch, r);
}

static void channel_down(struct channel *ch)
{
	if (!ch->up)
		return;
	ch->up = false;
	/* A frame that is being handled lives in there. */
	if (!ch->dispatching)
		buf_consume(&ch->in, buf_len(&ch->in));
	buf_consume(&ch->out, buf_len(&ch->out));
	loop_timer_del(&ch->flush);
	channel_drop_streams(ch);
	channel_watch(ch, false);
	ch->owner->state(ch, false);
}

static struct stream *stream_find(const struct channel *ch, uint32_t id)
{
	struct stream *s = ch->streams[bucket_of(id)];

	while (s && s->id != id)
		s = s->next;
	return s;
}

static int stream_frame(struct stream *s, const struct frame *f)
{
	uint32_t credit;
	int r;

	if (f->type == FRAME_CREDIT) {
		r = msg_get_u32(f, &credit);
		if (r == 0)
			r = credit_tx_return(&s->tx, credit);
		if (r == 0)
			s->ops->resume(s);
		return r;
	}
	if (f->type == FRAME_DATA) {
		r = credit_rx_data(&s->rx, f->len);
		if (r < 0)
			return r;
	}
	s->ops->frame(s, f);
	return 0;
}

static int channel_frame(struct channel *ch, const struct frame *f)
{
	struct stream *s;

	switch (f->type) {
	case FRAME_DATA:
	case FRAME_CREDIT:
	case FRAME_RESIZE:
	case FRAME_SIGNAL:
	case FRAME_CANCEL:
		/* Without a stream it has crossed the terminal frame on its way. */
		s = stream_find(ch, f->stream);
		return s ? stream_frame(s, f) : 0;
	default:
		return ch->owner->frame(ch, f);
	}
}

/* Handles the complete frames that are there, as long as answers to them have room. */
static void channel_dispatch(struct channel *ch)
{
	struct frame f;
	int r = 0;

	/* The owner's handler may flush, and a flush dispatches. */
	if (ch->dispatching)
		return;
	ch->dispatching = true;
	while (channel_reads(ch)) {
		r = frame_decode(&ch->in, &f);
		if (r < 0)
			break;
		r = channel_frame(ch, &f);
		if (r < 0)
			break;
		buf_consume(&ch->in, FRAME_HEADER + f.len);
	}
	ch->dispatching = false;
	if (!ch->up)
		buf_consume(&ch->in, buf_len(&ch->in));
	if (r < 0 && r != -EAGAIN)
		channel_break(ch, r);
}

static void channel_read(struct channel *ch)
{
	for (int i = 0; i < IN_READS && channel_reads(ch); i++) {
		ssize_t n = buf_read_fd(&ch->in, ch->fd, IN_MAX);

		if (n == -EAGAIN)
			return;
		/* A peer that left bytes unread resets. */
		if (n == 0 || n == -ECONNRESET) {
			channel_down(ch);
			return;
		}
		if (n < 0) {
			channel_break(ch, (int)n);
			return;
		}
		channel_dispatch(ch);
		/* Less than a port's buffer was probably all; if not, we are called again. */
		if (n < IN_PORT_BUFFER)
			break;
	}
	/* Read on when `out` has drained; until then frames stay where they are. */
	if (ch->up && !channel_reads(ch))
		channel_watch(ch, (ch->src.events & EPOLLOUT) != 0);
}

static void channel_event(struct loop_fd *src, uint32_t events)
{
	struct channel *ch = container_of(src, struct channel, src);

	if (!ch->up) {
		if (events & EPOLLHUP)
			return;
		ch->up = true;
		channel_watch(ch, false);
		if (!ch->dead)
			ch->owner->state(ch, true);
		return;
	}
	if (events & EPOLLOUT)
		channel_flush(ch);
	if (ch->up && !ch->dead && (events & (EPOLLIN | EPOLLERR)))
		channel_read(ch);
	else if (ch->up && !ch->dead && (events & EPOLLHUP))
		channel_down(ch);
	if (buf_len(&ch->out))
		channel_kick(ch);
}

void channel_kick(struct channel *ch)
{
	if (!ch->flush.loop && ch->up && !ch->dead && !(ch->src.events & EPOLLOUT))
		loop_defer(ch->loop, &ch->flush, channel_flush_timer);
}

static void channel_flush_timer(struct loop_timer *t)
{
	channel_flush(container_of(t, struct channel, flush));
}

static void wait_leave(struct stream *s)
{
	struct channel *ch = s->ch;

	if (!s->waiting)
		return;
	s->waiting = false;
	*(s->wait_prev ? &s->wait_prev->wait_next : &ch->wait_head) = s->wait_next;
	*(s->wait_next ? &s->wait_next->wait_prev : &ch->wait_tail) = s->wait_prev;
}

static void wait_enter(struct stream *s)
{
	struct channel *ch = s->ch;

	if (s->waiting)
		return;
	s->waiting = true;
	s->wait_next = NULL;
	s->wait_prev = ch->wait_tail;
	*(ch->wait_tail ? &ch->wait_tail->wait_next : &ch->wait_head) = s;
	ch->wait_tail = s;
}

/* One turn for everybody who waits, as far as the room goes; each may end its own stream. */
static void channel_resume(struct channel *ch)
{
	struct stream *last = ch->wait_tail;
	bool more = last != NULL;

	while (more && ch->wait_head && buf_len(&ch->out) < OUT_DATA) {
		struct stream *s = ch->wait_head;

		more = s != last;
		wait_leave(s);
		ch->resuming = s;
		s->ops->resume(s);
		ch->resuming = NULL;
	}
}

void channel_flush(struct channel *ch)
{
	bool blocked = false;

	if (!ch->up || ch->dead)
		return;
	while (buf_len(&ch->out) && !blocked) {
		ssize_t n = buf_write_fd(&ch->out, ch->fd);

		if (n == -EAGAIN) {
			blocked = true;
		} else if (n == -EPIPE || n == -ECONNRESET) {
			channel_down(ch);
			return;
		} else if (n < 0) {
			channel_break(ch, (int)n);
			return;
		}
	}
	/* Frames that waited for room in `out` come first, then the sources of DATA. */
	channel_dispatch(ch);
	if (buf_len(&ch->out) < OUT_DATA / 2)
		channel_resume(ch);
	channel_watch(ch, blocked);
	if (buf_len(&ch->out))
		channel_kick(ch);
}

void channel_flush_all(struct channel *ch)
{
	if (!ch->up || ch->dead)
		return;
	/* A blocking write to a port waits while the queue is full. */
	if (io_nonblock(ch->fd, false) < 0)
		return;
	while (buf_len(&ch->out)) {
		if (buf_write_fd(&ch->out, ch->fd) < 0)
			break;
	}
	if (io_nonblock(ch->fd, true) < 0)
		log_err("the port stays in blocking mode");
}

void channel_stop(struct channel *ch)
{
	ch->stopped = true;
	channel_watch(ch, (ch->src.events & EPOLLOUT) != 0);
}

void channel_run(struct channel *ch)
{
	ch->stopped = false;
	channel_watch(ch, (ch->src.events & EPOLLOUT) != 0);
	/* What came meanwhile is dispatched after the flush. */
	if (ch->up && !ch->dead)
		loop_defer(ch->loop, &ch->flush, channel_flush_timer);
}

int stream_open(struct stream *s, struct channel *ch, uint32_t id, const struct stream_ops *ops)
{
	struct stream **bucket = &ch->streams[bucket_of(id)];

	if (stream_find(ch, id))
		return -EEXIST;
	if (ch->n_streams >= LIMIT_STREAMS)
		return -EMFILE;
	*s = (struct stream){.ch = ch, .id = id, .ops = ops, .next = *bucket};
	credit_tx_init(&s->tx);
	credit_rx_init(&s->rx);
	*bucket = s;
	ch->n_streams++;
	return 0;
}

void stream_close(struct stream *s)
{
	struct stream **at;

	if (!s->ch)
		return;
	at = &s->ch->streams[bucket_of(s->id)];
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	wait_leave(s);
	s->ch->n_streams--;
	s->ch = NULL;
}

void stream_passed(struct stream *s, size_t n)
{
	uint32_t due = credit_rx_passed(&s->rx, n);
	int r;

	if (!due)
		return;
	r = msg_put_u32(&s->ch->out, FRAME_CREDIT, s->id, due);
	if (r < 0)
		channel_break(s->ch, r);
	else
		channel_kick(s->ch);
}

size_t stream_room(struct stream *s)
{
	struct channel *ch = s->ch;

	if (buf_len(&ch->out) >= OUT_DATA || (ch->wait_head && ch->resuming != s)) {
		wait_enter(s);
		return 0;
	}
	return MIN((size_t)s->tx.avail, (size_t)OUT_CHUNK);
}

ssize_t stream_send_fd(struct stream *s, int fd, uint8_t channel, size_t max)
{
	struct buf *out = &s->ch->out;
	size_t want = MIN(stream_room(s), max);
	size_t mark;
	ssize_t n;
	int r;

	if (want == 0)
		return -ENOBUFS;
	/* Read straight into the frame. */
	r = frame_begin(out, FRAME_DATA, channel, s->id, &mark);
	if (r < 0)
		return r;
	n = buf_read_fd(out, fd, want);
	r = frame_finish(out, mark, n > 0 ? 0 : -ENODATA);
	if (n > 0 && r == 0) {
		credit_tx_take(&s->tx, (size_t)n);
		channel_kick(s->ch);
	}
	return n;
}

void stream_send_eof(struct stream *s, uint8_t channel)
{
	int r = frame_put(&s->ch->out, FRAME_DATA, channel | FRAME_EOF, s->id, NULL, 0);

	if (r < 0)
		channel_break(s->ch, r);
	else
		channel_kick(s->ch);
}
