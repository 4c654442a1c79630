/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation of the start contract: see config.h.
 *
 * The supervisor is trusted; this check keeps its mistakes from becoming ours, and names them.
 */
#include "vmm/config.h"

static int reject(struct msb_err *err, const char *what)
{
	return msb_err_set(err, -EINVAL, MSB_PROTOCOL, "start configuration: %s", what);
}

/* Printable characters only: a line break or a control byte is never meant. */
static bool cmdline_ok(const char *s, size_t size)
{
	size_t len = strnlen(s, size);

	if (len == size)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] == 0x7f)
			return false;
	}
	return true;
}

/* Each descriptor has one owner: two devices on one descriptor would be a mix-up. */
static bool fds_ok(const struct vmm_config *c)
{
	int32_t fds[5 + LIMIT_DISKS] = {
		c->kvm_fd, c->kernel_fd, c->channel_fd, c->initramfs_fd, c->log_fd};
	unsigned int n = 5;

	for (uint32_t i = 0; i < c->n_disks; i++)
		fds[n++] = c->disks[i].fd;
	for (unsigned int i = 0; i < n; i++) {
		bool optional = i == 3 || i == 4;

		if (fds[i] == -1 && optional)
			continue;
		if (fds[i] <= VMM_FD_CONTROL)
			return false;
		for (unsigned int j = 0; j < i; j++) {
			if (fds[j] == fds[i])
				return false;
		}
	}
	return true;
}

int vmm_config_check(const struct vmm_config *c, struct msb_err *err)
{
	if (c->magic != VMM_CONFIG_MAGIC || c->size != sizeof(*c))
		return reject(err, "made for another version");
	if (c->vcpus < 1 || c->vcpus > LIMIT_VCPUS)
		return reject(err, "number of vCPUs out of range");
	if (c->mem_mib < LIMIT_MEM_MIN_MIB || c->mem_mib > LIMIT_MEM_MAX_MIB)
		return reject(err, "memory size out of range");
	if (c->n_disks > LIMIT_DISKS)
		return reject(err, "too many disks");
	for (uint32_t i = 0; i < c->n_disks; i++) {
		if (c->disks[i].read_only > 1)
			return reject(err, "a disk is neither read-only nor writable");
	}
	if (!fds_ok(c))
		return reject(err, "descriptors missing or used twice");
	if (!cmdline_ok(c->cmdline, sizeof(c->cmdline)))
		return reject(err, "unusable kernel command line");
	return 0;
}
