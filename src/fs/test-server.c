/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation of the FUSE server, against what the host's directory then holds. */
#include <sys/xattr.h>

#include "fs/testpeer.h"

#include "test.h"

enum { ROOT = 1, FDS = 256 };

static struct peer p;

static void start(const struct fs_options *o)
{
	peer_start(&p, test_tmpdir(), o, FDS);
}

static void start_plain(void)
{
	start(&(struct fs_options){0});
}

static struct stat host(const char *name)
{
	struct stat st;

	ASSERT_EQ(fstatat(p.dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void put_file(const char *name, const char *text)
{
	cleanup_fd int fd = openat(p.dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ASSERT_OK(fd);
	ASSERT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static struct fuse_attr attr_of(uint64_t node)
{
	struct fuse_attr a;

	ASSERT_OK(peer_getattr(&p, node, &a));
	return a;
}

TEST(a_file_is_made_written_read_and_removed)
{
	uint64_t node;
	uint64_t fh;

	start_plain();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR | O_EXCL, 0640, &node, &fh));
	ASSERT_OK(peer_write(&p, node, fh, 0, "hello", 5));
	ASSERT_OK(peer_write(&p, node, fh, 5, " world", 6));
	ASSERT_OK(peer_read(&p, node, fh, 3, 100));
	ASSERT_EQ(p.len, 8);
	ASSERT_MEMEQ(peer_body(&p), "lo world", 8);
	ASSERT_EQ(attr_of(node).size, 11);
	ASSERT_EQ(attr_of(node).mode, S_IFREG | 0640);
	ASSERT_EQ(host("f").st_size, 11);
	ASSERT_ERR(peer_create(&p, ROOT, "f", O_RDWR | O_EXCL, 0640, &node, &fh), EEXIST);
	ASSERT_OK(peer_name(&p, FUSE_UNLINK, ROOT, "f"));
	ASSERT_ERR(peer_name(&p, FUSE_UNLINK, ROOT, "f"), ENOENT);
	peer_stop(&p);
}

TEST(open_existing_by_create_and_truncate)
{
	uint64_t node;
	uint64_t fh;

	start_plain();
	put_file("f", "0123456789");
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fh));
	ASSERT_EQ(attr_of(node).size, 10);
	ASSERT_OK(peer_release(&p, FUSE_RELEASE, node, fh));
	ASSERT_OK(peer_open(&p, node, O_WRONLY | O_TRUNC, &fh));
	ASSERT_EQ(host("f").st_size, 0);
	ASSERT_ERR(peer_read(&p, node, fh, 0, 1), EBADF);
	ASSERT_OK(peer_release(&p, FUSE_RELEASE, node, fh));
	ASSERT_ERR(peer_release(&p, FUSE_RELEASE, node, fh), EBADF);
	ASSERT_ERR(peer_open(&p, ROOT, O_RDONLY, &fh), ENXIO);
	peer_stop(&p);
}

TEST(append_goes_to_the_end_whatever_the_offset)
{
	uint64_t node;
	uint64_t fh;

	start_plain();
	put_file("f", "abc");
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_OK(peer_open(&p, node, O_WRONLY | O_APPEND, &fh));
	ASSERT_OK(peer_write(&p, node, fh, 0, "de", 2));
	ASSERT_EQ(host("f").st_size, 5);
	peer_stop(&p);
}

TEST(directories)
{
	uint64_t a;
	uint64_t b;

	start_plain();
	ASSERT_OK(peer_mkdir(&p, ROOT, "a", 0755, &a));
	ASSERT_ERR(peer_mkdir(&p, ROOT, "a", 0755, &b), EEXIST);
	ASSERT_OK(peer_mkdir(&p, a, "b", 0700, &b));
	ASSERT_ERR(peer_name(&p, FUSE_RMDIR, ROOT, "a"), ENOTEMPTY);
	ASSERT_ERR(peer_name(&p, FUSE_UNLINK, ROOT, "a"), EISDIR);
	ASSERT_OK(peer_name(&p, FUSE_RMDIR, a, "b"));
	ASSERT_OK(peer_name(&p, FUSE_RMDIR, ROOT, "a"));
	/* Known, but gone: still there for who holds it, and nothing can be made in it. */
	ASSERT_TRUE(S_ISDIR(attr_of(a).mode));
	ASSERT_ERR(peer_mkdir(&p, a, "c", 0700, &b), ENOENT);
	ASSERT_ERR(peer_mkdir(&p, 12345, "c", 0700, &b), ESTALE);
	peer_stop(&p);
}

struct listing {
	unsigned int n;
	unsigned int nodes;
	bool dots;
};

static struct listing list(uint64_t dir, bool plus, uint32_t size)
{
	struct listing l = {0};
	uint64_t off = 0;
	uint64_t fh;

