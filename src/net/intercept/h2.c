/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 at both ends of an intercepted connection: see h2.h. Streams are in h2-stream.c.
 *
 * nghttp2 keeps the state of both connections, checks the syntax of what comes and what may come
 * when, and answers settings and pings. Its callbacks run within h2_read() and h2_write(). Whatever
 * a peer can make it keep has a limit here: streams, fields, windows, and frames that wait for a
 * peer who does not read.
 */
#include "net/intercept/h2-internal.h"

enum {
	CONTINUATIONS_MAX = 8,
	ACKS_MAX = 100, /* of settings and pings, that wait for a peer who does not read */
	SETTINGS_MAX = 32,
	RESETS_BURST = 1000,
	RESETS_PER_SECOND = 100,
	TABLE_BYTES = 4096, /* of HPACK */
	SEND_HEAD_MAX = 256 * 1024,
	STREAMS_KEPT = H2_STREAMS_MAX + 64, /* some are closed at one side only */
	/* Windows of streams bound what waits, not that of the connection: one stream that nobody
	 * reads must not stop the others. */
	CONNECTION_WINDOW = STREAMS_KEPT * H2_WINDOW + H2_WINDOWS_MORE,
};

static enum h2_side side_of(const struct h2 *h, const nghttp2_session *session)
{
	return session == h->session[H2_GUEST] ? H2_GUEST : H2_SERVER;
}

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int callback_result(int r)
{
	return r < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct h2 *h = ctx;
	enum h2_side side = side_of(h, session);
	struct h2_stream *st;

	(void)h2_fields_free(h->fields[side]);
	h->fields[side] = h2_fields_new();
	if (!h->fields[side])
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (side == H2_SERVER || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (h->n_streams == STREAMS_KEPT) {
		(void)nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	if (h2_stream_new(h, frame->hd.stream_id, &st) < 0 ||
		nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, st) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	/* All streams in turn, whatever their client thinks of some of them. */
	return nghttp2_session_change_extpri_stream_priority(session, frame->hd.stream_id,
		       &(nghttp2_extpri){.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1},
		       1) < 0
		       ? NGHTTP2_ERR_CALLBACK_FAILURE
		       : 0;
}

/* The fields of a stream that come behind its body. */
static bool is_trailer(const struct h2 *h, nghttp2_session *session, const nghttp2_frame *frame)
{
	const struct h2_stream *st = stream_of(session, frame->hd.stream_id);

	if (side_of(h, session) == H2_GUEST)
		return frame->headers.cat != NGHTTP2_HCAT_REQUEST;
	return st && st->answered;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
	struct h2 *h = ctx;
	struct h2_fields *f = h->fields[side_of(h, session)];

	if (!f)
		return 0;
	return callback_result(
		h2_fields_add(f, is_trailer(h, session, frame) ? H2_TRAILER_MAX : H2_HEAD_MAX, name,
			name_len, value, value_len, flags & NGHTTP2_NV_FLAG_NO_INDEX));
}

/* A guest may not have its requests read in two ways; of answers a bad field is left out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
	void *ctx)
{
	struct h2 *h = ctx;

	(void)name;
	(void)name_len;
	(void)value;
	(void)value_len;
	(void)flags;
	if (side_of(h, session) == H2_SERVER)
		return 0;
	(void)nghttp2_submit_rst_stream(
		session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
	if (h->rules.failed)
		h->rules.failed(h->rules.ctx, H2_GUEST, "a field that is none");
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_headers(struct h2 *h, nghttp2_session *session, const nghttp2_frame *frame)
{
	enum h2_side side = side_of(h, session);
	struct h2_stream *st = stream_of(session, frame->hd.stream_id);
	struct h2_fields *f = TAKE_PTR(h->fields[side]);
	int r = 0;

	if (st && f)
		r = h2_stream_fields(st, side, &f, is_trailer(h, session, frame),
			frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	(void)h2_fields_free(f);
	return callback_result(r);
}

/* The guest may have as many streams open as the server takes from us. */
static int on_settings(struct h2 *h, const nghttp2_frame *frame)
{
	nghttp2_settings_entry max = {.settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS};

	if (frame->hd.flags & NGHTTP2_FLAG_ACK)
		return 0;
	max.value = MIN(nghttp2_session_get_remote_settings(
				h->session[H2_SERVER], NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
		(uint32_t)H2_STREAMS_MAX);
	if (max.value == h->max_streams)
		return 0;
	h->max_streams = max.value;
	return callback_result(
		nghttp2_submit_settings(h->session[H2_GUEST], NGHTTP2_FLAG_NONE, &max, 1));
}

/* No more streams after those that the guest knows of. */
static void say_goaway(struct h2 *h, enum h2_side to, uint32_t code)
{
	nghttp2_session *session = h->session[to];

	if (h->gone[to])
		return;
	h->gone[to] = true;
	(void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(session), code, NULL, 0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct h2 *h = ctx;
	enum h2_side side = side_of(h, session);
	struct h2_stream *st;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		return on_headers(h, session, frame);
	case NGHTTP2_DATA:
		st = stream_of(session, frame->hd.stream_id);
		if (st && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			return callback_result(h2_stream_ended(st, side));
		return 0;
	case NGHTTP2_SETTINGS:
		return side == H2_SERVER ? on_settings(h, frame) : 0;
	case NGHTTP2_GOAWAY:
		say_goaway(h, !side, frame->goaway.error_code);
		return 0;
	default:
		return 0;
	}
}

static int on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *ctx)
{
	struct h2_stream *st = stream_of(session, id);

	(void)flags;
	if (st)
		return callback_result(h2_stream_data(st, side_of(ctx, session), p, n));
	(void)nghttp2_session_consume(session, id, n);
	return 0;
}

static int on_invalid_frame(
	nghttp2_session *session, const nghttp2_frame *frame, int code, void *ctx)
{
	struct h2 *h = ctx;

	(void)frame;
	if (h->rules.failed)
		h->rules.failed(h->rules.ctx, side_of(h, session), nghttp2_strerror(code));
	/* Each is a reset of ours, which no limit of resets counts. */
	if (side_of(h, session) == H2_GUEST && ++h->bad == H2_BAD_MAX)
		(void)nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

static void left_queue(struct h2 *h, enum h2_side side, const nghttp2_frame *frame)
{
	size_t n;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return;
	n = h2_nv_size(frame->headers.nva, frame->headers.nvlen);
	h->queued[side] -= MIN(h->queued[side], n);
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct h2 *h = ctx;
	enum h2_side side = side_of(h, session);
	struct h2_stream *st;

	left_queue(h, side, frame);
	if (side == H2_SERVER || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		(frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (st)
		h2_stream_said(st);
	return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int code, void *ctx)
{
	(void)code;
	left_queue(ctx, side_of(ctx, session), frame);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
	struct h2_stream *st = stream_of(session, id);

	if (!st)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	h2_stream_closed(st, side_of(ctx, session), code);
	return 0;
}

/*
 * What nghttp2 allocates, in a list: its objects are not sound after an allocation has failed in
 * the middle of something (one may be freed twice), so then all of it is freed at once without
 * asking them. And what is freed may have been a value of a secret.
 */
struct h2_block {
	struct h2_block *next, **link;
	size_t size;
	_Alignas(max_align_t) uint8_t bytes[];
};

static struct h2_block *block_of(void *p)
{
	return (struct h2_block *)(void *)((uint8_t *)p - offsetof(struct h2_block, bytes));
}

static void mem_free(void *p, void *ctx)
{
	const struct h2 *h = ctx;
	struct h2_block *b;

	if (!p)
		return;
	b = block_of(p);
	*b->link = b->next;
	if (b->next)
		b->next->link = b->link;
	if (h->rules.secrets)
		explicit_bzero(b->bytes, b->size);
	free(b);
}

static void *mem_malloc(size_t n, void *ctx)
{
	struct h2 *h = ctx;
	struct h2_block *b = n < SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + n) : NULL;

	if (!b) {
		h->unsound = true;
		return NULL;
	}
	b->size = n;
	b->next = h->blocks;
	b->link = &h->blocks;
	if (b->next)
		b->next->link = &b->next;
	h->blocks = b;
	return b->bytes;
}

static void *mem_calloc(size_t n, size_t size, void *ctx)
{
	size_t all;
	void *p = size_mul(n, size, &all) ? mem_malloc(all, ctx) : NULL;

	if (p)
		memset(p, 0, all);
	return p;
}

static void *mem_realloc(void *p, size_t n, void *ctx)
{
	void *q = mem_malloc(n, ctx);

	if (q && p)
		memcpy(q, p, MIN(n, block_of(p)->size));
	if (q)
		mem_free(p, ctx);
	return q;
}

static void set_limits(nghttp2_option *o)
{
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_peer_max_concurrent_streams(o, H2_STREAMS_MAX);
	nghttp2_option_set_max_reserved_remote_streams(o, 0);
	nghttp2_option_set_max_send_header_block_length(o, SEND_HEAD_MAX);
	nghttp2_option_set_max_deflate_dynamic_table_size(o, TABLE_BYTES);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
	nghttp2_option_set_max_settings(o, SETTINGS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_BURST, RESETS_PER_SECOND);
	nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
}

static void set_callbacks(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
}

/* What both peers are told of us. */
static int greet(struct h2 *h)
{
	static const nghttp2_settings_entry to_guest[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_MAX},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};
	static const nghttp2_settings_entry to_server[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_MAX},
	};
	int r = nghttp2_submit_settings(
		h->session[H2_GUEST], NGHTTP2_FLAG_NONE, to_guest, ARRAY_SIZE(to_guest));

	h->max_streams = H2_STREAMS_MAX;
	if (r == 0)
		r = nghttp2_submit_settings(
			h->session[H2_SERVER], NGHTTP2_FLAG_NONE, to_server, ARRAY_SIZE(to_server));
	for (int i = 0; i < 2 && r == 0; i++)
		r = nghttp2_session_set_local_window_size(
			h->session[i], NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
	return r < 0 ? -ENOMEM : 0;
}

int h2_new(const struct h2_rules *rules, struct h2 **ret)
{
	struct h2 *h = calloc(1, sizeof(*h));
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	nghttp2_mem mem = {.mem_user_data = h,
		.malloc = mem_malloc,
		.free = mem_free,
		.calloc = mem_calloc,
		.realloc = mem_realloc};
	int r = h ? 0 : -ENOMEM;

	if (r == 0) {
		h->rules = *rules;
		if (nghttp2_option_new(&option) < 0 ||
			nghttp2_session_callbacks_new(&callbacks) < 0)
			r = -ENOMEM;
	}
	if (r == 0) {
		set_limits(option);
		set_callbacks(callbacks);
		if (nghttp2_session_server_new3(&h->session[H2_GUEST], callbacks, h, option, &mem) <
				0 ||
			nghttp2_session_client_new3(
				&h->session[H2_SERVER], callbacks, h, option, &mem) < 0 ||
			greet(h) < 0)
			r = -ENOMEM;
	}
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	if (r < 0)
		(void)h2_free(h);
	else
		*ret = h;
	return r;
}

struct h2 *h2_free(struct h2 *h)
{
	if (!h)
		return NULL;
	for (int i = 0; i < 2; i++) {
		if (!h->unsound)
			nghttp2_session_del(h->session[i]);
		(void)h2_fields_free(h->fields[i]);
	}
	while (h->blocks)
		mem_free(h->blocks->bytes, h);
	while (h->streams)
		h2_stream_free(h->streams);
	free(h);
	return NULL;
}

static bool is_idle(const struct h2 *h, enum h2_side side)
{
	return !nghttp2_session_want_read(h->session[side]) &&
	       !nghttp2_session_want_write(h->session[side]);
}

bool h2_may_read(const struct h2 *h, enum h2_side from)
{
	return !h->ended[from] && nghttp2_session_want_read(h->session[from]) &&
	       nghttp2_session_get_outbound_queue_size(h->session[H2_GUEST]) < H2_FRAMES_MAX &&
	       nghttp2_session_get_outbound_queue_size(h->session[H2_SERVER]) < H2_FRAMES_MAX &&
	       (from == H2_GUEST || h->queued[H2_GUEST] <= H2_QUEUED_MAX);
}

int h2_read(struct h2 *h, enum h2_side from, const void *p, size_t n)
{
	ssize_t r = nghttp2_session_mem_recv(h->session[from], p, n);

	if (h->unsound)
		return -ENOMEM;
	if (r >= 0)
		return 0;
	if (r == NGHTTP2_ERR_NOMEM || r == NGHTTP2_ERR_CALLBACK_FAILURE)
		return -ENOMEM;
	if (h->rules.failed)
		h->rules.failed(h->rules.ctx, from, nghttp2_strerror((int)r));
	return -EBADMSG;
}

void h2_end(struct h2 *h, enum h2_side from)
{
	struct h2_stream *next;

	if (h->ended[from])
		return;
	h->ended[from] = true;
	for (struct h2_stream *st = h->streams; st; st = next) {
		next = st->next;
		if (st->open[from])
			h2_stream_closed(st, from,
				from == H2_GUEST ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
	}
	say_goaway(h, !from, NGHTTP2_NO_ERROR);
}

int h2_write(struct h2 *h, enum h2_side to, struct buf *out)
{
	int any = 0;

	/* Whom we have nothing more to say to and to hear from has ended. */
	if (!h->ended[H2_SERVER] && is_idle(h, H2_SERVER))
		h2_end(h, H2_SERVER);
	while (!h->ended[to] && buf_len(out) < H2_WRITE_BYTES) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(h->session[to], &p);

		if (n < 0)
			return -ENOMEM;
		if (n == 0)
			break;
		if (buf_append(out, p, (size_t)n) < 0)
			return -ENOMEM;
		any = 1;
	}
	return h->unsound ? -ENOMEM : any;
}

bool h2_over(const struct h2 *h, enum h2_side side)
{
	return h->ended[side] || is_idle(h, side);
}
