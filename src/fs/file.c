/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about the content of files. Only regular files of the host are ever opened, so no open
 * can wait for anybody.
 */
#include <sys/uio.h>
#include <sys/vfs.h>

#include "fs/internal.h"

/* What the other side may choose; the rest is ours or means nothing here. */
enum {
	OPEN_FLAGS = O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC,
	OPEN_OURS = O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	COPY_MAX = 16 * 1024 * 1024, /* of one request: others wait behind it */
};

int file_reopen(const struct fs *fs, int fd, int flags)
{
	struct statx sx;
	int r = sys_statx(fd, &sx);

	if (r < 0)
		return r;
	if (!S_ISREG(sx.stx_mode))
		return S_ISDIR(sx.stx_mode) ? -EISDIR : -EPERM;
	r = openat(fs->proc_fd, fd_name(fd).s, flags | OPEN_OURS);
	return r < 0 ? -errno : r;
}

static bool writes(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

/* Opens the file behind the O_PATH descriptor @at, and cuts it to nothing when asked to. */
static int open_node(struct fs *fs, int at, uint32_t flags, bool drop_suid, int *ret)
{
	cleanup_fd int fd = -EBADF;
	struct statx sx;
	int r;

	if (fs->o.read_only && writes(flags))
		return -EROFS;
	fd = file_reopen(fs, at, (int)(flags & (uint32_t)(OPEN_FLAGS & ~O_TRUNC)));
	if (fd < 0)
		return fd;
	if (flags & O_TRUNC) {
		if ((flags & O_ACCMODE) == O_RDONLY)
			return -EINVAL;
		r = sys_statx(fd, &sx);
		if (r < 0)
			return r;
		if (ftruncate(fd, 0) < 0)
			return -errno;
		quota_give(fs, sx.stx_size);
		r = drop_suid ? attr_drop_suid(fs, at) : 0;
		if (r < 0)
			return r;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

/* A device node of the guest is a regular file of ours, but no file of theirs. */
static int is_file(const struct fs *fs, int fd)
{
	struct attr a;
	int r = attr_get(fs, fd, &a);

	if (r < 0)
		return r;
	return S_ISREG(a.mode) ? 0 : -ENXIO;
}

static int reply_open(
	struct fs *fs, struct inode *node, int fd, uint32_t flags, struct fuse_open_out *out)
{
	int r;

	*out = (struct fuse_open_out){0};
	r = handle_add(fs, node, fd, false, flags & O_APPEND, &out->fh);
	if (r < 0)
		fd_close(fd);
	return r;
}

int op_open(struct fs *fs, struct call *c)
{
	struct fuse_open_out *out = call_body(c, sizeof(*out));
	struct fuse_open_in in;
	int at;
	int fd = -EBADF;
	int r;

	if (!out)
		return -EIO;
	memcpy(&in, c->arg, sizeof(in));
	at = inode_fd(&fs->inodes, c->node);
	r = at < 0 ? at : is_file(fs, at);
	if (r == 0)
		r = quota_retake(fs, c->node);
	if (r == 0)
		r = open_node(fs, at, in.flags, in.open_flags & FUSE_OPEN_KILL_SUIDGID, &fd);
	if (r < 0 && c->node->handles == 0)
		quota_unheld(fs, c->node);
	return r < 0 ? r : reply_open(fs, c->node, fd, in.flags, out);
}

/* Makes and opens @name; -EEXIST when there is something. */
static int create_new(struct fs *fs, struct call *c, const char *name,
	const struct fuse_create_in *in, int *ret_fd)
{
	cleanup_fd int fd = -EBADF;
	uint32_t mode = S_IFREG | (in->mode & MODE_PERM);
	uint32_t gid = 0;
	int dir_fd;
	int r = name_inherit(fs, c, &mode, &gid);

	if (r == 0)
		r = quota_take(fs, QUOTA_INODE);
	if (r < 0)
		return r;
	dir_fd = inode_fd(&fs->inodes, c->node);
	if (dir_fd >= 0)
		fd = openat(dir_fd, name,
			(int)(in->flags & (uint32_t)(OPEN_FLAGS & ~O_TRUNC)) | OPEN_OURS |
				O_NOFOLLOW | O_CREAT | O_EXCL,
			attr_host_mode(fs, mode));
	if (fd < 0) {
		r = dir_fd < 0 ? dir_fd : -errno;
		quota_give(fs, QUOTA_INODE);
		return r;
	}
	r = attr_own(fs, fd, c->in->uid, gid, mode, 0);
	if (r < 0) {
		name_unmake(fs, c->node, name, 0);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int op_create(struct fs *fs, struct call *c)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} *out = call_body(c, sizeof(*out));
	cleanup_fd int fd = -EBADF;
	struct fuse_create_in in;
	struct inode *node;
	const char *name;
	bool made;
	int r;

	if (!out)
		return -EIO;
	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	r = call_name(c, &name);
	if (r == 0)
		r = name_can_make(fs, c);
	if (r == 0)
		r = create_new(fs, c, name, &in, &fd);
	if (r == -EEXIST && !(in.flags & O_EXCL))
		r = 0;
	made = fd >= 0;
	if (r == 0)
		r = name_enter(fs, c->node, name, &out->entry);
	if (r < 0) {
		if (made)
			name_unmake(fs, c->node, name, 0);
		return r;
	}
	node = inode_by_id(&fs->inodes, out->entry.nodeid);
	if (!made) {
		int at = inode_fd(&fs->inodes, node);

		r = at < 0 ? at : is_file(fs, at);
		if (r == 0)
			r = open_node(
				fs, at, in.flags, in.open_flags & FUSE_OPEN_KILL_SUIDGID, &fd);
	}
	if (r == 0)
		r = reply_open(fs, node, TAKE_FD(fd), in.flags, &out->open);
	if (r < 0) {
		/* The other side sees no entry then, and will not forget it. */
		inode_forget(&fs->inodes, node, 1);
		if (made)
			name_unmake(fs, c->node, name, 0);
	}
	return r;
}

int op_read(struct fs *fs, struct call *c)
{
	struct iovec iov[FS_IOV_MAX];
	unsigned int n = 0;
	struct fuse_read_in in;
	struct handle *h;
	size_t left;
	ssize_t got;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, false, &h);
	if (r < 0)
		return r;
	if (in.offset > INT64_MAX)
		return -EINVAL;
	left = MIN((size_t)in.size, c->room);
	/* Short means the end of the file, so nothing of the room may be left out. */
	if (c->rp->n_data > FS_IOV_MAX)
		return -EIO;
	for (unsigned int i = 0; i < c->rp->n_data && left > 0; i++) {
		iov[n] = c->rp->data[i];
		iov[n].iov_len = MIN(iov[n].iov_len, left);
		left -= iov[n].iov_len;
		n++;
	}
	got = preadv(h->fd, iov, (int)n, (off_t)in.offset);
	if (got < 0)
		return -errno;
	c->rp->in_data = true;
	c->len = (size_t)got;
	return 0;
}

/* What a write to @h would make of the file's length. */
static int write_end(const struct handle *h, uint64_t offset, size_t len, uint64_t *ret)
{
	struct statx sx;
	int r;

	*ret = offset + len;
	if (!h->append)
		return 0;
	r = sys_statx(h->fd, &sx);
	if (r == 0)
		*ret = sx.stx_size + len;
	return r;
}

int op_write(struct fs *fs, struct call *c)
{
	struct fuse_write_out *out = call_body(c, sizeof(*out));
	struct fuse_write_in in;
	struct handle *h;
	uint64_t taken = 0;
	uint64_t end;
	ssize_t done;
	int r;

	if (!out)
		return -EIO;
	memcpy(&in, c->arg, sizeof(in));
	if (in.size != c->rq->data_len || in.size > FS_DATA_MAX ||
		in.offset > INT64_MAX - FS_DATA_MAX)
		return -EINVAL;
	r = handle_get(fs, c->node, in.fh, false, &h);
	if (r == 0)
		r = write_end(h, in.offset, in.size, &end);
	if (r == 0)
		r = quota_grow(fs, h->fd, end, &taken);
	if (r < 0)
		return r;
	done = pwritev(h->fd, c->rq->data, (int)c->rq->n_data, (off_t)in.offset);
	if (done < 0) {
		r = -errno;
		quota_give(fs, taken);
		return r;
	}
	/* What was not written was not needed, as far as the file did not grow by it. */
	if ((size_t)done < in.size)
		quota_give(fs, MIN(taken, in.size - (uint64_t)done));
	out->size = (uint32_t)done;
	if (in.write_flags & FUSE_WRITE_KILL_SUIDGID) {
		int at = inode_fd(&fs->inodes, c->node);

		return at < 0 ? 0 : attr_drop_suid(fs, at);
	}
	return 0;
}

int op_release(struct fs *fs, struct call *c)
{
	struct fuse_release_in in;
	struct handle *h;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, false, &h);
	if (r == 0)
		handle_close(fs, h);
	return r;
}

int op_fsync(struct fs *fs, struct call *c)
{
	struct fuse_fsync_in in;
	struct handle *h;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, false, &h);
	if (r < 0)
		return r;
	if (in.fsync_flags & FUSE_FSYNC_FDATASYNC)
		return fdatasync(h->fd) < 0 ? -errno : 0;
	return fsync(h->fd) < 0 ? -errno : 0;
}

