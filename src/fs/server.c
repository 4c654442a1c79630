/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE server: taking a request apart, finding who executes it, putting the reply together. See
 * server.h.
 *
 * Every operation has a line in the table: how long its fixed part is at least, whether it changes
 * the share, whether its node number must mean something. What is not in the table does not exist
 * (ENOSYS, which the kernel remembers for what it can do without).
 *
 * The requests of a guest come in any order. Only INIT may come first; another INIT later is a
 * guest that started again, and it starts with empty tables.
 *
 * System calls of the server (everything it does to the share):
 * #syscalls(fs:serve): openat openat2 close fcntl statx getxattr fgetxattr setxattr listxattr
 * removexattr readlinkat mkdirat mknodat symlinkat linkat unlinkat renameat2 fchmodat fchownat
 * utimensat ftruncate fallocate preadv pwritev fsync fdatasync syncfs fstatfs lseek getdents64
 * copy_file_range
 */
#include "fs/internal.h"

enum { MINOR_MIN = 27, FUSE_MINOR = 36, OPCODES = 64 };

_Static_assert(FUSE_KERNEL_VERSION == 7, "the only protocol there is");
_Static_assert(sizeof(struct fuse_out_header) == FS_REPLY_HEAD, "head of a reply");
_Static_assert(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) == FS_HEAD_WRITE,
	"head of a write");

struct op {
	int (*fn)(struct fs *fs, struct call *c);
	uint16_t size; /* of the fixed part, at least */
	bool changes; /* refused on a read-only share */
	bool no_node; /* the node number means nothing */
	bool no_reply;
	bool on_only; /* possible on the directory of a share of one file */
};

void *call_body(struct call *c, size_t size)
{
	if (c->room < size)
		return NULL;
	memset(c->body, 0, size);
	c->len = size;
	return c->body;
}

int call_text(struct call *c, size_t max, const char **ret)
{
	const uint8_t *end = memchr(c->arg, 0, c->arg_len);
	size_t len;

	if (!end)
		return -EINVAL;
	len = (size_t)(end - c->arg);
	if (len > max)
		return -ENAMETOOLONG;
	*ret = (const char *)c->arg;
	c->arg += len + 1;
	c->arg_len -= len + 1;
	return 0;
}

int call_name(struct call *c, const char **ret)
{
	int r = call_text(c, NAME_MAX, ret);

	if (r < 0)
		return r;
	if ((*ret)[0] == '\0' || strchr(*ret, '/') || streq(*ret, ".") || streq(*ret, ".."))
		return -EINVAL;
	return 0;
}

static void reset(struct fs *fs)
{
	handles_clear(&fs->handles);
	inodes_clear(&fs->inodes, fs->only_fd < 0 ? INODE_ROOT : INODE_ONLY);
	fs->ready = false;
}

static int op_init(struct fs *fs, struct call *c)
{
	/* All of them are safe to offer: what they change is who caches what, and for how long. */
	const uint32_t known = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
			       FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
			       FUSE_PARALLEL_DIROPS | FUSE_AUTO_INVAL_DATA | FUSE_MAX_PAGES |
			       FUSE_HANDLE_KILLPRIV_V2;
	struct fuse_init_out *out = call_body(c, sizeof(*out));
	struct {
		uint32_t major;
		uint32_t minor;
		uint32_t max_readahead;
		uint32_t flags;
	} in;

	if (!out)
		return -EIO;
	memcpy(&in, c->arg, sizeof(in));
	reset(fs);
	out->major = FUSE_KERNEL_VERSION;
	out->minor = FUSE_MINOR;
	/* A newer major is answered with ours, and comes back with it. */
	if (in.major > FUSE_KERNEL_VERSION)
		return 0;
	if (in.major < FUSE_KERNEL_VERSION || in.minor < MINOR_MIN)
		return -EPROTO;
	fs->ready = true;
	out->max_readahead = MIN(in.max_readahead, (uint32_t)FS_DATA_MAX);
	out->flags = in.flags & known;
	out->max_background = 16;
	out->congestion_threshold = 12;
	out->max_write = FS_DATA_MAX;
	out->time_gran = 1;
	out->max_pages = FS_DATA_MAX / 4096;
	return 0;
}

