/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the guest: see client.h. */
#include "base/str.h"

#include "proto/frame.h"
#include "sandbox/client-internal.h"

static struct sandbox_stream *stream_find(struct sandbox *sb, uint32_t id)
{
	for (struct sandbox_stream **at = &sb->streams; *at; at = &(*at)->next) {
		struct sandbox_stream *s = *at;

		if (s->id == id) {
			*at = s->next;
			s->next = sb->streams;
			sb->streams = s;
			return s;
		}
	}
	return NULL;
}

void stream_forget(struct sandbox_stream *s)
{
	struct sandbox_stream **at = &s->sb->streams;

	while (*at != s) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = s->next;
	s->next = NULL;
	s->sb = NULL;
}

static void stream_done(struct sandbox_stream *s, const struct sandbox_result *result)
{
	stream_forget(s);
	if (s->ops->done)
		s->ops->done(s, result);
}

void stream_lost(struct sandbox *sb, const struct msb_err *err)
{
	struct sandbox_result result = {.type = 0, .err = *err};

	stream_done(sb->streams, &result);
}

/* What a failure inside the guest means for the exit code. */
static enum msb_kind failure_kind(const struct msg_failure *m)
{
	switch (m->stage) {
	case STAGE_EXEC:
		return m->errno_ == ENOENT || m->errno_ == ENOTDIR ? MSB_EXEC_NOT_FOUND
								   : MSB_EXEC_DENIED;
	case STAGE_USER:
	case STAGE_CWD:
		return MSB_EXEC_DENIED;
	case STAGE_LIMIT:
		return MSB_LIMIT;
	default:
		return m->errno_ && m->errno_ < 4096 ? msb_kind_from_errno(-(int)m->errno_)
						     : MSB_FAIL;
	}
}

static const char *failure_object(uint32_t stage)
{
	switch (stage) {
	case STAGE_EXEC:
		return "cannot run ";
	case STAGE_USER:
		return "user ";
	case STAGE_CWD:
		return "working directory ";
	case STAGE_PTY:
		return "terminal ";
	case STAGE_RLIMIT:
		return "resource limit ";
	case STAGE_LIMIT:
		return "too many ";
	default:
		return "";
	}
}

static void failure_err(const struct msg_failure *m, struct msb_err *err)
{
	int r = m->errno_ > 0 && m->errno_ < 4096 ? -(int)m->errno_ : -EIO;
	char what[200];

	(void)str_quote(what, sizeof(what), m->what, strlen(m->what));
	(void)msb_err_set(err, r, failure_kind(m), "%s%s%s%s", failure_object(m->stage), what,
		m->errno_ ? ": " : "", m->errno_ ? strerror(-r) : "");
}

static int stream_terminal(struct sandbox_stream *s, const struct frame *f)
{
	struct sandbox_result result = {.type = f->type};
	int r = 0;

	switch (f->type) {
	case FRAME_EXITED:
		r = s->request == FRAME_EXEC ? msg_get_exited(f, &result.exited) : -EPROTO;
		break;
	case FRAME_FS_DONE:
		r = s->request == FRAME_FS ? msg_get_fs_done(f, &result.fs) : -EPROTO;
		break;
	case FRAME_METRICS_DONE:
		r = s->request == FRAME_METRICS ? msg_get_metrics(f, &result.metrics) : -EPROTO;
		break;
	case FRAME_THAWED:
		r = s->request == FRAME_FREEZE ? msg_get_u32(f, &result.thawed) : -EPROTO;
		break;
	case FRAME_MODIFIED:
		r = s->request == FRAME_MODIFY || s->request == FRAME_SB_MEMORY
			    ? msg_get_u32(f, &result.modified)
			    : -EPROTO;
		break;
	case FRAME_PONG:
		r = s->request == FRAME_PING || s->request == FRAME_SB_SIGNAL ||
				    s->request == FRAME_SB_PREPARED ||
				    s->request == FRAME_SB_POLICY || s->request == FRAME_SB_SECRETS
			    ? 0
			    : -EPROTO;
		break;
	case FRAME_FAILED:
		r = msg_get_failure(f, &result.failure);
		if (r == 0)
			failure_err(&result.failure, &result.err);
		break;
	default:
		r = -EPROTO;
	}
	if (r == 0)
		stream_done(s, &result);
	return r;
}

static int stream_data(struct sandbox_stream *s, const struct frame *f)
{
	unsigned int channel = f->flags & FRAME_CHANNEL;
	uint8_t bit = (uint8_t)(1u << channel);
	bool eof = f->flags & FRAME_EOF;
	int r;

	if ((s->request != FRAME_EXEC || channel == 0) && (s->request != FRAME_FS || channel != 0))
		return -EPROTO;
	if (s->eof_seen & bit)
		return -EPROTO;
	r = credit_rx_data(&s->rx, f->len);
	if (r < 0)
		return r;
	if (eof)
		s->eof_seen |= bit;
	if (s->ops->data)
		s->ops->data(s, channel, f->payload, f->len, eof);
	else
		sandbox_stream_consumed(s, f->len);
	return 0;
}

