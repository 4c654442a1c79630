/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"

#include "sandbox/info.h"
#include "sandbox/state.h"

#include "test.h"

static char path_text[PATH_MAX];

static const char *path(const char *home, const char *rest)
{
	int n = snprintf(path_text, sizeof(path_text), "%s/sandboxes/%s", home, rest);

	ASSERT_TRUE(n > 0 && (size_t)n < sizeof(path_text));
	return path_text;
}

static void put_file(const char *home, const char *rest, const char *text)
{
	ASSERT_OK(
		io_write_file_atomic(AT_FDCWD, path(home, rest), text, strlen(text), 0600, false));
}

static bool exists(const char *home, const char *rest)
{
	struct stat st;

	return lstat(path(home, rest), &st) == 0;
}

static unsigned int entries(const char *home)
{
	DIR *d = opendir(path(home, ""));
	unsigned int n = 0;

	ASSERT_TRUE(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

#define EPHEMERAL  "{\"version\":1,\"ephemeral\":true}"
#define PERSISTENT "{\"version\":1,\"ephemeral\":false}"

TEST(create_and_remove_leave_nothing)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;
	struct stat st;

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_EQ(stat(path(home, "a"), &st), 0);
	ASSERT_EQ(st.st_mode & 0777, 0700);
	ASSERT_EQ(entries(home), 1);
	put_file(home, "a/kernel.log", "x");
	put_file(home, "a/" SANDBOX_SPEC, EPHEMERAL);
	put_file(home, "a/unknown", "x");
	ASSERT_OK(sandbox_dir_remove(&d));
	sandbox_dir_close(&d);
	sandbox_dir_close(&d);
	ASSERT_EQ(entries(home), 0);
}

TEST(a_held_name_is_taken_and_never_reaped)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;
	struct sandbox_dir e;
	struct msb_err err;

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_ERR(sandbox_dir_create(home, "a", &e, &err), EEXIST);
	ASSERT_EQ(err.kind, MSB_EXISTS);
	ASSERT_STREQ(err.msg, "sandbox 'a' is running");
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	put_file(home, "a/" SANDBOX_SPEC, EPHEMERAL);
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	ASSERT_EQ(entries(home), 1);
	sandbox_dir_close(&d);
	ASSERT_EQ(sandbox_reap_stale(home), 1);
	ASSERT_EQ(entries(home), 0);
}

TEST(half_created_is_reaped_or_replaced)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;

	/* Killed after the lock was made. */
	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	sandbox_dir_close(&d);
	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	sandbox_dir_close(&d);
	ASSERT_EQ(sandbox_reap_stale(home), 1);
	/* Killed before that, and in the middle of a removal. */
	ASSERT_EQ(mkdir(path(home, ".new-00000001"), 0700), 0);
	ASSERT_EQ(mkdir(path(home, "b"), 0700), 0);
	ASSERT_EQ(sandbox_reap_stale(home), 2);
	ASSERT_EQ(entries(home), 0);
	ASSERT_EQ(mkdir(path(home, "b"), 0700), 0);
	ASSERT_OK(sandbox_dir_create(home, "b", &d, NULL));
	ASSERT_OK(sandbox_dir_remove(&d));
	sandbox_dir_close(&d);
}

TEST(persistent_survives)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;
	struct msb_err err;

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	put_file(home, "a/" SANDBOX_SPEC, PERSISTENT);
	sandbox_dir_close(&d);
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	ASSERT_ERR(sandbox_dir_create(home, "a", &d, &err), EEXIST);
	ASSERT_STREQ(err.msg, "sandbox 'a' exists already");
	/* So does one whose description is damaged. */
	put_file(home, "a/" SANDBOX_SPEC, "{");
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	ASSERT_TRUE(exists(home, "a/" SANDBOX_SPEC));
}

TEST(foreign_things_are_left_alone)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;

	ASSERT_EQ(sandbox_reap_stale("/nonexistent"), 0);
	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_OK(sandbox_dir_remove(&d));
	sandbox_dir_close(&d);
	put_file(home, "file", "x");
	ASSERT_EQ(mkdir(path(home, "not a name"), 0700), 0);
	ASSERT_EQ(mkdir(path(home, "full"), 0700), 0);
	put_file(home, "full/precious", "x");
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	ASSERT_EQ(entries(home), 3);
	ASSERT_ERR(sandbox_dir_create(home, "file", &d, NULL), ENOTDIR);
	ASSERT_TRUE(exists(home, "file"));
	ASSERT_EQ(entries(home), 3);
}