static int op_destroy(struct fs *fs, struct call *c)
{
	(void)c;
	reset(fs);
	return 0;
}

/* clang-format off */
static const struct op ops[OPCODES] = {
	[FUSE_LOOKUP] = {op_lookup, 0, .on_only = true},
	[FUSE_FORGET] = {op_forget, sizeof(struct fuse_forget_in), .no_reply = true, .on_only = true},
	[FUSE_GETATTR] = {op_getattr, sizeof(struct fuse_getattr_in), .on_only = true},
	[FUSE_SETATTR] = {op_setattr, sizeof(struct fuse_setattr_in), .changes = true},
	[FUSE_READLINK] = {op_readlink, 0},
	[FUSE_SYMLINK] = {op_symlink, 0, .changes = true},
	[FUSE_MKNOD] = {op_mknod, sizeof(struct fuse_mknod_in), .changes = true},
	[FUSE_MKDIR] = {op_mkdir, sizeof(struct fuse_mkdir_in), .changes = true},
	[FUSE_UNLINK] = {op_unlink, 0, .changes = true},
	[FUSE_RMDIR] = {op_rmdir, 0, .changes = true},
	[FUSE_RENAME] = {op_rename, sizeof(struct fuse_rename_in), .changes = true},
	[FUSE_LINK] = {op_link, sizeof(struct fuse_link_in), .changes = true},
	[FUSE_OPEN] = {op_open, sizeof(struct fuse_open_in)},
	[FUSE_READ] = {op_read, sizeof(struct fuse_read_in)},
	[FUSE_WRITE] = {op_write, sizeof(struct fuse_write_in), .changes = true},
	[FUSE_STATFS] = {op_statfs, 0, .on_only = true},
	[FUSE_RELEASE] = {op_release, sizeof(struct fuse_release_in)},
	[FUSE_FSYNC] = {op_fsync, sizeof(struct fuse_fsync_in)},
	[FUSE_SETXATTR] = {op_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, .changes = true},
	[FUSE_GETXATTR] = {op_getxattr, sizeof(struct fuse_getxattr_in)},
	[FUSE_LISTXATTR] = {op_listxattr, sizeof(struct fuse_getxattr_in)},
	[FUSE_REMOVEXATTR] = {op_removexattr, 0, .changes = true},
	[FUSE_INIT] = {op_init, 16, .no_node = true},
	[FUSE_OPENDIR] = {op_opendir, sizeof(struct fuse_open_in), .on_only = true},
	[FUSE_READDIR] = {op_readdir, sizeof(struct fuse_read_in), .on_only = true},
	[FUSE_RELEASEDIR] = {op_releasedir, sizeof(struct fuse_release_in), .on_only = true},
	[FUSE_FSYNCDIR] = {op_fsyncdir, sizeof(struct fuse_fsync_in), .on_only = true},
	[FUSE_CREATE] = {op_create, sizeof(struct fuse_create_in), .changes = true},
	[FUSE_DESTROY] = {op_destroy, 0, .no_node = true},
	[FUSE_BATCH_FORGET] = {op_batch_forget, sizeof(struct fuse_batch_forget_in), .no_node = true,
		.no_reply = true},
	[FUSE_FALLOCATE] = {op_fallocate, sizeof(struct fuse_fallocate_in), .changes = true},
	[FUSE_READDIRPLUS] = {op_readdirplus, sizeof(struct fuse_read_in), .on_only = true},
	[FUSE_RENAME2] = {op_rename2, sizeof(struct fuse_rename2_in), .changes = true},
	[FUSE_LSEEK] = {op_lseek, sizeof(struct fuse_lseek_in)},
	[FUSE_COPY_FILE_RANGE] = {op_copy_file_range, sizeof(struct fuse_copy_file_range_in), .changes = true},
	[FUSE_SYNCFS] = {op_syncfs, sizeof(struct fuse_syncfs_in), .on_only = true},
};
/* clang-format on */

