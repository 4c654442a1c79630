/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups, with the real thing where this host lets us (as root of the lab, which may change its
 * own root cgroup), and with an ordinary directory for what does not need it.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/spawn.h"

#include "engine/cgroup.h"

#include "test.h"

static const struct cgroup_limits limits = {.mem_bytes = 64 * MIB, .processes = 3};

static void put(int dir_fd, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir_fd, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ASSERT_OK(fd);
	ASSERT_OK(io_write_full(fd, text, strlen(text)));
}

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A directory that looks like a cgroup which hands down @controllers. */
static int fake_parent(const char *controllers)
{
	int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_OK(fd);
	put(fd, "cgroup.subtree_control", controllers);
	put(fd, "cgroup.procs", "");
	return fd;
}

TEST(what_belongs_to_others_is_left_alone)
{
	cleanup_fd int parent = fake_parent("memory\n");
	struct cgroup c;

	ASSERT_OK(fchmod(parent, 0555));
	ASSERT_ERR(cgroup_create_at(parent, &limits, &c), EPERM);
	ASSERT_OK(fchmod(parent, 0755));
	if (geteuid() != 0)
		SKIP("only root can give a directory away");
	ASSERT_OK(fchown(parent, 1, 1));
	ASSERT_ERR(cgroup_create_at(parent, &limits, &c), EPERM);
}

TEST(without_controllers_nothing_is_made)
{
	static const char *const lists[] = {
		"", "\n", "cpu io\n", "memory_recursiveprot hugepids\n"};

	for (unsigned int i = 0; i < ARRAY_SIZE(lists); i++) {
		cleanup_fd int parent = fake_parent(lists[i]);
		struct cgroup c;

		ASSERT_ERR(cgroup_create_at(parent, &limits, &c), EOPNOTSUPP);
		ASSERT_TRUE(c.parent_fd < 0 && c.dir_fd < 0);
		cgroup_remove(&c);
	}
}

/* An ordinary directory has no memory.max: the limit cannot be set. */
TEST(what_cannot_be_limited_is_taken_back)
{
	cleanup_fd int parent = fake_parent("cpu memory pids\n");
	struct cgroup c;
	char name[64];

	ASSERT_ERR(cgroup_create_at(parent, &limits, &c), ENOENT);
	ASSERT_TRUE(c.parent_fd < 0 && c.dir_fd < 0);
	(void)snprintf(name, sizeof(name), "msb-%ld-0", (long)getpid());
	ASSERT_TRUE(!exists(parent, name));
}

TEST(only_what_nobody_holds_is_swept)
{
	cleanup_fd int parent = fake_parent("memory\n");
	cleanup_fd int held = -EBADF;
	struct cgroup c;

	ASSERT_OK(mkdirat(parent, "msb-1-0", 0755));
	ASSERT_OK(mkdirat(parent, "msb-2-0", 0755));
	ASSERT_OK(mkdirat(parent, "other", 0755));
	held = openat(parent, "msb-2-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_OK(flock(held, LOCK_EX));
	ASSERT_ERR(cgroup_create_at(parent, &limits, &c), ENOENT);
	ASSERT_TRUE(!exists(parent, "msb-1-0"));
	ASSERT_TRUE(exists(parent, "msb-2-0"));
	ASSERT_TRUE(exists(parent, "other"));
}

TEST(every_failing_step_leaves_nothing)
{
	cleanup_fd int parent = fake_parent("memory\n");

	FAULT_LOOP({
		struct cgroup c;

		ASSERT_TRUE(cgroup_create_at(parent, &limits, &c) < 0);
	});
}

/*
 * A subtree as a host would delegate it, with this process in a cgroup of it: ours to make in the
 * lab only.
 */
static int real_parent(void)
{
	cleanup_fd int root = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	int fd;

	if (!getenv("MSB_LAB") || geteuid() != 0)
		SKIP("changes the cgroups of the machine: only as root in the lab");
	ASSERT_OK(root);
	ASSERT_OK(fstatfs(root, &fs));
	ASSERT_EQ(fs.f_type, CGROUP2_SUPER_MAGIC);
	put(root, "cgroup.subtree_control", "+memory +pids");
	ASSERT_TRUE(mkdirat(root, "given", 0755) == 0 || errno == EEXIST);
	ASSERT_TRUE(mkdirat(root, "given/ours", 0755) == 0 || errno == EEXIST);
	fd = openat(root, "given", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_OK(fd);
	put(fd, "cgroup.subtree_control", "+memory +pids");
	put(fd, "ours/cgroup.procs", "0");
	return fd;
}

static void expect_file(int dir_fd, const char *file, const char *want)
{
	cleanup_free char *text = NULL;

	ASSERT_OK(io_read_file(dir_fd, file, 4096, &text, NULL));
	ASSERT_STREQ(text, want);
}

TEST(process_in_a_real_cgroup)
{
	cleanup_fd int parent = real_parent();
	char sh[] = "/bin/sh";
	char dash_c[] = "-c";
	char script[] = "((((true && :) && :) && :) && :)"; /* each waits for the one inside */
	char *argv[] = {sh, dash_c, script, NULL};
	char *envp[] = {NULL};
	struct spawn s = {.path = sh, .argv = argv, .envp = envp};
	struct cgroup c;
	char text[32];
	int status;
	pid_t pid;

	ASSERT_OK(cgroup_create(&limits, &c));
	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", limits.mem_bytes);
	expect_file(c.dir_fd, "memory.max", text);
	expect_file(c.dir_fd, "pids.max", "3\n");
	s.cgroup_fd = c.dir_fd;
	ASSERT_OK(spawn_run(&s, &pid, NULL));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	/* Not as many processes as it wants. */
	ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	cgroup_remove(&c);
	(void)snprintf(text, sizeof(text), "msb-%ld-0", (long)getpid());
	ASSERT_TRUE(!exists(parent, text));
}

TEST(what_a_killed_owner_left_is_removed_by_the_next)
{
	cleanup_fd int parent = real_parent();
	struct cgroup c;
	char name[32];
	pid_t pid = fork();

	ASSERT_OK(pid);
	if (pid == 0) {
		if (cgroup_create(&limits, &c) < 0)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	(void)snprintf(name, sizeof(name), "msb-%ld-0", (long)pid);
	ASSERT_TRUE(exists(parent, name));
	ASSERT_OK(cgroup_create(&limits, &c));
	ASSERT_TRUE(!exists(parent, name));
	cgroup_remove(&c);
}