/* A name, a lock and a description that point elsewhere must not lead us there. */
TEST(symbolic_links_are_not_followed)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;
	char target[PATH_MAX];

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_OK(sandbox_dir_remove(&d));
	sandbox_dir_close(&d);
	ASSERT_EQ(mkdir(path(home, "not a name"), 0700), 0);
	ASSERT_TRUE(snprintf(target, sizeof(target), "%s/sandboxes/not a name", home) > 0);
	put_file(home, "not a name/" SANDBOX_SPEC, EPHEMERAL);
	put_file(home, "not a name/" SANDBOX_LOCK, "");
	ASSERT_EQ(symlink(target, path(home, "link")), 0);
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	ASSERT_TRUE(sandbox_dir_create(home, "link", &d, NULL) < 0);

	ASSERT_EQ(mkdir(path(home, "b"), 0700), 0);
	ASSERT_EQ(symlink("../not a name/" SANDBOX_LOCK, path(home, "b/" SANDBOX_LOCK)), 0);
	ASSERT_EQ(symlink("../not a name/" SANDBOX_SPEC, path(home, "b/" SANDBOX_SPEC)), 0);
	ASSERT_EQ(sandbox_reap_stale(home), 0);
	ASSERT_TRUE(exists(home, "not a name/" SANDBOX_SPEC));
	ASSERT_TRUE(exists(home, "not a name/" SANDBOX_LOCK));
}

TEST(failures_leave_nothing)
{
	const char *home = test_tmpdir();
	struct sandbox_dir d;

	ASSERT_OK(sandbox_dir_create(home, "keep", &d, NULL));
	FAULT_LOOP({
		struct sandbox_dir e;

		if (sandbox_dir_create(home, "a", &e, NULL) == 0) {
			(void)sandbox_dir_remove(&e);
			sandbox_dir_close(&e);
		}
		(void)sandbox_reap_stale(home);
	});
	ASSERT_TRUE(sandbox_reap_stale(home) >= 0);
	ASSERT_EQ(entries(home), 1);
	sandbox_dir_close(&d);
}

enum { RACERS = 4, RACE_MS = 300 };

/* Creates, sometimes dies at once, and makes sure that what it holds stays its own. */
static void race(const char *home, unsigned int self)
{
	uint64_t end = clock_mono_ns() + RACE_MS * NSEC_PER_MSEC;

	for (unsigned int i = 0; clock_mono_ns() < end; i++) {
		struct sandbox_dir d;
		char rest[64];
		int r;

		/* Two racers share each name. */
		(void)snprintf(rest, sizeof(rest), "n%u", self / 2);
		r = sandbox_dir_create(home, rest, &d, NULL);
		if (r == -EEXIST) {
			(void)sandbox_reap_stale(home);
			continue;
		}
		if (r < 0)
			_exit(1);
		(void)snprintf(rest, sizeof(rest), "n%u/" SANDBOX_SPEC, self / 2);
		put_file(home, rest, EPHEMERAL);
		(void)sched_yield();
		if (!exists(home, rest))
			_exit(2);
		if (i % 3 && sandbox_dir_remove(&d) < 0)
			_exit(3);
		sandbox_dir_close(&d);
		if (sandbox_reap_stale(home) < 0)
			_exit(4);
	}
	_exit(0);
}

TEST(creators_and_reapers_race)
{
	const char *home = test_tmpdir();
	pid_t pids[RACERS];

	for (unsigned int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		ASSERT_TRUE(pids[i] >= 0);
		if (pids[i] == 0)
			race(home, i);
	}
	for (unsigned int i = 0; i < RACERS; i++) {
		int status = -1;

		ASSERT_EQ(waitpid(pids[i], &status, 0), pids[i]);
		ASSERT_EQ(status, 0);
	}
	ASSERT_TRUE(sandbox_reap_stale(home) >= 0);
	ASSERT_EQ(entries(home), 0);
}

/* Killed anywhere, the next reap leaves nothing. */
TEST(killed_creators_are_cleaned_up)
{
	const char *home = test_tmpdir();

	for (unsigned int i = 0; i < 100; i++) {
		pid_t pid = fork();
		struct timespec ts = {.tv_nsec = 5000L * (i % 40)};

		ASSERT_TRUE(pid >= 0);
		if (pid == 0)
			race(home, 0);
		(void)nanosleep(&ts, NULL); /* the moment of the kill, not synchronisation */
		ASSERT_EQ(kill(pid, SIGKILL), 0);
		ASSERT_EQ(waitpid(pid, NULL, 0), pid);
		ASSERT_TRUE(sandbox_reap_stale(home) >= 0);
		if (access(path(home, ""), F_OK) == 0)
			ASSERT_EQ(entries(home), 0);
	}
}