static void stream_tell_writable(struct sandbox_stream *s)
{
	if (!s->want_write || !s->tx.avail)
		return;
	s->want_write = false;
	if (s->ops->writable)
		s->ops->writable(s);
}

int stream_frame(struct sandbox *sb, const struct frame *f)
{
	struct sandbox_stream *s = stream_find(sb, f->stream);
	uint32_t v;
	int r;

	if (!s)
		return -EPROTO;
	switch (f->type) {
	case FRAME_DATA:
		return stream_data(s, f);
	case FRAME_CREDIT:
		r = msg_get_u32(f, &v);
		if (r == 0)
			r = credit_tx_return(&s->tx, v);
		if (r == 0)
			stream_tell_writable(s);
		return r;
	case FRAME_STARTED:
		r = msg_get_u32(f, &v);
		if (r < 0 || s->started || s->request != FRAME_EXEC)
			return -EPROTO;
		s->started = true;
		if (s->ops->started)
			s->ops->started(s, v);
		return 0;
	case FRAME_FROZEN:
		if (s->started || s->request != FRAME_FREEZE || f->len)
			return -EPROTO;
		s->started = true;
		if (s->ops->started)
			s->ops->started(s, 0);
		return 0;
	default:
		return stream_terminal(s, f);
	}
}

/* A callback may end any stream: begin again after each. Each is called at most once per round. */
void stream_writable(struct sandbox *sb)
{
	struct sandbox_stream *s = sb->streams;

	while (s && !sb->closed && !sb->congested) {
		if (s->want_write && s->tx.avail) {
			stream_tell_writable(s);
			s = sb->streams;
		} else {
			s = s->next;
		}
	}
}

/* Numbers are handed out in turn; after 4 billion of them one may still be open. */
static uint32_t stream_new_id(struct sandbox *sb)
{
	do {
		sb->last_id++;
	} while (sb->last_id == 0 || stream_find(sb, sb->last_id));
	return sb->last_id;
}

static int stream_begin(struct sandbox *sb, struct sandbox_stream *s, uint8_t request)
{
	if (sb->ended || sb->closed)
		return -ENOTCONN;
	*s = (struct sandbox_stream){
		.ops = s->ops,
		.id = stream_new_id(sb),
		.request = request,
	};
	credit_tx_init(&s->tx);
	credit_rx_init(&s->rx);
	return 0;
}

/* @r: how putting the request into the queue went. */
static int stream_opened(struct sandbox *sb, struct sandbox_stream *s, int r)
{
	if (r < 0)
		return r;
	s->sb = sb;
	s->next = sb->streams;
	sb->streams = s;
	sandbox_flush(sb);
	return 0;
}

int sandbox_exec(struct sandbox *sb, struct sandbox_stream *s, const struct msg_exec *m,
	const char *const *argv, const char *const *env)
{
	static const char *const none[] = {NULL};
	int r = stream_begin(sb, s, FRAME_EXEC);

	if (r < 0)
		return r;
	s->eof_sent = !(m->flags & EXEC_STDIN);
	return stream_opened(sb, s, msg_put_exec(&sb->out, s->id, m, argv, env ? env : none));
}

int sandbox_fs(struct sandbox *sb, struct sandbox_stream *s, const struct msg_fs *m)
{
	int r = stream_begin(sb, s, FRAME_FS);

	if (r < 0)
		return r;
	s->eof_sent = m->op != FS_WRITE;
	return stream_opened(sb, s, msg_put_fs(&sb->out, s->id, m));
}

static int open_bare(struct sandbox *sb, struct sandbox_stream *s, uint8_t request)
{
	int r = stream_begin(sb, s, request);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, frame_put(&sb->out, request, 0, s->id, NULL, 0));
}

int sandbox_ping(struct sandbox *sb, struct sandbox_stream *s)
{
	return open_bare(sb, s, FRAME_PING);
}

int sandbox_metrics(struct sandbox *sb, struct sandbox_stream *s)
{
	return open_bare(sb, s, FRAME_METRICS);
}

int sandbox_freeze(struct sandbox *sb, struct sandbox_stream *s, uint32_t limit_ms)
{
	int r = stream_begin(sb, s, FRAME_FREEZE);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, msg_put_u32(&sb->out, FRAME_FREEZE, s->id, limit_ms));
}

int sandbox_modify(struct sandbox *sb, struct sandbox_stream *s, const struct msg_modify *m,
	const char *const *env)
{
	static const char *const none[] = {NULL};
	int r = stream_begin(sb, s, FRAME_MODIFY);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, msg_put_modify(&sb->out, s->id, m, env ? env : none));
}

