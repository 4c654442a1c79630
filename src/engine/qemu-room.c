/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of QEMU's machine: see qemu-room.h. */
#include "engine/qemu-room.h"

#include "engine/arch.h"

static const char *plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

int qemu_room_make(const struct engine_spec *spec, struct qemu_room *ret, struct msb_err *err)
{
	bool changes = engine_max_mem_mib(spec) > spec->mem_mib;
	bool net = spec->net.path != NULL;
	bool vsock = spec->vsock.path != NULL;
	/* The first one has channel and console. */
	uint32_t n = 1 + spec->n_disks + spec->n_shares + net + vsock + changes;

	if (n > arch_qemu_devices) {
		(void)msb_err_set(err, -E2BIG, MSB_LIMIT,
			"QEMU's machine has room for %u devices, not for %u: 1 console, %u disk%s, "
			"%u shared director%s%s%s%s",
			arch_qemu_devices, n, spec->n_disks, plural(spec->n_disks), spec->n_shares,
			spec->n_shares == 1 ? "y" : "ies", net ? ", 1 network" : "",
			vsock ? ", 1 for --vsock" : "", changes ? ", 1 for --max-memory" : "");
		return msb_err_hint(err, -E2BIG, "%u volume%s or disk%s less%s, or a host with KVM",
			n - arch_qemu_devices, plural(n - arch_qemu_devices),
			plural(n - arch_qemu_devices), net ? ", --no-net" : "");
	}
	ret->balloon = changes || n < arch_qemu_devices;
	n += ret->balloon && !changes;
	ret->rng = n < arch_qemu_devices;
	return 0;
}
