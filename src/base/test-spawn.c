/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/spawn.h"

#include "test.h"

static char sh[] = "/bin/sh";
static char dash_c[] = "-c";
static char *const no_env[] = {NULL};

enum { OUT_MAX = 16384 };

/* Starts `sh -c script` with stdout in a pipe; returns the exit status, output in @b. */
static int run_script(struct spawn *s, char *script, struct buf *b)
{
	char *argv[] = {sh, dash_c, script, NULL};
	int fds[2];
	int status;
	pid_t pid;

	s->path = sh;
	s->argv = argv;
	if (!s->envp)
		s->envp = no_env;
	s->cgroup_fd = -1;
	ASSERT_OK(io_pipe(0, fds));
	spawn_add_fd(s, fds[1], 1);
	ASSERT_OK(spawn_run(s, &pid, NULL));
	close(fds[1]);
	buf_init(b, OUT_MAX);
	while (buf_read_fd(b, fds[0], 4096) > 0)
		;
	close(fds[0]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_output(struct spawn *s, char *script, const char *want)
{
	struct buf b;

	ASSERT_EQ(run_script(s, script, &b), 0);
	ASSERT_STREQ(buf_cstr(&b), want);
	buf_deinit(&b);
}

/*
 * This very program, started with LIST_FDS in its environment: prints its descriptors and ends. A
 * shell would show its own as well.
 */
__attribute__((constructor)) static void list_fds(void)
{
	if (!getenv("LIST_FDS"))
		return;
	for (int fd = 0; fd < 100; fd++) {
		char path[32];
		char to[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, to, sizeof(to) - 1) > 0)
			(void)dprintf(1, "%d %.*s\n", fd, (int)strcspn(to, ":"), to);
	}
	_exit(0);
}

static void expect_fds(struct spawn *s, const char *want)
{
	char list[] = "LIST_FDS=1";
	char exe[] = "/proc/self/exe";
	char *argv[] = {exe, NULL};
	char *envp[] = {list, NULL};
	struct buf b;
	int fds[2];
	pid_t pid;

	s->path = exe;
	s->argv = argv;
	s->envp = envp;
	s->cgroup_fd = -1;
	ASSERT_OK(io_pipe(0, fds));
	spawn_add_fd(s, fds[1], 1);
	ASSERT_OK(spawn_run(s, &pid, NULL));
	close(fds[1]);
	buf_init(&b, OUT_MAX);
	while (buf_read_fd(&b, fds[0], 4096) > 0)
		;
	close(fds[0]);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	ASSERT_STREQ(buf_cstr(&b), want);
	buf_deinit(&b);
}

TEST(only_the_listed_descriptors)
{
	struct spawn s = {.n_fds = 0};
	int a = memfd_create("a", MFD_CLOEXEC);
	int b = memfd_create("b", MFD_CLOEXEC);
	/* Not close-on-exec, as a careless caller of ours may have left it. */
	int stray = dup2(a, 77);

	ASSERT_EQ(stray, 77);
	spawn_add_fd(&s, a, 3);
	spawn_add_fd(&s, b, 9);
	expect_fds(&s, "0 /dev/null\n1 pipe\n2 /dev/null\n3 /memfd\n9 /memfd\n");
	close(a);
	close(b);
	close(stray);
}

/* Whatever number the descriptor of /dev/null gets, a target must not take its place. */
TEST(null_is_null_for_every_target)
{
	for (int target = 3; target < 12; target++) {
		struct spawn s = {.n_fds = 0};
		int a = memfd_create("a", MFD_CLOEXEC);
		char want[80];

		spawn_add_fd(&s, a, target);
		(void)snprintf(want, sizeof(want), "0 /dev/null\n1 pipe\n2 /dev/null\n%d /memfd\n",
			target);
		expect_fds(&s, want);
		close(a);
	}
}

TEST(descriptors_may_change_places)
{
	struct spawn s = {.n_fds = 0};
	int a = memfd_create("a", MFD_CLOEXEC);
	int b = memfd_create("b", MFD_CLOEXEC);
	char script[] = "cat <&\"$A\"; cat <&\"$B\"";
	char var_a[32];
	char var_b[32];

	ASSERT_EQ(pwrite(a, "A", 1, 0), 1);
	ASSERT_EQ(pwrite(b, "B", 1, 0), 1);
	spawn_add_fd(&s, a, b);
	spawn_add_fd(&s, b, a);
	(void)snprintf(var_a, sizeof(var_a), "A=%d", a);
	(void)snprintf(var_b, sizeof(var_b), "B=%d", b);
	s.envp = (char *[]){var_a, var_b, (char[]){"PATH=/bin:/usr/bin"}, NULL};
	expect_output(&s, script, "BA");
	close(a);
	close(b);
}

TEST(signals_start_fresh)
{
	struct spawn s = {.n_fds = 0};
	char script[] = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
	sigset_t set;

	sigfillset(&set);
	ASSERT_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_TRUE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	ASSERT_TRUE(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	s.envp = (char *[]){(char[]){"PATH=/bin:/usr/bin"}, NULL};
	expect_output(&s, script, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	/* Ours are as they were. */
	ASSERT_OK(sigprocmask(SIG_BLOCK, NULL, &set));
	ASSERT_TRUE(sigismember(&set, SIGTERM));
	ASSERT_TRUE(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
}

TEST(environment_is_explicit)
{
	struct spawn s = {.n_fds = 0};
	char script[] = "echo \"$A:$LEAK\"";

	ASSERT_OK(setenv("LEAK", "yes", 1));
	s.envp = (char *[]){(char[]){"A=1"}, NULL};
	expect_output(&s, script, "1:\n");
}

TEST(limits_and_session)
{
	struct spawn s = {.n_fds = 0, .new_session = true, .no_new_privs = true};
	char script[] = "ulimit -c; grep NoNewPrivs /proc/self/status; "
			"set -- $(cat /proc/$$/stat); [ $1 = $6 ] && echo leader";

	s.envp = (char *[]){(char[]){"PATH=/bin:/usr/bin"}, NULL};
	expect_output(&s, script, "0\nNoNewPrivs:\t1\nleader\n");
}

static void failing(const char *path, int error)
{
	char *argv[] = {sh, NULL};
	struct spawn s = {.path = path, .argv = argv, .envp = no_env, .cgroup_fd = -1};
	pid_t pid = 1234;
	int pidfd = 5678;

	ASSERT_ERR(spawn_run(&s, &pid, &pidfd), error);
	ASSERT_EQ(pid, 1234);
	ASSERT_EQ(pidfd, 5678);
	/* And no zombie. */
	ASSERT_EQ(waitpid(-1, NULL, WNOHANG), -1);
	ASSERT_EQ(errno, ECHILD);
}

TEST(failures_come_back_as_errno)
{
	struct spawn s = {
		.path = sh, .argv = (char *[]){sh, NULL}, .envp = no_env, .cgroup_fd = -1};
	pid_t pid;

	failing("/nonexistent", ENOENT);
	failing("/etc/passwd", EACCES);
	failing("/", EACCES);
	spawn_add_fd(&s, 999, 3);
	ASSERT_ERR(spawn_run(&s, &pid, NULL), EBADF);
	s.n_fds = 0;
	s.cgroup_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_ERR(spawn_run(&s, &pid, NULL), ENOENT);
	close(s.cgroup_fd);
}

static int refuse(void *arg)
{
	return *(int *)arg;
}

TEST(hook_of_the_child_can_refuse)
{
	int r = -EDOM;
	struct spawn s = {.path = sh,
		.argv = (char *[]){sh, NULL},
		.envp = no_env,
		.cgroup_fd = -1,
		.in_child = refuse,
		.in_child_arg = &r};
	pid_t pid;

	ASSERT_ERR(spawn_run(&s, &pid, NULL), EDOM);
}

TEST(pidfd_reports_the_end)
{
	struct spawn s = {.path = sh,
		.argv = (char *[]){sh, dash_c, (char[]){"exit 3"}, NULL},
		.envp = no_env,
		.cgroup_fd = -1};
	struct pollfd p = {.events = POLLIN};
	int status;
	pid_t pid;

	ASSERT_OK(spawn_run(&s, &pid, &p.fd));
	ASSERT_EQ(poll(&p, 1, 10000), 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(WEXITSTATUS(status), 3);
	close(p.fd);
}

/* Starts a parent that starts `cat` on a pipe and dies; returns whether cat was still there. */
static bool survives(bool outlive)
{
	int in[2];
	int out[2];
	struct pollfd p = {.events = POLLIN};
	bool alive;
	pid_t parent;
	char c = 'x';

	ASSERT_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_OK(io_pipe(0, in));
	ASSERT_OK(io_pipe(0, out));
	parent = fork();
	if (parent == 0) {
		struct spawn s = {.path = "/bin/cat",
			.argv = (char *[]){(char[]){"cat"}, NULL},
			.envp = no_env,
			.cgroup_fd = -1,
			.outlive_parent = outlive};
		pid_t pid;

		spawn_add_fd(&s, in[0], 0);
		spawn_add_fd(&s, out[1], 1);
		_exit(spawn_run(&s, &pid, NULL) < 0);
	}
	close(in[0]);
	close(out[1]);
	ASSERT_EQ(waitpid(parent, NULL, 0), parent);
	/* An end of file on @out means that cat is gone. Alive, it echoes. */
	p.fd = out[0];
	ASSERT_TRUE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	alive = write(in[1], &c, 1) == 1 && poll(&p, 1, 10000) == 1 && read(out[0], &c, 1) == 1;
	close(in[1]);
	close(out[0]);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return alive;
}

TEST(children_die_with_their_parent_unless_told_otherwise)
{
	ASSERT_TRUE(survives(true));
	ASSERT_TRUE(!survives(false));
}

/* The link of a namespace in the child; "" when the host does not permit to make it. */
static void child_namespace(int namespaces, char *script, char *ret, size_t size)
{
	struct spawn s = {.namespaces = namespaces};
	char *argv[] = {sh, dash_c, script, NULL};
	struct buf b;
	int fds[2];
	pid_t pid;
	int r;

	s.path = sh;
	s.argv = argv;
	s.envp = no_env;
	s.cgroup_fd = -1;
	ret[0] = '\0';
	ASSERT_OK(io_pipe(0, fds));
	spawn_add_fd(&s, fds[1], 1);
	r = spawn_run(&s, &pid, NULL);
	close(fds[1]);
	buf_init(&b, OUT_MAX);
	while (r == 0 && buf_read_fd(&b, fds[0], 4096) > 0)
		;
	close(fds[0]);
	if (r == 0) {
		ASSERT_EQ(waitpid(pid, NULL, 0), pid);
		(void)snprintf(ret, size, "%s", buf_cstr(&b));
	}
	buf_deinit(&b);
}

TEST(child_in_namespaces_of_its_own)
{
	char user[] = "readlink /proc/self/ns/user";
	char net[] = "readlink /proc/self/ns/net";
	char ours[128];
	char theirs[128];

	child_namespace(CLONE_NEWUSER | CLONE_NEWNET, user, theirs, sizeof(theirs));
	if (!theirs[0])
		SKIP("this host permits no user namespaces");
	child_namespace(0, user, ours, sizeof(ours));
	ASSERT_TRUE(!streq(ours, theirs));
	child_namespace(0, net, ours, sizeof(ours));
	child_namespace(CLONE_NEWUSER | CLONE_NEWNET, net, theirs, sizeof(theirs));
	ASSERT_TRUE(ours[0] && theirs[0] && !streq(ours, theirs));
}

TEST(child_of_root_becomes_nobody)
{
	struct spawn s = {.drop_root = true};
	char script[] = "id -u; id -g; grep CapEff /proc/self/status";

	if (geteuid() != 0)
		SKIP("only for root");
	expect_output(&s, script, "65534\n65534\nCapEff:\t0000000000000000\n");
}

TEST(child_dies_with_its_parent_after_the_change_of_identity)
{
	int fds[2];
	pid_t parent;
	char c;

	ASSERT_OK(io_pipe(0, fds));
	parent = fork();
	ASSERT_OK(parent);
	if (parent == 0) {
		char script[] = "echo; exec sleep 1000";
		char *argv[] = {sh, dash_c, script, NULL};
		struct spawn s = {.path = sh,
			.argv = argv,
			.envp = no_env,
			.cgroup_fd = -1,
			.drop_root = true};
		pid_t pid;

		spawn_add_fd(&s, fds[1], 1);
		if (spawn_run(&s, &pid, NULL) < 0)
			_exit(1);
		/* Until the child has spoken. */
		_exit(read(fds[0], &c, 1) == 1 ? 0 : 1);
	}
	fd_close(fds[1]);
	ASSERT_EQ(waitpid(parent, NULL, 0), parent);
	/* The end of the last writer: the child is gone. */
	ASSERT_EQ(read(fds[0], &c, 1), 0);
	fd_close(fds[0]);
}