int sandbox_memory(struct sandbox *sb, struct sandbox_stream *s, uint32_t mib)
{
	int r = stream_begin(sb, s, FRAME_SB_MEMORY);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, msg_put_u32(&sb->out, FRAME_SB_MEMORY, s->id, mib));
}

int sandbox_signal(struct sandbox *sb, struct sandbox_stream *s, int signo)
{
	int r = stream_begin(sb, s, FRAME_SB_SIGNAL);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, msg_put_u32(&sb->out, FRAME_SB_SIGNAL, s->id, (uint32_t)signo));
}

int sandbox_policy(struct sandbox *sb, struct sandbox_stream *s, const void *text, size_t len)
{
	int r = stream_begin(sb, s, FRAME_SB_POLICY);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, frame_put(&sb->out, FRAME_SB_POLICY, 0, s->id, text, len));
}

int sandbox_secrets(
	struct sandbox *sb, struct sandbox_stream *s, const void *text, size_t len, int fd)
{
	int r = stream_begin(sb, s, FRAME_SB_SECRETS);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	s->eof_sent = true;
	fd_close(sb->given_fd);
	sb->given_fd = fd;
	return stream_opened(sb, s, frame_put(&sb->out, FRAME_SB_SECRETS, 0, s->id, text, len));
}

int sandbox_prepared(struct sandbox *sb, struct sandbox_stream *s)
{
	int r = stream_begin(sb, s, FRAME_SB_PREPARED);

	if (r < 0)
		return r;
	s->eof_sent = true;
	return stream_opened(sb, s, frame_put(&sb->out, FRAME_SB_PREPARED, 0, s->id, NULL, 0));
}

ssize_t sandbox_stream_write(struct sandbox_stream *s, const void *p, size_t n)
{
	const uint8_t *at = p;
	size_t done = 0;
	int r = 0;

	if (!s->sb || s->eof_sent)
		return -EPIPE;
	while (done < n) {
		size_t queued = buf_len(&s->sb->out);
		size_t part = MIN(n - done, (size_t)LIMIT_FRAME_PAYLOAD);

		part = MIN(part, (size_t)s->tx.avail);
		s->sb->congested |= queued >= CLIENT_OUT_HIGH;
		if (!part || queued >= CLIENT_OUT_HIGH)
			break;
		r = frame_put(&s->sb->out, FRAME_DATA, 0, s->id, at + done, part);
		if (r < 0)
			break;
		credit_tx_take(&s->tx, part);
		done += part;
	}
	if (r == 0 && done < n)
		s->want_write = true;
	sandbox_flush(s->sb);
	return r < 0 && !done ? r : (ssize_t)done;
}

static int stream_put(struct sandbox_stream *s, uint8_t type, uint8_t flags)
{
	int r = frame_put(&s->sb->out, type, flags, s->id, NULL, 0);

	if (r == 0)
		sandbox_flush(s->sb);
	return r;
}

int sandbox_stream_write_eof(struct sandbox_stream *s)
{
	int r;

	if (!s->sb)
		return -EPIPE;
	if (s->eof_sent)
		return 0;
	r = stream_put(s, FRAME_DATA, FRAME_EOF);
	if (r == 0)
		s->eof_sent = true;
	return r;
}

void sandbox_stream_consumed(struct sandbox_stream *s, size_t n)
{
	uint32_t due;

	if (!s->sb)
		return;
	due = credit_rx_passed(&s->rx, n);
	/* Without memory for twelve bytes the stream stalls, and with it the caller's timeout ends
	 * it. */
	if (due && msg_put_u32(&s->sb->out, FRAME_CREDIT, s->id, due) == 0)
		sandbox_flush(s->sb);
}

int sandbox_stream_resize(struct sandbox_stream *s, uint16_t rows, uint16_t cols)
{
	struct msg_resize m = {.rows = rows, .cols = cols};
	int r;

	if (!s->sb)
		return -EPIPE;
	r = msg_put_resize(&s->sb->out, s->id, &m);
	if (r == 0)
		sandbox_flush(s->sb);
	return r;
}

int sandbox_stream_signal(struct sandbox_stream *s, int signo)
{
	int r;

	if (!s->sb)
		return -EPIPE;
	r = msg_put_u32(&s->sb->out, FRAME_SIGNAL, s->id, (uint32_t)signo);
	if (r == 0)
		sandbox_flush(s->sb);
	return r;
}

int sandbox_stream_cancel(struct sandbox_stream *s)
{
	int r;

	if (!s->sb)
		return -EPIPE;
	if (s->cancelled)
		return 0;
	r = stream_put(s, FRAME_CANCEL, 0);
	if (r == 0)
		s->cancelled = true;
	return r;
}

int sandbox_stream_detach(struct sandbox_stream *s)
{
	return s->sb ? stream_put(s, FRAME_DETACH, 0) : -EPIPE;
}