int op_fallocate(struct fs *fs, struct call *c)
{
	enum { KNOWN = 0x01 /* KEEP_SIZE */ | 0x02 /* PUNCH_HOLE */ | 0x10 /* ZERO_RANGE */ };
	struct fuse_fallocate_in in;
	struct handle *h;
	uint64_t taken = 0;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, false, &h);
	if (r < 0)
		return r;
	if (in.offset > INT64_MAX || in.length > INT64_MAX || in.length == 0)
		return -EINVAL;
	if (in.offset + in.length > INT64_MAX)
		return -EFBIG;
	/* Blocks behind the end of a file would not be counted. */
	if (in.mode & ~(uint32_t)KNOWN || (fs->o.quota && (in.mode & 0x01) && !(in.mode & 0x02)))
		return -EOPNOTSUPP;
	if (!(in.mode & 0x01))
		r = quota_grow(fs, h->fd, in.offset + in.length, &taken);
	if (r == 0 && fallocate(h->fd, (int)in.mode, (off_t)in.offset, (off_t)in.length) < 0) {
		r = -errno;
		quota_give(fs, taken);
	}
	return r;
}

int op_lseek(struct fs *fs, struct call *c)
{
	struct fuse_lseek_out *out = call_body(c, sizeof(*out));
	struct fuse_lseek_in in;
	struct handle *h;
	off_t at;
	int r;

	if (!out)
		return -EIO;
	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, false, &h);
	if (r < 0)
		return r;
	if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
		return -EINVAL;
	at = lseek(h->fd, (off_t)in.offset, (int)in.whence);
	if (at < 0)
		return -errno;
	out->offset = (uint64_t)at;
	return 0;
}

