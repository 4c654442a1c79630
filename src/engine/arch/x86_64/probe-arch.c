/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64 half of the KVM probe: see probe-arch.h and payload.S. */
#include "engine/probe-arch.h"

#include <linux/kvm.h>

#include "engine/arch/x86_64/payload.h"

extern const uint8_t probe_code[];
extern const uint8_t probe_code_end[];
extern const uint8_t probe_check[];
extern const uint8_t probe_page_fault[];

/* What msb-vmm builds on. */
const struct probe_cap arch_probe_caps[] = {
	{KVM_CAP_USER_MEMORY, "user memory"},
	{KVM_CAP_IRQCHIP, "in-kernel interrupt controller"},
	{KVM_CAP_IRQFD, "irqfd"},
	{KVM_CAP_IOEVENTFD, "ioeventfd"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
	{KVM_CAP_EXT_CPUID, "CPUID table"},
	{KVM_CAP_SET_TSS_ADDR, "TSS address"},
	{KVM_CAP_MP_STATE, "multiprocessor state"},
	{0, NULL},
};

enum { CR0_PE_ET_NE_WP_PG = 0x80010031, CR4_PAE = 0x20, EFER_LME_LMA = 0x500, CPUID_MAX = 256 };

size_t arch_probe_mem_size(void)
{
	return PROBE_MEM;
}

static void put64(uint8_t *mem, size_t at, uint64_t v)
{
	memcpy(mem + at, &v, sizeof(v));
}

static void put_table_register(uint8_t *mem, size_t at, uint16_t limit, uint64_t base)
{
	memcpy(mem + at, &limit, sizeof(limit));
	put64(mem, at + sizeof(limit), base);
}

static void put_page_tables(uint8_t *mem, size_t pml4, size_t pdpt, size_t pd)
{
	put64(mem, pml4, pdpt | PROBE_PTE_FLAGS);
	put64(mem, pdpt, pd | PROBE_PTE_FLAGS);
	put64(mem, pd, PROBE_PDE_FLAGS);
}

void arch_probe_load(uint8_t *mem)
{
	static const uint64_t gdt[] = {
		0, 0x00af9b000000ffff, /* PROBE_CS: 64-bit code */
		0x00cf93000000ffff, /* PROBE_DS: data */
		0x00cffb000000ffff, /* 32-bit user code: only its place counts */
		0x00cff3000000ffff, /* PROBE_USER_DS */
		0x00affb000000ffff, /* PROBE_USER_CS */
	};
	uint64_t handler = PROBE_CODE + (uint64_t)(probe_page_fault - probe_code);
	uint32_t word = PROBE_FAULT_WORD;
	uint32_t seed = PROBE_SEED;

	assert(probe_code_end - probe_code <= PROBE_RESULT - PROBE_CODE);
	memset(mem, 0, PROBE_MEM);
	memcpy(mem, &word, sizeof(word));
	put_page_tables(mem, PROBE_PML4_A, PROBE_PDPT_A, PROBE_PD_A);
	put_page_tables(mem, PROBE_PML4_B, PROBE_PDPT_B, PROBE_PD_B);
	memcpy(mem + PROBE_GDT, gdt, sizeof(gdt));
	put_table_register(mem, PROBE_GDTR, sizeof(gdt) - 1, PROBE_GDT);
	/* One gate: vector 14, the page fault. */
	put_table_register(mem, PROBE_IDTR, 15 * 16 - 1, PROBE_IDT);
	put64(mem, PROBE_IDT + 14 * 16,
		(handler & 0xffff) | (uint64_t)PROBE_CS << 16 | UINT64_C(0x8e00) << 32 |
			(handler >> 16 & 0xffff) << 48);
	put64(mem, PROBE_IDT + 14 * 16 + 8, handler >> 32);
	memcpy(mem + PROBE_RESULT + 8, &seed, sizeof(seed));
	memcpy(mem + PROBE_CODE, probe_code, (size_t)(probe_code_end - probe_code));
}

static int set_cpuid(const struct probe_kvm *kvm, int kvm_fd, int vcpu_fd, const char **ret_what)
{
	cleanup_free struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));
	int r;

	*ret_what = "KVM_GET_SUPPORTED_CPUID";
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = CPUID_MAX;
	r = kvm->call(kvm, kvm_fd, KVM_GET_SUPPORTED_CPUID, (uintptr_t)cpuid);
	if (r < 0)
		return r;
	*ret_what = "KVM_SET_CPUID2";
	return kvm->call(kvm, vcpu_fd, KVM_SET_CPUID2, (uintptr_t)cpuid);
}

