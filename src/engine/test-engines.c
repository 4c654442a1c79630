/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both engines against a process that behaves in every way that QEMU and msb-vmm may: what is
 * reported, and what is left.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"

#include "engine/engine-internal.h"
#include "engine/engine.h"
#include "engine/qemu-room.h"

#include "test.h"

enum { PATIENCE_MS = 20000 };

struct machine {
	struct engine_spec spec;
	struct engine_extent extents[4];
	struct engine_vm vm;
	struct msb_err err;
	char cmdline[64];
	char console[256]; /* beginning of what came */
	size_t console_len;
	char channel[256];
	size_t channel_len;
};

static const struct engine_ops *const engines[] = {&engine_qemu, &engine_kvm};

static int memfd(const char *content)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ASSERT_OK(fd);
	ASSERT_OK(io_write_full(fd, content, strlen(content)));
	return fd;
}

static void machine_init(struct machine *m, const char *mode)
{
	const char *path = getenv("MSB_TEST_ENGINE");

	/* Any device will do for a fake VMM. */
	engine_kvm_device = "/dev/zero";
	if (!path)
		SKIP("MSB_TEST_ENGINE names no fake-engine: run by meson test");
	*m = (struct machine){};
	(void)snprintf(m->cmdline, sizeof(m->cmdline), "fake=%s", mode);
	m->spec = (struct engine_spec){
		.vcpus = 1,
		.mem_mib = 128,
		.kernel_fd = memfd("kernel"),
		.initramfs_fd = memfd("initramfs"),
		.n_disks = 2,
		.cmdline_extra = m->cmdline,
		.vmm_path = path,
	};
	/* Read-only by wish, not by descriptor. */
	m->extents[0].fd = memfd("disk 0");
	m->extents[3].fd = memfd("disk 1");
	m->spec.disks[0] =
		(struct engine_disk){.read_only = true, .n_extents = 1, .extents = &m->extents[0]};
	m->spec.disks[1] = (struct engine_disk){.n_extents = 1, .extents = &m->extents[3]};
}

static void machine_deinit(struct machine *m)
{
	fd_close(m->spec.kernel_fd);
	fd_close(m->spec.initramfs_fd);
	fd_close(m->extents[0].fd);
	fd_close(m->extents[3].fd);
}

static void start(struct machine *m, const struct engine_ops *ops)
{
	int r = ops->start(&m->spec, &m->vm, &m->err);

	if (r < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", ops->name, m->err.msg);
}

/* Takes in what there is to read. Return: false at the end of the stream. */
static bool drain(int fd, char *to, size_t size, size_t *len)
{
	char text[256];
	ssize_t n = read(fd, text, sizeof(text));

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	for (ssize_t i = 0; i < n && *len + 1 < size; i++)
		to[(*len)++] = text[i];
	return true;
}

/* The supervisor's loop in small, up to the end of the process. */
static void live(struct machine *m)
{
	struct pollfd p[] = {
		{.fd = m->vm.control_fd, .events = POLLIN},
		{.fd = m->vm.channel_fd, .events = POLLIN},
		{.fd = m->vm.console_fd, .events = POLLIN},
		{.fd = m->vm.pidfd, .events = POLLIN},
	};
	int status;

	while (!p[3].revents) {
		ASSERT_TRUE(poll(p, ARRAY_SIZE(p), PATIENCE_MS) > 0);
		if (p[0].revents && m->vm.ops->control(&m->vm) < 0)
			p[0].fd = -1;
		if (p[1].revents &&
			!drain(p[1].fd, m->channel, sizeof(m->channel), &m->channel_len))
			p[1].fd = -1;
		if (p[2].revents &&
			!drain(p[2].fd, m->console, sizeof(m->console), &m->console_len))
			p[2].fd = -1;
	}
	ASSERT_EQ(waitpid(m->vm.pid, &status, 0), m->vm.pid);
	m->vm.ops->reaped(&m->vm, status);
}

static void assert_no_children(void)
{
	ASSERT_EQ(waitpid(-1, NULL, WNOHANG), -1);
	ASSERT_EQ(errno, ECHILD);
}

static void check(
	const struct engine_ops *ops, const char *mode, enum engine_exit exit, const char *message)
{
	struct machine m;

	machine_init(&m, mode);
	start(&m, ops);
	live(&m);
	if (m.vm.exit != exit || !strstr(m.vm.exit_err.msg, message))
		test_fail(__FILE__, __LINE__, "%s, %s: exit %u, message '%s'", ops->name, mode,
			m.vm.exit, m.vm.exit_err.msg);
	/* A message belongs to a failure, and to nothing else. */
	ASSERT_EQ(m.vm.exit_err.msg[0] != '\0', exit == ENGINE_EXIT_FAILED);
	engine_vm_deinit(&m.vm);
	machine_deinit(&m);
	assert_no_children();
}

static void check_both(const char *mode, enum engine_exit exit, const char *message)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++)
		check(engines[i], mode, exit, message);
}

