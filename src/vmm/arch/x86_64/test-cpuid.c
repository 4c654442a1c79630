/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/kvm_para.h>

#include "vmm/arch/x86_64/cpuid.h"

#include "test.h"

static void add(struct cpuid_table *t, uint32_t function, uint32_t index, uint32_t eax,
	uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	t->entries[t->nent++] = (struct kvm_cpuid_entry2){.function = function,
		.index = index,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx};
}

/* All features of everything, from a made-up vendor. */
static void fill(struct cpuid_table *t, uint32_t vendor)
{
	t->nent = 0;
	add(t, 0, 0, 0x20, vendor, 0, 0);
	add(t, 1, 0, 0, 0xaabb0800, UINT32_MAX, UINT32_MAX);
	add(t, 4, 0, 0xfc004121, 0, 0, 0);
	add(t, 4, 1, 0xfc01c163, 0, 0, 0);
	add(t, 7, 0, 2, UINT32_MAX, UINT32_MAX, UINT32_MAX);
	add(t, 7, 1, 0, 0, 0, 0);
	add(t, 0xa, 0, 0x8300805, 0, 0, 0x603);
	add(t, 0xb, 0, 1, 2, 0x100, 77);
	add(t, 0x14, 0, 1, 1, 1, 1);
	add(t, 0x1f, 0, 1, 2, 0x100, 77);
	add(t, KVM_CPUID_SIGNATURE, 0, KVM_CPUID_FEATURES, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(t, KVM_CPUID_FEATURES, 0, UINT32_MAX, 0, 0, 0);
	add(t, 0x80000001, 0, 0, 0, UINT32_MAX, UINT32_MAX);
	add(t, 0x80000008, 0, 0, 0, 0xf0ff, 0);
	add(t, 0x8000000a, 0, 1, 1, 0, UINT32_MAX);
	add(t, 0x8000001e, 0, 5, 0x105, 0x302, 0);
}

static bool has(const struct cpuid_table *t, uint32_t function)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		if (t->entries[i].function == function)
			return true;
	}
	return false;
}

static const struct kvm_cpuid_entry2 *find(
	const struct cpuid_table *t, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		if (t->entries[i].function == function && t->entries[i].index == index)
			return &t->entries[i];
	}
	test_fail(__FILE__, __LINE__, "no leaf %#x.%u", function, index);
}

TEST(hides_what_a_sandbox_has_no_use_for)
{
	static struct cpuid_table t;

	fill(&t, 0x756e6547);
	cpuid_apply_policy(&t, 1, true);
	ASSERT_EQ(find(&t, 1, 0)->ecx & (1u << 5), 0); /* VMX */
	ASSERT_EQ(find(&t, 1, 0)->ecx & (1u << 3), 0); /* MONITOR */
	ASSERT_EQ(find(&t, 7, 0)->ebx & (1u << 2), 0); /* SGX */
	ASSERT_EQ(find(&t, 0x80000001, 0)->ecx & (1u << 2), 0); /* SVM */
	ASSERT_TRUE(!has(&t, 0xa) && !has(&t, 0x14) && !has(&t, 0x8000000a));
	ASSERT_EQ(find(&t, KVM_CPUID_FEATURES, 0)->eax & (1u << KVM_FEATURE_ASYNC_PF), 0);
	ASSERT_TRUE(find(&t, KVM_CPUID_FEATURES, 0)->eax & (1u << KVM_FEATURE_CLOCKSOURCE2));
	ASSERT_EQ(find(&t, 7, 0)->edx, UINT32_MAX); /* mitigations stay */
}

TEST(offers_the_deadline_timer_when_kvm_has_it)
{
	static struct cpuid_table t;

	fill(&t, 0);
	cpuid_apply_policy(&t, 1, true);
	ASSERT_TRUE(find(&t, 1, 0)->ecx & (1u << 24));
	ASSERT_TRUE(find(&t, 1, 0)->ecx & (1u << 31));
	fill(&t, 0);
	cpuid_apply_policy(&t, 1, false);
	ASSERT_EQ(find(&t, 1, 0)->ecx & (1u << 24), 0);
}

TEST(describes_one_socket)
{
	static struct cpuid_table t;

	fill(&t, 0x756e6547);
	ASSERT_TRUE(cpuid_is_intel(&t));
	cpuid_apply_policy(&t, 6, true);
	ASSERT_EQ(find(&t, 1, 0)->ebx >> 16 & 0xff, 8); /* ids needed, a power of two */
	ASSERT_TRUE(find(&t, 1, 0)->edx & (1u << 28));
	ASSERT_EQ(find(&t, 4, 0)->eax >> 14 & 0xfff, 0); /* level 1: private */
	ASSERT_EQ(find(&t, 4, 1)->eax >> 14 & 0xfff, 7); /* level 3: shared */
	ASSERT_EQ(find(&t, 4, 0)->eax >> 26, 7);
	ASSERT_EQ(find(&t, 0xb, 0)->ebx, 1);
	ASSERT_EQ(find(&t, 0xb, 1)->eax, 3);
	ASSERT_EQ(find(&t, 0xb, 1)->ebx, 6);
	ASSERT_EQ(find(&t, 0xb, 1)->ecx, 0x201);
	ASSERT_EQ(find(&t, 0xb, 2)->ecx, 2);
	ASSERT_TRUE(!has(&t, 0x1f));
	ASSERT_EQ(find(&t, 0x80000008, 0)->ecx, 0x3005);

	fill(&t, 0x68747541);
	ASSERT_TRUE(!cpuid_is_intel(&t));
	cpuid_apply_policy(&t, 1, true);
	ASSERT_EQ(find(&t, 1, 0)->edx & (1u << 28), 0);
	ASSERT_EQ(find(&t, 0x80000001, 0)->ecx & 2, 0);
	ASSERT_EQ(find(&t, 0x80000008, 0)->ecx, 0);
}

TEST(numbers_each_processor)
{
	static struct cpuid_table t;

	fill(&t, 0x68747541);
	cpuid_apply_policy(&t, 4, true);
	for (uint32_t id = 0; id < 4; id++) {
		cpuid_set_apic_id(&t, id);
		ASSERT_EQ(find(&t, 1, 0)->ebx >> 24, id);
		ASSERT_EQ(find(&t, 1, 0)->ebx >> 8 & 0xff, 8); /* cache line size is kept */
		ASSERT_EQ(find(&t, 0xb, 0)->edx, id);
		ASSERT_EQ(find(&t, 0xb, 2)->edx, id);
		ASSERT_EQ(find(&t, 0x8000001e, 0)->eax, id);
		ASSERT_EQ(find(&t, 0x8000001e, 0)->ebx, id);
		ASSERT_EQ(find(&t, 0x8000001e, 0)->ecx, 0);
	}
}

TEST(keeps_within_a_full_table)
{
	static struct cpuid_table t;

	fill(&t, 0);
	while (t.nent < CPUID_ENTRIES_MAX)
		add(&t, 0x40001000 + t.nent, 0, 0, 0, 0, 0);
	cpuid_apply_policy(&t, 2, true);
	ASSERT_TRUE(t.nent <= CPUID_ENTRIES_MAX);
	ASSERT_EQ(find(&t, 0xb, 2)->ecx, 2); /* what was dropped made room */
}