	ASSERT_OK(peer_opendir(&p, dir, &fh));
	for (;;) {
		struct fuse_read_in in = {.fh = fh, .offset = off, .size = size};
		size_t head = plus ? sizeof(struct fuse_entry_out) : 0;

		ASSERT_OK(peer_call(
			&p, plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir, &in, sizeof(in), NULL, 0));
		ASSERT_TRUE(p.len <= size);
		if (p.len == 0)
			break;
		for (size_t at = 0; at < p.len;) {
			uint8_t *e = (uint8_t *)peer_body(&p) + at;
			const struct fuse_dirent *d = (const struct fuse_dirent *)(e + head);
			uint64_t node = 0;

			if (plus)
				memcpy(&node, e, sizeof(node));
			l.nodes += node != 0;
			l.dots = l.dots || (d->namelen == 2 && memcmp(d->name, "..", 2) == 0);
			l.n++;
			off = d->off;
			at += FUSE_DIRENT_ALIGN(head + sizeof(*d) + d->namelen);
		}
	}
	ASSERT_OK(peer_release(&p, FUSE_RELEASEDIR, dir, fh));
	return l;
}

TEST(readdir_finds_everything_once)
{
	uint32_t inodes;
	uint32_t handles;
	uint32_t fds;
	struct listing l;
	char name[32];

	start_plain();
	for (unsigned int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "file-%u", i);
		put_file(name, "");
	}
	/* The shortest names, too. */
	put_file("a", "");
	l = list(ROOT, false, 512);
	ASSERT_EQ(l.n, 303);
	ASSERT_TRUE(l.dots);
	l = list(ROOT, true, 4096);
	ASSERT_EQ(l.n, 303);
	ASSERT_EQ(l.nodes, 301);
	fs_held(p.fs, &inodes, &handles, &fds);
	ASSERT_EQ(inodes, 302);
	ASSERT_EQ(handles, 0);
	ASSERT_TRUE(fds <= FDS);
	peer_stop(&p);
}

TEST(more_files_than_descriptors)
{
	enum { N = 1000 };
	static uint64_t nodes[N];
	char name[32];
	uint64_t dir;
	uint32_t inodes;
	uint32_t handles;
	uint32_t fds;

	start_plain();
	ASSERT_OK(peer_mkdir(&p, ROOT, "d", 0755, &dir));
	for (unsigned int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		ASSERT_OK(peer_mknod(&p, dir, name, S_IFREG | 0644, 0, &nodes[i]));
	}
	/* A directory that moves takes along what is in it. */
	ASSERT_OK(peer_rename(&p, ROOT, "d", ROOT, "e", 0));
	for (unsigned int i = 0; i < N; i++)
		ASSERT_EQ(attr_of(nodes[i]).ino, attr_of(nodes[i]).ino);
	ASSERT_TRUE(fs_statistics(p.fs).reopened > 0);
	fs_held(p.fs, &inodes, &handles, &fds);
	ASSERT_EQ(inodes, N + 2);
	ASSERT_TRUE(fds <= FDS);
	/* Behind our back: one that was replaced is stale, not another file. */
	ASSERT_EQ(renameat(p.dir_fd, "e/1", p.dir_fd, "x"), 0);
	ASSERT_EQ(renameat(p.dir_fd, "e/0", p.dir_fd, "e/1"), 0);
	for (unsigned int i = 2; i < N; i++)
		(void)attr_of(nodes[i]);
	ASSERT_ERR(peer_getattr(&p, nodes[0], &(struct fuse_attr){0}), ESTALE);
	ASSERT_ERR(peer_getattr(&p, nodes[1], &(struct fuse_attr){0}), ESTALE);
	for (unsigned int i = 0; i < N; i++)
		peer_forget(&p, nodes[i], 1);
	peer_forget(&p, dir, 1);
	fs_held(p.fs, &inodes, &handles, &fds);
	ASSERT_EQ(inodes, 1);
	ASSERT_EQ(fds, 1);
	peer_stop(&p);
}

TEST(forgotten_numbers_mean_nothing)
{
	uint64_t node;
	uint64_t again;
	struct fuse_attr a;

	start_plain();
	put_file("f", "");
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &again));
	ASSERT_EQ(node, again);
	peer_forget(&p, node, 1);
	ASSERT_OK(peer_getattr(&p, node, &a));
	peer_forget(&p, node, UINT64_MAX);
	ASSERT_ERR(peer_getattr(&p, node, &a), ESTALE);
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &again));
	ASSERT_TRUE(node != again);
	peer_forget(&p, ROOT, UINT64_MAX);
	ASSERT_OK(peer_getattr(&p, ROOT, &a));
	peer_stop(&p);
}

