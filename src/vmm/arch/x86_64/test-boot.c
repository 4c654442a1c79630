/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "base/io.h"

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/mptable.h"
#include "vmm/arch/x86_64/testelf.h"

#include "test.h"

enum { RAM = 64 << 20 };

struct env {
	struct gmem mem;
	struct arch_boot boot;
	struct arch_entry entry;
	struct testelf kernel;
};

static struct env env;

static void setup(void)
{
	gmem_init(&env.mem);
	ASSERT_OK(gmem_alloc(&env.mem, 0, RAM));
	testelf_fill(&env.kernel, "code", 4);
	env.boot = (struct arch_boot){.kernel_fd = testelf_memfd(&env.kernel),
		.initramfs_fd = -1,
		.cmdline = "quiet",
		.vcpus = 3};
}

static void teardown(void)
{
	close(env.boot.kernel_fd);
	fd_close(env.boot.initramfs_fd);
	gmem_deinit(&env.mem);
}

static const uint8_t *at(uint64_t gpa, size_t len)
{
	struct gmem_slice s;

	ASSERT_OK(gmem_slice(&env.mem, gpa, len, &s));
	return s.p;
}

static uint32_t u32_at(uint64_t gpa)
{
	uint32_t v;

	memcpy(&v, at(gpa, sizeof(v)), sizeof(v));
	return v;
}

static uint64_t u64_at(uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, at(gpa, sizeof(v)), sizeof(v));
	return v;
}

static void assert_sum_zero(const uint8_t *p, size_t n)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += p[i];
	ASSERT_EQ(sum & 0xff, 0);
}

TEST(places_segments_and_nothing_around_them)
{
	const uint8_t *data;

	setup();
	ASSERT_OK(arch_boot_load(&env.boot, &env.mem, &env.entry, NULL));
	ASSERT_EQ(env.entry.ip, TESTELF_GPA);
	ASSERT_MEMEQ(at(TESTELF_GPA, 4096), (uint8_t *)&env.kernel + 4096, 4096);
	data = at(TESTELF_DATA_GPA, 8192);
	for (size_t i = 0; i < 8192; i++)
		ASSERT_EQ(data[i], i >= 0x80 && i < 0x80 + 100 ? 0xda : 0);
	teardown();
}

TEST(maps_the_kernel_privately)
{
	uint8_t back;

	setup();
	ASSERT_OK(arch_boot_load(&env.boot, &env.mem, &env.entry, NULL));
	ASSERT_EQ(env.mem.n_files, 1);
	*(uint8_t *)(uintptr_t)at(TESTELF_GPA, 1) = 'X';
	ASSERT_EQ(pread(env.boot.kernel_fd, &back, 1, 4096), 1);
	ASSERT_EQ(back, 'c');
	teardown();
}

TEST(describes_memory_and_command_line)
{
	uint64_t info;
	uint64_t map;

	setup();
	ASSERT_OK(arch_boot_load(&env.boot, &env.mem, &env.entry, NULL));
	info = env.entry.info_gpa;
	ASSERT_EQ(u32_at(info), 0x336ec578);
	ASSERT_EQ(u32_at(info + 4), 1);
	ASSERT_EQ(u32_at(info + 12), 0); /* modules */
	ASSERT_STREQ((const char *)at(u64_at(info + 24), 6), "quiet");
	map = u64_at(info + 40);
	ASSERT_EQ(u32_at(info + 48), 3);
	ASSERT_EQ(u64_at(map), 0);
	ASSERT_EQ(u64_at(map + 8), LOW_RAM_END);
	ASSERT_EQ(u32_at(map + 24 + 16), 2); /* reserved */
	ASSERT_EQ(u64_at(map + 48), HIGH_RAM_START);
	ASSERT_EQ(u64_at(map + 48) + u64_at(map + 56), RAM);
	teardown();
}

