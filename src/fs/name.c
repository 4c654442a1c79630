/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about names: looking up, making, linking, renaming, removing. */
#include "fs/internal.h"

static void fill_entry(
	const struct fs *fs, const struct inode *n, const struct attr *a, struct fuse_entry_out *to)
{
	*to = (struct fuse_entry_out){.nodeid = inode_id(n), .entry_valid = 1, .attr_valid = 1};
	attr_to_fuse(fs, a, &to->attr);
}

int name_enter(struct fs *fs, struct inode *parent, const char *name, struct fuse_entry_out *to)
{
	struct inode *n;
	struct attr a;
	int r;
	int fd = inode_fd(&fs->inodes, parent);

	if (fd < 0)
		return fd;
	fd = sys_open_child(fd, name);
	if (fd < 0)
		return fd;
	r = attr_get(fs, fd, &a);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	r = inode_enter(&fs->inodes, parent, name, fd, &a.sx, &n);
	if (r == 0)
		fill_entry(fs, n, &a, to);
	return r;
}

static int reply_entry(struct fs *fs, struct call *c, struct inode *parent, const char *name)
{
	struct fuse_entry_out *out = call_body(c, sizeof(*out));

	return out ? name_enter(fs, parent, name, out) : -EIO;
}

int op_lookup(struct fs *fs, struct call *c)
{
	const char *name;
	int r = call_name(c, &name);

	return r < 0 ? r : reply_entry(fs, c, c->node, name);
}

int op_forget(struct fs *fs, struct call *c)
{
	struct fuse_forget_in in;

	memcpy(&in, c->arg, sizeof(in));
	inode_forget(&fs->inodes, c->node, in.nlookup);
	return 0;
}

int op_batch_forget(struct fs *fs, struct call *c)
{
	struct fuse_batch_forget_in in;

	memcpy(&in, c->arg, sizeof(in));
	for (uint32_t i = 0; i < in.count; i++) {
		size_t at = sizeof(in) + i * sizeof(struct fuse_forget_one);
		struct fuse_forget_one one;
		struct inode *n;

		if (at + sizeof(one) > c->arg_len)
			return -EINVAL;
		memcpy(&one, c->arg + at, sizeof(one));
		n = inode_by_id(&fs->inodes, one.nodeid);
		if (n)
			inode_forget(&fs->inodes, n, one.nlookup);
	}
	return 0;
}

int op_readlink(struct fs *fs, struct call *c)
{
	int fd = inode_fd(&fs->inodes, c->node);
	ssize_t n;

	if (fd < 0)
		return fd;
	if (c->node->type != S_IFLNK)
		return -EINVAL;
	n = readlinkat(fd, "", (char *)c->body, MIN(c->room, (size_t)PATH_MAX));
	if (n < 0)
		return -errno;
	c->len = (size_t)n;
	return 0;
}

/* Owner's group and set-group-id of a directory go on to what is made in it. */
int name_inherit(struct fs *fs, const struct call *c, uint32_t *mode, uint32_t *ret_gid)
{
	struct attr dir;
	int fd = inode_fd(&fs->inodes, c->node);
	int r = fd < 0 ? fd : attr_get(fs, fd, &dir);

	if (r < 0)
		return r;
	*ret_gid = c->in->gid;
	if (dir.mode & S_ISGID) {
		*ret_gid = dir.gid;
		if (S_ISDIR(*mode))
			*mode |= S_ISGID;
	}
	return 0;
}

int name_can_make(const struct fs *fs, const struct call *c)
{
	(void)fs;
	return c->node->type == S_IFDIR ? 0 : -ENOTDIR;
}

void name_unmake(struct fs *fs, struct inode *dir, const char *name, int flags)
{
	int fd = inode_fd(&fs->inodes, dir);

	/* What stays goes on to count. */
	if (fd >= 0 && unlinkat(fd, name, flags) == 0)
		quota_give(fs, QUOTA_INODE);
}