/* The directory of a share of one file: see dir.c for what is in it. */
int only_enter(struct fs *fs, const char *name, struct fuse_entry_out *out)
{
	const struct inode *n = &fs->inodes.table[INODE_ONLY];
	struct attr a;
	int r = streq(name, fs->o.only) ? attr_get(fs, fs->only_fd, &a) : -ENOENT;

	if (r < 0)
		return r;
	*out = (struct fuse_entry_out){.nodeid = inode_id(n), .entry_valid = 1, .attr_valid = 1};
	attr_to_fuse(fs, &a, &out->attr);
	return 0;
}

static int only_lookup(struct fs *fs, struct call *c)
{
	struct fuse_entry_out *out = call_body(c, sizeof(*out));
	const char *name;
	int r = call_name(c, &name);

	if (!out)
		return -EIO;
	return r < 0 ? r : only_enter(fs, name, out);
}

static int only_getattr(struct fs *fs, struct call *c)
{
	struct fuse_attr_out *out = call_body(c, sizeof(*out));

	if (!out)
		return -EIO;
	out->attr_valid = 1;
	out->attr = (struct fuse_attr){
		.ino = 1, .mode = S_IFDIR | 0555, .nlink = 2, .uid = fs->o.uid, .gid = fs->o.gid};
	return 0;
}

static int execute(struct fs *fs, struct call *c, const struct op *op)
{
	if (c->arg_len < op->size)
		return -EINVAL;
	if (!op->no_node) {
		c->node = inode_by_id(&fs->inodes, c->in->nodeid);
		if (!c->node)
			return -ESTALE;
	}
	if (op->changes && fs->o.read_only)
		return -EROFS;
	if (fs->only_fd >= 0 && c->node && c->node->index == INODE_ROOT) {
		if (op->fn == op_lookup)
			return only_lookup(fs, c);
		if (op->fn == op_getattr)
			return only_getattr(fs, c);
		if (!op->on_only)
			return op->changes ? -EROFS : -EOPNOTSUPP;
	}
	return op->fn(fs, c);
}

static size_t reply(struct fs *fs, struct call *c, int r)
{
	struct fuse_out_header out = {.unique = c->in->unique, .error = r};

	/* An errno of the host is one of the guest's: the same kernel on the same architecture. */
	if (r < 0) {
		fs->stats.failed++;
		c->len = 0;
		c->rp->in_data = false;
	}
	out.len = (uint32_t)(sizeof(out) + c->len);
	memcpy(c->rp->buf, &out, sizeof(out));
	return out.len;
}

/* What can be said about a request before anybody looks at its arguments. */
static int check(struct fs *fs, const struct fs_request *rq, const struct fs_reply *rp,
	const struct fuse_in_header *in, const struct op *op)
{
	bool whole = in->len == rq->head_len + rq->data_len &&
		     (rq->data_len == 0 || in->opcode == FUSE_WRITE);

	/* Whoever cannot take the answer shall not get the effect. */
	if (!whole || (rp->room < FS_REPLY_HEAD && !op->no_reply)) {
		fs->stats.malformed++;
		return -EIO;
	}
	if (!op->fn)
		return -ENOSYS;
	return fs->ready || in->opcode == FUSE_INIT ? 0 : -EIO;
}