TEST(batch_forget)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[2];
	} m = {.in = {.count = 2}};
	struct fuse_attr a;

	start_plain();
	put_file("a", "");
	put_file("b", "");
	ASSERT_OK(peer_lookup(&p, ROOT, "a", &m.one[0].nodeid));
	ASSERT_OK(peer_lookup(&p, ROOT, "b", &m.one[1].nodeid));
	m.one[0].nlookup = m.one[1].nlookup = 1;
	p.room = 0;
	ASSERT_EQ(peer_call(&p, FUSE_BATCH_FORGET, 0, &m, sizeof(m), NULL, 0), 1);
	m.in.count = UINT32_MAX;
	ASSERT_EQ(peer_call(&p, FUSE_BATCH_FORGET, 0, &m, sizeof(m), NULL, 0), 1);
	p.room = FS_REPLY_MAX;
	ASSERT_ERR(peer_getattr(&p, m.one[0].nodeid, &a), ESTALE);
	ASSERT_ERR(peer_getattr(&p, m.one[1].nodeid, &a), ESTALE);
	peer_stop(&p);
}

TEST(rename_replace_exchange)
{
	uint64_t a;
	uint64_t b;
	uint64_t dir;

	start_plain();
	put_file("a", "A");
	put_file("b", "BB");
	ASSERT_OK(peer_lookup(&p, ROOT, "a", &a));
	ASSERT_OK(peer_lookup(&p, ROOT, "b", &b));
	ASSERT_OK(peer_mkdir(&p, ROOT, "d", 0755, &dir));
	ASSERT_ERR(peer_rename(&p, ROOT, "a", ROOT, "b", SYS_RENAME_NOREPLACE), EEXIST);
	ASSERT_OK(peer_rename(&p, ROOT, "a", ROOT, "b", SYS_RENAME_EXCHANGE));
	ASSERT_EQ(host("a").st_size, 2);
	ASSERT_ERR(peer_rename(&p, ROOT, "a", ROOT, "c", 4), EINVAL); /* whiteout */
	ASSERT_ERR(peer_rename(&p, ROOT, "none", ROOT, "c", 0), ENOENT);
	ASSERT_ERR(peer_rename(&p, ROOT, "a", 999, "c", 0), ESTALE);
	ASSERT_OK(peer_rename(&p, ROOT, "a", dir, "c", 0));
	ASSERT_EQ(host("d/c").st_size, 2);
	/* What is replaced lives on for who knows it. */
	ASSERT_OK(peer_rename(&p, ROOT, "b", dir, "c", 0));
	ASSERT_EQ(attr_of(b).nlink, 0);
	ASSERT_EQ(attr_of(a).size, 1);
	ASSERT_ERR(peer_rename(&p, ROOT, "d", dir, "e", 0), EINVAL);
	peer_stop(&p);
}

TEST(links)
{
	uint64_t node;
	uint64_t link;
	struct fuse_attr a;

	start_plain();
	put_file("f", "x");
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_OK(peer_link(&p, node, ROOT, "g"));
	ASSERT_EQ(host("g").st_nlink, 2);
	ASSERT_ERR(peer_link(&p, node, ROOT, "g"), EEXIST);
	ASSERT_ERR(peer_link(&p, ROOT, ROOT, "h"), EPERM);
	ASSERT_OK(peer_symlink(&p, ROOT, "s", "/etc/passwd", &link));
	a = attr_of(link);
	ASSERT_TRUE(S_ISLNK(a.mode));
	ASSERT_OK(peer_call(&p, FUSE_READLINK, link, NULL, 0, NULL, 0));
	ASSERT_EQ(p.len, 11);
	ASSERT_MEMEQ(peer_body(&p), "/etc/passwd", 11);
	ASSERT_ERR(peer_call(&p, FUSE_READLINK, node, NULL, 0, NULL, 0), EINVAL);
	ASSERT_OK(peer_link(&p, link, ROOT, "s2"));
	ASSERT_TRUE(S_ISLNK(host("s2").st_mode));
	peer_stop(&p);
}

