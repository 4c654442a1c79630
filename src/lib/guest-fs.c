/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a sandbox: see guest-fs.h. */
#include "lib/guest-fs.h"

#include "base/io.h"

enum { CHUNK = 128 * 1024, STOP_LIMIT_S = 60 };

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct guest_fs *g = arg;

	g->over = true;
	g->lost = *err;
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	struct guest_fs *g = arg;

	g->over = true;
	(void)msb_err_set(&g->lost, -ECANCELED, MSB_FAIL, "the sandbox was stopped");
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

int guest_fs_open(struct guest_fs *g, const struct reach *how, struct msb_err *err)
{
	int r;

	memset(g, 0, sizeof(*g));
	buf_init(&g->entries, GUEST_LIST_MAX);
	buf_init(&g->chunk, CHUNK);
	r = loop_init(&g->loop);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start");
	r = reach_sandbox(&g->loop, how, &events, g, &g->sb, &g->started, err);
	if (r < 0)
		loop_deinit(&g->loop);
	return r;
}

void guest_fs_borrow(struct guest_fs *g, struct loop *loop, struct sandbox *sb)
{
	memset(g, 0, sizeof(*g));
	buf_init(&g->entries, GUEST_LIST_MAX);
	buf_init(&g->chunk, CHUNK);
	g->shared = loop;
	g->sb = sb;
}

void guest_fs_return(struct guest_fs *g)
{
	buf_deinit(&g->entries);
	buf_deinit(&g->chunk);
}

int guest_fs_close(struct guest_fs *g, struct msb_err *err)
{
	uint64_t deadline = clock_mono_ns() + STOP_LIMIT_S * NSEC_PER_SEC;
	int r = 0;

	if (g->started && !g->over)
		r = sandbox_stop(g->sb, 0);
	while (r == 0 && g->started && !g->over && clock_mono_ns() < deadline)
		r = loop_once(&g->loop, deadline);
	g->sb = sandbox_close(g->sb);
	loop_deinit(&g->loop);
	buf_deinit(&g->entries);
	buf_deinit(&g->chunk);
	return r < 0 ? msb_err_errno(err, r, "stopping the sandbox") : 0;
}

static void on_data(
	struct sandbox_stream *s, unsigned int channel, const void *p, size_t len, bool eof)
{
	struct guest_fs *g = container_of(s, struct guest_fs, stream);
	int r = 0;

	if (g->checked)
		checksum_add(&g->sum, p, len);
	if (g->error == 0)
		r = g->sink ? g->sink(g->arg, p, len) : buf_append(&g->entries, p, len);
	sandbox_stream_consumed(s, len);
	if (r < 0) {
		g->error = r == -ENOBUFS ? -E2BIG : r;
		(void)sandbox_stream_cancel(s);
	}
}

static void pump(struct guest_fs *g)
{
	while (!g->done && g->error == 0) {
		ssize_t n;

		if (buf_len(&g->chunk) == 0 && !g->source_eof) {
			uint8_t *to = buf_reserve(&g->chunk, CHUNK);

			n = to ? g->source(g->arg, to, CHUNK) : -ENOMEM;
			if (n < 0) {
				g->error = (int)n;
				(void)sandbox_stream_cancel(&g->stream);
				return;
			}
			if (g->checked)
				checksum_add(&g->sum, to, (size_t)n);
			buf_commit(&g->chunk, (size_t)n);
			g->source_eof = n == 0;
		}
		if (buf_len(&g->chunk) == 0) {
			(void)sandbox_stream_write_eof(&g->stream);
			return;
		}
		n = sandbox_stream_write(&g->stream, buf_data(&g->chunk), buf_len(&g->chunk));
		/* The guest has ended it; `done` says why. */
		if (n <= 0)
			return;
		buf_consume(&g->chunk, (size_t)n);
	}
}

