/* SPDX-License-Identifier: Apache-2.0 */
/* What the processors of a sandbox look like to the guest: see cpuid.h. */
#include "vmm/arch/x86_64/cpuid.h"

#include <linux/kvm_para.h>

#define BIT(n) (1u << (n))

/* Leaf 1. */
#define L1_ECX_MONITOR	    BIT(3)
#define L1_ECX_VMX	    BIT(5)
#define L1_ECX_PDCM	    BIT(15)
#define L1_ECX_TSC_DEADLINE BIT(24)
#define L1_ECX_HYPERVISOR   BIT(31)

/* Leaf 7. */
#define L7_EBX_SGX     BIT(2)
#define L7_EBX_MPX     BIT(14)
#define L7_EBX_PT      BIT(25)
#define L7_ECX_WAITPKG BIT(5)
#define L7_ECX_SGX_LC  BIT(30)

/* Leaf 0x80000001. */
#define L81_ECX_SVM	BIT(2)
#define L81_ECX_PERFCTR (BIT(23) | BIT(24) | BIT(28))

/* Topology leaves. */
enum { TOPOLOGY_SMT = 1, TOPOLOGY_CORE = 2 };

/* Features of the KVM leaf that guests may use: clock, interrupts and scheduling hints. Not offered
 * are asynchronous page faults (useless without swap, and state in guest memory) and migration. */
#define KVM_FEATURES_KEPT                                                         \
	(BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_NOP_IO_DELAY) |           \
		BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_STEAL_TIME) |     \
		BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_PV_UNHALT) |            \
		BIT(KVM_FEATURE_PV_TLB_FLUSH) | BIT(KVM_FEATURE_PV_SEND_IPI) |    \
		BIT(KVM_FEATURE_POLL_CONTROL) | BIT(KVM_FEATURE_PV_SCHED_YIELD) | \
		BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT))

static struct kvm_cpuid_entry2 *find(struct cpuid_table *t, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[i];

		if (e->function == function && e->index == index)
			return e;
	}
	return NULL;
}

/* Removes every sub-leaf of @function: the guest reads zeroes there. */
static void drop(struct cpuid_table *t, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->nent; i++) {
		if (t->entries[i].function != function)
			t->entries[kept++] = t->entries[i];
	}
	t->nent = kept;
}

/* Width of an APIC id field that holds 0 to @n - 1. */
static uint32_t id_bits(unsigned int n)
{
	uint32_t bits = 0;

	while (BIT(bits) < n)
		bits++;
	return bits;
}

static void set_field(uint32_t *reg, unsigned int shift, unsigned int width, uint32_t value)
{
	uint32_t mask = (BIT(width) - 1) << shift;

	*reg = (*reg & ~mask) | (value << shift & mask);
}

static void mask_features(struct cpuid_table *t, bool tsc_deadline)
{
	struct kvm_cpuid_entry2 *e = find(t, 1, 0);

	if (e) {
		e->ecx &= ~(L1_ECX_MONITOR | L1_ECX_VMX | L1_ECX_PDCM | L1_ECX_TSC_DEADLINE);
		e->ecx |= L1_ECX_HYPERVISOR | (tsc_deadline ? L1_ECX_TSC_DEADLINE : 0);
	}
	e = find(t, 7, 0);
	if (e) {
		e->ebx &= ~(L7_EBX_SGX | L7_EBX_MPX | L7_EBX_PT);
		e->ecx &= ~(L7_ECX_WAITPKG | L7_ECX_SGX_LC);
	}
	e = find(t, 0x80000001, 0);
	if (e)
		e->ecx &= ~(L81_ECX_SVM | L81_ECX_PERFCTR);
	e = find(t, KVM_CPUID_FEATURES, 0);
	if (e)
		e->eax &= KVM_FEATURES_KEPT;

	drop(t, 0x5); /* MONITOR/MWAIT */
	drop(t, 0xa); /* performance counters of Intel, of AMD below */
	drop(t, 0x12); /* SGX */
	drop(t, 0x14); /* processor trace */
	drop(t, 0x80000022);
	drop(t, 0x8000000a); /* SVM */
	drop(t, 0x8000001b); /* instruction based sampling */
	drop(t, 0x8000001f); /* memory encryption */
}

/* One socket, one thread per core: level 1 caches are private, the last level is shared. */
static void set_cache_sharing(struct cpuid_table *t, uint32_t function, unsigned int vcpus)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[i];
		uint32_t level = e->eax >> 5 & 7;

		if (e->function != function || (e->eax & 0x1f) == 0)
			continue;
		set_field(&e->eax, 14, 12, level >= 3 ? BIT(id_bits(vcpus)) - 1 : 0);
		if (function == 4)
			set_field(&e->eax, 26, 6, MIN(BIT(id_bits(vcpus)) - 1, 63u));
	}
}

static void add_extended_topology(struct cpuid_table *t, unsigned int vcpus)
{
	struct kvm_cpuid_entry2 levels[] = {
		{.eax = 0, .ebx = 1, .ecx = TOPOLOGY_SMT << 8},
		{.eax = id_bits(vcpus), .ebx = vcpus, .ecx = TOPOLOGY_CORE << 8 | 1},
		{.ecx = 2},
	};
	const struct kvm_cpuid_entry2 *leaf0 = find(t, 0, 0);

	drop(t, 0xb);
	drop(t, 0x1f); /* finer levels than ours; kernels fall back to 0xb */
	drop(t, 0x80000026);
	if (!leaf0 || leaf0->eax < 0xb || t->nent > CPUID_ENTRIES_MAX - ARRAY_SIZE(levels))
		return;
	for (uint32_t i = 0; i < ARRAY_SIZE(levels); i++) {
		levels[i].function = 0xb;
		levels[i].index = i;
		levels[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		t->entries[t->nent++] = levels[i];
	}
}

static void set_topology(struct cpuid_table *t, unsigned int vcpus)
{
	struct kvm_cpuid_entry2 *e = find(t, 1, 0);

	if (e) {
		set_field(&e->ebx, 16, 8, BIT(id_bits(vcpus)));
		set_field(&e->edx, 28, 1, vcpus > 1);
	}
	set_cache_sharing(t, 4, vcpus);
	set_cache_sharing(t, 0x8000001d, vcpus);
	add_extended_topology(t, vcpus);

	e = find(t, 0x80000001, 0);
	if (e && !cpuid_is_intel(t))
		set_field(&e->ecx, 1, 1, vcpus > 1); /* CmpLegacy: cores, not threads */
	e = find(t, 0x80000008, 0);
	if (e) {
		set_field(&e->ecx, 0, 8, vcpus - 1);
		set_field(&e->ecx, 12, 4, id_bits(vcpus));
	}
}

bool cpuid_is_intel(const struct cpuid_table *t)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t->entries[i];

		if (e->function == 0)
			return e->ebx == 0x756e6547; /* "Genu" */
	}
	return false;
}

void cpuid_apply_policy(struct cpuid_table *t, unsigned int vcpus, bool tsc_deadline)
{
	mask_features(t, tsc_deadline);
	set_topology(t, vcpus);
}

void cpuid_set_apic_id(struct cpuid_table *t, uint32_t id)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[i];

		switch (e->function) {
		case 1:
			set_field(&e->ebx, 24, 8, id);
			break;
		case 0xb:
			e->edx = id;
			break;
		case 0x8000001e:
			e->eax = id;
			set_field(&e->ebx, 0, 8, id); /* core */
			set_field(&e->ebx, 8, 8, 0); /* threads per core - 1 */
			set_field(&e->ecx, 0, 11, 0); /* one node */
			break;
		default:
			break;
		}
	}
}
