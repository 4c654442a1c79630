/* SPDX-License-Identifier: Apache-2.0 */
/* A guest for tests: see fake-guest.h. It keeps the rules of the protocol unless asked not to. */
#include "sandbox/fake-guest.h"

#include <sys/stat.h>

#include "base/str.h"

#include "proto/frame.h"

enum { FAKE_CHUNK = 20000, FAKE_QUEUE = 1 << 20, FAKE_ARGS = 4 };

static void must(int r)
{
	if (r < 0) {
		fprintf(stderr, "fake guest: %s\n", strerror(-r));
		abort();
	}
}

uint32_t fake_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = (sum << 5 | sum >> 27) + p[i];
	return sum;
}

void fake_guest_flush(struct fake_guest *g)
{
	while (!g->closed && buf_len(&g->out)) {
		ssize_t n = buf_send_fd(&g->out, g->fd);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			g->closed = true;
			buf_deinit(&g->out);
		}
	}
	if (g->src.loop)
		must(loop_fd_set(&g->src,
			(g->deaf ? 0 : EPOLLIN) | (!g->closed && buf_len(&g->out) ? EPOLLOUT : 0)));
}

void fake_guest_raw(struct fake_guest *g, uint8_t type, uint8_t flags, uint32_t stream,
	const void *p, size_t len)
{
	must(frame_put(&g->out, type, flags, stream, p, len));
	fake_guest_flush(g);
}

static void send_u32(struct fake_guest *g, uint8_t type, uint32_t stream, uint32_t v)
{
	must(msg_put_u32(&g->out, type, stream, v));
}

static void send_exited(struct fake_guest *g, struct fake_stream *s, uint32_t code, uint32_t sig)
{
	struct msg_exited m = {.code = code, .signal = sig};

	must(msg_put_exited(&g->out, s->id, &m));
	buf_deinit(&s->echo);
	*s = (struct fake_stream){};
}

static void pump_emit(struct fake_guest *g, struct fake_stream *s)
{
	uint8_t chunk[FAKE_CHUNK];

	while (s->sent < s->total && s->tx.avail && buf_len(&g->out) < FAKE_QUEUE) {
		size_t n = (size_t)MIN(s->total - s->sent, (uint64_t)sizeof(chunk));

		n = MIN(n, (size_t)s->tx.avail);
		for (size_t i = 0; i < n; i++)
			chunk[i] = fake_pattern(s->total, s->sent + i);
		must(frame_put(&g->out, FRAME_DATA, 1, s->id, chunk, n));
		credit_tx_take(&s->tx, n);
		s->sent += n;
	}
	if (s->sent == s->total && buf_len(&g->out) < FAKE_QUEUE) {
		must(frame_put(&g->out, FRAME_DATA, 1 | FRAME_EOF, s->id, NULL, 0));
		send_exited(g, s, 0, 0);
	}
}

static void pump_cat(struct fake_guest *g, struct fake_stream *s)
{
	while (buf_len(&s->echo) && s->tx.avail && buf_len(&g->out) < FAKE_QUEUE) {
		size_t n = MIN(buf_len(&s->echo), (size_t)FAKE_CHUNK);
		uint32_t due;

		n = MIN(n, (size_t)s->tx.avail);
		must(frame_put(&g->out, FRAME_DATA, 1, s->id, buf_data(&s->echo), n));
		credit_tx_take(&s->tx, n);
		buf_consume(&s->echo, n);
		due = credit_rx_passed(&s->rx, n);
		if (due)
			send_u32(g, FRAME_CREDIT, s->id, due);
	}
	if (s->eof && !buf_len(&s->echo)) {
		must(frame_put(&g->out, FRAME_DATA, 1 | FRAME_EOF, s->id, NULL, 0));
		send_exited(g, s, 0, 0);
	}
}

static struct msg_fs_done fs_result(int error, uint64_t bytes, const struct fake_file *f)
{
	struct msg_fs_done m = {.errno_ = (uint32_t)-error, .bytes = bytes};

	if (error == 0) {
		m.st.mode = f ? S_IFREG | 0644 : S_IFDIR | 0755;
		m.st.size = f ? f->size : 0;
		m.st.nlink = 1;
	}
	return m;
}

