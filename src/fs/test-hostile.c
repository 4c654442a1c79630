/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest may try: nothing outside the share is read, made, changed or waited for. */
#include "fs/testpeer.h"

#include "test.h"

enum { ROOT = 1, FDS = 64 };

static struct peer p;
static char outside[PATH_MAX];

/* TMP/share is shared, TMP/outside is not. */
static void start(void)
{
	char share[PATH_MAX];
	int fd;

	(void)snprintf(share, sizeof(share), "%s/share", test_tmpdir());
	(void)snprintf(outside, sizeof(outside), "%s/outside", test_tmpdir());
	ASSERT_EQ(mkdir(share, 0755), 0);
	ASSERT_EQ(mkdir(outside, 0755), 0);
	(void)snprintf(outside, sizeof(outside), "%s/outside/secret", test_tmpdir());
	fd = open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_OK(fd);
	ASSERT_EQ(write(fd, "secret", 6), 6);
	fd_close(fd);
	peer_start(&p, share, &(struct fs_options){0}, FDS);
}

static void stop(void)
{
	struct stat st;
	char path[PATH_MAX + 8];

	ASSERT_EQ(stat(outside, &st), 0);
	ASSERT_EQ(st.st_size, 6);
	ASSERT_EQ(st.st_mode, S_IFREG | 0644);
	ASSERT_EQ(st.st_nlink, 1);
	(void)snprintf(path, sizeof(path), "%s-made", outside);
	ASSERT_EQ(access(path, F_OK), -1);
	peer_stop(&p);
}

TEST(names_are_single_components)
{
	static const char *const bad[] = {
		"", ".", "..", "/", "../outside", "a/b", "../outside/secret", "/etc/passwd", "a/"};
	uint64_t dir;
	uint64_t node;
	uint64_t fh;

	start();
	ASSERT_OK(peer_mkdir(&p, ROOT, "a", 0755, &dir));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_ERR(peer_lookup(&p, ROOT, bad[i], &node), EINVAL);
		ASSERT_ERR(peer_lookup(&p, dir, bad[i], &node), EINVAL);
		ASSERT_ERR(peer_mkdir(&p, ROOT, bad[i], 0755, &node), EINVAL);
		ASSERT_ERR(peer_mknod(&p, ROOT, bad[i], S_IFREG, 0, &node), EINVAL);
		ASSERT_ERR(peer_symlink(&p, ROOT, bad[i], "x", &node), EINVAL);
		ASSERT_ERR(peer_create(&p, ROOT, bad[i], O_RDWR, 0600, &node, &fh), EINVAL);
		ASSERT_ERR(peer_name(&p, FUSE_UNLINK, ROOT, bad[i]), EINVAL);
		ASSERT_ERR(peer_name(&p, FUSE_RMDIR, ROOT, bad[i]), EINVAL);
		ASSERT_ERR(peer_rename(&p, ROOT, "a", ROOT, bad[i], 0), EINVAL);
		ASSERT_ERR(peer_rename(&p, ROOT, bad[i], ROOT, "b", 0), EINVAL);
		ASSERT_ERR(peer_link(&p, dir, ROOT, bad[i]), EINVAL);
	}
	/* Not terminated, and too long. */
	ASSERT_ERR(peer_call(&p, FUSE_LOOKUP, ROOT, NULL, 0, "abc", 3), EINVAL);
	ASSERT_ERR(peer_call(&p, FUSE_LOOKUP, ROOT, NULL, 0, NULL, 0), EINVAL);
	char longer[NAME_MAX + 2];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ASSERT_ERR(peer_lookup(&p, ROOT, longer, &node), ENAMETOOLONG);
	stop();
}

TEST(symbolic_links_are_never_followed)
{
	struct fuse_setattr_in chmod_in = {.valid = FATTR_MODE, .mode = 0777};
	struct fuse_setattr_in size_in = {.valid = FATTR_SIZE};
	struct fuse_setattr_in time_in = {.valid = FATTR_MTIME, .mtime = 1};
	struct stat st;
	uint64_t link;
	uint64_t dir;
	uint64_t node;
	uint64_t fh;

	start();
	ASSERT_OK(peer_symlink(&p, ROOT, "link", outside, &link));
	ASSERT_OK(peer_symlink(&p, ROOT, "dir", "../outside", &dir));
	ASSERT_ERR(peer_lookup(&p, dir, "secret", &node), ENOTDIR);
	ASSERT_ERR(peer_opendir(&p, dir, &fh), ENOTDIR);
	ASSERT_ERR(peer_open(&p, link, O_RDWR, &fh), ENXIO);
	ASSERT_ERR(peer_open(&p, dir, O_RDONLY, &fh), ENXIO);
	ASSERT_ERR(peer_create(&p, ROOT, "link", O_RDWR | O_TRUNC, 0600, &node, &fh), ENXIO);
	ASSERT_ERR(peer_create(&p, dir, "secret-made", O_RDWR, 0600, &node, &fh), ENOTDIR);
	ASSERT_ERR(peer_mkdir(&p, dir, "secret-made", 0755, &node), ENOTDIR);
	ASSERT_ERR(peer_setattr(&p, link, &size_in), EPERM);
	ASSERT_OK(peer_setattr(&p, link, &chmod_in)); /* of the link: means nothing */
	ASSERT_OK(peer_setattr(&p, link, &time_in));
	ASSERT_EQ(stat(outside, &st), 0);
	ASSERT_TRUE(st.st_mtime > 1);
	/* A hard link of the link is a link; removing it removes it. */
	ASSERT_OK(peer_link(&p, link, ROOT, "hard"));
	ASSERT_OK(peer_name(&p, FUSE_UNLINK, ROOT, "link"));
	stop();
}

