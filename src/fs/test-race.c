/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hostile guests on one share against each other, and the host against both: while one process
 * exchanges directories and symbolic links that lead outside, another sends every request that a
 * name can be used for. The server has so few descriptors that it must find most files again.
 * Inotify says whether anything outside was so much as opened.
 */
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fs/testpeer.h"

#include "test.h"

enum { ROOT = 1, FDS = 64, NODES = 128, ROUNDS = 10000, NAMES = 8 };

static const char *const names[NAMES] = {"d", "l", "e", "f", "secret", "made", "dir", "up"};
static struct peer p;
static uint64_t nodes[NODES] = {ROOT};
static uint64_t forgets[NODES];
static uint32_t random_state;

static uint32_t draw(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % bound;
}

static void make_places(char *share, char *outside, size_t n)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(share, n, "%s/share", test_tmpdir());
	(void)snprintf(outside, n, "%s/outside", test_tmpdir());
	ASSERT_EQ(mkdir(share, 0755), 0);
	ASSERT_EQ(mkdir(outside, 0755), 0);
	for (const char *const *name = (const char *const[]){"secret", "f", "e", NULL}; *name;
		name++) {
		ASSERT_TRUE(snprintf(path, sizeof(path), "%s/%s", outside, *name) > 0);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		ASSERT_OK(fd);
		ASSERT_EQ(write(fd, "secret", 6), 6);
		fd_close(fd);
	}
}

/* The other guest and the host: names change what they mean, all the time, all by themselves. */
static pid_t start_swaps(int dir_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		(void)mkdirat(dir_fd, "d", 0755);
		(void)symlinkat("../outside", dir_fd, "l");
		(void)symlinkat("..", dir_fd, "up");
		(void)sys_rename(dir_fd, "d", dir_fd, "l", SYS_RENAME_EXCHANGE);
		(void)symlinkat("../outside/secret", dir_fd, "f");
		(void)sys_rename(dir_fd, "d", dir_fd, "e", 0);
		(void)symlinkat("../outside", dir_fd, "d");
		(void)unlinkat(dir_fd, "d", 0);
		(void)sys_rename(dir_fd, "e", dir_fd, "d", 0);
		(void)sys_rename(dir_fd, "f", dir_fd, "e", SYS_RENAME_EXCHANGE);
	}
}

static void keep(uint64_t node)
{
	uint32_t i = 1 + draw(NODES - 1);

	if (!node)
		return;
	if (nodes[i])
		peer_forget(&p, nodes[i], forgets[i]);
	nodes[i] = node;
	forgets[i] = 1;
}

static int use_handle(uint64_t node, uint64_t fh)
{
	if (!fh)
		return 0;
	if (peer_read(&p, node, fh, 0, 16) == 0)
		ASSERT_TRUE(p.len < 6 || memcmp(peer_body(&p), "secret", 6) != 0);
	(void)peer_write(&p, node, fh, 0, "guest", 5);
	return peer_release(&p, FUSE_RELEASE, node, fh);
}

static int one(void)
{
	struct fuse_setattr_in in = {.valid = draw(2) ? FATTR_MODE : FATTR_SIZE, .mode = 0777};
	const char *name = names[draw(NAMES)];
	const char *other = names[draw(NAMES)];
	uint64_t dir = nodes[draw(NODES)];
	uint64_t node = 0;
	uint64_t fh = 0;
	int r;

	switch (draw(12)) {
	case 0:
	case 1:
	case 2:
		r = peer_lookup(&p, dir, name, &node);
		break;
	case 3:
		r = peer_create(&p, dir, name, O_RDWR | (draw(2) ? O_TRUNC : 0), 0666, &node, &fh);
		if (r == 0)
			r = use_handle(node, fh);
		break;
	case 4:
		r = peer_open(&p, dir, draw(2) ? O_RDWR : O_RDONLY, &fh);
		return r < 0 ? r : use_handle(dir, fh);
	case 5:
		r = peer_mkdir(&p, dir, name, 0777, &node);
		break;
	case 6:
		r = peer_symlink(&p, dir, name, "../../outside", &node);
		break;
	case 7:
		return peer_name(&p, draw(2) ? FUSE_UNLINK : FUSE_RMDIR, dir, name);
	case 8:
		return peer_rename(&p, dir, name, nodes[draw(NODES)], other,
			draw(2) ? SYS_RENAME_EXCHANGE : 0);
	case 9:
		r = peer_link(&p, nodes[draw(NODES)], dir, name);
		if (r == 0)
			node = ((struct fuse_entry_out *)peer_body(&p))->nodeid;
		break;
	case 10:
		return peer_setattr(&p, dir, &in);
	default:
		r = peer_opendir(&p, dir, &fh);
		return r < 0 ? r : peer_release(&p, FUSE_RELEASEDIR, dir, fh);
	}
	keep(node);
	return r;
}

static void expect_untouched(int watch, const char *outside)
{
	uint8_t events[4096];
	char path[PATH_MAX];
	struct stat st;
	ssize_t n = read(watch, events, sizeof(events));

	ASSERT_EQ(n, -1);
	ASSERT_EQ(errno, EAGAIN);
	for (const char *const *name = (const char *const[]){"secret", "f", "e", NULL}; *name;
		name++) {
		ASSERT_TRUE(snprintf(path, sizeof(path), "%s/%s", outside, *name) > 0);
		ASSERT_EQ(lstat(path, &st), 0);
		ASSERT_EQ(st.st_mode, S_IFREG | 0644);
		ASSERT_EQ(st.st_size, 6);
		ASSERT_EQ(st.st_nlink, 1);
	}
}

TEST(names_that_change_their_meaning_lead_nowhere)
{
	char share[PATH_MAX - 16];
	char outside[PATH_MAX - 16];
	cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	unsigned int done = 0;
	pid_t swaps;
	uint32_t inodes;
	uint32_t handles;
	uint32_t fds;

	make_places(share, outside, sizeof(share));
	peer_start(&p, share, &(struct fs_options){.quota = 64 * MIB}, FDS);
	ASSERT_OK(watch);
	ASSERT_OK(inotify_add_watch(watch, outside, IN_ALL_EVENTS));
	random_state = 2463534242;
	swaps = start_swaps(p.dir_fd);
	ASSERT_TRUE(swaps > 0);
	for (unsigned int i = 0; i < ROUNDS; i++)
		done += one() == 0;
	ASSERT_EQ(kill(swaps, SIGKILL), 0);
	ASSERT_EQ(waitpid(swaps, NULL, 0), swaps);
	ASSERT_TRUE(done > ROUNDS / 20);
	ASSERT_TRUE(fs_statistics(p.fs).reopened > 0);
	expect_untouched(watch, outside);
	fs_held(p.fs, &inodes, &handles, &fds);
	ASSERT_EQ(handles, 0);
	ASSERT_TRUE(fds <= FDS);
	peer_stop(&p);
}
