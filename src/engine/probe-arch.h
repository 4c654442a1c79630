/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest code of the KVM probe and the state a virtual processor needs to run it; one implementation
 * under arch/<cpu>/.
 */
#pragma once

#include "base/base.h"

/* How the probe talks to KVM; tests put a model of a host here. */
struct probe_kvm {
	/* Return of the request, or negative errno. */
	int (*call)(const struct probe_kvm *kvm, int fd, unsigned long request, uintptr_t arg);
	uint64_t (*now_ns)(const struct probe_kvm *kvm);
	/* What this thread, its guest included, had of the processor. */
	uint64_t (*cpu_ns)(const struct probe_kvm *kvm);
	unsigned int budget_ms; /* for all guest code together */
};

struct probe_cap {
	int cap; /* KVM_CAP_* */
	const char *name;
};

extern const struct probe_cap arch_probe_caps[]; /* ends with a NULL name */

/** arch_probe_mem_size - bytes of guest memory at guest physical 0 */
size_t arch_probe_mem_size(void);

/** arch_probe_load - fill guest memory with tables and code */
void arch_probe_load(uint8_t *mem);

/** arch_probe_setup - give the virtual processor what does not change between runs
 *
 * Return: 0, or negative errno with the name of the failed request in @ret_what.
 */
int arch_probe_setup(const struct probe_kvm *kvm, int kvm_fd, int vcpu_fd, const char **ret_what)
	MSB_MUST_CHECK;

/** arch_probe_set_loop - next run: count down from @n, then halt; 2 instructions a round */
int arch_probe_set_loop(const struct probe_kvm *kvm, int vcpu_fd, uint32_t n) MSB_MUST_CHECK;

/** arch_probe_set_check - next run: the correctness check */
int arch_probe_set_check(const struct probe_kvm *kvm, int vcpu_fd) MSB_MUST_CHECK;

/** arch_probe_passed - did the check write that all of it worked? */
bool arch_probe_passed(const uint8_t *mem);

/** arch_probe_absent_hint - why there may be no /dev/kvm, from @cpuinfo (text of /proc/cpuinfo) */
const char *arch_probe_absent_hint(const char *cpuinfo);