/* One with as many files as a persistent one may have, and all of them or none is what there is. */
TEST(killed_removers_are_finished)
{
	const char *home = test_tmpdir();

	for (unsigned int i = 0; i < 100; i++) {
		struct timespec ts = {.tv_nsec = 10000L * (i % 40)};
		struct sandbox_dir d;
		char name[32];
		bool whole;
		pid_t pid;

		ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
		for (unsigned int f = 0; f < 30; f++) {
			(void)snprintf(name, sizeof(name), "a/file-%u", f);
			put_file(home, name, "x");
		}
		put_file(home, "a/" SANDBOX_STATE, "x");
		put_file(home, "a/" SANDBOX_SPEC, PERSISTENT);
		pid = fork();
		ASSERT_TRUE(pid >= 0);
		if (pid == 0)
			_exit(sandbox_dir_remove(&d) < 0);
		sandbox_dir_close(&d);
		(void)nanosleep(&ts, NULL); /* the moment of the kill, not synchronisation */
		ASSERT_EQ(kill(pid, SIGKILL), 0);
		ASSERT_EQ(waitpid(pid, NULL, 0), pid);
		whole = exists(home, "a/" SANDBOX_SPEC);
		ASSERT_TRUE(sandbox_reap_stale(home) >= 0);
		ASSERT_EQ(entries(home), whole ? 1 : 0);
		ASSERT_TRUE(!whole || exists(home, "a/file-29"));
		if (whole) {
			ASSERT_OK(sandbox_dir_lock(home, "a", &d, NULL));
			ASSERT_OK(sandbox_dir_remove(&d));
			sandbox_dir_close(&d);
		}
	}
}

static const struct sandbox_spec *any_spec(void)
{
	static struct sandbox_spec spec;

	sandbox_spec_init(&spec);
	spec.name = "a";
	spec.home = "/h";
	spec.lib_dir = "/l";
	return &spec;
}

TEST(a_description_takes_the_place_of_one_only)
{
	const char *home = test_tmpdir();
	struct sandbox_spec spec;
	struct msb_err err = {0};
	struct sandbox_dir d;

	ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
	ASSERT_ERR(sandbox_spec_replace(d.fd, any_spec(), false, &err), ENOENT);
	ASSERT_EQ(err.kind, MSB_NOT_FOUND);
	ASSERT_ERR(sandbox_spec_replace(d.fd, any_spec(), true, &err), ENOENT);
	ASSERT_TRUE(!exists(home, "a/" SANDBOX_SPEC));
	put_file(home, "a/" SANDBOX_SPEC, PERSISTENT);
	ASSERT_OK(sandbox_spec_replace(d.fd, any_spec(), false, &err));
	ASSERT_OK(sandbox_spec_load(d.fd, &spec, &err));
	ASSERT_STREQ(spec.name, "a");
	sandbox_spec_deinit(&spec);
	/* Nothing but lock and description: what it was written in is gone. */
	ASSERT_EQ(unlink(path(home, "a/" SANDBOX_SPEC)), 0);
	ASSERT_EQ(unlink(path(home, "a/" SANDBOX_LOCK)), 0);
	ASSERT_EQ(rmdir(path(home, "a")), 0);
	ASSERT_ERR(sandbox_spec_replace(d.fd, any_spec(), false, &err), ENOENT);
	sandbox_dir_close(&d);
}

static void edit_until_gone(int dir_fd)
{
	struct msb_err err = {0};
	int r;

	do {
		r = sandbox_spec_replace(dir_fd, any_spec(), false, &err);
	} while (r == 0);
	_exit(r == -ENOENT ? 0 : 1);
}

/* Editors without the lock and the remover that has it: nothing comes back, nothing is left. */
TEST(what_is_removed_stays_removed)
{
	enum { EDITORS = 3, ROUNDS = 60 };
	const char *home = test_tmpdir();

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pid_t pids[EDITORS];
		struct sandbox_dir d;

		ASSERT_OK(sandbox_dir_create(home, "a", &d, NULL));
		put_file(home, "a/" SANDBOX_SPEC, PERSISTENT);
		for (unsigned int e = 0; e < EDITORS; e++) {
			pids[e] = fork();
			ASSERT_TRUE(pids[e] >= 0);
			if (pids[e] == 0)
				edit_until_gone(d.fd);
		}
		(void)sched_yield();
		ASSERT_OK(sandbox_dir_remove(&d));
		ASSERT_EQ(entries(home), 0);
		for (unsigned int e = 0; e < EDITORS; e++) {
			int status = -1;

			ASSERT_EQ(waitpid(pids[e], &status, 0), pids[e]);
			ASSERT_EQ(status, 0);
		}
		sandbox_dir_close(&d);
		ASSERT_EQ(entries(home), 0);
	}
}
