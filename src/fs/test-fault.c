/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of every request fails once: the server says so or does without, holds no more
 * than before, and leaves no half of anything. What it makes and cannot finish is gone again, and
 * what the quota counts is never less than what there is.
 */
#include <ftw.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "fs/testpeer.h"
#include "fs/usage.h"

#include "test.h"

enum { ROOT = 1, FDS = 64, TRIES = 200 };

#define WRAP(ret, name, params, args)                            \
	ret __real_##name params;                                \
	ret __wrap_##name params;                                \
	ret __wrap_##name params                                 \
	{                                                        \
		return fault_now(EIO) ? -1 : __real_##name args; \
	}

WRAP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
WRAP(int, mknodat, (int d, const char *p, mode_t m, dev_t r), (d, p, m, r))
WRAP(int, symlinkat, (const char *t, int d, const char *p), (t, d, p))
WRAP(int, linkat, (int a, const char *b, int c, const char *d, int f), (a, b, c, d, f))
WRAP(int, fchmodat, (int d, const char *p, mode_t m, int f), (d, p, m, f))
WRAP(int, utimensat, (int d, const char *p, const struct timespec *t, int f), (d, p, t, f))
WRAP(int, ftruncate64, (int fd, off_t n), (fd, n))
WRAP(int, fallocate64, (int fd, int m, off_t a, off_t n), (fd, m, a, n))
WRAP(ssize_t, preadv64, (int fd, const struct iovec *v, int n, off_t a), (fd, v, n, a))
WRAP(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off_t a), (fd, v, n, a))
WRAP(ssize_t, getxattr, (const char *p, const char *n, void *v, size_t s), (p, n, v, s))
WRAP(int, setxattr, (const char *p, const char *n, const void *v, size_t s, int f), (p, n, v, s, f))
WRAP(ssize_t, listxattr, (const char *p, char *v, size_t s), (p, v, s))
WRAP(int, removexattr, (const char *p, const char *n), (p, n))
WRAP(off_t, lseek64, (int fd, off_t a, int w), (fd, a, w))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, syncfs, (int fd), (fd))
WRAP(int, fstatfs64, (int fd, struct statfs *s), (fd, s))
WRAP(ssize_t, readlinkat, (int d, const char *p, char *b, size_t n), (d, p, b, n))
WRAP(ssize_t, copy_file_range, (int a, off_t *b, int c, off_t *d, size_t n, unsigned int f),
	(a, b, c, d, n, f))

/* Not the call that takes things back: what is left when that fails, too, is left. */
int __real_unlinkat(int d, const char *p, int f);
int __wrap_unlinkat(int d, const char *p, int f);
static bool unlink_fails;

int __wrap_unlinkat(int d, const char *p, int f)
{
	return unlink_fails && fault_now(EIO) ? -1 : __real_unlinkat(d, p, f);
}

/* openat2, statx, renameat2, getdents64. Like the true one it takes six words, however many were
 * given. */
long __real_syscall(long n, ...);
long __wrap_syscall(long n, ...);
__attribute__((no_sanitize("address"))) long __wrap_syscall(long n, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, n);
	for (unsigned int i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return fault_now(EIO) ? -1 : __real_syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static struct peer p;
static int64_t used;

/* What the requests work on. */
static struct {
	uint64_t dir;
	uint64_t empty;
	uint64_t file;
	uint64_t link;
	uint64_t fh;
	uint64_t other_fh;
	uint64_t dir_fh;
} at;

static int do_lookup(void)
{
	uint64_t node;
	int r = peer_lookup(&p, at.dir, "unknown", &node);

	if (r == 0)
		peer_forget(&p, node, 1);
	return r;
}

static int drop(int r, const uint64_t *node)
{
	if (r == 0)
		peer_forget(&p, *node, 1);
	return r;
}

static int do_create(void)
{
	uint64_t node;
	uint64_t fh;
	int r = peer_create(&p, at.dir, "new", O_RDWR | O_EXCL, 06755, &node, &fh);

	if (r == 0)
		(void)peer_release(&p, FUSE_RELEASE, node, fh);
	return drop(r, &node);
}

static int do_create_existing(void)
{
	uint64_t node;
	uint64_t fh;
	int r = peer_create(&p, at.dir, "unknown", O_RDWR, 0644, &node, &fh);

	if (r == 0)
		(void)peer_release(&p, FUSE_RELEASE, node, fh);
	return drop(r, &node);
}

static int do_mkdir(void)
{
	uint64_t node;

	return drop(peer_mkdir(&p, at.dir, "new", 01777, &node), &node);
}

static int do_mknod(void)
{
	uint64_t node;

	return drop(peer_mknod(&p, at.dir, "new", S_IFCHR | 0666, 0x103, &node), &node);
}

static int do_symlink(void)
{
	uint64_t node;

	return drop(peer_symlink(&p, at.dir, "new", "somewhere", &node), &node);
}

static int do_link(void)
{
	int r = peer_link(&p, at.file, at.dir, "new");

	return drop(r, &at.file);
}

static int do_unlink(void)
{
	return peer_name(&p, FUSE_UNLINK, at.dir, "unknown");
}

static int do_unlink_known(void)
{
	return peer_name(&p, FUSE_UNLINK, ROOT, "file");
}

static int do_unlink_one_of_two(void)
{
	return peer_name(&p, FUSE_UNLINK, at.dir, "two");
}

static int do_rmdir(void)
{
	return peer_name(&p, FUSE_RMDIR, ROOT, "empty");
}

static int do_rename(void)
{
	return peer_rename(&p, ROOT, "file", at.dir, "new", 0);
}

static int do_rename_over(void)
{
	return peer_rename(&p, ROOT, "file", at.dir, "unknown", 0);
}

static int do_rename_same(void)
{
	return peer_rename(&p, at.dir, "one", at.dir, "two", 0);
}

static int do_exchange(void)
{
	return peer_rename(&p, ROOT, "file", ROOT, "dir", SYS_RENAME_EXCHANGE);
}

static int do_setattr(void)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_UID | FATTR_MTIME | FATTR_ATIME_NOW,
		.mode = 0711,
		.uid = 12};

	return peer_setattr(&p, at.file, &in);
}

