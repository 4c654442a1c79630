/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of FUSE messages over a socket. */
#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"

#include "fs/link.h"
#include "fs/sys.h"
#include "proto/fslink.h"

#include "test.h"

struct message {
	struct fslink_head head;
	struct fuse_in_header in;
	uint8_t arg[FS_DATA_MAX + 64];
};

static struct message m;
static uint8_t reply[FS_REPLY_MAX + 1];
static int sock;
static pid_t server;

static void serve(int fd)
{
	struct fs_options o = {0};
	int proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int share = open(test_tmpdir(), O_PATH | O_CLOEXEC);
	struct fs *fs;

	if (proc_fd < 0 || share < 0 || fchdir(proc_fd) < 0 ||
		fs_new(&o, share, proc_fd, 64, &fs) < 0)
		_exit(9);
	(void)umask(0);
	fs_link_prepare(fd);
	_exit(fs_link_run(fs, fd) == 0 ? 0 : 1);
}

static void start(void)
{
	int fds[2];

	ASSERT_TRUE(test_tmpdir() != NULL);
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, fds));
	server = fork();
	ASSERT_OK(server);
	if (server == 0) {
		fd_close(fds[0]);
		serve(fds[1]);
	}
	fd_close(fds[1]);
	sock = fds[0];
	fs_link_prepare(sock);
}

static void stop(void)
{
	int status;

	sock = fd_close(sock);
	ASSERT_EQ(waitpid(server, &status, 0), server);
	ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void say(uint32_t opcode, uint64_t node, size_t arg_len, uint32_t room)
{
	m.head = (struct fslink_head){.room = room};
	m.in = (struct fuse_in_header){.len = (uint32_t)(sizeof(m.in) + arg_len),
		.opcode = opcode,
		.unique = opcode,
		.nodeid = node};
	ASSERT_EQ(
		send(sock, &m, sizeof(m.head) + m.in.len, 0), (ssize_t)(sizeof(m.head) + m.in.len));
}

static int hear(size_t *ret_len)
{
	struct fuse_out_header out;
	ssize_t n = recv(sock, reply, sizeof(reply), 0);

	ASSERT_TRUE(n >= (ssize_t)sizeof(out));
	memcpy(&out, reply, sizeof(out));
	ASSERT_EQ(out.len, n);
	*ret_len = (size_t)n - sizeof(out);
	return out.error;
}

static void init(void)
{
	struct fuse_init_in in = {.major = 7, .minor = 38};
	size_t n;

	memcpy(m.arg, &in, sizeof(in));
	say(FUSE_INIT, 0, sizeof(in), FS_REPLY_MAX);
	ASSERT_OK(hear(&n));
}

TEST(the_largest_messages_pass)
{
	struct fuse_create_in create = {.flags = O_RDWR, .mode = S_IFREG | 0600};
	struct fuse_write_in w = {.size = FS_DATA_MAX};
	struct fuse_read_in r = {.size = FS_DATA_MAX};
	struct fuse_entry_out e;
	struct fuse_open_out o;
	size_t n;

	start();
	init();
	memcpy(m.arg, &create, sizeof(create));
	memcpy(m.arg + sizeof(create), "f", 2);
	say(FUSE_CREATE, 1, sizeof(create) + 2, 1024);
	ASSERT_OK(hear(&n));
	memcpy(&e, reply + FS_REPLY_HEAD, sizeof(e));
	memcpy(&o, reply + FS_REPLY_HEAD + sizeof(e), sizeof(o));
	w.fh = r.fh = o.fh;
	memcpy(m.arg, &w, sizeof(w));
	for (size_t i = 0; i < FS_DATA_MAX; i++)
		m.arg[sizeof(w) + i] = (uint8_t)(i * 7 + i / 256);
	say(FUSE_WRITE, e.nodeid, sizeof(w) + FS_DATA_MAX, 1024);
	ASSERT_OK(hear(&n));
	ASSERT_EQ(((struct fuse_write_out *)(reply + FS_REPLY_HEAD))->size, FS_DATA_MAX);
	memcpy(m.arg + sizeof(w) + FS_DATA_MAX - 1, "", 1);
	memcpy(m.arg, &r, sizeof(r));
	say(FUSE_READ, e.nodeid, sizeof(r), FS_REPLY_MAX);
	ASSERT_OK(hear(&n));
	ASSERT_EQ(n, FS_DATA_MAX);
	for (size_t i = 0; i < n; i++)
		ASSERT_EQ(reply[FS_REPLY_HEAD + i], (uint8_t)(i * 7 + i / 256));
	/* Less room, less data. */
	say(FUSE_READ, e.nodeid, sizeof(r), 100);
	ASSERT_OK(hear(&n));
	ASSERT_EQ(n, 100 - FS_REPLY_HEAD);
	stop();
}

TEST(who_has_room_gets_a_reply_and_nobody_else)
{
	struct fuse_forget_in forget = {.nlookup = 1};
	size_t n;

	start();
	init();
	memcpy(m.arg, &forget, sizeof(forget));
	say(FUSE_FORGET, 1, sizeof(forget), 0);
	say(FUSE_GETATTR, 1, 0, FS_REPLY_HEAD - 1);
	say(FUSE_FORGET, 1, sizeof(forget), FS_REPLY_HEAD);
	ASSERT_OK(hear(&n));
	say(FUSE_INTERRUPT, 1, 0, 500);
	ASSERT_ERR(hear(&n), ENOSYS);
	/* Shorter than any request. */
	m.head = (struct fslink_head){.room = 500};
	ASSERT_EQ(send(sock, &m, sizeof(m.head) + 3, 0), (ssize_t)sizeof(m.head) + 3);
	ASSERT_ERR(hear(&n), EIO);
	ASSERT_EQ(send(sock, &m, 3, 0), 3);
	say(FUSE_STATFS, 1, 0, 500);
	ASSERT_OK(hear(&n));
	stop();
}