/* Gives @name, just made, its owner; takes it back when that fails. */
static int finish_new(struct fs *fs, struct call *c, int dir_fd, const char *name, uint32_t gid,
	uint32_t mode, uint32_t rdev)
{
	cleanup_fd int fd = sys_open_child(dir_fd, name);
	int r = fd < 0 ? fd : attr_own(fs, fd, c->in->uid, gid, mode, rdev);

	if (r == 0)
		r = reply_entry(fs, c, c->node, name);
	if (r < 0)
		name_unmake(fs, c->node, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
	return r;
}

static int make_node(const struct fs *fs, int dir_fd, const char *name, uint32_t mode)
{
	uint32_t host = attr_host_mode(fs, mode);

	switch (mode & S_IFMT) {
	case S_IFDIR:
		return mkdirat(dir_fd, name, host) < 0 ? -errno : 0;
	case S_IFREG:
	case 0:
		return mknodat(dir_fd, name, S_IFREG | host, 0) < 0 ? -errno : 0;
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		/* No special file of the guest's making ever exists on the host. */
		if (fs->o.stat_virt == FS_STAT_OFF ||
			(fs->o.no_dev && (S_ISCHR(mode) || S_ISBLK(mode))))
			return -EPERM;
		return mknodat(dir_fd, name, S_IFREG | host, 0) < 0 ? -errno : 0;
	default:
		return -EINVAL;
	}
}

static int make(struct fs *fs, struct call *c, const char *name, uint32_t mode, uint32_t rdev)
{
	uint32_t gid = 0;
	int fd;
	int r = name_can_make(fs, c);

	if (r == 0)
		r = name_inherit(fs, c, &mode, &gid);
	if (r == 0)
		r = quota_take(fs, QUOTA_INODE);
	if (r < 0)
		return r;
	fd = inode_fd(&fs->inodes, c->node);
	r = fd < 0 ? fd : make_node(fs, fd, name, mode);
	if (r < 0) {
		quota_give(fs, QUOTA_INODE);
		return r;
	}
	return finish_new(fs, c, fd, name, gid, mode, rdev);
}

int op_mknod(struct fs *fs, struct call *c)
{
	struct fuse_mknod_in in;
	const char *name;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	r = call_name(c, &name);
	if (r < 0)
		return r;
	if (S_ISDIR(in.mode))
		return -EINVAL;
	if (!(in.mode & S_IFMT))
		in.mode |= S_IFREG;
	return make(fs, c, name, in.mode & (S_IFMT | MODE_PERM), in.rdev);
}

int op_mkdir(struct fs *fs, struct call *c)
{
	struct fuse_mkdir_in in;
	const char *name;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	r = call_name(c, &name);
	return r < 0 ? r : make(fs, c, name, S_IFDIR | (in.mode & MODE_PERM), 0);
}

int op_symlink(struct fs *fs, struct call *c)
{
	const char *name = NULL;
	const char *target = NULL;
	int fd;
	int r = call_name(c, &name);

	if (r == 0)
		r = call_text(c, PATH_MAX - 1, &target);
	if (r == 0)
		r = name_can_make(fs, c);
	if (r == 0)
		r = quota_take(fs, QUOTA_INODE);
	if (r != 0)
		return r;
	fd = inode_fd(&fs->inodes, c->node);
	r = fd < 0 ? fd : 0;
	if (r == 0 && symlinkat(target, fd, name) < 0)
		r = -errno;
	if (r < 0) {
		quota_give(fs, QUOTA_INODE);
		return r;
	}
	r = reply_entry(fs, c, c->node, name);
	if (r < 0)
		name_unmake(fs, c->node, name, 0);
	return r;
}

/* A name that is about to go. */
struct loss {
	struct inode *node; /* what the other side knows of the file, or NULL */
	bool pinned; /* the entry was, for this */
	uint64_t gives; /* what its end gives back to the quota at once */
};

/*
 * The file @name is about to go: who knows it keeps it. A name more or less of a file with several
 * is a block more or less; the last one takes the content along, once nobody knows it any more.
 */
static int prepare_loss(struct fs *fs, int dir_fd, const char *name, struct loss *ret)
{
	cleanup_fd int fd = sys_open_child(dir_fd, name);
	struct inode *n;
	struct statx sx;
	bool last;
	int r = fd < 0 ? fd : sys_statx(fd, &sx);

	*ret = (struct loss){0};
	if (r < 0)
		return r;
	last = S_ISDIR(sx.stx_mode) || sx.stx_nlink == 1;
	n = inode_find(&fs->inodes, &sx);
	if (n && n->index == INODE_ROOT)
		return -EBUSY;
	if (n && !n->pinned) {
		r = inode_pin(&fs->inodes, n);
		/* One that cannot be found where it was seen last is lost already. */
		if (r < 0 && r != -ESTALE && r != -ENOENT)
			return r;
		ret->pinned = r == 0;
	}
	ret->node = n;
	if (!last)
		ret->gives = QUOTA_INODE;
	else if (!n || !n->pinned)
		ret->gives = QUOTA_INODE + (S_ISREG(sx.stx_mode) ? sx.stx_size : 0);
	return 0;
}

static void undo_loss(struct fs *fs, const struct loss *l)
{
	if (l->pinned)
		inode_unpin(&fs->inodes, l->node);
}

static void finish_loss(struct fs *fs, const struct loss *l)
{
	quota_give(fs, l->gives);
	if (l->node && l->node->handles == 0)
		quota_unheld(fs, l->node);
}

static int remove_name(struct fs *fs, struct call *c, int flags)
{
	struct loss loss;
	const char *name;
	int fd;
	int r = call_name(c, &name);

	if (r < 0)
		return r;
	fd = inode_fd(&fs->inodes, c->node);
	r = fd < 0 ? fd : prepare_loss(fs, fd, name, &loss);
	if (r < 0)
		return r;
	/* Opening the file again may have cost the directory's descriptor. */
	fd = inode_fd(&fs->inodes, c->node);
	if (fd < 0 || unlinkat(fd, name, flags) < 0) {
		r = fd < 0 ? fd : -errno;
		undo_loss(fs, &loss);
		return r;
	}
	finish_loss(fs, &loss);
	return 0;
}

int op_unlink(struct fs *fs, struct call *c)
{
	return remove_name(fs, c, 0);
}

int op_rmdir(struct fs *fs, struct call *c)
{
	return remove_name(fs, c, AT_REMOVEDIR);
}

/* What is at @name of @dir_fd. */
static int look(int dir_fd, const char *name, struct statx *sx)
{
	cleanup_fd int fd = sys_open_child(dir_fd, name);

	return fd < 0 ? fd : sys_statx(fd, sx);
}

/*
 * Descriptors of two entries at once. Opening ancestors of the second again may cost the first its
 * own, hence twice; when there are hardly any left that would go on for ever.
 */
static int two_fds(struct fs *fs, struct inode *a, struct inode *b, int *ret_a, int *ret_b)
{
	for (unsigned int i = 0; i < 2; i++) {
		*ret_a = inode_fd(&fs->inodes, a);
		if (*ret_a < 0)
			return *ret_a;
		*ret_b = inode_fd(&fs->inodes, b);
		if (*ret_b < 0)
			return *ret_b;
	}
	return a->fd == *ret_a ? 0 : -ENFILE;
}

struct rename {
	struct inode *from_dir;
	struct inode *to_dir;
	const char *from;
	const char *to;
	uint32_t flags;
	int from_fd;
	int to_fd;
};

static int rename_fds(struct fs *fs, struct rename *n)
{
	return two_fds(fs, n->from_dir, n->to_dir, &n->from_fd, &n->to_fd);
}

static int rename_and_note(struct fs *fs, struct rename *n)
{
	struct statx sx;
	struct statx to_sx;
	struct inode *moved;
	struct inode *other = NULL;
	struct loss loss = {0};
	bool same = false;
	int r = look(n->from_fd, n->from, &sx);

	if (r < 0)
		return r;
	moved = inode_find(&fs->inodes, &sx);
	r = look(n->to_fd, n->to, &to_sx);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		other = inode_find(&fs->inodes, &to_sx);
		same = statx_dev(&sx) == statx_dev(&to_sx) && sx.stx_ino == to_sx.stx_ino;
	}
	r = 0;
	/* Two names of one file stay both. */
	if (!(n->flags & SYS_RENAME_EXCHANGE) && !same) {
		r = prepare_loss(fs, n->to_fd, n->to, &loss);
		if (r < 0 && r != -ENOENT)
			return r;
		r = rename_fds(fs, n);
	}
	if (r == 0)
		r = sys_rename(n->from_fd, n->from, n->to_fd, n->to, n->flags);
	if (r < 0) {
		undo_loss(fs, &loss);
		return r;
	}
	finish_loss(fs, &loss);
	if (moved && moved->index != INODE_ROOT && !same)
		inode_moved(&fs->inodes, moved, n->to_dir, n->to);
	if (n->flags & SYS_RENAME_EXCHANGE && other && other->index != INODE_ROOT && !same)
		inode_moved(&fs->inodes, other, n->from_dir, n->from);
	return 0;
}

