/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole machine on the host's KVM, with guests of a few instructions instead of a kernel.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/io.h"

#include "vmm/arch/x86_64/testelf.h"
#include "vmm/machine.h"

#include "test.h"

enum { FLAG_GPA = 0x9000 };

#define GUEST(name)                                                    \
	extern const uint8_t payload_##name[], payload_##name##_end[]; \
	static const struct guest name = {payload_##name, payload_##name##_end}

struct guest {
	const uint8_t *code;
	const uint8_t *end;
};

GUEST(power_off);
GUEST(triple_fault);
GUEST(keyboard_reset);
GUEST(entry_state);
GUEST(nobody_answers);
GUEST(device_answers);
GUEST(run_device_memory);
GUEST(spin);
GUEST(halt);
GUEST(smp);

struct env {
	struct machine machine;
	struct loop loop;
	struct vmm_config config;
	int channel;
	int log;
};

static struct env env;

static void on_end(struct machine *m)
{
	loop_stop(m->loop, 0);
}

static int confine_nothing(void)
{
	return 0;
}

static int confine_failing(void)
{
	return -EPERM;
}

static void close_config(void)
{
	fd_close(env.config.kvm_fd);
	fd_close(env.config.kernel_fd);
	fd_close(env.config.channel_fd);
	fd_close(env.config.log_fd);
	fd_close(env.channel);
	fd_close(env.log);
}

/* Skips when the host has no KVM. */
static void configure(const struct guest *g, unsigned int vcpus)
{
	struct testelf kernel;
	int channel[2];
	int log[2];
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		SKIP("no usable /dev/kvm");
	testelf_fill(&kernel, g->code, (size_t)(g->end - g->code));
	ASSERT_OK(io_socketpair(SOCK_STREAM, channel));
	ASSERT_OK(io_pipe(0, log));
	env.config = (struct vmm_config){.magic = VMM_CONFIG_MAGIC,
		.size = (uint32_t)vmm_config_size(0),
		.vcpus = vcpus,
		.mem_mib = 64,
		.kvm_fd = kvm,
		.kernel_fd = testelf_memfd(&kernel),
		.initramfs_fd = -1,
		.channel_fd = channel[1],
		.log_fd = log[1],
		.cgroup_fd = -1,
		.net = {.fd = -1},
		.vsock_fd = -1};
	env.channel = channel[0];
	env.log = log[0];
	ASSERT_OK(loop_init(&env.loop));
}

static void build(const struct guest *g, unsigned int vcpus)
{
	struct msb_err err = {0};

	configure(g, vcpus);
	if (machine_build(&env.machine, &env.config, &env.loop, on_end, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
}

static void teardown(void)
{
	machine_deinit(&env.machine);
	loop_deinit(&env.loop);
	close_config();
}

/* Runs @g to its own end and says how it ended. */
static enum vmm_exit_reason run(const struct guest *g, unsigned int vcpus)
{
	const char *text;

	build(g, vcpus);
	ASSERT_OK(machine_start(&env.machine, confine_nothing, NULL));
	machine_go(&env.machine);
	ASSERT_OK(loop_run(&env.loop));
	machine_stop(&env.machine, clock_mono_ns());
	return machine_end(&env.machine, &text);
}

TEST(powers_off)
{
	ASSERT_EQ(run(&power_off, 1), VMM_EXIT_POWEROFF);
	ASSERT_EQ(env.machine.vcpus[0].stats.pio, 1);
	ASSERT_EQ(env.machine.vcpus[0].stats.unclaimed, 0);
	teardown();
}

TEST(reports_a_triple_fault)
{
	enum vmm_exit_reason reason = run(&triple_fault, 1);
	const char *text;

	(void)machine_end(&env.machine, &text);
	if (reason == VMM_EXIT_GUEST_FAULT && strstr(text, "cannot emulate")) {
		teardown();
		SKIP("KVM of this host runs guests in an emulator that knows no triple fault");
	}
	ASSERT_EQ(reason, VMM_EXIT_SHUTDOWN);
	ASSERT_STREQ(text, "triple fault on vCPU 0");
	teardown();
}

TEST(resets_by_keyboard_controller)
{
	ASSERT_EQ(run(&keyboard_reset, 1), VMM_EXIT_POWEROFF);
	teardown();
}

TEST(enters_as_pvh_demands)
{
	ASSERT_EQ(run(&entry_state, 1), VMM_EXIT_POWEROFF);
	teardown();
}

TEST(reads_ones_where_nobody_answers)
{
	ASSERT_EQ(run(&nobody_answers, 1), VMM_EXIT_POWEROFF);
	ASSERT_EQ(env.machine.vcpus[0].stats.pio, 4);
	ASSERT_EQ(env.machine.vcpus[0].stats.mmio, 2);
	ASSERT_EQ(env.machine.vcpus[0].stats.unclaimed, 5);
	teardown();
}

TEST(finds_its_devices)
{
	ASSERT_EQ(run(&device_answers, 1), VMM_EXIT_POWEROFF);
	ASSERT_EQ(env.machine.vcpus[0].stats.mmio, 2);
	ASSERT_EQ(env.machine.vcpus[0].stats.unclaimed, 0);
	teardown();
}

TEST(ends_a_guest_that_runs_device_memory)
{
	ASSERT_EQ(run(&run_device_memory, 1), VMM_EXIT_GUEST_FAULT);
	teardown();
}

TEST(starts_other_processors)
{
	ASSERT_EQ(run(&smp, 4), VMM_EXIT_POWEROFF);
	teardown();
}

static void stop_when_running(const struct guest *g)
{
	const uint64_t deadline = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct gmem_slice flag;
	const char *text;

	build(g, 2);
	ASSERT_OK(gmem_slice(&env.machine.mem, FLAG_GPA, 2, &flag));
	ASSERT_OK(machine_start(&env.machine, confine_nothing, NULL));
	ASSERT_EQ(guest_ld16(flag.p), 0); /* nothing runs before the gate opens */
	machine_go(&env.machine);
	while (guest_ld16(flag.p) == 0)
		ASSERT_TRUE(clock_mono_ns() < deadline);
	machine_stop(&env.machine, clock_mono_ns());
	ASSERT_EQ(machine_end(&env.machine, &text), VMM_EXIT_STOPPED);
	teardown();
}

TEST(stops_a_spinning_guest)
{
	stop_when_running(&spin);
}

TEST(stops_a_halted_guest)
{
	stop_when_running(&halt);
}

TEST(stops_before_the_gate_opens)
{
	build(&spin, 3);
	ASSERT_OK(machine_start(&env.machine, confine_nothing, NULL));
	teardown();
}

TEST(runs_nothing_when_a_thread_cannot_be_confined)
{
	struct gmem_slice flag;

	build(&spin, 2);
	ASSERT_ERR(machine_start(&env.machine, confine_failing, NULL), EPERM);
	ASSERT_OK(gmem_slice(&env.machine.mem, FLAG_GPA, 2, &flag));
	machine_stop(&env.machine, clock_mono_ns());
	ASSERT_EQ(guest_ld16(flag.p), 0);
	teardown();
}

TEST(names_a_descriptor_that_is_not_kvm)
{
	struct msb_err err;

	configure(&power_off, 1);
	fd_close(env.config.kvm_fd);
	env.config.kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_ERR(machine_build(&env.machine, &env.config, &env.loop, on_end, &err), ENOTTY);
	ASSERT_TRUE(strstr(err.msg, "not /dev/kvm"));
	loop_deinit(&env.loop);
	close_config();
}

TEST(leaves_nothing_behind_when_building_fails)
{
	struct msb_err err;
	int r;

	configure(&power_off, 2);
	FAULT_LOOP({
		memset(&env.machine, 0, sizeof(env.machine));
		r = machine_build(&env.machine, &env.config, &env.loop, on_end, &err);
		if (r == 0)
			machine_deinit(&env.machine);
		else
			ASSERT_TRUE(err.msg[0]);
	});
	loop_deinit(&env.loop);
	close_config();
}
