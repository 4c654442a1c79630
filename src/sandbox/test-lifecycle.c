/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real supervisor with a fake QEMU: every way a sandbox can end, and what is left then.
 *
 * MSB_TEST_SUPERVISOR and MSB_TEST_QEMU name the two programs.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/str.h"

#include "proto/frame.h"
#include "sandbox/client.h"
#include "sandbox/record.h"
#include "sandbox/state.h"

#include "test.h"

enum { PATIENCE_MS = 30000 };

static struct {
	struct loop loop;
	struct sandbox_spec spec;
	struct sandbox *sb;
	char lib[PATH_MAX];
	char home[PATH_MAX];
	pid_t pid; /* supervisor */
	bool ready;
	bool failed;
	bool stopped;
	bool done; /* the request */
	uint32_t reason;
	struct msb_err err;
	char console[4096];
	char out[4096];
	size_t out_len;
	struct sandbox_result result;
	struct sandbox_stream stream;
} fx;

static void put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];

	ASSERT_TRUE(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path));
	ASSERT_OK(io_write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, false));
}

static const char *need_env(const char *name)
{
	const char *v = getenv(name);

	if (!v)
		SKIP("run by meson, which says where the programs are");
	return v;
}

static void set_up(void)
{
	const char *dir = test_tmpdir();
	const char *supervisor = need_env("MSB_TEST_SUPERVISOR");
	char path[PATH_MAX + 32];

	ASSERT_TRUE(snprintf(fx.lib, sizeof(fx.lib), "%s/lib", dir) > 0);
	ASSERT_TRUE(snprintf(fx.home, sizeof(fx.home), "%s/home", dir) > 0);
	/* The second set-up of a test finds the files of the first. */
	ASSERT_TRUE(mkdir(fx.lib, 0700) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "%s/msb-sandbox", fx.lib);
	ASSERT_TRUE(symlink(supervisor, path) == 0 || errno == EEXIST);
	put(fx.lib, "vmlinux", "k");
	put(fx.lib, "initramfs.cpio", "i");
	put(dir, "image", "e");
	ASSERT_OK(loop_init(&fx.loop));
	sandbox_spec_init(&fx.spec);
	fx.spec.name = "box";
	fx.spec.engine = ENGINE_QEMU;
	fx.spec.qemu_path = need_env("MSB_TEST_QEMU");
	fx.spec.home = fx.home;
	fx.spec.lib_dir = fx.lib;
	(void)snprintf(path, sizeof(path), "%s/image", dir);
	fx.spec.image_path = strdup(path);
	ASSERT_TRUE(fx.spec.image_path);
}

static void on_ready(struct sandbox *sb, const struct msg_sb_ready *m, void *arg)
{
	fx.ready = true;
	ASSERT_STREQ(m->engine, "qemu");
	ASSERT_STREQ(m->kernel_release, "6.12-fake");
	ASSERT_TRUE(m->timing.spawn_ns <= m->timing.engine_ns);
	ASSERT_TRUE(m->timing.engine_ns <= m->timing.hello_ns);
	ASSERT_TRUE(m->timing.hello_ns <= m->timing.ready_ns);
	ASSERT_TRUE(m->timing.ready_ns <= clock_mono_ns());
	ASSERT_EQ(m->timing.guest_ready_ns, 2000);
}

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	fx.failed = true;
	fx.err = *err;
	ASSERT_OK(str_copy(fx.console, sizeof(fx.console), console));
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	fx.stopped = true;
	fx.reason = m->reason;
}

static const struct sandbox_events events = {
	.ready = on_ready, .failed = on_failed, .stopped = on_stopped};