/* A host that refuses one of the registers every 64-bit kernel uses cannot run one. */
static int set_msrs(const struct probe_kvm *kvm, int vcpu_fd)
{
	static const uint32_t indices[] = {MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_FS_BASE,
		0xc0000101 /* GS_BASE */, 0xc0000102 /* KERNEL_GS_BASE */, 0x174, 0x175,
		0x176 /* SYSENTER */, 0x277 /* PAT */};
	cleanup_free struct kvm_msrs *msrs =
		calloc(1, sizeof(*msrs) + ARRAY_SIZE(indices) * sizeof(msrs->entries[0]));
	int r;

	if (!msrs)
		return -ENOMEM;
	msrs->nmsrs = ARRAY_SIZE(indices);
	for (unsigned int i = 0; i < ARRAY_SIZE(indices); i++)
		msrs->entries[i].index = indices[i];
	msrs->entries[ARRAY_SIZE(indices) - 1].data = 0x0007040600070406; /* PAT after reset */
	r = kvm->call(kvm, vcpu_fd, KVM_SET_MSRS, (uintptr_t)msrs);
	if (r < 0)
		return r;
	return r == (int)ARRAY_SIZE(indices) ? 0 : -EOPNOTSUPP;
}

static int set_sregs(const struct probe_kvm *kvm, int vcpu_fd)
{
	struct kvm_segment code = {.limit = 0xffffffff,
		.selector = PROBE_CS,
		.present = 1,
		.type = 11,
		.s = 1,
		.l = 1,
		.g = 1};
	struct kvm_segment data = {.limit = 0xffffffff,
		.selector = PROBE_DS,
		.present = 1,
		.type = 3,
		.db = 1,
		.s = 1,
		.g = 1};
	struct kvm_sregs s;
	int r = kvm->call(kvm, vcpu_fd, KVM_GET_SREGS, (uintptr_t)&s);

	if (r < 0)
		return r;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr3 = PROBE_PML4_A;
	s.cr4 = CR4_PAE;
	s.cr0 = CR0_PE_ET_NE_WP_PG;
	s.efer = EFER_LME_LMA;
	return kvm->call(kvm, vcpu_fd, KVM_SET_SREGS, (uintptr_t)&s);
}

int arch_probe_setup(const struct probe_kvm *kvm, int kvm_fd, int vcpu_fd, const char **ret_what)
{
	int r = set_cpuid(kvm, kvm_fd, vcpu_fd, ret_what);

	if (r < 0)
		return r;
	*ret_what = "KVM_SET_SREGS";
	r = set_sregs(kvm, vcpu_fd);
	if (r < 0)
		return r;
	*ret_what = "KVM_SET_MSRS";
	return set_msrs(kvm, vcpu_fd);
}

static int set_regs(const struct probe_kvm *kvm, int vcpu_fd, uint64_t rip, uint64_t rcx)
{
	struct kvm_regs regs = {.rip = rip, .rcx = rcx, .rsp = PROBE_STACK, .rflags = 2};

	return kvm->call(kvm, vcpu_fd, KVM_SET_REGS, (uintptr_t)&regs);
}

int arch_probe_set_loop(const struct probe_kvm *kvm, int vcpu_fd, uint32_t n)
{
	return set_regs(kvm, vcpu_fd, PROBE_CODE, n);
}

int arch_probe_set_check(const struct probe_kvm *kvm, int vcpu_fd)
{
	return set_regs(kvm, vcpu_fd, PROBE_CODE + (uint64_t)(probe_check - probe_code), 0);
}

bool arch_probe_passed(const uint8_t *mem)
{
	uint32_t result;

	memcpy(&result, mem + PROBE_RESULT, sizeof(result));
	return result == PROBE_PASSED;
}

const char *arch_probe_absent_hint(const char *cpuinfo)
{
	if (strstr(cpuinfo, " vmx"))
		return "load the driver: sudo modprobe kvm_intel";
	if (strstr(cpuinfo, " svm"))
		return "load the driver: sudo modprobe kvm_amd";
	if (strstr(cpuinfo, " hypervisor"))
		return "this is a virtual machine: have nested virtualization enabled on its host";
	return "enable virtualization (VT-x, AMD-V) in the firmware setup";
}
