/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. The guest has the names below "user." but our own; everything else means
 * something to the host's kernel (capabilities, access lists, labels) and does not exist here.
 */
#include <sys/xattr.h>

#include "fs/internal.h"

static int check_name(const char *name)
{
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	return attr_is_hidden(name) ? -EPERM : 0;
}

/* Guests have attributes on files and directories only, as everywhere. */
static int node_fd(struct fs *fs, const struct call *c)
{
	if (c->node->type != S_IFREG && c->node->type != S_IFDIR)
		return -EPERM;
	return inode_fd(&fs->inodes, c->node);
}

int op_setxattr(struct fs *fs, struct call *c)
{
	/* Without FUSE_SETXATTR_EXT the structure ends after the flags. */
	struct fuse_setxattr_in in = {0};
	const size_t head = FUSE_COMPAT_SETXATTR_IN_SIZE;
	const char *name;
	int fd;
	int r;

	memcpy(&in, c->arg, head);
	c->arg += head;
	c->arg_len -= head;
	r = call_text(c, XATTR_NAME_MAX, &name);
	if (r == 0)
		r = check_name(name);
	if (r < 0)
		return r;
	if (in.size != c->arg_len || in.size > XATTR_SIZE_MAX)
		return -EINVAL;
	if (in.flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	fd = node_fd(fs, c);
	if (fd < 0)
		return fd;
	/* Counted as if each were a block of its own; never given back, which no program notices.
	 */
	r = in.size > 0 ? quota_take(fs, in.size) : 0;
	if (r == 0 && setxattr(fd_name(fd).s, name, c->arg, in.size, (int)in.flags) < 0) {
		r = -errno;
		quota_give(fs, in.size);
	}
	return r;
}

/* Answers with the length when no more was asked for, else with the bytes. */
static int reply_bytes(struct call *c, uint32_t want, ssize_t have)
{
	struct fuse_getxattr_out *out;

	if (have < 0)
		return -errno;
	if (want > 0) {
		c->len = (size_t)have;
		return 0;
	}
	c->len = 0;
	out = call_body(c, sizeof(*out));
	if (!out)
		return -EIO;
	out->size = (uint32_t)have;
	return 0;
}

int op_getxattr(struct fs *fs, struct call *c)
{
	struct fuse_getxattr_in in;
	const char *name;
	int fd;
	int r;

	memcpy(&in, c->arg, sizeof(in));
	c->arg += sizeof(in);
	c->arg_len -= sizeof(in);
	r = call_text(c, XATTR_NAME_MAX, &name);
	if (r == 0)
		r = check_name(name);
	if (r == -EPERM)
		r = -ENODATA;
	if (r < 0)
		return r;
	fd = node_fd(fs, c);
	if (fd < 0)
		return fd == -EPERM ? -ENODATA : fd;
	return reply_bytes(c, in.size,
		getxattr(fd_name(fd).s, name, in.size ? c->body : NULL,
			MIN((size_t)in.size, c->room)));
}

/* Keeps what the guest may see; the new length. */
static size_t filter_list(char *list, size_t n)
{
	size_t kept = 0;

	for (size_t at = 0; at < n;) {
		size_t len = strnlen(list + at, n - at);

		if (at + len == n)
			break; /* not terminated: cannot be */
		len++;
		if (check_name(list + at) == 0) {
			memmove(list + kept, list + at, len);
			kept += len;
		}
		at += len;
	}
	return kept;
}

int op_listxattr(struct fs *fs, struct call *c)
{
	char *list = (char *)c->body;
	struct fuse_getxattr_in in;
	ssize_t n;
	int fd;

	memcpy(&in, c->arg, sizeof(in));
	fd = node_fd(fs, c);
	if (fd == -EPERM)
		return reply_bytes(c, in.size, 0);
	if (fd < 0)
		return fd;
	/* In place: the room for a reply exists even where the other side takes less of it. */
	_Static_assert(LIST_BYTES_MAX + FS_REPLY_HEAD <= FS_REPLY_MAX, "room for all names");
	n = listxattr(fd_name(fd).s, list, LIST_BYTES_MAX);
	if (n < 0)
		return -errno;
	n = (ssize_t)filter_list(list, (size_t)n);
	if (in.size > 0 && (size_t)n > MIN((size_t)in.size, c->room))
		return -ERANGE;
	return reply_bytes(c, in.size, n);
}

int op_removexattr(struct fs *fs, struct call *c)
{
	const char *name;
	int fd;
	int r = call_text(c, XATTR_NAME_MAX, &name);

	if (r == 0)
		r = check_name(name);
	if (r < 0)
		return r;
	fd = node_fd(fs, c);
	if (fd < 0)
		return fd;
	return removexattr(fd_name(fd).s, name) < 0 ? -errno : 0;
}