TEST(unlinked_and_open_is_still_there)
{
	uint64_t node;
	uint64_t fh;

	start_plain();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fh));
	ASSERT_OK(peer_name(&p, FUSE_UNLINK, ROOT, "f"));
	ASSERT_OK(peer_write(&p, node, fh, 0, "x", 1));
	ASSERT_EQ(attr_of(node).size, 1);
	ASSERT_EQ(attr_of(node).nlink, 0);
	peer_forget(&p, node, 1);
	ASSERT_OK(peer_read(&p, node, fh, 0, 1));
	ASSERT_OK(peer_release(&p, FUSE_RELEASE, node, fh));
	ASSERT_ERR(peer_read(&p, node, fh, 0, 1), ESTALE);
	peer_stop(&p);
}

TEST(owner_and_mode_are_the_guests_not_the_hosts)
{
	struct fuse_setattr_in in = {.valid = FATTR_UID | FATTR_GID, .uid = 33, .gid = 44};
	struct fuse_attr a;
	uint64_t node;
	uint64_t fh;

	start_plain();
	p.uid = 1000;
	p.gid = 1001;
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0666, &node, &fh));
	a = attr_of(node);
	ASSERT_EQ(a.uid, 1000);
	ASSERT_EQ(a.gid, 1001);
	ASSERT_EQ(a.mode, S_IFREG | 0666);
	ASSERT_EQ(host("f").st_uid, geteuid());
	ASSERT_EQ(host("f").st_mode, S_IFREG | 0644);
	ASSERT_OK(peer_setattr(&p, node, &in));
	in = (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = S_IFREG | 06755};
	ASSERT_OK(peer_setattr(&p, node, &in));
	a = attr_of(node);
	ASSERT_EQ(a.uid, 33);
	ASSERT_EQ(a.gid, 44);
	ASSERT_EQ(a.mode, S_IFREG | 06755);
	ASSERT_EQ(host("f").st_mode, S_IFREG | 0755); /* no set-id bit ever */
	in = (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = S_IFREG};
	ASSERT_OK(peer_setattr(&p, node, &in));
	ASSERT_EQ(attr_of(node).mode, S_IFREG);
	ASSERT_EQ(host("f").st_mode, S_IFREG | 0600);
	peer_stop(&p);
}

TEST(a_write_takes_set_id_bits_away)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFREG | 06755};
	struct fuse_write_in w = {.write_flags = FUSE_WRITE_KILL_SUIDGID};
	uint64_t node;
	uint64_t fh;

	start_plain();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0755, &node, &fh));
	ASSERT_OK(peer_setattr(&p, node, &in));
	w.fh = fh;
	ASSERT_OK(peer_call(&p, FUSE_WRITE, node, &w, sizeof(w), NULL, 0));
	ASSERT_EQ(attr_of(node).mode, S_IFREG | 0755);
	ASSERT_OK(peer_setattr(&p, node, &in));
	in = (struct fuse_setattr_in){.valid = FATTR_UID, .uid = 5};
	ASSERT_OK(peer_setattr(&p, node, &in));
	ASSERT_EQ(attr_of(node).mode, S_IFREG | 0755);
	peer_stop(&p);
}

TEST(new_files_inherit_the_group_of_their_directory)
{
	uint64_t dir;
	uint64_t sub;
	uint64_t node;

	start_plain();
	p.gid = 7;
	ASSERT_OK(peer_mkdir(&p, ROOT, "d", 02775, &dir));
	p.gid = 8;
	ASSERT_OK(peer_mkdir(&p, dir, "e", 0755, &sub));
	ASSERT_OK(peer_mknod(&p, sub, "f", S_IFREG | 0644, 0, &node));
	ASSERT_EQ(attr_of(sub).gid, 7);
	ASSERT_EQ(attr_of(sub).mode, S_IFDIR | 02755);
	ASSERT_EQ(attr_of(node).gid, 7);
	ASSERT_EQ(host("d/e").st_mode, S_IFDIR | 0755);
	peer_stop(&p);
}

TEST(special_files_exist_for_the_guest_only)
{
	static const uint32_t kinds[] = {S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
	struct fuse_attr a;
	uint64_t node;
	uint64_t fh;
	char name[8];

	start_plain();
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		ASSERT_OK(peer_mknod(&p, ROOT, name, kinds[i] | 0666, 0x12305, &node));
		a = attr_of(node);
		ASSERT_EQ(a.mode, kinds[i] | 0666);
		ASSERT_EQ(a.rdev, 0x12305);
		ASSERT_TRUE(S_ISREG(host(name).st_mode));
		ASSERT_ERR(peer_open(&p, node, O_RDONLY, &fh), ENXIO);
	}
	ASSERT_ERR(peer_mknod(&p, ROOT, "x", S_IFDIR | 0755, 0, &node), EINVAL);
	ASSERT_ERR(peer_mknod(&p, ROOT, "x", S_IFLNK | 0755, 0, &node), EINVAL);
	peer_stop(&p);
}

