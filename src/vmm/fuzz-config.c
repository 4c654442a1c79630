/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever vmm_config_check() accepts must be safe to act upon. */
#include "vmm/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_config c = {
		.magic = VMM_CONFIG_MAGIC, .size = sizeof(c), .net = {.fd = -1}, .vsock_fd = -1};
	struct msb_err err;

	/* The header is given: random bytes should reach what is behind it. */
	memcpy(&c.vcpus, data, MIN(size, sizeof(c) - offsetof(struct vmm_config, vcpus)));
	if (c.n_extents <= LIMIT_EXTENTS)
		c.size = (uint32_t)vmm_config_size(c.n_extents);
	if (vmm_config_check(&c, &err) < 0) {
		assert(err.msg[0]);
		return 0;
	}
	assert(c.vcpus >= 1 && c.vcpus <= LIMIT_VCPUS);
	assert(c.n_disks <= LIMIT_DISKS && c.n_extents <= LIMIT_EXTENTS);
	for (uint32_t i = 0; i < c.n_extents; i++) {
		assert(c.extents[i].fd > VMM_FD_CONTROL && c.extents[i].len % 512 == 0);
		assert(c.extents[i].offset + c.extents[i].len >= c.extents[i].offset);
	}
	assert(c.n_shares <= LIMIT_SHARES);
	for (uint32_t i = 0; i < c.n_shares; i++)
		assert(c.shares[i].fd > VMM_FD_CONTROL && memchr(c.shares[i].tag, 0, 36));
	assert(memchr(c.cmdline, 0, sizeof(c.cmdline)));
	assert(c.kvm_fd > VMM_FD_CONTROL && c.kernel_fd > VMM_FD_CONTROL);
	return 0;
}
