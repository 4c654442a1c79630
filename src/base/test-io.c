/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"

#include "test.h"

static int open_tmpdir(void)
{
	int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_TRUE(fd >= 0);
	return fd;
}

TEST(whole_reads_and_writes)
{
	char got[8] = "";
	int fds[2];

	ASSERT_OK(io_pipe(0, fds));
	ASSERT_TRUE(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	ASSERT_OK(io_write_full(fds[1], "abcdef", 6));
	ASSERT_OK(io_read_full(fds[0], got, 4));
	ASSERT_STREQ(got, "abcd");
	close(fds[1]);
	ASSERT_ERR(io_read_full(fds[0], got, 4), ENODATA);
	close(fds[0]);
	ASSERT_ERR(io_write_full(fds[1], "a", 1), EBADF);
	ASSERT_OK(io_write_full(-1, "", 0));
}

TEST(more_than_a_pipe_holds)
{
	enum { BULK = 1 << 20 };
	cleanup_free uint8_t *data = calloc(1, BULK);
	int fds[2];
	int status;
	pid_t pid;

	ASSERT_TRUE(data != NULL);
	ASSERT_OK(io_pipe(0, fds));
	pid = fork();
	if (pid == 0)
		_exit(io_write_full(fds[1], data, BULK) < 0);
	close(fds[1]);
	memset(data, 1, BULK);
	ASSERT_OK(io_read_full(fds[0], data, BULK));
	ASSERT_EQ(data[0] + data[BULK - 1], 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	close(fds[0]);
}

TEST(read_file_is_bounded)
{
	cleanup_fd int dir = open_tmpdir();
	cleanup_free char *text = NULL;
	cleanup_free char *proc = NULL;
	char big[5000];
	size_t len;

	memset(big, 'x', sizeof(big));
	ASSERT_OK(io_write_file_atomic(dir, "f", big, sizeof(big), 0600, true));
	ASSERT_ERR(io_read_file(dir, "f", sizeof(big) - 1, &text, &len), EFBIG);
	ASSERT_TRUE(text == NULL);
	ASSERT_OK(io_read_file(dir, "f", sizeof(big), &text, &len));
	ASSERT_EQ(len, sizeof(big));
	ASSERT_EQ(text[len], '\0');
	ASSERT_ERR(io_read_file(dir, "missing", 10, &proc, NULL), ENOENT);
	/* Files of /proc say that they are empty. */
	ASSERT_OK(io_read_file(AT_FDCWD, "/proc/self/stat", 4096, &proc, NULL));
	ASSERT_TRUE(strlen(proc) > 10);
}

/* "." and ".." included. */
static unsigned int count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	ASSERT_TRUE(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST(a_write_alone_takes_over_what_a_killed_one_left)
{
	cleanup_fd int dir = open_tmpdir();
	cleanup_free char *text = NULL;

	ASSERT_OK(io_write_file_alone(dir, "f", "old", 3, 0600, false));
	ASSERT_OK(io_write_file_atomic(dir, "f.new", "half of a longer one", 20, 0600, false));
	ASSERT_OK(io_write_file_alone(dir, "f", "new", 3, 0600, true));
	ASSERT_OK(io_read_file(dir, "f", 10, &text, NULL));
	ASSERT_STREQ(text, "new");
	ASSERT_EQ(count_entries(test_tmpdir()), 3);
}

TEST(atomic_write_replaces_or_leaves)
{
	cleanup_fd int dir = open_tmpdir();
	cleanup_free char *text = NULL;
	struct stat st;
	int r;

	ASSERT_OK(io_write_file_atomic(dir, "f", "old", 3, 0640, false));
	ASSERT_OK(fstatat(dir, "f", &st, 0));
	ASSERT_EQ(st.st_mode & 0777, 0640);
	FAULT_LOOP({
		r = io_write_file_atomic(dir, "f", "new", 3, 0640, true);
		text = NULL;
		if (r < 0) {
			fault_arm(0);
			ASSERT_OK(io_read_file(dir, "f", 10, &text, NULL));
			ASSERT_STREQ(text, "old");
			free(text);
			/* The round did inject its failure; go on with the next. */
			fault_arm(0);
			continue;
		}
	});
	ASSERT_OK(io_read_file(dir, "f", 10, &text, NULL));
	ASSERT_STREQ(text, "new");
	/* No temporary file survives a failure. */
	ASSERT_EQ(count_entries(test_tmpdir()), 3);
}

TEST(read_file_survives_failures)
{
	cleanup_fd int dir = open_tmpdir();
	char big[5000] = "";
	char *text;
	int r;

	ASSERT_OK(io_write_file_atomic(dir, "f", big, sizeof(big), 0600, false));
	FAULT_LOOP({
		text = NULL;
		r = io_read_file(dir, "f", sizeof(big), &text, NULL);
		ASSERT_TRUE(r < 0 ? !text : text != NULL);
		free(text);
	});
}

TEST(nonblocking_flag)
{
	int fds[2];
	char c;

	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	ASSERT_TRUE(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	ASSERT_OK(io_nonblock(fds[0], true));
	ASSERT_EQ(read(fds[0], &c, 1), -1);
	ASSERT_EQ(errno, EAGAIN);
	ASSERT_OK(io_nonblock(fds[0], false));
	ASSERT_TRUE(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
	ASSERT_ERR(io_nonblock(fds[0], true), EBADF);
}

TEST(pidfd)
{
	int status;
	int fd;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	fd = io_pidfd_open(pid);
	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(io_pidfd_kill(fd, SIGKILL));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(WTERMSIG(status), SIGKILL);
	ASSERT_ERR(io_pidfd_kill(fd, SIGKILL), ESRCH);
	ASSERT_ERR(io_pidfd_open(pid), ESRCH);
	close(fd);
}

TEST(close_range)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (dup2(0, 50) < 0 || dup2(0, 60) < 0)
			_exit(1);
		io_close_range_from(55);
		_exit(fcntl(50, F_GETFD) < 0 || fcntl(60, F_GETFD) >= 0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
}

TEST(descriptors_on_their_way)
{
	char got[8] = "";
	int sock[2];
	int pipe_fds[2];
	int fd;

	ASSERT_OK(io_socketpair(SOCK_STREAM, sock));
	ASSERT_OK(io_pipe(0, pipe_fds));
	ASSERT_EQ(io_send_fd(sock[0], "ab", 2, pipe_fds[1]), 2);
	ASSERT_EQ(send(sock[0], "cd", 2, 0), 2);
	ASSERT_EQ(io_recv_fd(sock[1], got, sizeof(got), MSG_DONTWAIT, &fd), 2);
	ASSERT_TRUE(fd >= 0);
	ASSERT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ASSERT_EQ(write(fd, "x", 1), 1);
	ASSERT_EQ(read(pipe_fds[0], got, sizeof(got)), 1);
	(void)close(fd);
	ASSERT_EQ(io_recv_fd(sock[1], got, sizeof(got), MSG_DONTWAIT, &fd), 2);
	ASSERT_EQ(fd, -EBADF);
	ASSERT_EQ(io_recv_fd(sock[1], got, sizeof(got), MSG_DONTWAIT, &fd), -EAGAIN);
	(void)close(sock[0]);
	ASSERT_EQ(io_recv_fd(sock[1], got, sizeof(got), MSG_DONTWAIT, &fd), 0);
	(void)close(sock[1]);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

TEST(make_directories)
{
	char path[200];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/a/b/c", test_tmpdir());
	ASSERT_OK(io_mkdir_p(path, 0700));
	ASSERT_OK(io_mkdir_p(path, 0700));
	ASSERT_OK(stat(path, &st));
	ASSERT_EQ(st.st_mode & 07777, 0700);
	(void)snprintf(path, sizeof(path), "%s//a///d/", test_tmpdir());
	ASSERT_OK(io_mkdir_p(path, 0700));
	ASSERT_OK(io_mkdir_p("/", 0700));
	ASSERT_ERR(io_mkdir_p("", 0700), ENAMETOOLONG);
	(void)snprintf(path, sizeof(path), "%s/file", test_tmpdir());
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, "", 0, 0600, false));
	ASSERT_ERR(io_mkdir_p(path, 0700), ENOTDIR);
	(void)snprintf(path, sizeof(path), "%s/file/x", test_tmpdir());
	ASSERT_ERR(io_mkdir_p(path, 0700), ENOTDIR);
	ASSERT_ERR(io_mkdir_p("/proc/nope/x", 0700), ENOENT);
}