TEST(nothing_waits_for_a_fifo_of_the_host)
{
	uint64_t node;
	uint64_t fh;

	start_plain();
	ASSERT_EQ(mkfifoat(p.dir_fd, "fifo", 0666), 0);
	ASSERT_OK(peer_lookup(&p, ROOT, "fifo", &node));
	ASSERT_TRUE(S_ISFIFO(attr_of(node).mode));
	ASSERT_ERR(peer_open(&p, node, O_RDONLY, &fh), ENXIO);
	ASSERT_ERR(peer_create(&p, ROOT, "fifo", O_WRONLY | O_TRUNC, 0600, &node, &fh), ENXIO);
	peer_stop(&p);
}

TEST(times_and_size)
{
	struct fuse_setattr_in in = {.valid = FATTR_ATIME | FATTR_MTIME | FATTR_SIZE,
		.atime = 100,
		.mtime = 200,
		.mtimensec = 5,
		.size = 4};
	struct fuse_attr a;
	uint64_t node;

	start_plain();
	put_file("f", "0123456789");
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_OK(peer_setattr(&p, node, &in));
	a = attr_of(node);
	ASSERT_EQ(a.atime, 100);
	ASSERT_EQ(a.mtime, 200);
	ASSERT_EQ(a.mtimensec, 5);
	ASSERT_EQ(a.size, 4);
	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = UINT64_MAX};
	ASSERT_ERR(peer_setattr(&p, node, &in), EFBIG);
	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 1};
	ASSERT_ERR(peer_setattr(&p, ROOT, &in), EISDIR);
	in = (struct fuse_setattr_in){.valid = FATTR_MTIME_NOW | FATTR_MTIME};
	ASSERT_OK(peer_setattr(&p, node, &in));
	ASSERT_TRUE(attr_of(node).mtime > 1000);
	peer_stop(&p);
}

static int set_xattr(uint64_t node, const char *name, const char *value, uint32_t flags)
{
	struct {
		uint32_t size;
		uint32_t flags;
	} in = {(uint32_t)strlen(value), flags};
	char text[512];
	size_t n = strlen(name) + 1;

	memcpy(text, name, n);
	memcpy(text + n, value, strlen(value) + 1);
	return peer_call(&p, FUSE_SETXATTR, node, &in, sizeof(in), text, n + strlen(value));
}

static int get_xattr(uint64_t node, const char *name, uint32_t size)
{
	struct fuse_getxattr_in in = {.size = size};

	return peer_call(&p, FUSE_GETXATTR, node, &in, sizeof(in), name, strlen(name) + 1);
}

TEST(extended_attributes)
{
	struct fuse_getxattr_in in = {.size = 200};
	uint64_t node;

	start_plain();
	p.uid = 9; /* so that there is an attribute of ours, too */
	ASSERT_OK(peer_mknod(&p, ROOT, "f", S_IFREG | 0644, 0, &node));
	ASSERT_OK(set_xattr(node, "user.a", "value", 0));
	ASSERT_ERR(set_xattr(node, "user.a", "value", XATTR_CREATE), EEXIST);
	ASSERT_ERR(set_xattr(node, "user.b", "value", XATTR_REPLACE), ENODATA);
	ASSERT_OK(get_xattr(node, "user.a", 100));
	ASSERT_EQ(p.len, 5);
	ASSERT_ERR(get_xattr(node, "user.a", 2), ERANGE);
	ASSERT_OK(get_xattr(node, "user.a", 0));
	ASSERT_EQ(*(uint32_t *)peer_body(&p), 5);
	ASSERT_OK(peer_call(&p, FUSE_LISTXATTR, node, &in, sizeof(in), NULL, 0));
	ASSERT_EQ(p.len, 7);
	ASSERT_STREQ((char *)peer_body(&p), "user.a");
	in.size = 3;
	ASSERT_ERR(peer_call(&p, FUSE_LISTXATTR, node, &in, sizeof(in), NULL, 0), ERANGE);
	ASSERT_OK(peer_name(&p, FUSE_REMOVEXATTR, node, "user.a"));
	ASSERT_ERR(get_xattr(node, "user.a", 100), ENODATA);
	/* Ours is not theirs. */
	ASSERT_ERR(get_xattr(node, "user.msb.stat", 100), ENODATA);
	ASSERT_ERR(set_xattr(node, "user.msb.stat", "x", 0), EPERM);
	ASSERT_ERR(peer_name(&p, FUSE_REMOVEXATTR, node, "user.msb.stat"), EPERM);
	ASSERT_ERR(set_xattr(node, "security.capability", "x", 0), EOPNOTSUPP);
	ASSERT_ERR(set_xattr(node, "trusted.x", "x", 0), EOPNOTSUPP);
	ASSERT_ERR(get_xattr(node, "system.posix_acl_access", 100), EOPNOTSUPP);
	peer_stop(&p);
}

