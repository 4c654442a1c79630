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

enum { FD_MAX = 4096 };

/* A descriptor that nobody else has. */
static bool fd_ok(int32_t fd, uint64_t *taken)
{
	uint64_t bit;

	if (fd <= VMM_FD_CONTROL || fd >= FD_MAX)
		return false;
	bit = UINT64_C(1) << (fd % 64);
	if (taken[fd / 64] & bit)
		return false;
	taken[fd / 64] |= bit;
	return true;
}

/* Each descriptor has one owner: two devices on one descriptor would be a mix-up. */
static bool fds_ok(const struct vmm_config *c)
{
	uint64_t taken[FD_MAX / 64] = {0};

	if (!fd_ok(c->kvm_fd, taken) || !fd_ok(c->kernel_fd, taken) ||
		!fd_ok(c->channel_fd, taken) ||
		(c->initramfs_fd != -1 && !fd_ok(c->initramfs_fd, taken)) ||
		(c->log_fd != -1 && !fd_ok(c->log_fd, taken)) ||
		(c->net.fd != -1 && !fd_ok(c->net.fd, taken)) ||
		(c->vsock_fd != -1 && !fd_ok(c->vsock_fd, taken)))
		return false;
	for (uint32_t i = 0; i < c->n_extents; i++) {
		if (!fd_ok(c->extents[i].fd, taken))
			return false;
	}
	for (uint32_t i = 0; i < c->n_shares; i++) {
		if (!fd_ok(c->shares[i].fd, taken))
			return false;
	}
	return true;
}

/* Sums stay far from overflow: each length is below 2^62, and so is what was added up so far. */
static bool extents_ok(const struct vmm_extent *e, uint32_t n)
{
	const uint64_t max = UINT64_C(1) << 62;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (e[i].reserved || e[i].len % 512 || (e[i].len == 0 && n > 1))
			return false;
		if (e[i].offset >= max || e[i].len >= max || e[i].offset + e[i].len >= max)
			return false;
		bytes += e[i].len;
		if (bytes >= max)
			return false;
	}
	return true;
}

static const char *disks_bad(const struct vmm_config *c)
{
	uint32_t used = 0;

	if (c->n_disks > LIMIT_DISKS)
		return "too many disks";
	if (c->n_extents > LIMIT_EXTENTS)
		return "too many extents";
	for (uint32_t i = 0; i < c->n_disks; i++) {
		const struct vmm_disk *d = &c->disks[i];

		if (d->read_only > 1)
			return "a disk is neither read-only nor writable";
		if (d->unsafe > 1)
			return "a disk is neither safe nor unsafe";
		if (d->n_extents < 1 || d->n_extents > c->n_extents - used)
			return "a disk without its extents";
		if (!d->read_only && d->n_extents > 1)
			return "a writable disk of several extents";
		if (!extents_ok(&c->extents[used], d->n_extents))
			return "an extent that cannot be";
		used += d->n_extents;
	}
	return used == c->n_extents ? NULL : "extents that belong to no disk";
}

static const char *shares_bad(const struct vmm_config *c)
{
	if (c->n_shares > LIMIT_SHARES)
		return "too many shares";
	for (uint32_t i = 0; i < c->n_shares; i++) {
		if (!c->shares[i].tag[0] || !cmdline_ok(c->shares[i].tag, sizeof(c->shares[i].tag)))
			return "a share without a name";
	}
	return NULL;
}

/* A device's address is its own: not that of a group. */
static const char *net_bad(const struct vmm_config *c)
{
	if (c->net.reserved[0] || c->net.reserved[1])
		return "a network that cannot be";
	return c->net.fd != -1 && c->net.mac[0] & 1 ? "a network address of a group" : NULL;
}

int vmm_config_check(const struct vmm_config *c, struct msb_err *err)
{
	const char *bad;

	if (c->magic != VMM_CONFIG_MAGIC)
		return reject(err, "made for another version");
	if (c->vcpus < 1 || c->vcpus > LIMIT_VCPUS)
		return reject(err, "number of vCPUs out of range");
	if (c->mem_mib < LIMIT_MEM_MIN_MIB || c->mem_mib > LIMIT_MEM_MAX_MIB)
		return reject(err, "memory size out of range");
	if (c->balloon_mib >= c->mem_mib)
		return reject(err, "nothing would be left of the memory");
	bad = disks_bad(c);
	if (!bad)
		bad = shares_bad(c);
	if (!bad)
		bad = net_bad(c);
	if (bad)
		return reject(err, bad);
	if (c->size != vmm_config_size(c->n_extents))
		return reject(err, "made for another version");
	if (!fds_ok(c))
		return reject(err, "descriptors missing or used twice");
	if (!cmdline_ok(c->cmdline, sizeof(c->cmdline)))
		return reject(err, "unusable kernel command line");
	return 0;
}