TEST(guest_ends_the_machine)
{
	check_both("powers-off", ENGINE_EXIT_POWEROFF, "");
	check(&engine_kvm, "resets", ENGINE_EXIT_POWEROFF, "");
	check(&engine_kvm, "stops", ENGINE_EXIT_STOPPED, "");
	check(&engine_qemu, "panics", ENGINE_EXIT_PANIC, "");
	check(&engine_kvm, "unknown-event", ENGINE_EXIT_POWEROFF, "");
}

TEST(process_is_confined_and_has_only_its_descriptors)
{
	check_both("checks", ENGINE_EXIT_POWEROFF, "");
}

/* One disk of three pieces, two of them from one file. */
static void extents_init(struct machine *m)
{
	machine_init(m, "extents");
	m->extents[0].len = 4096;
	m->extents[1] =
		(struct engine_extent){.fd = memfd("layer"), .offset = 512, .len = 3ul * 512};
	m->extents[2] =
		(struct engine_extent){.fd = m->extents[0].fd, .offset = 4096, .len = 16ul * 512};
	m->spec.disks[0].n_extents = 3;
}

static void extents_deinit(struct machine *m)
{
	fd_close(m->extents[1].fd);
	machine_deinit(m);
}

TEST(disks_of_extents_arrive)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		struct machine m;

		extents_init(&m);
		start(&m, engines[i]);
		live(&m);
		if (m.vm.exit != ENGINE_EXIT_POWEROFF)
			test_fail(
				__FILE__, __LINE__, "%s: %s", engines[i]->name, m.vm.exit_err.msg);
		engine_vm_deinit(&m.vm);
		extents_deinit(&m);
	}
}

TEST(early_death_is_reported_with_the_last_words)
{
	check_both("dies", ENGINE_EXIT_FAILED, "ended with status 1: out of ?[31mluck");
	check_both("dies-silently", ENGINE_EXIT_FAILED, "ended with status 3");
	check_both("crashes", ENGINE_EXIT_FAILED, "killed by signal 11 (Segmentation fault)");
	check(&engine_kvm, "fails", ENGINE_EXIT_FAILED, "no more luck");
	check(&engine_kvm, "bad-call", ENGINE_EXIT_FAILED, "killed by its jail");
	check(&engine_kvm, "guest-fault", ENGINE_EXIT_FAILED, "read of nothing at 0xdead");
	check(&engine_kvm, "host-fault", ENGINE_EXIT_FAILED, "KVM_RUN: Bad address");
	check(&engine_qemu, "refuses", ENGINE_EXIT_FAILED, "not today");
	check(&engine_qemu, "host-ends", ENGINE_EXIT_FAILED, "ended with status 0");
}

TEST(endless_stderr_does_not_block_the_process)
{
	check_both("floods", ENGINE_EXIT_FAILED, "xxxx");
}

TEST(broken_control_protocol_ends_the_machine)
{
	check(&engine_qemu, "garbage", ENGINE_EXIT_FAILED, "not QMP");
	check(&engine_qemu, "long-line", ENGINE_EXIT_FAILED, "not QMP");
	check(&engine_kvm, "garbage", ENGINE_EXIT_FAILED, "malformed");
}

TEST(hanging_machine_can_be_killed)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		struct machine m;

		machine_init(&m, "hangs");
		start(&m, engines[i]);
		engines[i]->kill(&m.vm);
		live(&m);
		ASSERT_EQ(m.vm.exit, ENGINE_EXIT_STOPPED);
		engine_vm_deinit(&m.vm);
		machine_deinit(&m);
	}
}

/* Killed by somebody else is no orderly end. */
TEST(foreign_kill_is_a_failure)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		struct machine m;

		machine_init(&m, "hangs");
		start(&m, engines[i]);
		ASSERT_OK(io_pidfd_kill(m.vm.pidfd, SIGKILL));
		live(&m);
		ASSERT_EQ(m.vm.exit, ENGINE_EXIT_FAILED);
		ASSERT_TRUE(strstr(m.vm.exit_err.msg, "killed by signal 9 (Killed)"));
		engine_vm_deinit(&m.vm);
		machine_deinit(&m);
	}
}

