/* SPDX-License-Identifier: Apache-2.0 */
/* A FUSE kernel for tests: see testpeer.h. */
#include "fs/testpeer.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "test peer: %s: %s\n", what, strerror(errno));
	abort();
}

void peer_start(struct peer *p, const char *path, const struct fs_options *o, uint32_t fd_max)
{
	struct fuse_init_in in = {.major = 7, .minor = 38, .max_readahead = 1 << 20, .flags = ~0u};
	int fd = open(path, O_PATH | O_CLOEXEC);

	p->proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0 && p->proc_fd >= 0 && fchdir(p->proc_fd) == 0, path);
	p->dir_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	p->uid = p->gid = 0;
	p->room = FS_REPLY_MAX;
	(void)umask(0);
	must(fs_new(o, fd, p->proc_fd, fd_max, &p->fs) == 0, "fs_new");
	must(peer_call(p, FUSE_INIT, 0, &in, sizeof(in), NULL, 0) == 0, "INIT");
}

void peer_stop(struct peer *p)
{
	p->fs = fs_free(p->fs);
	p->dir_fd = fd_close(p->dir_fd);
	must(chdir("/") == 0, "chdir");
	p->proc_fd = fd_close(p->proc_fd);
}

static int submit(struct peer *p, struct fs_request *rq)
{
	struct iovec data = {p->reply + FS_REPLY_HEAD, FS_DATA_MAX};
	struct fs_reply rp = {.buf = p->reply, .room = p->room, .data = &data, .n_data = 1};
	struct fuse_out_header out;
	size_t n = fs_handle(p->fs, rq, &rp);

	p->len = 0;
	if (n == 0)
		return 1;
	memcpy(&out, p->reply, sizeof(out));
	must(out.len == n && n <= p->room && out.unique == 77, "reply header");
	p->len = n - sizeof(out);
	return out.error;
}

static size_t put_header(struct peer *p, uint32_t opcode, uint64_t node, size_t more,
	const void *arg, size_t arg_len)
{
	struct fuse_in_header h = {.len = (uint32_t)(sizeof(h) + arg_len + more),
		.opcode = opcode,
		.unique = 77,
		.nodeid = node,
		.uid = p->uid,
		.gid = p->gid};

	memcpy(p->request, &h, sizeof(h));
	if (arg_len > 0)
		memcpy(p->request + sizeof(h), arg, arg_len);
	return sizeof(h) + arg_len;
}

int peer_call(struct peer *p, uint32_t opcode, uint64_t node, const void *arg, size_t arg_len,
	const void *text, size_t text_len)
{
	size_t n = put_header(p, opcode, node, text_len, arg, arg_len);
	struct fs_request rq = {.head = p->request, .head_len = n + text_len};

	must(n + text_len <= sizeof(p->request), "request too long");
	if (text_len > 0)
		memcpy(p->request + n, text, text_len);
	return submit(p, &rq);
}

int peer_name(struct peer *p, uint32_t opcode, uint64_t node, const char *name)
{
	return peer_call(p, opcode, node, NULL, 0, name, strlen(name) + 1);
}

/* Two strings, each with its terminator. */
static size_t join(char *to, const char *a, const char *b)
{
	size_t n = strlen(a) + 1;
	size_t m = strlen(b) + 1;

	memcpy(to, a, n);
	memcpy(to + n, b, m);
	return n + m;
}

static int entry(struct peer *p, int r, uint64_t *ret)
{
	struct fuse_entry_out e;

	*ret = 0;
	if (r == 0) {
		memcpy(&e, peer_body(p), sizeof(e));
		*ret = e.nodeid;
	}
	return r;
}

int peer_lookup(struct peer *p, uint64_t dir, const char *name, uint64_t *ret)
{
	return entry(p, peer_name(p, FUSE_LOOKUP, dir, name), ret);
}

int peer_mkdir(struct peer *p, uint64_t dir, const char *name, uint32_t mode, uint64_t *ret)
{
	struct fuse_mkdir_in in = {.mode = mode};

	return entry(
		p, peer_call(p, FUSE_MKDIR, dir, &in, sizeof(in), name, strlen(name) + 1), ret);
}