TEST(places_the_initramfs_at_the_end)
{
	uint8_t bytes[5000];
	uint64_t module;

	setup();
	memset(bytes, 0x5a, sizeof(bytes));
	env.boot.initramfs_fd = memfd_create("initramfs", MFD_CLOEXEC);
	ASSERT_OK(io_write_full(env.boot.initramfs_fd, bytes, sizeof(bytes)));
	ASSERT_OK(arch_boot_load(&env.boot, &env.mem, &env.entry, NULL));
	ASSERT_EQ(u32_at(env.entry.info_gpa + 12), 1);
	module = u64_at(env.entry.info_gpa + 16);
	ASSERT_EQ(u64_at(module), RAM - 8192);
	ASSERT_EQ(u64_at(module + 8), sizeof(bytes));
	ASSERT_MEMEQ(at(RAM - 8192, sizeof(bytes)), bytes, sizeof(bytes));
	teardown();
}

TEST(rejects_an_initramfs_that_does_not_fit)
{
	struct msb_err err;

	setup();
	env.boot.initramfs_fd = memfd_create("initramfs", MFD_CLOEXEC);
	ASSERT_ERR(arch_boot_load(&env.boot, &env.mem, &env.entry, &err), EINVAL);
	ASSERT_EQ(ftruncate(env.boot.initramfs_fd, RAM), 0);
	ASSERT_ERR(arch_boot_load(&env.boot, &env.mem, &env.entry, &err), ENOMEM);
	ASSERT_TRUE(strstr(err.msg, "initramfs does not fit"));
	teardown();
}

TEST(rejects_a_long_command_line)
{
	char line[LIMIT_CMDLINE + 1];
	struct msb_err err;

	setup();
	memset(line, 'x', sizeof(line));
	line[LIMIT_CMDLINE] = '\0';
	env.boot.cmdline = line;
	ASSERT_ERR(arch_boot_load(&env.boot, &env.mem, &env.entry, &err), E2BIG);
	line[LIMIT_CMDLINE - 1] = '\0';
	ASSERT_OK(arch_boot_load(&env.boot, &env.mem, &env.entry, &err));
	teardown();
}

TEST(wires_processors_and_interrupts)
{
	const uint8_t *table;
	size_t len;

	setup();
	ASSERT_OK(arch_boot_load(&env.boot, &env.mem, &env.entry, NULL));
	ASSERT_MEMEQ(at(MP_POINTER_GPA, 4), "_MP_", 4);
	assert_sum_zero(at(MP_POINTER_GPA, 16), 16);
	table = at(u32_at(MP_POINTER_GPA + 4), MPTABLE_SIZE_MAX);
	ASSERT_MEMEQ(table, "PCMP", 4);
	len = (size_t)table[4] | (size_t)table[5] << 8;
	assert_sum_zero(table, len);
	ASSERT_EQ(len, 44 + 3 * 20 + 8 + 8 + (24 + 2) * 8);
	ASSERT_EQ(table[44 + 3], 3); /* enabled, boot processor */
	ASSERT_EQ(table[44 + 20 + 1], 1); /* APIC id */
	ASSERT_EQ(table[44 + 20 + 3], 1);
	teardown();
}

TEST(announces_devices_on_the_command_line)
{
	char line[64] = "quiet";

	ASSERT_OK(arch_cmdline_device(line, sizeof(line), 2));
	ASSERT_STREQ(line, "quiet virtio_mmio.device=4K@0xd0002000:7");
	ASSERT_ERR(arch_cmdline_device(line, sizeof(line), 3), ENAMETOOLONG);
	ASSERT_STREQ(line, "quiet virtio_mmio.device=4K@0xd0002000:7");
}

TEST(splits_memory_around_the_gap)
{
	struct arch_range r[ARCH_RAM_RANGES_MAX];

	ASSERT_EQ(arch_ram_layout(3 * GIB, r), 1);
	ASSERT_EQ(r[0].size, 3 * GIB);
	ASSERT_EQ(arch_ram_layout(3 * GIB + MIB, r), 2);
	ASSERT_EQ(r[0].size, 3 * GIB);
	ASSERT_EQ(r[1].gpa, 4 * GIB);
	ASSERT_EQ(r[1].size, MIB);
}
