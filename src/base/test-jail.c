/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the jail, each inside a child that never comes back out. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/jail.h"
#include "base/landlock.h"

#include "test.h"

enum { OK = 0, ENTER_FAILED = 10, NOT_CONFINED = 11, NO_LANDLOCK = 12 };

/* Exit status of @fn in a process of its own, or minus the signal that ended it. */
static int in_child(int (*fn)(int fd), int fd)
{
	int status = 0;
	pid_t pid = fork();

	ASSERT_OK(pid);
	if (pid == 0)
		_exit(fn(fd));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int files_and_rights(int fd)
{
	uint32_t level = 0;
	char byte = 0;

	if (jail_enter(&level, NULL) < 0 || !(level & JAIL_NOCAPS))
		return ENTER_FAILED;
	/* Either the root is empty or Landlock forbids it: a host with neither fails here. */
	if (open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0 ||
		open("/tmp", O_RDONLY | O_CLOEXEC) >= 0)
		return NOT_CONFINED;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || geteuid() == 0)
		return NOT_CONFINED;
	/* What was open stays usable. */
	return pread(fd, &byte, 1, 0) == 1 && byte == 'x' && pwrite(fd, "y", 1, 0) == 1
		       ? OK
		       : NOT_CONFINED;
}

TEST(enter_takes_files_and_rights_and_leaves_descriptors)
{
	char path[128];
	cleanup_fd int fd = -EBADF;
	char byte = 0;

	(void)snprintf(path, sizeof(path), "%s/f", test_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_OK(fd);
	ASSERT_EQ(write(fd, "x", 1), 1);
	ASSERT_EQ(in_child(files_and_rights, fd), OK);
	ASSERT_EQ(pread(fd, &byte, 1, 0), 1);
	ASSERT_EQ(byte, 'y');
}

static int foreign_descriptors(int fd)
{
	int other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int far = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	int keep[] = {far, -EBADF, fd};

	if (other < 0 || far < 0 || jail_close_fds(keep, ARRAY_SIZE(keep), NULL) < 0)
		return ENTER_FAILED;
	return fcntl(other, F_GETFD) < 0 && fcntl(fd, F_GETFD) >= 0 && fcntl(far, F_GETFD) >= 0
		       ? OK
		       : NOT_CONFINED;
}

TEST(close_fds_keeps_only_the_list)
{
	cleanup_fd int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ASSERT_OK(fd);
	ASSERT_EQ(in_child(foreign_descriptors, fd), OK);
}

static const struct sock_filter no_sockets[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* Our own id passes, any other kills. */
static const struct sock_filter only_self[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 2),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SECCOMP_ARG_LOW(0)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_PID, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static int make_socket(int fd)
{
	uint32_t level = 0;

	(void)fd;
	if (jail_enter(&level, NULL) < 0 || jail_seccomp(no_sockets, ARRAY_SIZE(no_sockets), 0) < 0)
		return ENTER_FAILED;
	(void)socket(AF_UNIX, SOCK_STREAM, 0);
	return NOT_CONFINED;
}

static int signal_itself(int fd)
{
	uint32_t level = 0;

	(void)fd;
	if (jail_enter(&level, NULL) < 0 || jail_seccomp(only_self, ARRAY_SIZE(only_self), 0) < 0)
		return ENTER_FAILED;
	if (syscall(SYS_tgkill, getpid(), getpid(), 0) < 0)
		return ENTER_FAILED;
	(void)syscall(SYS_tgkill, getppid(), getppid(), 0);
	return NOT_CONFINED;
}

TEST(seccomp_kills)
{
	ASSERT_EQ(in_child(make_socket, -1), -SIGSYS);
	ASSERT_EQ(in_child(signal_itself, -1), -SIGSYS);
}

TEST(seccomp_refuses_a_filter_that_is_too_long)
{
	static const struct sock_filter filter[JAIL_FILTER_MAX + 1];

	ASSERT_ERR(jail_seccomp(filter, ARRAY_SIZE(filter), 0), E2BIG);
}

static int grow_file(int fd)
{
	(void)signal(SIGXFSZ, SIG_IGN);
	if (jail_limit(RLIMIT_FSIZE, 4096, NULL) < 0)
		return ENTER_FAILED;
	return pwrite(fd, "x", 1, 4096) < 0 && errno == EFBIG && pwrite(fd, "x", 1, 4095) == 1
		       ? OK
		       : NOT_CONFINED;
}

TEST(limits)
{
	char path[128];
	cleanup_fd int fd = -EBADF;

	(void)snprintf(path, sizeof(path), "%s/f", test_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_OK(fd);
	ASSERT_EQ(in_child(grow_file, fd), OK);
}

/* @fd is a directory in which files may be removed, and nothing else. */
static int landlock_exception(int fd)
{
	const struct landlock_allow allow = {fd, LANDLOCK_REMOVE_FILE};
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return ENTER_FAILED;
	r = landlock_deny_but(&allow, 1, LANDLOCK_KEEP_SIGNALS);
	if (r == -ENOSYS || r == -EOPNOTSUPP)
		return NO_LANDLOCK;
	if (r < 0)
		return ENTER_FAILED;
	if (openat(fd, "inside", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return NOT_CONFINED;
	if (unlinkat(fd, "../outside", 0) == 0 || errno != EACCES)
		return NOT_CONFINED;
	if (unlinkat(fd, "dir", AT_REMOVEDIR) == 0 || errno != EACCES)
		return NOT_CONFINED;
	if (kill(getppid(), 0) < 0)
		return NOT_CONFINED;
	return unlinkat(fd, "inside", 0) == 0 ? OK : NOT_CONFINED;
}

TEST(landlock_allows_the_exception_only)
{
	cleanup_fd int top = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int in = -EBADF;
	int r;

	ASSERT_OK(top);
	ASSERT_EQ(mkdirat(top, "in", 0700), 0);
	in = openat(top, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_OK(in);
	ASSERT_EQ(mkdirat(in, "dir", 0700), 0);
	fd_close(openat(in, "inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd_close(openat(top, "outside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	r = in_child(landlock_exception, in);
	if (r == NO_LANDLOCK)
		SKIP("no Landlock in this kernel");
	ASSERT_EQ(r, OK);
	ASSERT_EQ(faccessat(in, "inside", F_OK, 0), -1);
}