static int do_rename(struct fs *fs, struct call *c, uint64_t to_id, uint32_t flags)
{
	struct rename n = {
		.from_dir = c->node, .to_dir = inode_by_id(&fs->inodes, to_id), .flags = flags};
	int r = call_name(c, &n.from);

	if (r == 0)
		r = call_name(c, &n.to);
	if (r == 0 && flags & ~(uint32_t)(SYS_RENAME_NOREPLACE | SYS_RENAME_EXCHANGE))
		r = -EINVAL;
	if (r == 0 && !n.to_dir)
		r = -ESTALE;
	if (r == 0)
		r = rename_fds(fs, &n);
	return r < 0 ? r : rename_and_note(fs, &n);
}

int op_rename(struct fs *fs, struct call *c)
{
	struct fuse_rename_in in;

	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	return do_rename(fs, c, in.newdir, 0);
}

int op_rename2(struct fs *fs, struct call *c)
{
	struct fuse_rename2_in in;

	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	return do_rename(fs, c, in.newdir, in.flags);
}

int op_link(struct fs *fs, struct call *c)
{
	struct fuse_link_in in;
	struct inode *old;
	const char *name;
	int old_fd;
	int fd;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	r = call_name(c, &name);
	if (r == 0)
		r = name_can_make(fs, c);
	if (r < 0)
		return r;
	old = inode_by_id(&fs->inodes, in.oldnodeid);
	if (!old)
		return -ESTALE;
	r = two_fds(fs, old, c->node, &old_fd, &fd);
	if (r == 0)
		r = quota_take(fs, QUOTA_INODE);
	if (r < 0)
		return r;
	if (linkat(fs->proc_fd, fd_name(old_fd).s, fd, name, AT_SYMLINK_FOLLOW) < 0) {
		r = -errno;
		quota_give(fs, QUOTA_INODE);
		return r;
	}
	r = reply_entry(fs, c, c->node, name);
	if (r < 0)
		name_unmake(fs, c->node, name, 0);
	return r;
}
