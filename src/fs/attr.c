/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner, mode and kind of files.
 *
 * The server is no root and must not become one, so what the guest says about owners, modes and
 * device nodes is not what the host has. Where it differs from what the host's file shows by
 * itself, it is kept in the file's extended attribute user.msb.stat, which the guest can neither
 * see nor change. A device node, FIFO or socket that the guest makes is an empty regular file of
 * the host with such an attribute: there is no device to open on the host, and no FIFO to wait for.
 *
 * By itself a file of the server's user shows as the configured owner (root), everybody else's as
 * nobody, both with the host's permission bits. Set-id bits never reach the host.
 */
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "fs/internal.h"

/* Value of the attribute. */
struct override {
	uint32_t magic;
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	uint32_t rdev_major;
	uint32_t rdev_minor;
};

enum { OVERRIDE_MAGIC = 0x3173464d };

static const char override_name[] = "user.msb.stat";
static const char hidden_prefix[] = "user.msb.";

_Static_assert(sizeof(struct override) == 24, "kept on disk");

bool attr_is_hidden(const char *name)
{
	return strncmp(name, hidden_prefix, sizeof(hidden_prefix) - 1) == 0;
}

/* Only these files can have one: the host refuses attributes of symbolic links, and its special
 * files are what they are. */
static bool can_override(const struct fs *fs, uint32_t type)
{
	return fs->o.stat_virt != FS_STAT_OFF && (type == S_IFREG || type == S_IFDIR);
}

/* What the file shows by itself. */
static void attr_plain(const struct fs *fs, struct attr *a)
{
	a->mode = a->sx.stx_mode;
	a->uid = a->sx.stx_uid;
	a->gid = a->sx.stx_gid;
	a->rdev_major = a->sx.stx_rdev_major;
	a->rdev_minor = a->sx.stx_rdev_minor;
	if (fs->o.stat_virt == FS_STAT_OFF)
		return;
	if (a->sx.stx_uid == fs->host_uid) {
		a->uid = fs->o.uid;
		a->gid = fs->o.gid;
	} else {
		a->uid = OWNER_NOBODY;
		a->gid = OWNER_NOBODY;
	}
}

/* A file of the host is anything; what the guest made of a regular file is in the attribute. */
static bool override_ok(const struct override *o, uint32_t host_type)
{
	uint32_t type = o->mode & S_IFMT;

	if (o->magic != OVERRIDE_MAGIC || o->mode & ~(uint32_t)(S_IFMT | MODE_PERM))
		return false;
	if (host_type == S_IFDIR)
		return type == S_IFDIR;
	return type == S_IFREG || type == S_IFCHR || type == S_IFBLK || type == S_IFIFO ||
	       type == S_IFSOCK;
}

static void attr_override(int fd, struct attr *a)
{
	struct override o;
	ssize_t n = getxattr(fd_name(fd).s, override_name, &o, sizeof(o));

	if (n != (ssize_t)sizeof(o) || !override_ok(&o, a->sx.stx_mode & S_IFMT))
		return;
	a->mode = o.mode;
	a->uid = o.uid;
	a->gid = o.gid;
	a->rdev_major = o.rdev_major;
	a->rdev_minor = o.rdev_minor;
}

int attr_get(const struct fs *fs, int fd, struct attr *ret)
{
	int r = sys_statx(fd, &ret->sx);

	if (r < 0)
		return r;
	attr_plain(fs, ret);
	if (can_override(fs, ret->sx.stx_mode & S_IFMT))
		attr_override(fd, ret);
	return 0;
}

static uint32_t fuse_rdev(uint32_t major, uint32_t minor)
{
	/* The kernel's new_encode_dev(). */
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~(uint32_t)0xff) << 12;
}

void attr_to_fuse(const struct fs *fs, const struct attr *a, struct fuse_attr *to)
{
	const struct statx *sx = &a->sx;
	uint64_t dev = statx_dev(sx) ^ statx_dev(&fs->root);
	uint32_t mode = a->mode;

	/* Whatever the guest does with its mount options. A directory's set-gid bit is no right. */
	if (fs->o.no_suid && !S_ISDIR(mode))
		mode &= ~(uint32_t)(S_ISUID | S_ISGID);
	*to = (struct fuse_attr){
		/* A file system mounted below the share has numbers of its own. */
		.ino = sx->stx_ino ^ (dev * UINT64_C(0x9e3779b97f4a7c15)),
		.size = sx->stx_size,
		.blocks = sx->stx_blocks,
		.atime = (uint64_t)sx->stx_atime.tv_sec,
		.mtime = (uint64_t)sx->stx_mtime.tv_sec,
		.ctime = (uint64_t)sx->stx_ctime.tv_sec,
		.atimensec = sx->stx_atime.tv_nsec,
		.mtimensec = sx->stx_mtime.tv_nsec,
		.ctimensec = sx->stx_ctime.tv_nsec,
		.mode = mode,
		.nlink = sx->stx_nlink,
		.uid = a->uid,
		.gid = a->gid,
		.rdev = fs->o.no_dev ? 0 : fuse_rdev(a->rdev_major, a->rdev_minor),
		.blksize = sx->stx_blksize,
	};
}