TEST(channel_and_console_carry_bytes)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		struct machine m;

		machine_init(&m, "echoes");
		start(&m, engines[i]);
		/* Queued before the process is up. */
		ASSERT_EQ(write(m.vm.channel_fd, "ping", 4), 4);
		while (m.channel_len < 4) {
			struct pollfd p = {.fd = m.vm.channel_fd, .events = POLLIN};

			ASSERT_EQ(poll(&p, 1, PATIENCE_MS), 1);
			ASSERT_TRUE(drain(p.fd, m.channel, sizeof(m.channel), &m.channel_len));
		}
		ASSERT_STREQ(m.channel, "ping");
		ASSERT_OK(shutdown(m.vm.channel_fd, SHUT_WR));
		live(&m);
		ASSERT_STREQ(m.console, "[    0.000000] Linux version\r\n");
		ASSERT_EQ(m.vm.exit, ENGINE_EXIT_POWEROFF);
		if (engines[i] == &engine_kvm) {
			ASSERT_EQ(m.vm.created_ns, 1000 + 1);
			ASSERT_EQ(m.vm.first_run_ns, 1000 + 2);
		}
		engine_vm_deinit(&m.vm);
		machine_deinit(&m);
	}
}

static void await_memory(struct machine *m, uint32_t mib)
{
	struct pollfd p = {.fd = m->vm.control_fd, .events = POLLIN};

	while (m->vm.mem_mib != mib) {
		ASSERT_EQ(poll(&p, 1, PATIENCE_MS), 1);
		ASSERT_OK(m->vm.ops->control(&m->vm));
	}
}

TEST(memory_and_processors_beyond_those_in_use)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		struct machine m;

		machine_init(&m, "balloon");
		m.spec.max_vcpus = 4;
		m.spec.max_mem_mib = 512;
		start(&m, engines[i]);
		ASSERT_EQ(m.vm.max_mem_mib, 512);
		await_memory(&m, 128);
		ASSERT_OK(engines[i]->resize(&m.vm, 256));
		await_memory(&m, 256);
		live(&m);
		if (m.vm.exit != ENGINE_EXIT_POWEROFF)
			test_fail(
				__FILE__, __LINE__, "%s: %s", engines[i]->name, m.vm.exit_err.msg);
		engine_vm_deinit(&m.vm);
		machine_deinit(&m);
	}
}

static void check_refused(const struct engine_ops *ops, struct machine *m, int error,
	enum msb_kind kind, const char *message)
{
	int r = ops->start(&m->spec, &m->vm, &m->err);

	if (r != -error || m->err.kind != kind || !strstr(m->err.msg, message))
		test_fail(__FILE__, __LINE__, "%s: %d, %s: %s", ops->name, r,
			msb_kind_name(m->err.kind), m->err.msg);
	assert_no_children();
}

TEST(impossible_requests_are_refused)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		static char long_text[LIMIT_CMDLINE * 5];
		struct machine m;

		machine_init(&m, "powers-off");
		m.spec.vcpus = 0;
		check_refused(engines[i], &m, EINVAL, MSB_USAGE, "0 CPUs");
		m.spec.vcpus = LIMIT_VCPUS + 1;
		check_refused(engines[i], &m, EINVAL, MSB_USAGE, "65 CPUs");
		m.spec.vcpus = 1;
		m.spec.mem_mib = LIMIT_MEM_MIN_MIB - 1;
		check_refused(engines[i], &m, EINVAL, MSB_USAGE, "63 MiB");
		m.spec.mem_mib = 128;
		m.spec.max_vcpus = LIMIT_VCPUS + 1;
		check_refused(engines[i], &m, EINVAL, MSB_USAGE, "65 CPUs");
		m.spec.max_vcpus = 0;
		memset(long_text, 'x', sizeof(long_text) - 1);
		m.spec.cmdline_extra = long_text;
		check_refused(engines[i], &m, E2BIG, MSB_LIMIT, "command line too long");
		m.spec.cmdline_extra = m.cmdline;
		m.spec.vmm_path = "/nonexistent/vmm";
		check_refused(engines[i], &m, ENOENT, MSB_NOT_FOUND, "/nonexistent/vmm");
		m.spec.vmm_path = "/etc/passwd";
		check_refused(engines[i], &m, EACCES, MSB_PERMISSION, "/etc/passwd");
		machine_deinit(&m);
	}
}

