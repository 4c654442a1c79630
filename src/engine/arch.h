/* SPDX-License-Identifier: Apache-2.0 */
/* What the engines need to know about the processor; one implementation under arch/<cpu>/. */
#pragma once

#include "base/base.h"

extern const char arch_qemu_binary[]; /* program name of QEMU for this processor */
extern const char arch_qemu_package[]; /* Debian package that holds it */
extern const char arch_qemu_machine[]; /* value of -M */
extern const uint32_t arch_qemu_devices; /* virtio devices that machine has room for */
extern const char arch_qemu_cpu[]; /* value of -cpu */

/* One moment on the processor's own clock and on CLOCK_MONOTONIC. */
struct arch_clock {
	uint64_t ticks;
	uint64_t mono_ns;
};

struct arch_clock arch_clock_now(void);

/**
 * arch_cmdline_qemu - kernel parameters for an emulated machine with @vcpus processors
 * @start: a moment of shortly before; the guest's clock is derived from what passed since. Waits
 *	until that is enough, a fraction of a millisecond.
 *
 * Return: 0 or -E2BIG.
 */
int arch_cmdline_qemu(char *to, size_t size, uint32_t vcpus, const struct arch_clock *start)
	MSB_MUST_CHECK;

/** arch_cmdline_kvm - kernel parameters for a machine of msb-vmm */
const char *arch_cmdline_kvm(uint32_t vcpus);