static void fs_done(
	struct fake_guest *g, uint32_t stream, int error, uint64_t bytes, const struct fake_file *f)
{
	const struct msg_fs_done m = fs_result(error, bytes, f);

	must(msg_put_fs_done(&g->out, stream, &m));
}

static void end_file(struct fake_guest *g, struct fake_stream *s, int error)
{
	struct msg_fs_done m = fs_result(error, s->sent, s->file);

	m.summed = s->summed;
	m.sum = checksum_value(&s->check);
	must(msg_put_fs_done(&g->out, s->id, &m));
	buf_deinit(&s->echo);
	*s = (struct fake_stream){};
}

static void pump_read(struct fake_guest *g, struct fake_stream *s)
{
	while (buf_len(&s->echo) && s->tx.avail && buf_len(&g->out) < FAKE_QUEUE) {
		size_t n = MIN(buf_len(&s->echo), (size_t)FAKE_CHUNK);

		n = MIN(n, (size_t)s->tx.avail);
		must(frame_put(&g->out, FRAME_DATA, 0, s->id, buf_data(&s->echo), n));
		credit_tx_take(&s->tx, n);
		buf_consume(&s->echo, n);
		s->sent += n;
	}
	if (!buf_len(&s->echo)) {
		must(frame_put(&g->out, FRAME_DATA, FRAME_EOF, s->id, NULL, 0));
		end_file(g, s, 0);
	}
}

static void pump(struct fake_guest *g)
{
	for (size_t i = 0; i < LIMIT_STREAMS; i++) {
		if (g->streams[i].mode == FAKE_EMIT)
			pump_emit(g, &g->streams[i]);
		else if (g->streams[i].mode == FAKE_READ)
			pump_read(g, &g->streams[i]);
		else if (g->streams[i].mode == FAKE_CAT)
			pump_cat(g, &g->streams[i]);
	}
	fake_guest_flush(g);
}

static struct fake_stream *find(struct fake_guest *g, uint32_t id)
{
	for (size_t i = 0; i < LIMIT_STREAMS; i++) {
		if (g->streams[i].mode && g->streams[i].id == id)
			return &g->streams[i];
	}
	return NULL;
}

static struct fake_stream *new_stream(struct fake_guest *g, uint32_t id, enum fake_mode mode)
{
	for (size_t i = 0; i < LIMIT_STREAMS; i++) {
		struct fake_stream *s = &g->streams[i];

		if (s->mode)
			continue;
		*s = (struct fake_stream){.id = id, .mode = mode};
		credit_tx_init(&s->tx);
		credit_rx_init(&s->rx);
		buf_init(&s->echo, LIMIT_STREAM_WINDOW);
		checksum_init(&s->check);
		return s;
	}
	must(-ENFILE);
	return NULL;
}

/* Sends @n bytes of DATA without looking at the credit. */
static void overdraw(struct fake_guest *g, uint32_t id, size_t n)
{
	static const uint8_t zero[LIMIT_FRAME_PAYLOAD];

	while (n) {
		size_t part = MIN(n, sizeof(zero));

		fake_guest_raw(g, FRAME_DATA, 1, id, zero, part);
		n -= part;
	}
}

