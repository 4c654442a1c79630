/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config.h"

#include "test.h"

static struct vmm_config good(void)
{
	return (struct vmm_config){.magic = VMM_CONFIG_MAGIC,
		.size = (uint32_t)vmm_config_size(4),
		.vcpus = 1,
		.mem_mib = 256,
		.kvm_fd = 4,
		.kernel_fd = 5,
		.initramfs_fd = 6,
		.channel_fd = 7,
		.log_fd = 8,
		.cgroup_fd = -1,
		.n_disks = 2,
		.disks = {{.read_only = 1, .n_extents = 3}, {.n_extents = 1}},
		.n_shares = 1,
		.shares = {{.fd = 13, .tag = "msb0"}},
		.net = {.fd = 14, .mac = {2, 0x6d, 0x73, 0, 1, 2}},
		.vsock_fd = 15,
		.cmdline = "console=hvc0",
		.n_extents = 4,
		.extents = {{.fd = 9, .len = 4096}, {.fd = 12, .len = 512},
			{.fd = 11, .offset = 4096, .len = 8192}, {.fd = 10}}};
}

#define REJECTED(change)                                                          \
	do {                                                                      \
		struct vmm_config c = good();                                     \
		struct msb_err err = {0};                                         \
		change;                                                           \
		ASSERT_ERR(vmm_config_check(&c, &err), EINVAL);                   \
		ASSERT_TRUE(strstr(err.msg, "start configuration: ") == err.msg); \
	} while (0)

#define ACCEPTED(change)                               \
	do {                                           \
		struct vmm_config c = good();          \
		change;                                \
		ASSERT_OK(vmm_config_check(&c, NULL)); \
	} while (0)

TEST(shares)
{
	ACCEPTED(c.n_shares = 0);
	REJECTED(c.n_shares = LIMIT_SHARES + 1);
	REJECTED(c.shares[0].fd = 9);
	REJECTED(c.shares[0].fd = -1);
	REJECTED(c.shares[0].tag[0] = '\0');
	REJECTED(memset(c.shares[0].tag, 'x', sizeof(c.shares[0].tag)));
}

TEST(host_sockets)
{
	ACCEPTED(c.vsock_fd = -1);
	REJECTED(c.vsock_fd = 0);
	REJECTED(c.vsock_fd = c.net.fd);
}

TEST(network)
{
	ACCEPTED(c.net.fd = -1);
	REJECTED(c.net.fd = 0);
	REJECTED(c.net.fd = 13);
	REJECTED(c.net.mac[0] = 3);
	REJECTED(c.net.reserved[1] = 1);
}

TEST(accepts_a_complete_configuration)
{
	ACCEPTED((void)0);
	ACCEPTED(c.initramfs_fd = -1);
	ACCEPTED(c.log_fd = -1);
	ACCEPTED({
		c.n_disks = c.n_extents = 0;
		c.size = (uint32_t)vmm_config_size(0);
	});
	ACCEPTED(c.vcpus = LIMIT_VCPUS);
	ACCEPTED(c.mem_mib = LIMIT_MEM_MAX_MIB);
	ACCEPTED(c.cmdline[0] = '\0');
}

TEST(rejects_another_version)
{
	REJECTED(c.magic++);
	REJECTED(c.size--);
}

TEST(rejects_sizes_out_of_range)
{
	REJECTED(c.vcpus = 0);
	REJECTED(c.vcpus = LIMIT_VCPUS + 1);
	REJECTED(c.balloon_mib = c.mem_mib);
	REJECTED(c.mem_mib = LIMIT_MEM_MIN_MIB - 1);
	REJECTED(c.mem_mib = LIMIT_MEM_MAX_MIB + 1);
	REJECTED(c.n_disks = LIMIT_DISKS + 1);
	REJECTED(c.n_disks = UINT32_MAX);
	REJECTED(c.disks[1].read_only = 2);
	REJECTED(c.disks[1].unsafe = 2);
	REJECTED(c.n_extents = LIMIT_EXTENTS + 1);
	REJECTED(c.n_extents = UINT32_MAX);
}

TEST(rejects_extents_that_make_no_disk)
{
	ACCEPTED(c.disks[0].read_only = c.disks[1].read_only = 1);
	ACCEPTED(c.extents[3].len = 512);
	REJECTED(c.disks[0].read_only = 0);
	REJECTED(c.disks[0].n_extents = 2);
	REJECTED(c.disks[0].n_extents = 4);
	REJECTED(c.disks[0].n_extents = UINT32_MAX);
	REJECTED(c.disks[1].n_extents = 0);
	REJECTED(c.disks[1].n_extents = 2);
	REJECTED(c.extents[0].len = 0);
	REJECTED(c.extents[1].len = 513);
	REJECTED(c.extents[1].reserved = 1);
	REJECTED(c.extents[2].offset = UINT64_MAX);
	REJECTED(c.extents[2].len = UINT64_MAX - 511);
	REJECTED(c.extents[3].offset = UINT64_C(1) << 62);
	REJECTED({
		c.extents[0].len = UINT64_C(1) << 61;
		c.extents[1].len = UINT64_C(1) << 61;
	});
}

TEST(rejects_missing_and_shared_descriptors)
{
	REJECTED(c.kvm_fd = -1);
	REJECTED(c.kernel_fd = -1);
	REJECTED(c.channel_fd = -1);
	REJECTED(c.initramfs_fd = -2);
	REJECTED(c.extents[0].fd = -1);
	REJECTED(c.kernel_fd = VMM_FD_CONTROL);
	REJECTED(c.log_fd = 2);
	REJECTED(c.kernel_fd = c.kvm_fd);
	REJECTED(c.extents[3].fd = c.extents[0].fd);
	REJECTED(c.extents[2].fd = c.extents[1].fd);
	REJECTED(c.extents[0].fd = c.channel_fd);
	REJECTED(c.extents[0].fd = INT32_MAX);
	REJECTED(c.extents[0].fd = INT32_MIN);
}

TEST(rejects_unusable_command_lines)
{
	REJECTED(memset(c.cmdline, 'x', sizeof(c.cmdline)));
	REJECTED(c.cmdline[3] = '\n');
	REJECTED(c.cmdline[3] = '\x7f');
}