/* The directory becomes a link between two requests: what was known stays what it was. */
TEST(swaps_behind_known_numbers)
{
	uint64_t dir;
	uint64_t file;
	uint64_t node;
	uint64_t fh;

	start();
	ASSERT_OK(peer_mkdir(&p, ROOT, "d", 0755, &dir));
	ASSERT_OK(peer_mknod(&p, dir, "secret", S_IFREG | 0644, 0, &file));
	ASSERT_EQ(renameat(p.dir_fd, "d", p.dir_fd, "old"), 0);
	ASSERT_EQ(symlinkat("../outside", p.dir_fd, "d"), 0);
	ASSERT_OK(peer_open(&p, file, O_RDWR | O_TRUNC, &fh));
	ASSERT_OK(peer_create(&p, dir, "secret-made", O_RDWR, 0600, &node, &fh));
	ASSERT_EQ(faccessat(p.dir_fd, "old/secret-made", F_OK, 0), 0);
	ASSERT_OK(peer_lookup(&p, ROOT, "d", &node));
	ASSERT_ERR(peer_lookup(&p, node, "secret", &file), ENOTDIR);
	stop();
}

/* The same, when descriptors had to be given away in between. */
TEST(swaps_behind_numbers_without_descriptors)
{
	uint64_t dir;
	uint64_t file;
	uint64_t node;
	uint64_t fh;
	char name[16];

	start();
	ASSERT_OK(peer_mkdir(&p, ROOT, "d", 0755, &dir));
	ASSERT_OK(peer_mknod(&p, dir, "secret", S_IFREG | 0644, 0, &file));
	for (unsigned int i = 0; i < 2 * FDS; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		ASSERT_OK(peer_mknod(&p, ROOT, name, S_IFREG | 0644, 0, &node));
	}
	ASSERT_EQ(renameat(p.dir_fd, "d", p.dir_fd, "old"), 0);
	ASSERT_EQ(symlinkat("../outside", p.dir_fd, "d"), 0);
	ASSERT_ERR(peer_open(&p, file, O_RDWR | O_TRUNC, &fh), ESTALE);
	ASSERT_ERR(peer_create(&p, dir, "secret-made", O_RDWR, 0600, &node, &fh), ESTALE);
	stop();
}

TEST(handles_and_nodes_of_nobody)
{
	struct fuse_attr a;
	uint64_t node;
	uint64_t other;
	uint64_t fh;
	uint64_t dir_fh;

	start();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fh));
	ASSERT_OK(peer_mknod(&p, ROOT, "g", S_IFREG | 0600, 0, &other));
	ASSERT_OK(peer_opendir(&p, ROOT, &dir_fh));
	for (uint64_t i = 0; i < 64; i++) {
		ASSERT_ERR(peer_read(&p, other, i, 0, 1), EBADF);
		ASSERT_ERR(peer_read(&p, node, fh ^ (UINT64_C(1) << i), 0, 1), EBADF);
		ASSERT_ERR(peer_getattr(&p, node ^ (UINT64_C(1) << i), &a), ESTALE);
	}
	ASSERT_ERR(peer_read(&p, other, fh, 0, 1), EBADF);
	ASSERT_ERR(peer_read(&p, ROOT, dir_fh, 0, 1), EBADF);
	ASSERT_ERR(peer_getattr(&p, 0, &a), ESTALE);
	ASSERT_ERR(peer_getattr(&p, UINT64_MAX, &a), ESTALE);
	ASSERT_ERR(peer_read(&p, node, fh, UINT64_MAX, 1), EINVAL);
	ASSERT_ERR(peer_write(&p, node, fh, UINT64_MAX, "x", 1), EINVAL);
	stop();
}

TEST(handles_run_out_and_come_back)
{
	static uint64_t fhs[FDS];
	uint64_t node;
	uint64_t fh;
	unsigned int n = 0;
	int r = 0;

	start();
	ASSERT_OK(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fhs[n++]));
	while (n < FDS && r == 0) {
		r = peer_open(&p, node, O_RDONLY, &fhs[n]);
		n += r == 0;
	}
	ASSERT_EQ(r, -ENFILE);
	ASSERT_TRUE(n > 8);
	ASSERT_ERR(peer_opendir(&p, ROOT, &fh), ENFILE);
	while (n > 0)
		ASSERT_OK(peer_release(&p, FUSE_RELEASE, node, fhs[--n]));
	ASSERT_OK(peer_opendir(&p, ROOT, &fh));
	stop();
}

