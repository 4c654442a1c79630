/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about the content of directories.
 *
 * Offsets are the host's. Each request reads from its own offset and keeps nothing, so it does not
 * matter in which order the other side asks.
 *
 * A share of one file is a directory that exists nowhere: it holds that file and cannot be changed.
 */
#include "fs/internal.h"

/* As the kernel writes them. */
struct host_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static bool is_only_root(const struct fs *fs, const struct inode *n)
{
	return fs->only_fd >= 0 && n->index == INODE_ROOT;
}

int op_opendir(struct fs *fs, struct call *c)
{
	struct fuse_open_out *out = call_body(c, sizeof(*out));
	int fd;
	int at;
	int r;

	if (!out)
		return -EIO;
	if (c->node->type != S_IFDIR)
		return -ENOTDIR;
	if (is_only_root(fs, c->node)) {
		fd = fcntl(fs->only_fd, F_DUPFD_CLOEXEC, 0);
	} else {
		at = inode_fd(&fs->inodes, c->node);
		if (at < 0)
			return at;
		fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0)
		return -errno;
	r = handle_add(fs, c->node, fd, true, false, &out->fh);
	if (r < 0)
		fd_close(fd);
	return r;
}

static bool is_dot(const char *name)
{
	return streq(name, ".") || streq(name, "..");
}

/* What cannot be entered (gone by now, or too many) is there by name only. */
static void enter_child(struct fs *fs, struct inode *dir, const char *name,
	struct fuse_entry_out *entry, struct fuse_dirent *out)
{
	int r = is_only_root(fs, dir) ? only_enter(fs, name, entry)
				      : name_enter(fs, dir, name, entry);

	if (r < 0)
		*entry = (struct fuse_entry_out){0};
	else
		out->type = (entry->attr.mode & S_IFMT) >> 12;
}

/* Appends one entry; false when it does not fit any more. */
static bool put_entry(struct fs *fs, struct call *c, const struct host_dirent *d, bool plus)
{
	size_t name_len = strlen(d->name);
	size_t head = plus ? sizeof(struct fuse_direntplus) : sizeof(struct fuse_dirent);
	size_t size = FUSE_DIRENT_ALIGN(head - 0 + name_len);
	struct fuse_dirent out = {.ino = d->ino,
		.off = (uint64_t)d->off,
		.namelen = (uint32_t)name_len,
		.type = d->type};
	struct fuse_entry_out entry = {0};
	uint8_t *at = c->body + c->len;

	if (name_len > NAME_MAX || size > c->room - c->len)
		return false;
	/* What is above the root is not to be seen, not even its number. */
	if (is_dot(d->name))
		out.ino = fs->root.stx_ino;
	else if (plus)
		enter_child(fs, c->node, d->name, &entry, &out);
	memset(at, 0, size);
	if (plus)
		memcpy(at, &entry, sizeof(entry));
	memcpy(at + head - sizeof(out), &out, sizeof(out));
	memcpy(at + head, d->name, name_len);
	c->len += size;
	return true;
}

static int read_only_root(struct fs *fs, struct call *c, const struct fuse_read_in *in, bool plus)
{
	union {
		struct host_dirent d;
		uint8_t bytes[sizeof(struct host_dirent) + sizeof(fs->o.only)];
	} entry = {.d = {.ino = 1, .off = 1, .type = S_IFREG >> 12}};

	if (in->offset > 0)
		return 0;
	memcpy(entry.d.name, fs->o.only, sizeof(fs->o.only));
	(void)put_entry(fs, c, &entry.d, plus);
	return 0;
}

/* All of one batch of the host that fits. */
static void put_batch(struct fs *fs, struct call *c, size_t n, bool plus)
{
	for (size_t at = 0; at + offsetof(struct host_dirent, name) < n;) {
		const struct host_dirent *d = (const struct host_dirent *)(fs->dirents + at);

		if (d->len == 0 || !put_entry(fs, c, d, plus))
			return;
		at += d->len;
	}
}

static int read_dir(struct fs *fs, struct call *c, bool plus)
{
	struct fuse_read_in in;
	struct handle *h;
	ssize_t n;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, true, &h);
	if (r < 0)
		return r;
	c->room = MIN(c->room, (size_t)in.size);
	if (is_only_root(fs, c->node))
		return read_only_root(fs, c, &in, plus);
	if (lseek(h->fd, (off_t)in.offset, SEEK_SET) < 0)
		return -errno;
	/* Names take at least as much room there as here: no need to read more than fits. */
	n = sys_getdents(h->fd, fs->dirents, MIN(MAX(c->room, (size_t)1024), sizeof(fs->dirents)));
	if (n < 0)
		return (int)n;
	put_batch(fs, c, (size_t)n, plus);
	return c->len == 0 && n > 0 ? -EINVAL : 0;
}

int op_readdir(struct fs *fs, struct call *c)
{
	return read_dir(fs, c, false);
}

int op_readdirplus(struct fs *fs, struct call *c)
{
	return read_dir(fs, c, true);
}

int op_releasedir(struct fs *fs, struct call *c)
{
	struct fuse_release_in in;
	struct handle *h;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, true, &h);
	if (r == 0)
		handle_close(fs, h);
	return r;
}

int op_fsyncdir(struct fs *fs, struct call *c)
{
	struct fuse_fsync_in in;
	struct handle *h;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	r = handle_get(fs, c->node, in.fh, true, &h);
	if (r < 0)
		return r;
	if (fs->o.read_only || is_only_root(fs, c->node))
		return 0;
	return fsync(h->fd) < 0 ? -errno : 0;
}
