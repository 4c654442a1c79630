/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processors of a sandbox look like to the guest.
 *
 * Policy: everything KVM can virtualise on this host, minus what is of no use inside a sandbox and
 * only widens the interface (nested virtualisation, performance counters, tracing, enclaves,
 * asynchronous page faults), plus a topology of one socket with one thread per core.
 */
#pragma once

#include <linux/kvm.h>

#include "base/base.h"

enum { CPUID_ENTRIES_MAX = 160 };

/* A struct kvm_cpuid2 with room for its entries. */
struct cpuid_table {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};
_Static_assert(offsetof(struct cpuid_table, entries) == offsetof(struct kvm_cpuid2, entries),
	"laid out as KVM wants it");

/**
 * cpuid_apply_policy - turn what KVM supports into what all processors of the sandbox have in
 * common
 * @t: result of KVM_GET_SUPPORTED_CPUID, changed in place
 * @tsc_deadline: KVM offers the deadline mode of the local APIC timer
 */
void cpuid_apply_policy(struct cpuid_table *t, unsigned int vcpus, bool tsc_deadline);

/** cpuid_set_apic_id - make @t, which went through cpuid_apply_policy(), that of processor @id */
void cpuid_set_apic_id(struct cpuid_table *t, uint32_t id);

/** cpuid_is_intel - vendor of the host */
bool cpuid_is_intel(const struct cpuid_table *t);