/* What a guest must not do; false for any other word. */
static bool misbehave(struct fake_guest *g, uint32_t id, const char *how)
{
	struct msg_exited exited = {};
	uint32_t v = 1;

	if (streq(how, "overdraw")) {
		overdraw(g, id, LIMIT_STREAM_WINDOW + 1);
	} else if (streq(how, "unknown-stream")) {
		must(msg_put_exited(&g->out, id + 1, &exited));
	} else if (streq(how, "two-ends")) {
		must(msg_put_exited(&g->out, id, &exited));
		must(msg_put_exited(&g->out, id, &exited));
	} else if (streq(how, "wrong-end")) {
		must(frame_put(&g->out, FRAME_PONG, 0, id, NULL, 0));
	} else if (streq(how, "started-twice")) {
		send_u32(g, FRAME_STARTED, id, 1);
		send_u32(g, FRAME_STARTED, id, 1);
	} else if (streq(how, "false-credit")) {
		send_u32(g, FRAME_CREDIT, id, v);
	} else if (streq(how, "data-after-eof")) {
		must(frame_put(&g->out, FRAME_DATA, 1 | FRAME_EOF, id, NULL, 0));
		must(frame_put(&g->out, FRAME_DATA, 1, id, "x", 1));
	} else if (streq(how, "empty-data")) {
		must(frame_put(&g->out, FRAME_DATA, 1, id, NULL, 0));
	} else if (streq(how, "channel-zero")) {
		must(frame_put(&g->out, FRAME_DATA, 0, id, "x", 1));
	} else if (streq(how, "host-frame")) {
		must(frame_put(&g->out, FRAME_SB_STOPPED, 0, 0, NULL, 0));
	} else if (streq(how, "request")) {
		must(frame_put(&g->out, FRAME_PING, 0, id, NULL, 0));
	} else if (streq(how, "ready-twice")) {
		fake_guest_ready(g);
	} else if (streq(how, "garbage")) {
		must(buf_append(&g->out, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12));
	} else {
		return false;
	}
	fake_guest_flush(g);
	return true;
}

static void on_exec(struct fake_guest *g, const struct frame *f)
{
	struct msg_exec m;
	const char *argv[FAKE_ARGS] = {"", "0"};
	struct fake_stream *s;
	uint64_t n = 0;

	must(msg_get_exec(f, &m));
	for (size_t i = 0; i < FAKE_ARGS; i++) {
		const char *arg = msg_strv_next(&m.argv);

		if (!arg)
			break;
		argv[i] = arg;
	}
	if (misbehave(g, f->stream, argv[0]))
		return;
	must(str_to_u64(argv[1], &n));
	send_u32(g, FRAME_STARTED, f->stream, 42);
	if (streq(argv[0], "emit")) {
		s = new_stream(g, f->stream, FAKE_EMIT);
		s->total = n;
	} else if (streq(argv[0], "cat")) {
		(void)new_stream(g, f->stream, FAKE_CAT);
	} else if (streq(argv[0], "sink")) {
		(void)new_stream(g, f->stream, FAKE_SINK);
	} else if (streq(argv[0], "stall")) {
		(void)new_stream(g, f->stream, FAKE_STALL);
	} else if (streq(argv[0], "sync")) {
		s = new_stream(g, f->stream, FAKE_STALL);
		send_exited(g, s, g->store && fake_store_sync(g->store) == 0 ? 0 : 1, 0);
	} else if (streq(argv[0], "poweroff") || streq(argv[0], "crash")) {
		fake_guest_flush(g);
		if (g->on_end)
			g->on_end(g, argv[0]);
	} else {
		s = new_stream(g, f->stream, FAKE_STALL);
		send_exited(g, s, (uint32_t)n, 0);
	}
}

static bool is_fake_dir(const char *path)
{
	static const char *const dirs[] = {"/", "/root", "/root/", "/tmp", "/tmp/"};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (streq(path, dirs[i]))
			return true;
	}
	return false;
}

static void given(struct fake_guest *g, uint32_t id, uint32_t error)
{
	const struct msg_fs_done m = {.errno_ = error};

	must(msg_put_fs_done(&g->out, id, &m));
	g->given++;
}

/* Without a store: what the supervisor gives, directories and files. */
static void on_given(struct fake_guest *g, const struct frame *f)
{
	struct msg_fs m;

	must(msg_get_fs(f, &m));
	if (m.op == FS_WRITE)
		(void)new_stream(g, f->stream, FAKE_FILE);
	else
		given(g, f->stream, streq(m.path, "/refuse") ? EROFS : 0);
}

