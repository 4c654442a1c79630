/* SPDX-License-Identifier: Apache-2.0 */
/* FS: see fs.h. */
#include "fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/checksum.h"
#include "base/io.h"
#include "base/log.h"

#include "agent/ops/freeze.h"
#include "agent/ops/tree.h"

enum {
	CH_FILE = 0,
	LIST_CHUNK = 16 * 1024, /* entries of about this many bytes in one DATA frame */
	/* A frame may pass the chunk by its last entry. */
	DIRENT_MAX = 2 * LIMIT_PATH,
	LIST_BATCH = 64,
	SUM_PIECE = 64 * 1024,
};

/* An operation that takes more than one step. */
struct fs_op {
	struct stream s;
	struct agent *agent;
	uint32_t op; /* FS_READ, FS_WRITE, FS_LIST, FS_REMOVE, FS_SUM */
	int fd; /* owned */
	DIR *dir; /* owned: LIST */
	struct tree *tree; /* owned: REMOVE */
	char *path; /* owned: WRITE with FS_WHOLE */
	uint8_t *piece; /* owned: SUM */
	uint32_t flags; /* WRITE: FS_SET_* to be done at the end ... */
	uint32_t mode;
	uint64_t mtime_ns;
	uint64_t left; /* READ, SUM: bytes still wanted */
	struct checksum sum; /* of the bytes moved */
	uint64_t done; /* bytes or entries moved */
	struct loop_timer step; /* armed while there is work and room for it */
};

static void fs_stat_fill(struct msg_stat *to, const struct stat *st)
{
	*to = (struct msg_stat){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = st->st_rdev,
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
	};
}

static void fs_answer(struct agent *a, uint32_t stream, const struct msg_fs_done *m)
{
	int r = msg_put_fs_done(&a->ch.out, stream, m);

	if (r < 0)
		channel_break(&a->ch, r);
	else
		channel_kick(&a->ch);
}

static void fs_op_free(struct fs_op *o)
{
	loop_timer_del(&o->step);
	fd_close(o->fd);
	if (o->dir)
		closedir(o->dir);
	if (o->tree)
		tree_free(o->tree);
	free(o->path);
	free(o->piece);
	free(o);
}

/* Of a file that will not become whole nothing stays; one behind a link stays as an empty one. */
static void fs_discard(struct fs_op *o)
{
	struct stat opened;
	struct stat named;
	bool removed;

	if (!o->path || o->fd < 0)
		return;
	freeze_interrupt(o->agent, -EBUSY);
	removed = fstat(o->fd, &opened) == 0 && lstat(o->path, &named) == 0 &&
		  opened.st_dev == named.st_dev && opened.st_ino == named.st_ino &&
		  unlink(o->path) == 0;
	if (!removed && ftruncate(o->fd, 0) < 0)
		log_warn("a part of a file stays: %s", strerror(errno));
}

static void fs_op_drop(struct stream *s)
{
	struct fs_op *o = container_of(s, struct fs_op, s);

	fs_discard(o);
	fs_op_free(o);
}

/* Terminal frame; frees @o. */
static void fs_op_end(struct fs_op *o, int error)
{
	struct msg_fs_done m = {.errno_ = (uint32_t)-error,
		.bytes = o->done,
		.summed = o->op == FS_SUM || (o->flags & FS_WITH_SUM),
		.sum = checksum_value(&o->sum)};
	struct stat st;
	uint32_t id = o->s.id;

	if (o->fd >= 0 && fstat(o->fd, &st) == 0)
		fs_stat_fill(&m.st, &st);
	if (error)
		fs_discard(o);
	stream_close(&o->s);
	fs_answer(o->agent, id, &m);
	fs_op_free(o);
}

static void fs_op_step(struct loop_timer *t);

static void fs_op_again(struct fs_op *o)
{
	loop_defer(&o->agent->loop, &o->step, fs_op_step);
}

static void fs_read_step(struct fs_op *o)
{
	ssize_t n = 0;

	if (o->left)
		n = stream_send_fd(&o->s, o->fd, CH_FILE, MIN(o->left, (uint64_t)OUT_CHUNK));
	if (n == -ENOBUFS)
		return;
	if (n > 0) {
		const struct buf *out = &o->s.ch->out;

		/* They are the last that went into the buffer. */
		if (o->flags & FS_WITH_SUM)
			checksum_add(&o->sum, buf_data(out) + buf_len(out) - (size_t)n, (size_t)n);
		o->left -= (uint64_t)n;
		o->done += (uint64_t)n;
		fs_op_again(o);
		return;
	}
	if (n == 0)
		stream_send_eof(&o->s, CH_FILE);
	fs_op_end(o, (int)n);
}