int op_copy_file_range(struct fs *fs, struct call *c)
{
	struct fuse_write_out *out = call_body(c, sizeof(*out));
	struct fuse_copy_file_range_in in;
	struct inode *to_node;
	struct handle *from = NULL;
	struct handle *to = NULL;
	uint64_t taken = 0;
	off_t off_in;
	off_t off_out;
	ssize_t done;
	size_t len;
	int r;

	if (!out)
		return -EIO;
	memcpy(&in, c->arg, sizeof(in));
	to_node = inode_by_id(&fs->inodes, in.nodeid_out);
	if (!to_node)
		return -ESTALE;
	if (in.off_in > INT64_MAX - COPY_MAX || in.off_out > INT64_MAX - COPY_MAX || in.flags)
		return -EINVAL;
	len = (size_t)MIN(in.len, (uint64_t)COPY_MAX);
	r = handle_get(fs, c->node, in.fh_in, false, &from);
	if (r == 0)
		r = handle_get(fs, to_node, in.fh_out, false, &to);
	if (r == 0)
		r = quota_grow(fs, to->fd, in.off_out + len, &taken);
	if (r != 0)
		return r;
	off_in = (off_t)in.off_in;
	off_out = (off_t)in.off_out;
	done = copy_file_range(from->fd, &off_in, to->fd, &off_out, len, 0);
	if (done < 0)
		r = -errno;
	quota_give(fs, MIN(taken, len - (done < 0 ? 0 : (size_t)done)));
	out->size = done < 0 ? 0 : (uint32_t)done;
	return r;
}

int op_statfs(struct fs *fs, struct call *c)
{
	struct fuse_statfs_out *out = call_body(c, sizeof(*out));
	struct statfs st;
	int fd = fs->only_fd >= 0 ? fs->only_fd : inode_fd(&fs->inodes, c->node);

	if (!out)
		return -EIO;
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &st) < 0)
		return -errno;
	out->st = (struct fuse_kstatfs){
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.bsize = (uint32_t)st.f_bsize,
		.namelen = (uint32_t)st.f_namelen,
		.frsize = (uint32_t)st.f_bsize,
	};
	if (fs->o.quota && st.f_bsize > 0) {
		uint64_t size = (uint64_t)st.f_bsize;
		int64_t count = __atomic_load_n(fs->used, __ATOMIC_RELAXED);
		uint64_t used = count > 0 ? (uint64_t)count : 0;
		uint64_t left = fs->o.quota - MIN(used, fs->o.quota);

		out->st.blocks = MIN(out->st.blocks, fs->o.quota / size);
		out->st.bfree = MIN(out->st.bfree, left / size);
		out->st.bavail = MIN(out->st.bavail, out->st.bfree);
	}
	return 0;
}

int op_syncfs(struct fs *fs, struct call *c)
{
	int fd;

	if (fs->o.read_only)
		return 0;
	/* A descriptor without rights will not do. */
	if (fs->only_fd >= 0) {
		fd = file_reopen(fs, fs->only_fd, O_RDONLY);
	} else {
		int at = inode_fd(&fs->inodes, c->node);

		fd = at < 0 ? at : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && at >= 0)
			fd = -errno;
	}
	if (fd < 0)
		return fd;
	int r = syncfs(fd) < 0 ? -errno : 0;

	fd_close(fd);
	return r;
}