int peer_mknod(
	struct peer *p, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev, uint64_t *ret)
{
	struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};

	return entry(
		p, peer_call(p, FUSE_MKNOD, dir, &in, sizeof(in), name, strlen(name) + 1), ret);
}

int peer_symlink(struct peer *p, uint64_t dir, const char *name, const char *target, uint64_t *ret)
{
	char text[2 * PATH_MAX];
	size_t n = join(text, name, target);

	return entry(p, peer_call(p, FUSE_SYMLINK, dir, NULL, 0, text, n), ret);
}

int peer_link(struct peer *p, uint64_t node, uint64_t dir, const char *name)
{
	struct fuse_link_in in = {.oldnodeid = node};

	return peer_call(p, FUSE_LINK, dir, &in, sizeof(in), name, strlen(name) + 1);
}

int peer_rename(struct peer *p, uint64_t dir, const char *name, uint64_t to_dir, const char *to,
	uint32_t flags)
{
	struct fuse_rename2_in in = {.newdir = to_dir, .flags = flags};
	char text[2 * PATH_MAX];
	size_t n = join(text, name, to);

	return peer_call(p, FUSE_RENAME2, dir, &in, sizeof(in), text, n);
}

int peer_create(struct peer *p, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
	uint64_t *ret_node, uint64_t *ret_fh)
{
	struct fuse_create_in in = {.flags = flags, .mode = S_IFREG | mode};
	struct fuse_open_out open;
	int r = entry(p, peer_call(p, FUSE_CREATE, dir, &in, sizeof(in), name, strlen(name) + 1),
		ret_node);

	*ret_fh = 0;
	if (r == 0) {
		memcpy(&open, (uint8_t *)peer_body(p) + sizeof(struct fuse_entry_out),
			sizeof(open));
		*ret_fh = open.fh;
	}
	return r;
}

static int open_as(struct peer *p, uint32_t opcode, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
	struct fuse_open_in in = {.flags = flags};
	struct fuse_open_out open;
	int r = peer_call(p, opcode, node, &in, sizeof(in), NULL, 0);

	*ret_fh = 0;
	if (r == 0) {
		memcpy(&open, peer_body(p), sizeof(open));
		*ret_fh = open.fh;
	}
	return r;
}

int peer_open(struct peer *p, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
	return open_as(p, FUSE_OPEN, node, flags, ret_fh);
}

int peer_opendir(struct peer *p, uint64_t node, uint64_t *ret_fh)
{
	return open_as(p, FUSE_OPENDIR, node, 0, ret_fh);
}

int peer_release(struct peer *p, uint32_t opcode, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};

	return peer_call(p, opcode, node, &in, sizeof(in), NULL, 0);
}

int peer_read(struct peer *p, uint64_t node, uint64_t fh, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = {.fh = fh, .offset = off, .size = size};

	return peer_call(p, FUSE_READ, node, &in, sizeof(in), NULL, 0);
}

int peer_write(
	struct peer *p, uint64_t node, uint64_t fh, uint64_t off, const void *data, size_t len)
{
	struct fuse_write_in in = {.fh = fh, .offset = off, .size = (uint32_t)len};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	size_t n = put_header(p, FUSE_WRITE, node, len, &in, sizeof(in));
	struct fs_request rq = {
		.head = p->request, .head_len = n, .data = &iov, .n_data = 1, .data_len = len};

	return submit(p, &rq);
}

int peer_setattr(struct peer *p, uint64_t node, struct fuse_setattr_in *in)
{
	return peer_call(p, FUSE_SETATTR, node, in, sizeof(*in), NULL, 0);
}

int peer_getattr(struct peer *p, uint64_t node, struct fuse_attr *ret)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out out;
	int r = peer_call(p, FUSE_GETATTR, node, &in, sizeof(in), NULL, 0);

	if (r == 0) {
		memcpy(&out, peer_body(p), sizeof(out));
		*ret = out.attr;
	}
	return r;
}

void peer_forget(struct peer *p, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = {.nlookup = n};
	size_t room = p->room;

	p->room = 0;
	(void)peer_call(p, FUSE_FORGET, node, &in, sizeof(in), NULL, 0);
	p->room = room;
}