static int fs_dirent(struct fs_op *o, const char *name)
{
	int dir = dirfd(o->dir);
	char target[PATH_MAX] = "";
	struct msg_dirent m = {.name = name, .target = target};
	struct stat st;
	ssize_t n;
	int r;

	/* An entry that has vanished meanwhile is none. */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		target[MAX(n, (ssize_t)0)] = '\0';
	}
	fs_stat_fill(&m.st, &st);
	r = msg_put_dirent(&o->s.ch->out, &m);
	if (r == 0)
		o->done++;
	return r;
}

/* Appends entries to the frame at @mark: 1 to go on, 0 at the end of the directory. */
static int fs_list_batch(struct fs_op *o, size_t mark)
{
	const struct buf *out = &o->s.ch->out;

	for (int i = 0; i < LIST_BATCH; i++) {
		const struct dirent *e;
		int r;

		if (buf_len(out) - mark >= LIST_CHUNK)
			return 1;
		errno = 0;
		e = readdir(o->dir);
		if (!e)
			return -errno;
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		r = fs_dirent(o, e->d_name);
		if (r < 0)
			return r;
	}
	return 1;
}

static void fs_list_step(struct fs_op *o)
{
	struct buf *out = &o->s.ch->out;
	size_t mark;
	size_t len;
	int r;

	if (stream_room(&o->s) < LIST_CHUNK + DIRENT_MAX)
		return;
	r = frame_begin(out, FRAME_DATA, CH_FILE, o->s.id, &mark);
	if (r < 0) {
		fs_op_end(o, r);
		return;
	}
	r = fs_list_batch(o, mark);
	len = buf_len(out) - mark - FRAME_HEADER;
	if (frame_finish(out, mark, len ? 0 : -ENODATA) == 0) {
		credit_tx_take(&o->s.tx, len);
		channel_kick(o->s.ch);
	}
	if (r > 0) {
		fs_op_again(o);
		return;
	}
	if (r == 0)
		stream_send_eof(&o->s, CH_FILE);
	fs_op_end(o, r);
}

static void fs_remove_step(struct fs_op *o)
{
	int r;

	freeze_interrupt(o->agent, -EBUSY);
	r = tree_step(o->tree);
	o->done = o->tree->removed;
	if (r > 0)
		fs_op_again(o);
	else
		fs_op_end(o, r);
}

static void fs_sum_step(struct fs_op *o)
{
	ssize_t n = read(o->fd, o->piece, (size_t)MIN(o->left, (uint64_t)SUM_PIECE));

	if (n > 0) {
		checksum_add(&o->sum, o->piece, (size_t)n);
		o->left -= (uint64_t)n;
		o->done += (uint64_t)n;
	}
	if (n > 0 || (n < 0 && errno == EINTR))
		fs_op_again(o);
	else
		fs_op_end(o, n < 0 ? -errno : 0);
}

static void fs_op_step(struct loop_timer *t)
{
	struct fs_op *o = container_of(t, struct fs_op, step);

	if (o->op == FS_READ)
		fs_read_step(o);
	else if (o->op == FS_LIST)
		fs_list_step(o);
	else if (o->op == FS_SUM)
		fs_sum_step(o);
	else
		fs_remove_step(o);
}

static void fs_op_resume(struct stream *s)
{
	struct fs_op *o = container_of(s, struct fs_op, s);

	if (o->op != FS_READ && o->op != FS_LIST)
		return;
	/* The turn is now: who puts it off stands behind those that never had to wait. */
	loop_timer_del(&o->step);
	fs_op_step(&o->step);
}

static struct timespec at_ns(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};
}

/* Last: writing changes both. */
static int fs_write_settle(const struct fs_op *o)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, at_ns(o->mtime_ns)};

	if ((o->flags & FS_SET_MODE) && fchmod(o->fd, o->mode) < 0)
		return -errno;
	if ((o->flags & FS_SET_MTIME) && futimens(o->fd, times) < 0)
		return -errno;
	return 0;
}