static void on_writable(struct sandbox_stream *s)
{
	pump(container_of(s, struct guest_fs, stream));
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct guest_fs *g = container_of(s, struct guest_fs, stream);

	g->done = true;
	g->result = *r;
}

static const struct sandbox_stream_ops stream_ops = {
	.data = on_data, .writable = on_writable, .done = on_done};

static void begin_op(struct guest_fs *g)
{
	g->done = false;
	g->error = 0;
	g->source_eof = false;
	checksum_init(&g->sum);
	buf_consume(&g->chunk, buf_len(&g->chunk));
	buf_consume(&g->entries, buf_len(&g->entries));
	g->stream.ops = &stream_ops;
}

static int wait_op(struct guest_fs *g)
{
	struct loop *loop = g->shared ? g->shared : &g->loop;

	while (!g->done && !g->over) {
		int r = loop->stopped ? -ECANCELED : loop_once(loop, UINT64_MAX);

		if (r < 0)
			return r;
	}
	return 0;
}

static int op_error(const struct guest_fs *g, bool summed)
{
	uint32_t error = g->result.fs.errno_;

	if (g->result.type == FRAME_FAILED) {
		error = g->result.failure.errno_;
		/* It does not know the request. */
		if (summed && error == EBADMSG)
			return -EPROTO;
		return error > 0 && error < 4096 ? -(int)error : -EIO;
	}
	if (error)
		return error < 4096 ? -(int)error : -EIO;
	return summed && !g->result.fs.summed ? -EPROTO : 0;
}

static int run_op(struct guest_fs *g, const struct msg_fs *m)
{
	bool summed = m->op == FS_SUM || (m->flags & FS_WITH_SUM);
	int r;

	if (g->over)
		return -ENOTCONN;
	if (strlen(m->path) >= LIMIT_PATH || strlen(m->path2) >= LIMIT_PATH)
		return -ENAMETOOLONG;
	begin_op(g);
	r = sandbox_fs(g->sb, &g->stream, m);
	if (r < 0)
		return r;
	if (m->op == FS_WRITE)
		pump(g);
	r = wait_op(g);
	if (r < 0)
		return r;
	if (g->error)
		return g->error;
	if (!g->done || g->result.type == 0)
		return -ENOTCONN;
	r = op_error(g, summed);
	if (r == 0 && (m->flags & FS_WITH_SUM) && g->result.fs.sum != checksum_value(&g->sum))
		r = -EBADMSG;
	return r;
}

int guest_fs_stat(struct guest_fs *g, const char *path, bool follow, struct msg_stat *ret)
{
	const struct msg_fs m = {
		.op = FS_STAT, .flags = follow ? 0 : FS_NOFOLLOW, .path = path, .path2 = ""};
	int r = run_op(g, &m);

	if (r == 0)
		*ret = g->result.fs.st;
	return r;
}

int guest_fs_mkdir(struct guest_fs *g, const char *path, uint32_t mode)
{
	const struct msg_fs m = {
		.op = FS_MKDIR, .flags = FS_PARENTS, .mode = mode, .path = path, .path2 = ""};

	return run_op(g, &m);
}

int guest_fs_symlink(struct guest_fs *g, const char *path, const char *target)
{
	const struct msg_fs m = {.op = FS_SYMLINK, .path = path, .path2 = target};

	return run_op(g, &m);
}

int guest_fs_rename(struct guest_fs *g, const char *from, const char *to)
{
	const struct msg_fs m = {.op = FS_RENAME, .path = from, .path2 = to};

	return run_op(g, &m);
}

int guest_fs_remove(struct guest_fs *g, const char *path)
{
	const struct msg_fs m = {.op = FS_REMOVE, .flags = FS_RECURSIVE, .path = path, .path2 = ""};

	return run_op(g, &m);
}