TEST(impossible_disks_are_refused)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		static struct engine_extent many[LIMIT_EXTENTS];
		struct machine m;

		extents_init(&m);
		m.spec.disks[0].read_only = false;
		check_refused(engines[i], &m, EINVAL, MSB_FAIL, "number of extents");
		m.spec.disks[0].read_only = true;
		m.extents[1].len = 1000;
		check_refused(engines[i], &m, EINVAL, MSB_FAIL, "extent 1");
		m.extents[1].len = 0;
		check_refused(engines[i], &m, EINVAL, MSB_FAIL, "extent 1");
		m.spec.disks[0].n_extents = 0;
		check_refused(engines[i], &m, EINVAL, MSB_FAIL, "number of extents");
		for (unsigned int k = 0; k < LIMIT_EXTENTS; k++)
			many[k] = (struct engine_extent){.fd = m.extents[0].fd, .len = 512};
		m.spec.disks[0].extents = many;
		m.spec.disks[0].n_extents = LIMIT_EXTENTS;
		check_refused(engines[i], &m, E2BIG, MSB_LIMIT, "529 pieces");
		extents_deinit(&m);
	}
}

/* What QEMU's machine has room for; what can be left out goes first. */
TEST(devices_are_counted)
{
	struct engine_spec spec = {.mem_mib = 128, .n_disks = 2, .n_shares = 3};
	struct qemu_room room;
	struct msb_err err;

	ASSERT_OK(qemu_room_make(&spec, &room, &err));
	ASSERT_TRUE(room.balloon && room.rng);
	spec.n_shares = 4;
	ASSERT_OK(qemu_room_make(&spec, &room, &err));
	ASSERT_TRUE(room.balloon && !room.rng);
	spec.net.path = "msb-net";
	ASSERT_OK(qemu_room_make(&spec, &room, &err));
	ASSERT_TRUE(!room.balloon && !room.rng);
	spec.max_mem_mib = 256;
	ASSERT_EQ(qemu_room_make(&spec, &room, &err), -E2BIG);
	ASSERT_EQ(err.kind, MSB_LIMIT);
	ASSERT_TRUE(strstr(err.msg, "8 devices, not for 9: 1 console, 2 disks, 4 shared "
				    "directories, 1 network, 1 for --max-memory"));
	ASSERT_TRUE(strstr(err.hint, "1 volume or disk less, --no-net"));
	spec.n_shares = 3;
	ASSERT_OK(qemu_room_make(&spec, &room, &err));
	ASSERT_TRUE(room.balloon && !room.rng);
	spec.vsock.path = "msb-vsock";
	ASSERT_EQ(qemu_room_make(&spec, &room, &err), -E2BIG);
	ASSERT_TRUE(strstr(err.msg, "1 network, 1 for --vsock, 1 for --max-memory"));
}

/* All that an image of the largest number of layers needs. */
TEST(hundreds_of_extents_start)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		static struct engine_extent many[LIMIT_EXTENTS - 1];
		struct rlimit old;
		struct rlimit more;
		struct machine m;

		ASSERT_OK(getrlimit(RLIMIT_NOFILE, &old));
		if (old.rlim_max < 4096)
			SKIP("a hard limit of less than 4096 descriptors");
		more = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
		ASSERT_OK(setrlimit(RLIMIT_NOFILE, &more));
		machine_init(&m, "powers-off");
		for (unsigned int k = 0; k < ARRAY_SIZE(many); k++)
			many[k] = (struct engine_extent){
				.fd = m.extents[0].fd, .offset = k * 512ul, .len = 512};
		m.spec.disks[0].extents = many;
		m.spec.disks[0].n_extents = ARRAY_SIZE(many);
		start(&m, engines[i]);
		live(&m);
		if (m.vm.exit != ENGINE_EXIT_POWEROFF)
			test_fail(
				__FILE__, __LINE__, "%s: %s", engines[i]->name, m.vm.exit_err.msg);
		engine_vm_deinit(&m.vm);
		machine_deinit(&m);
		ASSERT_OK(setrlimit(RLIMIT_NOFILE, &old));
	}
}

TEST(missing_programs_and_devices_name_the_remedy)
{
	struct machine m;

	machine_init(&m, "powers-off");
	m.spec.vmm_path = NULL;
	ASSERT_OK(setenv("PATH", "relative::/nonexistent", 1));
	check_refused(&engine_qemu, &m, ENOENT, MSB_NOT_FOUND, "QEMU is not installed");
	ASSERT_TRUE(strstr(m.err.hint, "apt install"));
	check_refused(&engine_kvm, &m, EINVAL, MSB_FAIL, "no path of msb-vmm");
	m.spec.vmm_path = getenv("MSB_TEST_ENGINE");
	engine_kvm_device = "/nonexistent/kvm";
	check_refused(&engine_kvm, &m, ENOENT, MSB_UNSUPPORTED, "cannot open /nonexistent/kvm");
	ASSERT_TRUE(m.err.hint[0]);
	machine_deinit(&m);
}