static void on_fs(struct fake_guest *g, const struct frame *f)
{
	struct fake_file *file;
	struct fake_stream *s;
	struct msg_fs m;

	must(msg_get_fs(f, &m));
	file = g->store ? fake_store_find(g->store, m.path) : NULL;
	if (m.op == FS_WRITE && g->store && !is_fake_dir(m.path)) {
		file = fake_store_make(g->store, m.path);
		s = file ? new_stream(g, f->stream, FAKE_WRITE) : NULL;
		if (s) {
			s->file = file;
			s->summed = m.flags & FS_WITH_SUM;
		} else {
			fs_done(g, f->stream, -ENOSPC, 0, NULL);
		}
	} else if (m.op == FS_READ && file) {
		s = new_stream(g, f->stream, FAKE_READ);
		s->file = file;
		s->summed = m.flags & FS_WITH_SUM;
		checksum_add(&s->check, file->data, file->size);
		must(buf_append(&s->echo, file->data, file->size));
	} else if (m.op == FS_MKDIR && is_fake_dir(m.path)) {
		fs_done(g, f->stream, 0, 0, NULL);
	} else if (m.op == FS_STAT && (file || is_fake_dir(m.path))) {
		fs_done(g, f->stream, 0, 0, file);
	} else {
		fs_done(g, f->stream, -ENOENT, 0, NULL);
	}
}

static void on_file_data(struct fake_guest *g, struct fake_stream *s, const struct frame *f)
{
	int r = fake_file_append(s->file, f->payload, f->len);
	uint32_t due = credit_rx_passed(&s->rx, f->len);

	if (due)
		send_u32(g, FRAME_CREDIT, s->id, due);
	s->sent += f->len;
	checksum_add(&s->check, f->payload, f->len);
	if (r < 0 || s->eof)
		end_file(g, s, r);
}

static void on_data(struct fake_guest *g, struct fake_stream *s, const struct frame *f)
{
	uint32_t due = 0;

	must(credit_rx_data(&s->rx, f->len));
	if (f->flags & FRAME_EOF)
		s->eof = true;
	if (s->mode == FAKE_WRITE) {
		on_file_data(g, s, f);
	} else if (s->mode == FAKE_FILE) {
		g->given_bytes += f->len;
		if (s->eof) {
			given(g, s->id, 0);
			buf_deinit(&s->echo);
			*s = (struct fake_stream){};
		}
	} else if (s->mode == FAKE_CAT) {
		must(buf_append(&s->echo, f->payload, f->len));
	} else if (s->mode == FAKE_SINK) {
		s->sum = fake_sum(s->sum, f->payload, f->len);
		due = credit_rx_passed(&s->rx, f->len);
		if (due)
			send_u32(g, FRAME_CREDIT, s->id, due);
		if (s->eof)
			send_exited(g, s, s->sum & 0xff, 0);
	}
}

static void on_stream_frame(struct fake_guest *g, const struct frame *f)
{
	struct fake_stream *s = find(g, f->stream);
	uint32_t v = 0;

	if (!s)
		return;
	switch (f->type) {
	case FRAME_DATA:
		on_data(g, s, f);
		break;
	case FRAME_CREDIT:
		must(msg_get_u32(f, &v));
		must(credit_tx_return(&s->tx, v));
		break;
	case FRAME_SIGNAL:
		must(msg_get_u32(f, &v));
		send_exited(g, s, 0, v);
		break;
	case FRAME_CANCEL:
		g->cancels++;
		if (s->mode == FAKE_FROZEN) {
			send_u32(g, FRAME_THAWED, s->id, 0);
			*s = (struct fake_stream){};
			break;
		}
		if (s->mode == FAKE_READ || s->mode == FAKE_WRITE)
			end_file(g, s, -ECANCELED);
		else
			send_exited(g, s, 0, 9);
		break;
	default:
		break;
	}
}

static void on_config(struct fake_guest *g, const struct frame *f)
{
	struct msg_config m;

	must(msg_get_config(f, &m));
	g->configs++;
	must(str_copy(g->hostname, sizeof(g->hostname), m.hostname));
	if (g->on_config)
		g->on_config(g);
}

/* Does what it is told. */
static void on_modify(struct fake_guest *g, const struct frame *f)
{
	struct msg_modify m;

	must(msg_get_modify(f, &m));
	must(msg_put_u32(&g->out, FRAME_MODIFIED, f->stream, m.cpus));
}