static void spawn_sandbox(void)
{
	struct msb_err err;

	if (sandbox_spawn(&fx.loop, &fx.spec, -1, &events, NULL, &fx.sb, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	fx.pid = sandbox_pid(fx.sb);
}

static void run_until(const bool *flag)
{
	uint64_t deadline = clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC;

	while (!*flag) {
		if (clock_mono_ns() >= deadline)
			test_fail(__FILE__, __LINE__, "waited for too long; last error: %s",
				fx.err.msg);
		ASSERT_OK(loop_once(&fx.loop, deadline));
	}
}

static void run_until_ended(void)
{
	uint64_t deadline = clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC;

	while (!fx.failed && !fx.stopped) {
		ASSERT_TRUE(clock_mono_ns() < deadline);
		ASSERT_OK(loop_once(&fx.loop, deadline));
	}
}

static void on_data(
	struct sandbox_stream *s, unsigned int channel, const void *p, size_t len, bool eof)
{
	size_t n = MIN(len, sizeof(fx.out) - fx.out_len);

	memcpy(fx.out + fx.out_len, p, n);
	fx.out_len += n;
	sandbox_stream_consumed(s, len);
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	fx.done = true;
	fx.result = *r;
}

static const struct sandbox_stream_ops ops = {.data = on_data, .done = on_done};

static void exec(const char *what, const char *arg)
{
	const char *argv[] = {what, arg, NULL};
	struct msg_exec m = {.user = "", .cwd = ""};

	fx.stream.ops = &ops;
	ASSERT_OK(sandbox_exec(fx.sb, &fx.stream, &m, argv, NULL));
}

static unsigned int entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned int n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static unsigned int sandboxes(void)
{
	char path[PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/sandboxes", fx.home);
	return entries(path);
}

static bool in_sandbox(const char *file)
{
	char path[PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/sandboxes/box/%s", fx.home, file);
	return access(path, F_OK) == 0;
}

/* Process number of the only child of @pid, 0 if it has none. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	char *text = NULL;
	uint64_t child = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	if (io_read_file(AT_FDCWD, path, 1000, &text, NULL) < 0)
		return 0;
	text[strcspn(text, " ")] = '\0';
	if (str_to_u64(text, &child) < 0)
		child = 0;
	free(text);
	return (pid_t)child;
}

/* The supervisor has ended with @status; its machine is gone with it. */
static void assert_reaped(int want)
{
	int status = -1;

	ASSERT_EQ(waitpid(fx.pid, &status, 0), fx.pid);
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_EQ(WEXITSTATUS(status), want);
}

static void tear_down(void)
{
	fx.sb = sandbox_close(fx.sb);
	ASSERT_EQ(sandboxes(), 0);
	free((void *)(uintptr_t)fx.spec.image_path);
	loop_deinit(&fx.loop);
}

TEST(runs_a_command_and_leaves_nothing)
{
	pid_t machine;

	set_up();
	spawn_sandbox();
	exec("emit", "1000");
	run_until(&fx.done);
	ASSERT_TRUE(fx.ready);
	ASSERT_EQ(fx.result.type, FRAME_EXITED);
	ASSERT_EQ(fx.out_len, 1000);
	ASSERT_TRUE(in_sandbox("lock") && in_sandbox("spec.json") && in_sandbox("agent.sock"));
	machine = child_of(fx.pid);
	ASSERT_TRUE(machine > 0);
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	ASSERT_EQ(fx.reason, STOP_REQUESTED);
	/* Already gone when the client hears of it; the machine is dying. */
	ASSERT_EQ(sandboxes(), 0);
	assert_reaped(0);
	ASSERT_EQ(kill(machine, 0), -1);
	tear_down();
}

/* The supervisor gave up its rights before the guest spoke, and can still clean up. */
TEST(it_is_jailed)
{
	char path[PATH_MAX + 64];
	char *status = NULL;

	set_up();
	spawn_sandbox();
	run_until(&fx.ready);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)fx.pid);
	ASSERT_OK(io_read_file(AT_FDCWD, path, 10000, &status, NULL));
	ASSERT_TRUE(strstr(status, "NoNewPrivs:\t1"));
	if (streq(need_env("MSB_TEST_STATIC"), "yes"))
		ASSERT_TRUE(strstr(status, "Seccomp:\t2"));
	free(status);
	(void)snprintf(path, sizeof(path), "%s/sandboxes/box", fx.home);
	put(path, "surprise", "x");
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	assert_reaped(0);
	tear_down();
}

/* Sum of the lines of smaps_rollup that begin with "Private_", in KiB. */
static uint64_t private_kib(pid_t pid)
{
	char path[64];
	char *text = NULL;
	uint64_t sum = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	ASSERT_OK(io_read_file(AT_FDCWD, path, 10000, &text, NULL));
	for (char *at = text; (at = strstr(at, "Private_"));) {
		uint64_t kib = 0;

		at += strcspn(at, ":") + 1;
		at += strspn(at, " ");
		at[strcspn(at, " ")] = '\0';
		ASSERT_OK(str_to_u64(at, &kib));
		sum += kib;
		at += strlen(at) + 1;
	}
	free(text);
	return sum;
}

TEST(it_is_small)
{
	if (!streq(need_env("MSB_TEST_STATIC"), "yes"))
		SKIP("only the static form is what ships");
	set_up();
	spawn_sandbox();
	exec("emit", "10000000");
	run_until(&fx.done);
	ASSERT_TRUE(private_kib(fx.pid) > 0);
	if (private_kib(fx.pid) > 1024)
		test_fail(__FILE__, __LINE__, "%" PRIu64 " KiB of private memory",
			private_kib(fx.pid));
	printf("# %" PRIu64 " KiB of private memory\n", private_kib(fx.pid));
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	assert_reaped(0);
	tear_down();
}

TEST(a_second_client_connects_and_is_told_of_the_end)
{
	struct sandbox *owner;
	struct msb_err err;

	set_up();
	spawn_sandbox();
	run_until(&fx.ready);
	owner = fx.sb;
	fx.ready = false;
	ASSERT_OK(sandbox_connect(&fx.loop, fx.home, "box", &events, NULL, &fx.sb, &err));
	exec("exit", "5");
	run_until(&fx.done);
	ASSERT_TRUE(fx.ready);
	ASSERT_EQ(fx.result.exited.code, 5);
	ASSERT_ERR(
		sandbox_connect(&fx.loop, fx.home, "other", &events, NULL, &fx.sb, &err), ENOENT);
	ASSERT_STREQ(err.msg, "no sandbox is named 'other'");
	sandbox_close(owner);
	run_until(&fx.stopped);
	assert_reaped(0);
	tear_down();
}

TEST(dies_with_its_owner)
{
	pid_t machine;

	set_up();
	spawn_sandbox();
	exec("stall", "0");
	run_until(&fx.ready);
	machine = child_of(fx.pid);
	ASSERT_TRUE(machine > 0);
	fx.sb = sandbox_close(fx.sb);
	assert_reaped(0);
	ASSERT_EQ(kill(machine, 0), -1);
	tear_down();
}

/* Before the guest is up, too. */
TEST(dies_with_its_owner_while_booting)
{
	set_up();
	fx.spec.hostname = "boot-hang";
	spawn_sandbox();
	fx.sb = sandbox_close(fx.sb);
	assert_reaped(0);
	tear_down();
}

static void expect_failure(const char *hostname, const char *msg, const char *console)
{
	memset(&fx, 0, sizeof(fx));
	set_up();
	fx.spec.hostname = hostname;
	fx.spec.boot_timeout_ns = 500 * NSEC_PER_MSEC;
	spawn_sandbox();
	exec("exit", "0");
	run_until(&fx.failed);
	if (!strstr(fx.err.msg, msg))
		test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", fx.err.msg, msg);
	ASSERT_TRUE(strstr(fx.console, console));
	ASSERT_TRUE(fx.done);
	ASSERT_EQ(fx.result.type, 0);
	ASSERT_EQ(sandboxes(), 0);
	assert_reaped(1);
	tear_down();
}

TEST(a_panic_is_reported_with_the_console)
{
	/* Escape sequences of the guest do not reach the terminal. */
	expect_failure("boot-crash", "the guest ended before it was ready",
		"Kernel panic - not syncing: ?[31mno init");
}

TEST(a_failed_boot_is_reported)
{
	expect_failure("boot-fail", "the guest could not start: root: '/dev/vda': Invalid argument",
		"Linux version");
}

TEST(a_hanging_boot_is_reported)
{
	expect_failure("boot-hang", "was not ready after", "Linux version");
}

TEST(a_guest_that_sends_garbage_is_lost)
{
	expect_failure("boot-garbage", "broke the protocol", "");
}

TEST(an_emulator_that_ends_is_reported)
{
	expect_failure("boot-exit", "QEMU ended with status 7", "");
}

TEST(a_crash_while_running_is_reported)
{
	set_up();
	spawn_sandbox();
	exec("crash", "0");
	run_until(&fx.failed);
	ASSERT_STREQ(fx.err.msg, "the guest crashed");
	ASSERT_TRUE(strstr(fx.console, "on demand"));
	assert_reaped(1);
	tear_down();
}

TEST(the_guest_may_power_off)
{
	set_up();
	spawn_sandbox();
	exec("poweroff", "0");
	run_until(&fx.stopped);
	ASSERT_EQ(fx.reason, STOP_GUEST);
	assert_reaped(0);
	tear_down();
}

TEST(a_killed_machine_is_reported)
{
	set_up();
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_EQ(kill(child_of(fx.pid), SIGKILL), 0);
	run_until(&fx.failed);
	ASSERT_TRUE(strstr(fx.err.msg, "signal 9"));
	assert_reaped(1);
	tear_down();
}

TEST(a_killed_supervisor_takes_its_machine_along)
{
	int machine_fd;
	pid_t machine;
	uint64_t deadline;

	set_up();
	spawn_sandbox();
	run_until(&fx.ready);
	machine = child_of(fx.pid);
	machine_fd = io_pidfd_open(machine);
	ASSERT_OK(machine_fd);
	ASSERT_EQ(kill(fx.pid, SIGKILL), 0);
	run_until(&fx.failed);
	ASSERT_TRUE(strstr(fx.err.msg, "supervisor"));
	ASSERT_EQ(waitpid(fx.pid, NULL, 0), fx.pid);
	deadline = clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC;
	while (io_pidfd_kill(machine_fd, 0) == 0) {
		ASSERT_TRUE(clock_mono_ns() < deadline);
		ASSERT_OK(loop_once(&fx.loop, clock_mono_ns() + NSEC_PER_MSEC));
	}
	close(machine_fd);
	/* The next command cleans up, and the name is free at once. */
	ASSERT_EQ(sandboxes(), 1);
	fx.sb = sandbox_close(fx.sb);
	fx.failed = fx.ready = false;
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_EQ(kill(fx.pid, SIGKILL), 0);
	run_until(&fx.failed);
	ASSERT_EQ(waitpid(fx.pid, NULL, 0), fx.pid);
	ASSERT_EQ(sandbox_reap_stale(fx.home), 1);
	tear_down();
}

TEST(a_signal_stops_it)
{
	set_up();
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_EQ(kill(fx.pid, SIGTERM), 0);
	run_until(&fx.stopped);
	assert_reaped(0);
	tear_down();
}

TEST(max_duration_stops_it)
{
	set_up();
	fx.spec.max_duration_ns = 50 * NSEC_PER_MSEC;
	spawn_sandbox();
	exec("stall", "0");
	run_until(&fx.stopped);
	ASSERT_EQ(fx.reason, STOP_MAX_DURATION);
	ASSERT_TRUE(strstr(fx.result.err.msg, "maximum duration"));
	assert_reaped(0);
	tear_down();
}

TEST(a_disk_is_unmounted_before_the_end)
{
	set_up();
	fx.spec.root_kind = ROOT_DISK;
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	ASSERT_EQ(fx.reason, STOP_REQUESTED);
	assert_reaped(0);
	tear_down();
}

/* The guest ignores SHUTDOWN; asking again without grace does not. */
TEST(a_stubborn_guest_is_switched_off)
{
	set_up();
	fx.spec.hostname = "slow-stop";
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_OK(sandbox_stop(fx.sb, 3600 * 1000));
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	assert_reaped(0);
	tear_down();
}

TEST(a_persistent_sandbox_keeps_its_directory)
{
	set_up();
	fx.spec.ephemeral = false;
	spawn_sandbox();
	run_until(&fx.ready);
	fx.sb = sandbox_close(fx.sb);
	ASSERT_EQ(sandbox_reap_stale(fx.home), 0);
	ASSERT_EQ(kill(fx.pid, SIGTERM), 0);
	assert_reaped(0);
	ASSERT_TRUE(in_sandbox("spec.json") && !in_sandbox("agent.sock"));
	ASSERT_TRUE(in_sandbox("kernel.log"));
	ASSERT_EQ(sandbox_reap_stale(fx.home), 0);
	ASSERT_EQ(sandboxes(), 1);
	/* Its name is taken. */
	fx.spec.ephemeral = true;
	fx.ready = false;
	spawn_sandbox();
	run_until(&fx.failed);
	ASSERT_EQ(fx.err.kind, MSB_EXISTS);
	assert_reaped(1);
	fx.sb = sandbox_close(fx.sb);
	free((void *)(uintptr_t)fx.spec.image_path);
	loop_deinit(&fx.loop);
}

static void spawn_unprepared(void)
{
	set_up();
	fx.spec.ephemeral = false;
	fx.spec.detached = true;
	fx.spec.prepare = true;
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_TRUE(in_sandbox("unmade"));
	ASSERT_EQ(sandbox_reap_stale(fx.home), 0);
}

/* A request of the owner's beside the one of the other client. */
static struct {
	struct sandbox_stream stream;
	bool done;
	uint8_t type;
} asked;

static void asked_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	asked.done = true;
	asked.type = r->type;
}

static uint8_t ask(struct sandbox *sb, int (*request)(struct sandbox *, struct sandbox_stream *))
{
	static const struct sandbox_stream_ops asked_ops = {.done = asked_done};

	asked.done = false;
	asked.stream.ops = &asked_ops;
	ASSERT_OK(request(sb, &asked.stream));
	run_until(&asked.done);
	return asked.type;
}

TEST(others_are_served_when_the_owner_has_prepared_it)
{
	struct sandbox *owner;
	struct msb_err err;

	spawn_unprepared();
	owner = fx.sb;
	ASSERT_OK(sandbox_connect(&fx.loop, fx.home, "box", &events, NULL, &fx.sb, &err));
	exec("exit", "5");
	/* The owner is served, more than once, while the other one waits. */
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(ask(owner, sandbox_ping), FRAME_PONG);
	ASSERT_TRUE(!fx.done);
	ASSERT_EQ(ask(owner, sandbox_prepared), FRAME_PONG);
	ASSERT_TRUE(!in_sandbox("unmade") && in_sandbox("spec.json"));
	run_until(&fx.done);
	ASSERT_EQ(fx.result.type, FRAME_EXITED);
	ASSERT_EQ(fx.result.exited.code, 5);
	/* Once is enough. */
	ASSERT_EQ(ask(owner, sandbox_prepared), FRAME_FAILED);
	sandbox_close(owner);
	ASSERT_OK(sandbox_stop(fx.sb, 1000));
	run_until(&fx.stopped);
	assert_reaped(0);
	ASSERT_TRUE(in_sandbox("spec.json"));
	ASSERT_EQ(sandbox_reap_stale(fx.home), 0);
	fx.sb = sandbox_close(fx.sb);
	free((void *)(uintptr_t)fx.spec.image_path);
	loop_deinit(&fx.loop);
}

TEST(an_unprepared_one_goes_with_its_owner)
{
	spawn_unprepared();
	fx.sb = sandbox_close(fx.sb);
	assert_reaped(0);
	tear_down();
}

TEST(an_unprepared_one_is_stopped_by_others)
{
	struct sandbox *owner;
	struct msb_err err;

	spawn_unprepared();
	owner = fx.sb;
	ASSERT_OK(sandbox_connect(&fx.loop, fx.home, "box", &events, NULL, &fx.sb, &err));
	ASSERT_OK(sandbox_stop(fx.sb, 60000));
	run_until(&fx.stopped);
	ASSERT_EQ(fx.reason, STOP_REQUESTED);
	sandbox_close(owner);
	assert_reaped(0);
	ASSERT_TRUE(!in_sandbox("lock"));
	tear_down();
}

TEST(an_unprepared_one_is_removed_when_all_are_killed)
{
	struct sandbox_dir dir;
	struct msb_err err;

	spawn_unprepared();
	ASSERT_EQ(kill(fx.pid, SIGKILL), 0);
	run_until(&fx.failed);
	ASSERT_EQ(waitpid(fx.pid, NULL, 0), fx.pid);
	ASSERT_TRUE(in_sandbox("unmade"));
	ASSERT_ERR(sandbox_dir_lock(fx.home, "box", &dir, &err), ENOENT);
	ASSERT_EQ(sandbox_reap_stale(fx.home), 1);
	tear_down();
}

static void expect_start_failure(const char *msg)
{
	spawn_sandbox();
	run_until(&fx.failed);
	if (!strstr(fx.err.msg, msg))
		test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", fx.err.msg, msg);
	assert_reaped(1);
	tear_down();
}

static struct sandbox_machine recorded(void)
{
	cleanup_fd int fd = -EBADF;
	struct sandbox_record rec;

	ASSERT_OK(sandbox_dir_find(fx.home, "box", &fd, NULL));
	sandbox_record_read(fd, &rec);
	return rec.machine;
}

static void ask_for_memory(uint32_t mib)
{
	fx.stream.ops = &ops;
	fx.done = false;
	ASSERT_OK(sandbox_memory(fx.sb, &fx.stream, mib));
	run_until(&fx.done);
}

TEST(a_running_machine_is_changed)
{
	const struct msg_modify m = {.cpus = 3, .cwd = ""};

	set_up();
	fx.spec.max_vcpus = 4;
	fx.spec.max_mem_mib = 1024;
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_TRUE(recorded().vcpus == 1 && recorded().max_vcpus == 4);
	ASSERT_TRUE(recorded().mem_mib == 512 && recorded().max_mem_mib == 1024);
	fx.stream.ops = &ops;
	ASSERT_OK(sandbox_modify(fx.sb, &fx.stream, &m, NULL));
	run_until(&fx.done);
	ASSERT_TRUE(fx.result.type == FRAME_MODIFIED && recorded().vcpus == 3);
	ask_for_memory(1024);
	ASSERT_TRUE(fx.result.type == FRAME_MODIFIED && recorded().mem_mib == 1024);
	ask_for_memory(300);
	ASSERT_TRUE(fx.result.type == FRAME_MODIFIED && fx.result.modified == 300);
	ASSERT_EQ(recorded().mem_mib, 300);
	/* What it has, it has. */
	ask_for_memory(300);
	ASSERT_EQ(fx.result.type, FRAME_MODIFIED);
	ask_for_memory(1025);
	ASSERT_TRUE(fx.result.type == FRAME_FAILED && fx.result.err.errno_ == ERANGE);
	ASSERT_EQ(recorded().mem_mib, 300);
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	assert_reaped(0);
	tear_down();
}

TEST(a_guest_that_keeps_its_memory_is_told_of)
{
	set_up();
	fx.spec.max_mem_mib = 1024;
	fx.spec.hostname = "greedy";
	spawn_sandbox();
	run_until(&fx.ready);
	ask_for_memory(200);
	ASSERT_EQ(fx.result.type, FRAME_FAILED);
	if (!strstr(fx.result.err.msg, "the guest did not give back 200 of 312 MiB"))
		test_fail(__FILE__, __LINE__, "%s", fx.result.err.msg);
	ASSERT_EQ(recorded().mem_mib, 512);
	ask_for_memory(450);
	ASSERT_TRUE(fx.result.type == FRAME_MODIFIED && recorded().mem_mib == 450);
	/* The end of the sandbox is an answer, too. */
	fx.done = false;
	ASSERT_OK(sandbox_memory(fx.sb, &fx.stream, 100));
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until(&fx.stopped);
	ASSERT_TRUE(fx.done && fx.result.type != FRAME_MODIFIED);
	assert_reaped(0);
	tear_down();
}

TEST(a_missing_kernel_is_named)
{
	set_up();
	fx.spec.kernel_path = "/nonexistent/kernel";
	expect_start_failure("kernel '/nonexistent/kernel': No such file or directory");
}

TEST(a_directory_is_no_kernel)
{
	set_up();
	fx.spec.kernel_path = "/";
	expect_start_failure("kernel '/' is neither a file nor a block device");
}

TEST(a_missing_emulator_is_named)
{
	set_up();
	fx.spec.qemu_path = "/nonexistent/qemu";
	expect_start_failure("/nonexistent/qemu");
}

TEST(a_missing_supervisor_is_named)
{
	struct msb_err err;

	set_up();
	fx.spec.lib_dir = "/nonexistent";
	ASSERT_ERR(sandbox_spawn(&fx.loop, &fx.spec, -1, &events, NULL, &fx.sb, &err), ENOENT);
	ASSERT_TRUE(strstr(err.msg, "/nonexistent/msb-sandbox"));
	ASSERT_TRUE(strstr(err.hint, "setup.sh"));
	tear_down();
}

TEST(a_home_that_cannot_be_written_is_named)
{
	set_up();
	fx.spec.home = "/proc/nowhere";
	expect_start_failure("/proc/nowhere");
}

TEST(long_paths_still_have_a_socket)
{
	char long_home[300];
	struct sandbox *second;
	struct msb_err err;
	size_t len;

	set_up();
	len = strlen(fx.home);
	memset(long_home, 'x', sizeof(long_home));
	memcpy(long_home, fx.home, len);
	long_home[len] = '/';
	long_home[len + 150] = '\0';
	fx.spec.home = long_home;
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_OK(sandbox_connect(&fx.loop, long_home, "box", &events, NULL, &second, &err));
	sandbox_close(second);
	fx.sb = sandbox_close(fx.sb);
	assert_reaped(0);
	tear_down();
}

TEST(a_client_stuck_in_its_own_world_does_not_hold_the_end)
{
	struct sandbox *stuck;
	struct msb_err err;

	set_up();
	spawn_sandbox();
	run_until(&fx.ready);
	ASSERT_OK(sandbox_connect(&fx.loop, fx.home, "box", &events, NULL, &stuck, &err));
	ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until_ended();
	ASSERT_TRUE(fx.stopped);
	sandbox_close(stuck);
	assert_reaped(0);
	tear_down();
}

/*
 * One start with a low limit, which the supervisor inherits: it works or it fails with a reason,
 * and nothing is left either way. Returns whether it worked.
 */
static bool start_under(int resource, rlim_t soft)
{
	struct rlimit old;
	struct rlimit low;
	struct msb_err err = {};
	bool works;
	int r;

	memset(&fx, 0, sizeof(fx));
	set_up();
	ASSERT_EQ(getrlimit(resource, &old), 0);
	low = (struct rlimit){.rlim_cur = soft, .rlim_max = old.rlim_max};
	ASSERT_EQ(setrlimit(resource, &low), 0);
	r = sandbox_spawn(&fx.loop, &fx.spec, -1, &events, NULL, &fx.sb, &err);
	ASSERT_EQ(setrlimit(resource, &old), 0);
	if (r < 0) {
		ASSERT_TRUE(err.msg[0]);
		tear_down();
		return false;
	}
	fx.pid = sandbox_pid(fx.sb);
	exec("exit", "0");
	while (!fx.done)
		ASSERT_OK(loop_once(&fx.loop, clock_mono_ns() + PATIENCE_MS * NSEC_PER_MSEC));
	works = fx.result.type == FRAME_EXITED;
	ASSERT_TRUE(works || fx.result.err.msg[0]);
	if (works)
		ASSERT_OK(sandbox_stop(fx.sb, 0));
	run_until_ended();
	ASSERT_EQ(waitpid(fx.pid, NULL, 0), fx.pid);
	ASSERT_TRUE(sandbox_reap_stale(fx.home) >= 0);
	tear_down();
	return works;
}

TEST(every_limit_on_descriptors_is_survived)
{
	unsigned int worked = 0;
	unsigned int tried = 0;

	for (rlim_t n = 4; n < 140; n += n < 40 ? 1 : 4, tried++)
		worked += start_under(RLIMIT_NOFILE, n);
	ASSERT_TRUE(worked > 0 && worked < tried);
}

TEST(every_limit_on_memory_is_survived)
{
	unsigned int worked = 0;

	if (getenv("ASAN_OPTIONS") || !streq(need_env("MSB_TEST_STATIC"), "yes"))
		SKIP("the sanitizers' own memory does not fit any limit");
	for (rlim_t kib = 256; kib < 2048; kib += 24)
		worked += start_under(RLIMIT_AS, kib * 1024);
	ASSERT_TRUE(worked < 75);
}

/* No room for one inode after the other: the place of every file that is made. */
TEST(every_way_of_a_full_disk_is_survived)
{
	bool worked = false;

	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
		SKIP("no user namespaces here");
	ASSERT_EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	for (unsigned int inodes = 1; inodes < 9; inodes++) {
		char options[64];

		memset(&fx, 0, sizeof(fx));
		set_up();
		ASSERT_TRUE(mkdir(fx.home, 0700) == 0 || errno == EEXIST);
		(void)snprintf(options, sizeof(options), "nr_inodes=%u,size=64k", inodes);
		ASSERT_EQ(mount("full", fx.home, "tmpfs", 0, options), 0);
		spawn_sandbox();
		exec("exit", "0");
		run_until(&fx.done);
		worked = fx.result.type == FRAME_EXITED;
		if (worked)
			ASSERT_OK(sandbox_stop(fx.sb, 0));
		run_until_ended();
		ASSERT_TRUE(worked || strstr(fx.err.msg, "No space left on device"));
		ASSERT_TRUE(worked || fx.err.kind == MSB_NO_MEMORY);
		assert_reaped(worked ? 0 : 1);
		tear_down();
		ASSERT_EQ(umount(fx.home), 0);
	}
	ASSERT_TRUE(worked);
}