static void start_and_kill(struct machine *m, const struct engine_ops *ops)
{
	int status;
	int r = ops->start(&m->spec, &m->vm, &m->err);

	if (r < 0) {
		ASSERT_TRUE(m->err.msg[0]);
		return;
	}
	ops->kill(&m->vm);
	while (waitpid(m->vm.pid, &status, 0) < 0 && errno == EINTR)
		;
	ops->reaped(&m->vm, status);
	engine_vm_deinit(&m->vm);
}

/* Whatever step of a start fails, nothing is left behind (the harness counts descriptors). */
TEST(failed_start_leaves_nothing)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		struct machine m;

		machine_init(&m, "hangs");
		FAULT_LOOP(start_and_kill(&m, engines[i]));
		machine_deinit(&m);
		assert_no_children();
	}
}

TEST(start_survives_a_full_descriptor_table)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
		int fill[256] = {};
		struct machine m;

		machine_init(&m, "hangs");
		/* From no free descriptor to enough of them. */
		for (int free_fds = 0; free_fds < 16; free_fds++) {
			struct rlimit old;
			struct rlimit few;
			int n = 0;

			ASSERT_OK(getrlimit(RLIMIT_NOFILE, &old));
			few = (struct rlimit){.rlim_cur = 200, .rlim_max = old.rlim_max};
			ASSERT_OK(setrlimit(RLIMIT_NOFILE, &few));
			while (n < (int)ARRAY_SIZE(fill) &&
				(fill[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
				n++;
			for (int k = 0; k < free_fds; k++)
				fd_close(fill[--n]);
			start_and_kill(&m, engines[i]);
			while (n > 0)
				fd_close(fill[--n]);
			ASSERT_OK(setrlimit(RLIMIT_NOFILE, &old));
		}
		machine_deinit(&m);
		assert_no_children();
	}
}

/*
 * msb-net gets its descriptors and nothing else, and a link to the machine. The end of the machine
 * shows on that link where it is a connection, which it is not with QEMU.
 */
static void check_network(const struct engine_ops *ops, const char *want, bool ends)
{
	struct machine m;
	struct pollfd p = {.events = POLLIN};
	char line[256] = "";
	int events[2];

	machine_init(&m, "network");
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET, events));
	m.spec.net = (struct engine_net){
		.path = m.spec.vmm_path, .config_fd = memfd("description"), .events_fd = events[0]};
	start(&m, ops);
	live(&m);
	ASSERT_EQ(m.vm.exit, ENGINE_EXIT_POWEROFF);
	ASSERT_EQ(m.vm.n_helpers, 1);
	p.fd = events[1];
	ASSERT_EQ(poll(&p, 1, PATIENCE_MS), 1);
	ASSERT_TRUE(recv(events[1], line, sizeof(line) - 1, MSG_DONTWAIT) > 0);
	ASSERT_STREQ(line, want);
	p.fd = m.vm.helpers[0].pidfd;
	ASSERT_TRUE(!ends || poll(&p, 1, PATIENCE_MS) == 1);
	if (ends && engine_helper_ended(&m.vm, 0, &m.err) != 0)
		test_fail(__FILE__, __LINE__, "%s: %s", ops->name, m.err.msg);
	engine_vm_deinit(&m.vm);
	fd_close(m.spec.net.config_fd);
	fd_close(events[0]);
	fd_close(events[1]);
	machine_deinit(&m);
	assert_no_children();
}

TEST(the_network_is_a_process_beside_the_machine)
{
	check_network(&engine_qemu, "bare description frame", false);
	check_network(&engine_kvm, "headers description frame", true);
}

TEST(engine_names)
{
	enum engine_kind kind;

	ASSERT_OK(engine_kind_parse("auto", &kind));
	ASSERT_EQ(kind, ENGINE_AUTO);
	ASSERT_OK(engine_kind_parse("kvm", &kind));
	ASSERT_EQ(kind, ENGINE_KVM);
	ASSERT_OK(engine_kind_parse("qemu", &kind));
	ASSERT_EQ(kind, ENGINE_QEMU);
	ASSERT_ERR(engine_kind_parse("", &kind), EINVAL);
	ASSERT_ERR(engine_kind_parse("KVM", &kind), EINVAL);
	ASSERT_ERR(engine_kind_parse("qemu ", &kind), EINVAL);
}