static void fs_write_data(struct fs_op *o, const struct frame *f)
{
	int r;

	freeze_interrupt(o->agent, -EBUSY);
	r = io_write_full(o->fd, f->payload, f->len);
	stream_passed(&o->s, f->len);
	if (r == 0) {
		o->done += f->len;
		if (o->flags & FS_WITH_SUM)
			checksum_add(&o->sum, f->payload, f->len);
	}
	if (r == 0 && (f->flags & FRAME_EOF))
		r = fs_write_settle(o);
	if (r < 0 || (f->flags & FRAME_EOF))
		fs_op_end(o, r);
}

static void fs_op_frame(struct stream *s, const struct frame *f)
{
	struct fs_op *o = container_of(s, struct fs_op, s);

	if (f->type == FRAME_CANCEL)
		fs_op_end(o, -ECANCELED);
	else if (f->type == FRAME_DATA && o->op == FS_WRITE)
		fs_write_data(o, f);
	else if (f->type == FRAME_DATA)
		stream_passed(s, f->len);
}

static const struct stream_ops fs_stream_ops = {
	.frame = fs_op_frame,
	.resume = fs_op_resume,
	.drop = fs_op_drop,
};

static int fs_open_read(struct fs_op *o, const struct msg_fs *m)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	o->fd = open(m->path, flags | (m->flags & FS_NOFOLLOW ? O_NOFOLLOW : 0));
	if (o->fd < 0)
		return -errno;
	if (fstat(o->fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EOPNOTSUPP;
	if (m->offset > INT64_MAX)
		return -EINVAL;
	if (m->offset && lseek(o->fd, (off_t)m->offset, SEEK_SET) < 0)
		return -errno;
	o->left = m->length;
	if (m->op == FS_SUM) {
		o->piece = malloc(SUM_PIECE);
		return o->piece ? 0 : -ENOMEM;
	}
	return 0;
}

static int fs_open_write(struct fs_op *o, const struct msg_fs *m)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	if (m->offset > INT64_MAX || (m->offset && (m->flags & FS_APPEND)))
		return -EINVAL;
	o->mode = m->mode & 07777;
	o->mtime_ns = m->length;
	flags |= m->flags & FS_NOFOLLOW ? O_NOFOLLOW : 0;
	flags |= m->flags & FS_EXCL ? O_EXCL : 0;
	flags |= m->flags & FS_APPEND ? O_APPEND : 0;
	o->fd = open(m->path, flags, m->mode);
	if (o->fd < 0)
		return -errno;
	if (fstat(o->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	if (m->flags & FS_WHOLE) {
		o->path = strdup(m->path);
		if (!o->path)
			return -ENOMEM;
	}
	/* Only now: truncating is for regular files. */
	if (!(m->flags & FS_APPEND) && m->offset == 0 && ftruncate(o->fd, 0) < 0)
		return -errno;
	if ((m->flags & FS_SET_OWNER) && fchown(o->fd, m->uid, m->gid) < 0)
		return -errno;
	/* A change of owner takes set-user-ID bits away. */
	if ((m->flags & FS_SET_OWNER) && (m->mode & 06000) && fchmod(o->fd, m->mode) < 0)
		return -errno;
	if (m->offset && lseek(o->fd, (off_t)m->offset, SEEK_SET) < 0)
		return -errno;
	return 0;
}

static int fs_open_list(struct fs_op *o, const struct msg_fs *m)
{
	cleanup_fd int fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK |
						  (m->flags & FS_NOFOLLOW ? O_NOFOLLOW : 0));

	if (fd < 0)
		return -errno;
	o->dir = fdopendir(fd);
	if (!o->dir)
		return -errno;
	(void)TAKE_FD(fd);
	return 0;
}

static int fs_open_tree(struct fs_op *o, const struct msg_fs *m)
{
	o->tree = tree_open(m->path);
	return o->tree ? 0 : -errno;
}

/* Starts an operation of many steps: 0, or the error to answer with. -EPROTO breaks the channel. */
static int fs_start(struct agent *a, uint32_t stream, const struct msg_fs *m)
{
	struct fs_op *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->agent = a;
	o->op = m->op;
	o->flags = m->flags;
	o->fd = -EBADF;
	checksum_init(&o->sum);
	r = stream_open(&o->s, &a->ch, stream, &fs_stream_ops);
	if (r == -EEXIST)
		r = -EPROTO;
	if (r == 0) {
		if (m->op == FS_READ || m->op == FS_SUM)
			r = fs_open_read(o, m);
		else if (m->op == FS_WRITE)
			r = fs_open_write(o, m);
		else if (m->op == FS_LIST)
			r = fs_open_list(o, m);
		else
			r = fs_open_tree(o, m);
	}
	if (r < 0) {
		fs_discard(o);
		stream_close(&o->s);
		fs_op_free(o);
		return r;
	}
	if (m->op != FS_WRITE)
		fs_op_again(o);
	return 0;
}

static int fs_mkdir(const struct msg_fs *m)
{
	int r;

	if (m->flags & FS_PARENTS)
		r = io_mkdir_p(m->path, m->mode);
	else
		r = mkdir(m->path, m->mode) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	if ((m->flags & FS_SET_OWNER) && lchown(m->path, m->uid, m->gid) < 0)
		return -errno;
	return 0;
}

static int fs_setattr(const struct msg_fs *m)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, at_ns(m->length)};

	if ((m->flags & FS_SET_OWNER) && chown(m->path, m->uid, m->gid) < 0)
		return -errno;
	if ((m->flags & FS_SET_MODE) && chmod(m->path, m->mode & 07777) < 0)
		return -errno;
	if ((m->flags & FS_SET_MTIME) && utimensat(AT_FDCWD, m->path, times, 0) < 0)
		return -errno;
	return 0;
}