uint32_t attr_host_mode(const struct fs *fs, uint32_t mode)
{
	uint32_t keep = fs->o.private_perms ? MODE_HOST_PRIVATE : MODE_HOST_MIRROR;

	if (fs->o.stat_virt == FS_STAT_OFF)
		return mode & 0777;
	return (mode & keep) | (S_ISDIR(mode) ? 0700 : 0600);
}

/* Makes the file show what @a says, by itself if it does, else by the attribute. */
static int attr_keep(struct fs *fs, int fd, const struct attr *a)
{
	struct attr plain = {.sx = a->sx};
	struct override o = {OVERRIDE_MAGIC, a->uid, a->gid, a->mode, a->rdev_major, a->rdev_minor};
	struct fd_name name = fd_name(fd);

	attr_plain(fs, &plain);
	if (plain.uid == a->uid && plain.gid == a->gid && plain.mode == a->mode) {
		if (removexattr(name.s, override_name) < 0 && errno != ENODATA &&
			errno != EOPNOTSUPP)
			return -errno;
		return 0;
	}
	if (setxattr(name.s, override_name, &o, sizeof(o), 0) == 0)
		return 0;
	return fs->o.stat_virt == FS_STAT_RELAXED && (errno == EOPNOTSUPP || errno == EPERM)
		       ? 0
		       : -errno;
}

static bool shows(const struct fs *fs, const struct attr *want, uint32_t host_mode)
{
	return want->mode == host_mode && want->uid == fs->o.uid && want->gid == fs->o.gid;
}

int attr_own(struct fs *fs, int fd, uint32_t uid, uint32_t gid, uint32_t mode, uint32_t rdev)
{
	/* rdev as the kernel sends it: new_encode_dev(). */
	struct attr a = {.mode = mode,
		.uid = uid,
		.gid = gid,
		.rdev_major = (rdev & 0xfff00) >> 8,
		.rdev_minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00)};
	uint32_t type = S_ISDIR(mode) ? S_IFDIR : S_IFREG;
	int r;

	/* A new file has no attribute yet, and most show what they should by themselves. */
	if (!can_override(fs, type) || shows(fs, &a, type | attr_host_mode(fs, mode)))
		return 0;
	r = sys_statx(fd, &a.sx);
	if (r == 0)
		r = attr_keep(fs, fd, &a);
	return r;
}

static int host_chmod(const struct fs *fs, int fd, uint32_t mode)
{
	return fchmodat(fs->proc_fd, fd_name(fd).s, mode, 0) < 0 ? -errno : 0;
}

int attr_drop_suid(struct fs *fs, int fd)
{
	struct attr a;
	uint32_t drop = S_ISUID;
	int r = attr_get(fs, fd, &a);

	if (r < 0)
		return r;
	if (a.mode & S_IXGRP)
		drop |= S_ISGID;
	if (!S_ISREG(a.mode) || !(a.mode & drop))
		return 0;
	a.mode &= ~drop;
	if (fs->o.stat_virt == FS_STAT_OFF)
		return host_chmod(fs, fd, a.mode & 0777);
	return attr_keep(fs, fd, &a);
}

static int reply_attr(struct fs *fs, struct call *c, int fd)
{
	struct fuse_attr_out *out = call_body(c, sizeof(*out));
	struct attr a;
	int r;

	if (!out)
		return -EIO;
	r = attr_get(fs, fd, &a);
	if (r < 0)
		return r;
	attr_to_fuse(fs, &a, &out->attr);
	out->attr_valid = 1;
	return 0;
}

/* Of the inode: even without its descriptor a handle of it will do. */
static int any_fd(struct fs *fs, struct call *c, bool by_handle, uint64_t fh)
{
	struct handle *h;
	int fd = inode_fd(&fs->inodes, c->node);

	if (fd >= 0 || !by_handle)
		return fd;
	return handle_get(fs, c->node, fh, false, &h) < 0 ? fd : h->fd;
}

int op_getattr(struct fs *fs, struct call *c)
{
	struct fuse_getattr_in in;
	int fd;

	memcpy(&in, c->arg, sizeof(in));
	fd = any_fd(fs, c, in.getattr_flags & FUSE_GETATTR_FH, in.fh);
	return fd < 0 ? fd : reply_attr(fs, c, fd);
}