TEST(forged_attributes_of_the_host_are_ignored)
{
	/* A set-id mode for a directory's kind on a file, a short one, a wrong one. */
	static const uint32_t forged[6] = {0x3173464d, 1, 2, S_IFDIR | 0777, 0, 0};
	uint64_t node;

	start_plain();
	put_file("f", "x");
	ASSERT_EQ(fchdir(p.dir_fd), 0);
	ASSERT_EQ(setxattr("f", "user.msb.stat", forged, sizeof(forged), 0), 0);
	ASSERT_EQ(fchdir(p.proc_fd), 0);
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_EQ(attr_of(node).mode, S_IFREG | 0644);
	ASSERT_EQ(fchdir(p.dir_fd), 0);
	ASSERT_EQ(setxattr("f", "user.msb.stat", forged, 5, 0), 0);
	ASSERT_EQ(fchdir(p.proc_fd), 0);
	ASSERT_EQ(attr_of(node).uid, 0);
	peer_stop(&p);
}

TEST(seek_allocate_copy_sync)
{
	struct fuse_lseek_in seek = {.whence = SEEK_HOLE};
	struct fuse_fallocate_in alloc = {.length = 10000};
	struct fuse_copy_file_range_in copy = {.len = 5};
	struct fuse_fsync_in sync = {0};
	struct fuse_syncfs_in syncfs_in = {0};
	uint64_t a;
	uint64_t b;
	uint64_t fa;
	uint64_t fb;

	start_plain();
	ASSERT_OK(peer_create(&p, ROOT, "a", O_RDWR, 0600, &a, &fa));
	ASSERT_OK(peer_create(&p, ROOT, "b", O_RDWR, 0600, &b, &fb));
	ASSERT_OK(peer_write(&p, a, fa, 0, "hello", 5));
	seek.fh = sync.fh = alloc.fh = fa;
	ASSERT_OK(peer_call(&p, FUSE_LSEEK, a, &seek, sizeof(seek), NULL, 0));
	ASSERT_EQ(*(uint64_t *)peer_body(&p), 5);
	seek.whence = SEEK_SET;
	ASSERT_ERR(peer_call(&p, FUSE_LSEEK, a, &seek, sizeof(seek), NULL, 0), EINVAL);
	copy.fh_in = fa;
	copy.nodeid_out = b;
	copy.fh_out = fb;
	ASSERT_OK(peer_call(&p, FUSE_COPY_FILE_RANGE, a, &copy, sizeof(copy), NULL, 0));
	ASSERT_OK(peer_read(&p, b, fb, 0, 10));
	ASSERT_EQ(p.len, 5);
	copy.fh_out = fa; /* a handle of another file */
	ASSERT_ERR(peer_call(&p, FUSE_COPY_FILE_RANGE, a, &copy, sizeof(copy), NULL, 0), EBADF);
	ASSERT_OK(peer_call(&p, FUSE_FALLOCATE, a, &alloc, sizeof(alloc), NULL, 0));
	ASSERT_EQ(host("a").st_size, 10000);
	alloc.mode = 0x40;
	ASSERT_ERR(peer_call(&p, FUSE_FALLOCATE, a, &alloc, sizeof(alloc), NULL, 0), EOPNOTSUPP);
	ASSERT_OK(peer_call(&p, FUSE_FSYNC, a, &sync, sizeof(sync), NULL, 0));
	sync.fsync_flags = FUSE_FSYNC_FDATASYNC;
	ASSERT_OK(peer_call(&p, FUSE_FSYNC, a, &sync, sizeof(sync), NULL, 0));
	ASSERT_OK(peer_call(&p, FUSE_SYNCFS, ROOT, &syncfs_in, sizeof(syncfs_in), NULL, 0));
	ASSERT_OK(peer_opendir(&p, ROOT, &sync.fh));
	ASSERT_OK(peer_call(&p, FUSE_FSYNCDIR, ROOT, &sync, sizeof(sync), NULL, 0));
	ASSERT_ERR(peer_read(&p, ROOT, sync.fh, 0, 1), EBADF);
	ASSERT_OK(peer_call(&p, FUSE_STATFS, ROOT, NULL, 0, NULL, 0));
	ASSERT_EQ(p.len, sizeof(struct fuse_statfs_out));
	peer_stop(&p);
}