int guest_fs_prepared(struct guest_fs *g)
{
	int r;

	begin_op(g);
	r = sandbox_prepared(g->sb, &g->stream);
	if (r == 0)
		r = wait_op(g);
	if (r < 0)
		return r;
	return g->result.type == FRAME_PONG ? 0 : g->result.type ? -EPERM : -ENOTCONN;
}

int guest_fs_unlink(struct guest_fs *g, const char *path)
{
	const struct msg_fs m = {.op = FS_REMOVE, .path = path, .path2 = ""};

	return run_op(g, &m);
}

int guest_fs_sum(struct guest_fs *g, const char *path, bool follow, uint64_t n, uint64_t *ret_n,
	uint64_t *ret)
{
	const struct msg_fs m = {.op = FS_SUM,
		.flags = follow ? 0 : FS_NOFOLLOW,
		.length = n,
		.path = path,
		.path2 = ""};
	int r = run_op(g, &m);

	if (r == 0) {
		*ret_n = g->result.fs.bytes;
		*ret = g->result.fs.sum;
	}
	return r;
}

int guest_fs_read_range(struct guest_fs *g, const char *path, uint64_t offset, uint64_t n,
	int (*sink)(void *arg, const void *p, size_t n), void *arg)
{
	const struct msg_fs m = {.op = FS_READ,
		.flags = g->checked ? FS_WITH_SUM : 0,
		.offset = offset,
		.length = n,
		.path = path,
		.path2 = ""};
	int r;

	g->sink = sink;
	g->arg = arg;
	r = run_op(g, &m);
	g->sink = NULL;
	return r;
}

int guest_fs_read(struct guest_fs *g, const char *path,
	int (*sink)(void *arg, const void *p, size_t n), void *arg)
{
	return guest_fs_read_range(g, path, 0, UINT64_MAX, sink, arg);
}

static struct msg_fs with_attr(uint32_t op, const char *path, const struct guest_attr *a)
{
	struct msg_fs m = {.op = op, .mode = a->mode, .path = path, .path2 = ""};

	if (a->exact) {
		m.flags |= FS_SET_MODE | FS_SET_MTIME;
		m.length = a->mtime_ns;
	}
	if (a->append)
		m.flags |= FS_APPEND;
	if (a->owner) {
		m.flags |= FS_SET_OWNER;
		m.uid = a->uid;
		m.gid = a->gid;
	}
	return m;
}

int guest_fs_setattr(struct guest_fs *g, const char *path, const struct guest_attr *attr)
{
	const struct msg_fs m = with_attr(FS_SETATTR, path, attr);

	return run_op(g, &m);
}

static int write_op(struct guest_fs *g, struct msg_fs *m,
	ssize_t (*source)(void *arg, void *p, size_t n), void *arg)
{
	m->flags |= g->checked ? FS_WITH_SUM : 0;
	g->source = source;
	g->arg = arg;
	return run_op(g, m);
}

int guest_fs_write(struct guest_fs *g, const char *path, const struct guest_attr *attr,
	ssize_t (*source)(void *arg, void *p, size_t n), void *arg)
{
	struct msg_fs m = with_attr(FS_WRITE, path, attr);

	m.flags |= attr->whole ? FS_WHOLE : 0;
	return write_op(g, &m, source, arg);
}

int guest_fs_write_from(struct guest_fs *g, const char *path, const struct guest_attr *attr,
	uint64_t offset, ssize_t (*source)(void *arg, void *p, size_t n), void *arg)
{
	struct msg_fs m = with_attr(FS_WRITE, path, attr);

	m.flags |= FS_NOFOLLOW;
	m.offset = offset;
	return write_op(g, &m, source, arg);
}

int guest_fs_list(struct guest_fs *g, const char *path, struct buf *ret)
{
	const struct msg_fs m = {.op = FS_LIST, .flags = FS_NOFOLLOW, .path = path, .path2 = ""};
	int r = run_op(g, &m);

	return r < 0 ? r : buf_append(ret, buf_data(&g->entries), buf_len(&g->entries));
}