/* Files without names keep their descriptors: their number is what ends first, not the host. */
TEST(files_without_names_run_out_and_come_back)
{
	static uint64_t nodes[4 * FDS];
	unsigned int n = 0;
	int r = 0;

	start();
	while (n < ARRAY_SIZE(nodes) && r == 0) {
		r = peer_mknod(&p, ROOT, "f", S_IFREG | 0600, 0, &nodes[n]);
		if (r == 0) {
			n++;
			r = peer_name(&p, FUSE_UNLINK, ROOT, "f");
		}
	}
	ASSERT_EQ(r, -ENFILE);
	while (n > 0)
		peer_forget(&p, nodes[--n], 1);
	(void)unlinkat(p.dir_fd, "f", 0);
	ASSERT_OK(peer_mknod(&p, ROOT, "f", S_IFREG | 0600, 0, &nodes[0]));
	stop();
}

static bool is_there(const char *name)
{
	return faccessat(p.dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* With hardly a descriptor left, what needs two directories gets both or none. */
TEST(two_directories_and_one_descriptor)
{
	static uint64_t nodes[4 * FDS];
	uint64_t a;
	uint64_t b;
	uint64_t file;
	unsigned int n = 0;
	unsigned int done = 0;
	int r = 0;

	start();
	ASSERT_OK(peer_mkdir(&p, ROOT, "a", 0755, &a));
	ASSERT_OK(peer_mkdir(&p, ROOT, "b", 0755, &b));
	ASSERT_OK(peer_mkdir(&p, a, "deep", 0755, &a));
	ASSERT_OK(peer_mkdir(&p, b, "deep", 0755, &b));
	ASSERT_OK(peer_mknod(&p, a, "x", S_IFREG | 0644, 0, &file));
	while (n < ARRAY_SIZE(nodes) && r == 0) {
		r = peer_mknod(&p, ROOT, "f", S_IFREG | 0600, 0, &nodes[n]);
		if (r == 0) {
			n++;
			r = peer_name(&p, FUSE_UNLINK, ROOT, "f");
		}
	}
	ASSERT_EQ(r, -ENFILE);
	for (unsigned int i = 0; i < 8; i++) {
		r = peer_rename(&p, a, "x", b, "x", 0);
		ASSERT_TRUE(r == 0 || r == -ENFILE);
		ASSERT_EQ(is_there("a/deep/x"), r != 0);
		ASSERT_EQ(is_there("b/deep/x"), r == 0);
		if (r == 0) {
			ASSERT_OK(peer_rename(&p, b, "x", a, "x", 0));
			done++;
		}
		r = peer_link(&p, file, b, "l");
		ASSERT_TRUE(r == 0 || r == -ENFILE);
		ASSERT_EQ(is_there("b/deep/l"), r == 0);
		if (r == 0)
			ASSERT_EQ(unlinkat(p.dir_fd, "b/deep/l", 0), 0);
		peer_forget(&p, nodes[--n], 1);
	}
	ASSERT_TRUE(done > 0 && done < 8);
	stop();
}

TEST(short_long_and_unknown_requests)
{
	struct fuse_in_header h = {.len = sizeof(h), .opcode = FUSE_GETATTR, .nodeid = ROOT};
	struct fs_request rq = {.head = (const uint8_t *)&h};
	struct fs_reply rp = {.buf = p.reply, .room = FS_REPLY_MAX};
	uint64_t malformed;

	start();
	malformed = fs_statistics(p.fs).malformed;
	for (size_t n = 0; n < sizeof(h); n++) {
		rq.head_len = n;
		ASSERT_EQ(fs_handle(p.fs, &rq, &rp), 0);
	}
	ASSERT_EQ(fs_statistics(p.fs).malformed, malformed + sizeof(h));
	for (uint32_t op = 0; op < 100; op++) {
		int r = peer_call(&p, op, ROOT, NULL, 0, NULL, 0);

		ASSERT_TRUE(r <= 0);
		if (op == FUSE_IOCTL || op == FUSE_POLL || op == FUSE_SETLK || op == FUSE_ACCESS ||
			op == FUSE_INTERRUPT || op >= 64)
			ASSERT_EQ(r, -ENOSYS);
	}
	h.len = 41;
	rq.head_len = sizeof(h);
	rp.buf = p.reply;
	ASSERT_EQ(fs_handle(p.fs, &rq, &rp), FS_REPLY_HEAD);
	peer_stop(&p);
}

TEST(no_room_for_the_reply)
{
	uint64_t node;
	uint64_t fh;
	struct stat st;

	start();
	p.room = 0;
	ASSERT_EQ(peer_mkdir(&p, ROOT, "d", 0755, &node), 1);
	ASSERT_EQ(fstatat(p.dir_fd, "d", &st, 0), -1);
	p.room = FS_REPLY_HEAD;
	ASSERT_ERR(peer_create(&p, ROOT, "f", O_RDWR, 0600, &node, &fh), EIO);
	ASSERT_ERR(peer_lookup(&p, ROOT, "d", &node), EIO);
	stop();
}