TEST(a_read_only_share_changes_by_nothing)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0777};
	struct stat before;
	uint64_t node;
	uint64_t other;
	uint64_t fh;

	start(&(struct fs_options){.read_only = true});
	put_file("f", "text");
	before = host("f");
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_ERR(peer_setattr(&p, node, &in), EROFS);
	ASSERT_ERR(peer_open(&p, node, O_WRONLY, &fh), EROFS);
	ASSERT_ERR(peer_open(&p, node, O_RDONLY | O_TRUNC, &fh), EROFS);
	ASSERT_ERR(peer_create(&p, ROOT, "f", O_RDONLY, 0600, &other, &fh), EROFS);
	ASSERT_ERR(peer_mkdir(&p, ROOT, "d", 0755, &other), EROFS);
	ASSERT_ERR(peer_mknod(&p, ROOT, "n", S_IFREG, 0, &other), EROFS);
	ASSERT_ERR(peer_symlink(&p, ROOT, "s", "t", &other), EROFS);
	ASSERT_ERR(peer_link(&p, node, ROOT, "g"), EROFS);
	ASSERT_ERR(peer_rename(&p, ROOT, "f", ROOT, "g", 0), EROFS);
	ASSERT_ERR(peer_name(&p, FUSE_UNLINK, ROOT, "f"), EROFS);
	ASSERT_ERR(peer_name(&p, FUSE_RMDIR, ROOT, "f"), EROFS);
	ASSERT_ERR(set_xattr(node, "user.a", "x", 0), EROFS);
	ASSERT_ERR(peer_name(&p, FUSE_REMOVEXATTR, node, "user.a"), EROFS);
	ASSERT_OK(peer_open(&p, node, O_RDONLY, &fh));
	ASSERT_ERR(peer_write(&p, node, fh, 0, "x", 1), EROFS);
	ASSERT_OK(peer_read(&p, node, fh, 0, 10));
	ASSERT_EQ(p.len, 4);
	ASSERT_EQ(host("f").st_ctime, before.st_ctime);
	peer_stop(&p);
}

TEST(nosuid_and_nodev_hold_on_this_side)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFREG | 06755};
	uint64_t node;
	uint64_t other;
	uint64_t fh;

	start_plain();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0700, &node, &fh));
	ASSERT_OK(peer_setattr(&p, node, &in));
	ASSERT_EQ(attr_of(node).mode, S_IFREG | 06755);
	ASSERT_OK(peer_mknod(&p, ROOT, "null", S_IFCHR | 0666, 0x103, &other));
	ASSERT_EQ(attr_of(other).rdev, 0x103);
	peer_stop(&p);

	start(&(struct fs_options){.no_suid = true, .no_dev = true});
	ASSERT_OK(peer_lookup(&p, ROOT, "f", &node));
	ASSERT_EQ(attr_of(node).mode, S_IFREG | 0755);
	ASSERT_OK(peer_lookup(&p, ROOT, "null", &other));
	ASSERT_EQ(attr_of(other).rdev, 0);
	ASSERT_ERR(peer_mknod(&p, ROOT, "zero", S_IFCHR | 0666, 0x105, &other), EPERM);
	ASSERT_ERR(peer_mknod(&p, ROOT, "disk", S_IFBLK | 0666, 0x105, &other), EPERM);
	ASSERT_OK(peer_mknod(&p, ROOT, "fifo", S_IFIFO | 0666, 0, &other));
	peer_stop(&p);
}