static int do_grow(void)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 20000};

	return peer_setattr(&p, at.file, &in);
}

static int do_shrink(void)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 1};

	return peer_setattr(&p, at.file, &in);
}

static int do_open(void)
{
	uint64_t fh;
	int r = peer_open(&p, at.file, O_RDWR | O_TRUNC, &fh);

	if (r == 0)
		(void)peer_release(&p, FUSE_RELEASE, at.file, fh);
	return r;
}

static int do_opendir(void)
{
	uint64_t fh;
	int r = peer_opendir(&p, at.dir, &fh);

	if (r == 0)
		(void)peer_release(&p, FUSE_RELEASEDIR, at.dir, fh);
	return r;
}

static int do_read(void)
{
	return peer_read(&p, at.file, at.fh, 0, 100);
}

static int do_write(void)
{
	return peer_write(&p, at.file, at.fh, 3, "0123456789", 10);
}

static int do_readdir(void)
{
	struct fuse_read_in in = {.fh = at.dir_fh, .size = 4096};

	return peer_call(&p, FUSE_READDIR, at.dir, &in, sizeof(in), NULL, 0);
}

static int do_readlink(void)
{
	return peer_call(&p, FUSE_READLINK, at.link, NULL, 0, NULL, 0);
}

static int do_fsync(void)
{
	struct fuse_fsync_in in = {.fh = at.fh};

	return peer_call(&p, FUSE_FSYNC, at.file, &in, sizeof(in), NULL, 0);
}

static int do_fallocate(void)
{
	struct fuse_fallocate_in in = {.fh = at.fh, .offset = 1000, .length = 5000};

	return peer_call(&p, FUSE_FALLOCATE, at.file, &in, sizeof(in), NULL, 0);
}

static int do_copy(void)
{
	struct fuse_copy_file_range_in in = {.fh_in = at.fh,
		.off_out = 50,
		.nodeid_out = at.file,
		.fh_out = at.other_fh,
		.len = 4};

	return peer_call(&p, FUSE_COPY_FILE_RANGE, at.file, &in, sizeof(in), NULL, 0);
}

static int do_statfs(void)
{
	return peer_call(&p, FUSE_STATFS, ROOT, NULL, 0, NULL, 0);
}

static int do_setxattr(void)
{
	struct {
		uint32_t size;
		uint32_t flags;
	} in = {1, 0};

	return peer_call(&p, FUSE_SETXATTR, at.file, &in, sizeof(in), "user.a\0v", 8);
}

/* clang-format off */
static const struct request {
	const char *name;
	int (*fn)(void);
	bool whole; /* all or nothing: a failure changes nothing on the host */
	bool removes; /* unlinkat() is what it is about */
	bool attribute; /* counts for something that no count from the start sees */
} requests[] = {
	{"lookup", do_lookup, true, false},
	{"create", do_create, true, false},
	{"create existing", do_create_existing, true, false},
	{"mkdir", do_mkdir, true, false},
	{"mknod", do_mknod, true, false},
	{"symlink", do_symlink, true, false},
	{"link", do_link, true, false},
	{"unlink", do_unlink, true, true},
	{"unlink known", do_unlink_known, true, true},
	{"unlink one of two", do_unlink_one_of_two, true, true},
	{"rmdir", do_rmdir, true, true},
	{"rename", do_rename, true, false},
	{"rename over", do_rename_over, true, false},
	{"rename same", do_rename_same, true, false},
	{"exchange", do_exchange, true, false},
	{"setattr", do_setattr, false, false},
	{"grow", do_grow, false, false},
	{"shrink", do_shrink, false, false},
	{"open", do_open, false, false},
	{"opendir", do_opendir, true, false},
	{"read", do_read, true, false},
	{"write", do_write, true, false},
	{"readdir", do_readdir, true, false},
	{"readlink", do_readlink, true, false},
	{"fsync", do_fsync, true, false},
	{"fallocate", do_fallocate, true, false},
	{"copy", do_copy, true, false},
	{"statfs", do_statfs, true, false},
	{"setxattr", do_setxattr, false, false, .attribute = true},
};
/* clang-format on */