/* The host's bits follow the guest's, as far as they may. */
static int mirror_mode(const struct fs *fs, int fd, struct attr *a)
{
	uint32_t type = a->sx.stx_mode & S_IFMT;
	uint32_t mode = type | attr_host_mode(fs, type | (a->mode & MODE_PERM));
	int r;

	/* Files of other users are not ours to change, whatever shows. */
	if (fs->o.private_perms || a->sx.stx_uid != fs->host_uid || mode == a->sx.stx_mode)
		return 0;
	r = host_chmod(fs, fd, mode & 0777);
	if (r == 0)
		a->sx.stx_mode = (uint16_t)mode;
	return r;
}

/* What the other side wants, on top of what is. */
static int set_owner_and_mode(
	struct fs *fs, const struct call *c, int fd, const struct fuse_setattr_in *in)
{
	struct attr a;
	uint32_t before;
	int r = attr_get(fs, fd, &a);

	if (r < 0)
		return r;
	before = a.sx.stx_mode;
	if (in->valid & (FATTR_UID | FATTR_GID) && S_ISREG(a.mode)) {
		a.mode &= ~(uint32_t)S_ISUID;
		if (a.mode & S_IXGRP)
			a.mode &= ~(uint32_t)S_ISGID;
	}
	if (in->valid & FATTR_MODE)
		a.mode = (a.mode & S_IFMT) | (in->mode & MODE_PERM);
	if (in->valid & FATTR_UID)
		a.uid = in->uid;
	if (in->valid & FATTR_GID)
		a.gid = in->gid;
	if (fs->o.stat_virt == FS_STAT_OFF) {
		if (in->valid & (FATTR_UID | FATTR_GID) &&
			fchownat(fd, "", in->valid & FATTR_UID ? in->uid : (uid_t)-1,
				in->valid & FATTR_GID ? in->gid : (gid_t)-1,
				AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		return in->valid & FATTR_MODE ? host_chmod(fs, fd, a.mode & 0777) : 0;
	}
	/* The host keeps no owner of a symbolic link, and archives set one for each. */
	if (!can_override(fs, c->node->type))
		return S_ISLNK(c->node->type) ? 0 : -EPERM;
	r = in->valid & FATTR_MODE ? mirror_mode(fs, fd, &a) : 0;
	if (r < 0)
		return r;
	r = attr_keep(fs, fd, &a);
	if (r < 0 && a.sx.stx_mode != before)
		(void)host_chmod(fs, fd, before & 0777);
	return r;
}

static int set_size(struct fs *fs, struct call *c, int fd, const struct fuse_setattr_in *in)
{
	cleanup_fd int own = -EBADF;
	struct handle *h;
	struct statx before;
	uint64_t taken = 0;
	int at;
	int r = 0;

	if (in->size > INT64_MAX)
		return -EFBIG;
	if (in->valid & FATTR_FH) {
		r = handle_get(fs, c->node, in->fh, false, &h);
		if (r < 0)
			return r;
		at = h->fd;
	} else {
		/* It has no name then, and nobody would look at what it becomes. */
		if (c->node->given)
			return -ESTALE;
		at = own = file_reopen(fs, fd, O_WRONLY);
		if (own < 0)
			return own;
	}
	r = sys_statx(at, &before);
	if (r == 0)
		r = quota_grow(fs, at, in->size, &taken);
	if (r < 0)
		return r;
	if (ftruncate(at, (off_t)in->size) < 0) {
		r = -errno;
		quota_give(fs, taken);
		return r;
	}
	if (in->size < before.stx_size)
		quota_give(fs, before.stx_size - in->size);
	return in->valid & FATTR_KILL_SUIDGID ? attr_drop_suid(fs, fd) : 0;
}

static int set_times(struct fs *fs, int fd, const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

	if (in->valid & FATTR_ATIME_NOW)
		ts[0].tv_nsec = UTIME_NOW;
	else if (in->valid & FATTR_ATIME)
		ts[0] = (struct timespec){(time_t)in->atime, (long)in->atimensec};
	if (in->valid & FATTR_MTIME_NOW)
		ts[1].tv_nsec = UTIME_NOW;
	else if (in->valid & FATTR_MTIME)
		ts[1] = (struct timespec){(time_t)in->mtime, (long)in->mtimensec};
	return utimensat(fs->proc_fd, fd_name(fd).s, ts, 0) < 0 ? -errno : 0;
}

int op_setattr(struct fs *fs, struct call *c)
{
	struct fuse_setattr_in in;
	int fd;
	int r = 0;

	memcpy(&in, c->arg, sizeof(in));
	fd = any_fd(fs, c, in.valid & FATTR_FH, in.fh);
	if (fd < 0)
		return fd;
	if (in.valid & FATTR_SIZE)
		r = set_size(fs, c, fd, &in);
	if (r == 0 && in.valid & (FATTR_MODE | FATTR_UID | FATTR_GID))
		r = set_owner_and_mode(fs, c, fd, &in);
	if (r == 0 && in.valid & (FATTR_ATIME | FATTR_MTIME))
		r = set_times(fs, fd, &in);
	return r < 0 ? r : reply_attr(fs, c, fd);
}