static void on_frame(struct fake_guest *g, const struct frame *f)
{
	static const struct msg_metrics metrics = {.procs = 7};

	switch (f->type) {
	case FRAME_CONFIG:
		on_config(g, f);
		break;
	case FRAME_SHUTDOWN:
		g->shutdowns++;
		if (g->on_end)
			g->on_end(g, "shutdown");
		break;
	case FRAME_EXEC:
		g->requests++;
		g->given_at_exec = g->given;
		on_exec(g, f);
		break;
	case FRAME_FS:
		g->requests++;
		if (g->store)
			on_fs(g, f);
		else
			on_given(g, f);
		break;
	case FRAME_PING:
		g->requests++;
		must(frame_put(&g->out, FRAME_PONG, 0, f->stream, f->payload, f->len));
		break;
	case FRAME_FREEZE:
		g->requests++;
		new_stream(g, f->stream, FAKE_FROZEN);
		must(frame_put(&g->out, FRAME_FROZEN, 0, f->stream, NULL, 0));
		break;
	case FRAME_MODIFY:
		g->requests++;
		on_modify(g, f);
		break;
	case FRAME_METRICS:
		g->requests++;
		must(msg_put_metrics(&g->out, f->stream, &metrics));
		break;
	default:
		on_stream_frame(g, f);
	}
}

/* Like the agent: what comes behind CONFIG waits until the guest is ready. */
static void take_frames(struct fake_guest *g)
{
	struct frame f;

	while ((g->ready || !g->configs) && frame_decode(&g->in, &f) == 0) {
		on_frame(g, &f);
		buf_consume(&g->in, FRAME_HEADER + f.len);
	}
}

static void on_event(struct loop_fd *src, uint32_t events)
{
	struct fake_guest *g = container_of(src, struct fake_guest, src);
	ssize_t n;

	if ((events & (EPOLLIN | EPOLLHUP)) && !g->deaf) {
		n = buf_read_fd(&g->in, g->fd, LIMIT_FRAME_PAYLOAD);
		if (n == 0 || (n < 0 && n != -EAGAIN)) {
			g->closed = true;
			loop_fd_del(src);
			if (g->on_end)
				g->on_end(g, "closed");
			return;
		}
		take_frames(g);
	}
	if (!g->closed)
		pump(g);
}

void fake_guest_listen(struct fake_guest *g, bool on)
{
	g->deaf = !on;
	fake_guest_flush(g);
}

static void on_serve(struct loop_timer *t)
{
	struct fake_guest *g = container_of(t, struct fake_guest, serve);

	take_frames(g);
	pump(g);
}

void fake_guest_init(struct fake_guest *g, struct loop *loop, int fd)
{
	g->loop = loop;
	g->fd = fd;
	buf_init(&g->in, FRAME_HEADER + 2 * LIMIT_FRAME_PAYLOAD);
	buf_init(&g->out, 16 * MIB);
	must(loop_fd_add(loop, &g->src, fd, EPOLLIN, on_event));
}

void fake_guest_deinit(struct fake_guest *g)
{
	for (size_t i = 0; i < LIMIT_STREAMS; i++) {
		if (g->streams[i].mode)
			buf_deinit(&g->streams[i].echo);
	}
	loop_fd_del(&g->src);
	loop_timer_del(&g->serve);
	g->fd = fd_close(g->fd);
	buf_deinit(&g->in);
	buf_deinit(&g->out);
}

void fake_guest_hello(struct fake_guest *g)
{
	struct msg_hello m = {
		.version = PROTO_VERSION,
		.pid1_ns = 1000,
		.agent_version = "fake",
		.kernel_release = "6.12-fake",
	};

	must(msg_put_hello(&g->out, &m));
	fake_guest_flush(g);
}

void fake_guest_ready(struct fake_guest *g)
{
	struct msg_ready m = {.ready_ns = 2000, .cpus = 1, .mem_total_kib = 1024};

	must(msg_put_ready(&g->out, &m));
	fake_guest_flush(g);
	/* CONFIG's own callback may call this: the frame being taken is not consumed yet. */
	if (!g->ready)
		loop_defer(g->loop, &g->serve, on_serve);
	g->ready = true;
}