static void put_file(const char *name, const char *text)
{
	cleanup_fd int fd = openat(p.dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ASSERT_OK(fd);
	ASSERT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void start(const char *path)
{
	uint64_t counted;

	ASSERT_EQ(mkdir(path, 0755), 0);
	peer_start(&p, path, &(struct fs_options){.quota = MIB}, FDS);
	ASSERT_EQ(mkdirat(p.dir_fd, "dir", 0755), 0);
	ASSERT_EQ(mkdirat(p.dir_fd, "empty", 0755), 0);
	put_file("file", "text of the file");
	put_file("dir/unknown", "text nobody knows");
	put_file("dir/one", "one file");
	ASSERT_EQ(linkat(p.dir_fd, "dir/one", p.dir_fd, "dir/two", 0), 0);
	ASSERT_EQ(symlinkat("target", p.dir_fd, "link"), 0);
	ASSERT_OK(fs_usage_count(p.dir_fd, &counted));
	used = (int64_t)counted;
	fs_count_in(p.fs, &used);
	ASSERT_OK(peer_lookup(&p, ROOT, "dir", &at.dir));
	ASSERT_OK(peer_lookup(&p, ROOT, "empty", &at.empty));
	ASSERT_OK(peer_lookup(&p, ROOT, "file", &at.file));
	ASSERT_OK(peer_lookup(&p, ROOT, "link", &at.link));
	ASSERT_OK(peer_open(&p, at.file, O_RDWR, &at.fh));
	ASSERT_OK(peer_open(&p, at.file, O_RDWR, &at.other_fh));
	ASSERT_OK(peer_opendir(&p, at.dir, &at.dir_fh));
}

/* Names, kinds, links and sizes of everything below the share. */
static uint64_t seen;

static int note(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	(void)flag;
	for (const char *c = path + ftw->base; *c; c++)
		h = (h ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
	h = (h ^ st->st_mode ^ st->st_ino << 16) * UINT64_C(0x100000001b3);
	if (!S_ISDIR(st->st_mode))
		h = (h ^ (uint64_t)st->st_size ^ st->st_nlink << 32) * UINT64_C(0x100000001b3);
	seen += h;
	return 0;
}

static uint64_t tree(const char *path)
{
	seen = 0;
	ASSERT_EQ(nftw(path, note, 16, FTW_PHYS), 0);
	return seen;
}

static void forget_all(void)
{
	(void)peer_release(&p, FUSE_RELEASE, at.file, at.fh);
	(void)peer_release(&p, FUSE_RELEASE, at.file, at.other_fh);
	(void)peer_release(&p, FUSE_RELEASEDIR, at.dir, at.dir_fh);
	peer_forget(&p, at.dir, 1);
	peer_forget(&p, at.empty, 1);
	peer_forget(&p, at.file, 1);
	peer_forget(&p, at.link, 1);
}

struct outcome {
	int r;
	bool hit;
	bool changed;
	uint64_t counted;
	uint32_t inodes;
	uint32_t handles;
};

static struct outcome try(const struct request *q, unsigned int nth, const char *path)
{
	struct outcome o;
	uint64_t before;
	uint32_t fds;

	start(path);
	before = tree(path);
	unlink_fails = q->removes;
	fault_arm(nth);
	o.r = q->fn();
	o.hit = fault_hit();
	o.changed = tree(path) != before;
	forget_all();
	fs_held(p.fs, &o.inodes, &o.handles, &fds);
	ASSERT_OK(fs_usage_count(p.dir_fd, &o.counted));
	peer_stop(&p);
	return o;
}

static void check(const struct request *q, unsigned int nth, const struct outcome *o)
{
	const char *wrong = NULL;

	if (!o->hit && o->r != 0)
		wrong = "failed by itself";
	else if (o->r != 0 && q->whole && o->changed)
		wrong = "failed and changed something";
	else if (o->handles != 0 || o->inodes != 1)
		wrong = "is still held";
	else if (used < (int64_t)o->counted)
		wrong = "counts less than there is";
	else if (!o->hit && !q->attribute && used > (int64_t)o->counted)
		wrong = "counts more than there is";
	if (wrong)
		test_fail(__FILE__, __LINE__,
			"%s, call %u (returned %d, counted %" PRId64 " of %" PRIu64
			", %u inodes, %u handles): %s",
			q->name, nth, o->r, used, o->counted, o->inodes, o->handles, wrong);
}

TEST(a_call_that_fails_leaves_no_half)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		unsigned int nth = 1;
		struct outcome o;

		do {
			(void)snprintf(path, sizeof(path), "%s/%zu-%u", test_tmpdir(), i, nth);
			o = try(&requests[i], nth, path);
			check(&requests[i], nth, &o);
		} while (o.hit && nth++ < TRIES);
		ASSERT_TRUE(nth > 1 && nth < TRIES);
	}
}