size_t fs_handle(struct fs *fs, const struct fs_request *rq, struct fs_reply *rp)
{
	static const struct op none = {0};
	struct fuse_in_header in;
	const struct op *op;
	struct call c = {.in = &in, .rq = rq, .rp = rp};
	int r;

	fs->stats.requests++;
	rp->in_data = false;
	if (rq->head_len < sizeof(in)) {
		fs->stats.malformed++;
		return 0;
	}
	memcpy(&in, rq->head, sizeof(in));
	c.arg = rq->head + sizeof(in);
	c.arg_len = rq->head_len - sizeof(in);
	op = in.opcode < OPCODES ? &ops[in.opcode] : &none;
	r = check(fs, rq, rp, &in, op);
	if (r == 0) {
		c.body = rp->buf + FS_REPLY_HEAD;
		c.room = rp->room < FS_REPLY_HEAD
				 ? 0
				 : MIN(rp->room, (size_t)FS_REPLY_MAX) - FS_REPLY_HEAD;
		r = execute(fs, &c, op);
	}
	assert(r <= 0 && r > -4096);
	return rp->room < FS_REPLY_HEAD ? 0 : reply(fs, &c, r);
}

/* The share's only file: an entry that is never forgotten, beside the root that holds nothing. */
static int set_only(struct fs *fs, int fd, struct statx *sx)
{
	struct inode *n;
	struct statx dir = *sx;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (own < 0)
		return -errno;
	dir.stx_mode = S_IFDIR | 0555;
	dir.stx_ino = ~sx->stx_ino;
	inode_set_root(&fs->inodes, -EBADF, &dir);
	r = inode_enter(&fs->inodes, &fs->inodes.table[INODE_ROOT], fs->o.only, own, sx, &n);
	if (r < 0)
		return r;
	assert(n->index == INODE_ONLY);
	n->permanent = true;
	r = inode_pin(&fs->inodes, n);
	fs->only_fd = fd;
	fs->root = dir;
	return r;
}

int fs_new(const struct fs_options *o, int root_fd, int proc_fd, uint32_t fd_max, struct fs **ret)
{
	cleanup_with(fs_free_p) struct fs *fs = calloc(1, sizeof(*fs));
	uint32_t handles = MIN(fd_max / 4, (uint32_t)65536);
	int r;

	if (!fs)
		return -ENOMEM;
	fs->o = *o;
	fs->proc_fd = proc_fd;
	fs->only_fd = -EBADF;
	fs->host_uid = geteuid();
	r = inodes_init(&fs->inodes, 1u << 20, fd_max - handles);
	if (r == 0)
		r = handles_init(&fs->handles, handles);
	if (r == 0)
		r = sys_statx(root_fd, &fs->root);
	if (r < 0)
		return r;
	fs->used = &fs->own_used;
	fs->inodes.on_drop = quota_dropped;
	fs->inodes.arg = fs;
	if (o->only[0]) {
		if (!S_ISREG(fs->root.stx_mode))
			return -EINVAL;
		r = set_only(fs, root_fd, &fs->root);
		if (r < 0) {
			fs->only_fd = -EBADF;
			return r;
		}
	} else {
		if (!S_ISDIR(fs->root.stx_mode))
			return -ENOTDIR;
		inode_set_root(&fs->inodes, root_fd, &fs->root);
	}
	*ret = TAKE_PTR(fs);
	return 0;
}

void fs_count_in(struct fs *fs, int64_t *used)
{
	fs->used = used;
}

struct fs *fs_free(struct fs *fs)
{
	if (!fs)
		return NULL;
	handles_deinit(&fs->handles);
	inodes_deinit(&fs->inodes);
	fd_close(fs->only_fd);
	free(fs);
	return NULL;
}

struct fs_stats fs_statistics(const struct fs *fs)
{
	struct fs_stats stats = fs->stats;

	stats.reopened = fs->inodes.reopened;
	return stats;
}

void fs_held(const struct fs *fs, uint32_t *ret_inodes, uint32_t *ret_handles, uint32_t *ret_fds)
{
	*ret_inodes = fs->inodes.n_used;
	*ret_handles = fs->handles.n_used;
	*ret_fds = fs->inodes.n_fds + fs->handles.n_used;
}
