/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory of the KVM probe, shared by the code that runs inside and the code that builds it.
 */
#pragma once

/* 64 KiB at guest physical 0; the first 2 MiB are mapped one to one. */
#define PROBE_MEM	 0x10000
#define PROBE_PML4_A	 0x1000
#define PROBE_PDPT_A	 0x2000
#define PROBE_PD_A	 0x3000
#define PROBE_PML4_B	 0x4000
#define PROBE_PDPT_B	 0x5000
#define PROBE_PD_B	 0x6000
#define PROBE_GDT	 0x7000
#define PROBE_GDTR	 0x7080
#define PROBE_IDTR	 0x7090
#define PROBE_IDT	 0x7100
#define PROBE_CODE	 0x8000
#define PROBE_RESULT	 0x9000 /* u32 result, u32 page faults, u32 PROBE_SEED */
#define PROBE_STACK	 0xc000
#define PROBE_STACK_USER 0xd000

/* Not mapped at first; its page is then the one of guest physical 0. */
#define PROBE_FAULT_VA	 0x400000
#define PROBE_FAULT_WORD 0x6d736270 /* what guest physical 0 holds */
#define PROBE_SEED	 0x5eed0001
#define PROBE_PASSED	 0x600d600d

#define PROBE_PDE_FLAGS 0x87 /* present, writable, user, 2 MiB */
#define PROBE_PTE_FLAGS 0x07 /* present, writable, user */

/* Selectors: kernel code and data, then user 32-bit code (unused), data, code as SYSRET wants. */
#define PROBE_CS	0x08
#define PROBE_DS	0x10
#define PROBE_USER_BASE 0x1b
#define PROBE_USER_DS	0x23
#define PROBE_USER_CS	0x2b

#define MSR_EFER	  0xc0000080
#define MSR_STAR	  0xc0000081
#define MSR_LSTAR	  0xc0000082
#define MSR_SFMASK	  0xc0000084
#define MSR_FS_BASE	  0xc0000100
#define EFER_SCE	  1
#define CR4_OSXSAVE	  (1 << 18)
#define CPUID_1_ECX_XSAVE 26