TEST(quota_bounds_growth)
{
	static const char block[64 * 1024];
	struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 1 << 20};
	uint64_t node;
	uint64_t other;
	uint64_t fh;
	int r;

	start(&(struct fs_options){.quota = 256 * 1024});
	put_file("old", "0123456789");
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fh));
	for (uint64_t off = 0; off < 3 * sizeof(block); off += sizeof(block))
		ASSERT_OK(peer_write(&p, node, fh, off, block, sizeof(block)));
	ASSERT_ERR(peer_write(&p, node, fh, 3 * sizeof(block), block, sizeof(block)), ENOSPC);
	ASSERT_OK(peer_write(&p, node, fh, 0, block, sizeof(block))); /* grows by nothing */
	ASSERT_ERR(peer_setattr(&p, node, &in), ENOSPC);
	ASSERT_EQ(host("f").st_size, 3 * (long)sizeof(block));
	/* Without a name it still counts, as long as it is open. */
	ASSERT_OK(peer_name(&p, FUSE_UNLINK, ROOT, "f"));
	ASSERT_ERR(peer_write(&p, node, fh, 3 * sizeof(block), block, sizeof(block)), ENOSPC);
	ASSERT_OK(peer_release(&p, FUSE_RELEASE, node, fh));
	other = node;
	ASSERT_OK(peer_create(&p, ROOT, "g", O_RDWR, 0600, &node, &fh));
	in.size = 200 * 1024;
	ASSERT_OK(peer_setattr(&p, node, &in));
	/* Somebody who still knows it cannot have it back for nothing. */
	ASSERT_ERR(peer_open(&p, other, O_RDWR, &fh), ENOSPC);
	in.size = 1;
	ASSERT_ERR(peer_setattr(&p, other, &in), ESTALE);
	peer_forget(&p, other, 1);
	/* Files without content cost, too. */
	r = 0;
	for (unsigned int i = 0; i < 100 && r == 0; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "e%u", i);
		r = peer_mknod(&p, ROOT, name, S_IFREG | 0600, 0, &other);
	}
	ASSERT_EQ(r, -ENOSPC);
	ASSERT_OK(peer_call(&p, FUSE_STATFS, ROOT, NULL, 0, NULL, 0));
	ASSERT_TRUE(((struct fuse_statfs_out *)peer_body(&p))->st.bfree <= 1);
	peer_stop(&p);
}

TEST(a_share_of_one_file)
{
	struct fs_options o = {.only = "only"};
	char path[128];
	struct listing l;
	uint64_t node;
	uint64_t other;
	uint64_t fh;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/f", test_tmpdir());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_OK(fd);
	fd_close(fd);
	peer_start(&p, path, &o, FDS);
	ASSERT_TRUE(S_ISDIR(attr_of(ROOT).mode));
	ASSERT_OK(peer_lookup(&p, ROOT, "only", &node));
	ASSERT_ERR(peer_lookup(&p, ROOT, "f", &other), ENOENT);
	ASSERT_ERR(peer_lookup(&p, node, "f", &other), ENOTDIR);
	ASSERT_OK(peer_open(&p, node, O_RDWR, &fh));
	ASSERT_OK(peer_write(&p, node, fh, 0, "abc", 3));
	ASSERT_EQ(attr_of(node).size, 3);
	peer_forget(&p, node, 1);
	ASSERT_OK(peer_release(&p, FUSE_RELEASE, node, fh));
	ASSERT_EQ(attr_of(node).size, 3);
	ASSERT_ERR(peer_mkdir(&p, ROOT, "d", 0755, &other), EROFS);
	ASSERT_ERR(peer_name(&p, FUSE_UNLINK, ROOT, "only"), EROFS);
	ASSERT_ERR(peer_rename(&p, ROOT, "only", ROOT, "x", 0), EROFS);
	ASSERT_ERR(peer_link(&p, node, ROOT, "x"), EROFS);
	ASSERT_ERR(peer_create(&p, ROOT, "only", O_RDWR, 0600, &other, &fh), EROFS);
	l = list(ROOT, false, 4096);
	ASSERT_EQ(l.n, 1);
	l = list(ROOT, true, 4096);
	ASSERT_EQ(l.nodes, 1);
	ASSERT_OK(peer_call(&p, FUSE_STATFS, ROOT, NULL, 0, NULL, 0));
	peer_stop(&p);
}

TEST(a_new_kernel_starts_afresh)
{
	struct fuse_init_in in = {.major = 7, .minor = 38};
	uint64_t node;
	uint64_t fh;
	uint32_t inodes;
	uint32_t handles;
	uint32_t fds;

	start_plain();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fh));
	ASSERT_OK(peer_call(&p, FUSE_INIT, 0, &in, sizeof(in), NULL, 0));
	ASSERT_ERR(peer_read(&p, node, fh, 0, 1), ESTALE);
	fs_held(p.fs, &inodes, &handles, &fds);
	ASSERT_EQ(inodes, 1);
	ASSERT_EQ(fds, 1);
	in.major = 6;
	ASSERT_ERR(peer_call(&p, FUSE_INIT, 0, &in, sizeof(in), NULL, 0), EPROTO);
	ASSERT_ERR(peer_getattr(&p, ROOT, &(struct fuse_attr){0}), EIO);
	in.major = 8;
	ASSERT_OK(peer_call(&p, FUSE_INIT, 0, &in, sizeof(in), NULL, 0));
	ASSERT_EQ(((struct fuse_init_out *)peer_body(&p))->major, 7);
	peer_stop(&p);
}