/* A file or an empty directory. -EISDIR: a tree, and trees are wanted. */
static int fs_remove(const struct msg_fs *m)
{
	if (unlink(m->path) == 0)
		return 0;
	/* What unlink(2) says about a directory depends on the file system. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (m->flags & FS_RECURSIVE)
		return -EISDIR;
	return rmdir(m->path) < 0 ? -errno : 0;
}

/* Replaces a link, and nothing else. */
static int fs_symlink(const struct msg_fs *m)
{
	struct stat st;

	if (symlink(m->path2, m->path) == 0)
		return 0;
	if (errno != EEXIST || lstat(m->path, &st) < 0 || !S_ISLNK(st.st_mode))
		return -errno;
	if (unlink(m->path) < 0)
		return -errno;
	return symlink(m->path2, m->path) < 0 ? -errno : 0;
}

/* Operations of one step: 0 or the error to answer with; -EINPROGRESS when fs_start() has to. */
static int fs_at_once(const struct msg_fs *m, struct stat *st)
{
	int r;

	switch (m->op) {
	case FS_STAT:
		r = fstatat(
			AT_FDCWD, m->path, st, m->flags & FS_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
		return r < 0 ? -errno : 0;
	case FS_MKDIR:
		return fs_mkdir(m);
	case FS_SYMLINK:
		return fs_symlink(m);
	case FS_SETATTR:
		return fs_setattr(m);
	case FS_RENAME:
		return rename(m->path, m->path2) < 0 ? -errno : 0;
	case FS_REMOVE:
		r = fs_remove(m);
		return r == -EISDIR ? -EINPROGRESS : r;
	default:
		return -EINPROGRESS;
	}
}

int fs_request(struct agent *a, const struct frame *f)
{
	struct msg_fs_done done = {0};
	struct stat st;
	struct msg_fs m;
	int r;

	if (msg_get_fs(f, &m) < 0) {
		agent_refuse(a, f->stream, STAGE_REQUEST, -EBADMSG, "FS");
		return 0;
	}
	if (m.op != FS_STAT && m.op != FS_READ && m.op != FS_LIST && m.op != FS_SUM)
		freeze_interrupt(a, -EBUSY);
	/* Relative to what would be anybody's guess. */
	if (m.path[0] != '/' || (m.op == FS_RENAME && m.path2[0] != '/'))
		r = -EINVAL;
	else
		r = fs_at_once(&m, &st);
	if (r == -EINPROGRESS) {
		r = fs_start(a, f->stream, &m);
		if (r == 0 || r == -EPROTO)
			return r;
	}
	done.errno_ = (uint32_t)-r;
	if (r == 0 && m.op == FS_STAT)
		fs_stat_fill(&done.st, &st);
	fs_answer(a, f->stream, &done);
	return 0;
}
