/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest code of the KVM probe (see probe-arch.c for the memory it runs in).
 *
 * probe_loop counts ecx down and halts: what an instruction costs. probe_check does once what every
 * kernel does while it boots and what emulators and faulty nested hypervisors trip over, and writes
 * PROBE_PASSED to PROBE_RESULT only when all of it worked. Any fault it does not expect ends in a
 * triple fault, which KVM reports.
 */
#include "engine/arch/x86_64/payload.h"

	.section .rodata
	.code64

	.globl	probe_code, probe_code_end, probe_check
	.hidden	probe_code, probe_code_end, probe_check

/* The code is copied to PROBE_CODE: absolute addresses of labels are made relative to there. */
#define AT(label) (PROBE_CODE + (label) - probe_code)

probe_code:
1:	decl	%ecx
	jnz	1b
	hlt

probe_check:
	/* Descriptor tables of our own, code segment reloaded by a far return. */
	lgdt	PROBE_GDTR
	lidt	PROBE_IDTR
	pushq	$PROBE_CS
	pushq	$AT(2f)
	lretq
2:	movl	$PROBE_DS, %eax
	movl	%eax, %ss

	/* Another set of page tables. */
	movl	$PROBE_PML4_B, %eax
	movq	%rax, %cr3
	movq	%cr3, %rdx
	cmpq	%rax, %rdx
	jne	bad

	/* Model-specific registers: segment base, EFER, the system call entry. */
	movl	$MSR_FS_BASE, %ecx
	movl	$PROBE_RESULT, %eax
	xorl	%edx, %edx
	wrmsr
	movl	%fs:8, %ebx
	cmpl	$PROBE_SEED, %ebx
	jne	bad
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_SCE, %eax
	wrmsr
	movl	$MSR_STAR, %ecx
	xorl	%eax, %eax
	movl	$(PROBE_CS | (PROBE_USER_BASE << 16)), %edx
	wrmsr
	movl	$MSR_LSTAR, %ecx
	movl	$AT(from_user), %eax
	xorl	%edx, %edx
	wrmsr
	movl	$MSR_SFMASK, %ecx
	xorl	%eax, %eax
	wrmsr

	/* Extended state, where the processor has it. */
	movl	$1, %eax
	xorl	%ecx, %ecx
	cpuid
	btl	$CPUID_1_ECX_XSAVE, %ecx
	jnc	3f
	movq	%cr4, %rax
	orl	$CR4_OSXSAVE, %eax
	movq	%rax, %cr4
	xorl	%ecx, %ecx
	xgetbv
	orl	$1, %eax
	xsetbv

	/* A page that is not there: the handler maps it, and the load is run again. */
3:	movl	PROBE_FAULT_VA, %ebx
	cmpl	$PROBE_FAULT_WORD, %ebx
	jne	bad
	cmpl	$1, PROBE_RESULT + 4
	jne	bad

	/* To user mode and back by a system call. */
	pushq	$PROBE_USER_DS
	pushq	$PROBE_STACK_USER
	pushq	$2
	pushq	$PROBE_USER_CS
	pushq	$AT(user)
	iretq
user:	movl	$PROBE_SEED, %esi
	syscall
	ud2
from_user:
	cmpl	$PROBE_SEED, %esi
	jne	bad

	movl	$PROBE_PASSED, PROBE_RESULT
	hlt
bad:	hlt
	jmp	bad

	.globl	probe_page_fault
	.hidden	probe_page_fault
probe_page_fault:
	pushq	%rax
	movq	%cr2, %rax
	cmpq	$PROBE_FAULT_VA, %rax
	jne	bad
	incl	PROBE_RESULT + 4
	movq	$PROBE_PDE_FLAGS, %rax
	movq	%rax, PROBE_PD_B + 8 * (PROBE_FAULT_VA >> 21)
	invlpg	PROBE_FAULT_VA
	popq	%rax
	addq	$8, %rsp
	iretq
probe_code_end:

	.section .note.GNU-stack, "", @progbits
