/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests of a few instructions, for test-machine.c. Each is entered as a PVH kernel (32-bit
 * protected mode, flat, paging off, ebx = start info) at BASE and ends the machine in a way that
 * says whether all was well: power-off if so, triple fault if not.
 */
#define BASE	   0x100000
#define PORT_POWER 0x5b0
#define FLAG	   0x9000 /* a word of low memory that the host looks at */

	.section .rodata
	.code32

.macro payload name
	.balign	16
	.globl	payload_\name
payload_\name:
.endm

.macro payload_end name
	.globl	payload_\name\()_end
payload_\name\()_end:
.endm

.macro power_off
	movw	$PORT_POWER, %dx
	movb	$1, %al
	outb	%al, %dx
.endm

.macro triple_fault payload
	lidt	8f - payload_\payload + BASE
	int3
8:	.word	0
	.long	0
.endm

payload power_off
	power_off
payload_end power_off

payload triple_fault
	triple_fault triple_fault
payload_end triple_fault

payload keyboard_reset
	movb	$0xfe, %al
	outb	%al, $0x64
payload_end keyboard_reset

/* Is ebx what the protocol promises? */
payload entry_state
	cmpl	$0x336ec578, (%ebx)
	jne	9f
	movl	%cr0, %eax
	andl	$0x80000001, %eax /* no paging, protected mode */
	cmpl	$1, %eax
	jne	9f
	power_off
9:	triple_fault entry_state
payload_end entry_state

/* Ports and addresses where nobody answers read as ones and swallow writes. */
payload nobody_answers
	movw	$0x3f8, %dx
	inb	%dx, %al
	cmpb	$0xff, %al
	jne	9f
	inl	%dx, %eax
	cmpl	$-1, %eax
	jne	9f
	outl	%eax, %dx
	movl	$0xd8000000, %esi
	movl	%esi, (%esi)
	cmpl	$-1, (%esi)
	jne	9f
	power_off
9:	triple_fault nobody_answers
payload_end nobody_answers

/* The first device is a console. */
payload device_answers
	movl	$0xd0000000, %esi
	cmpl	$0x74726976, (%esi) /* "virt" */
	jne	9f
	cmpl	$3, 8(%esi)
	jne	9f
	power_off
9:	triple_fault device_answers
payload_end device_answers

/* An instruction fetch from a device. */
payload run_device_memory
	movl	$0xd8000000, %esi
	jmp	*%esi
payload_end run_device_memory

payload spin
	movl	$1, FLAG
1:	jmp	1b
payload_end spin

payload halt
	movl	$1, FLAG
	cli
1:	hlt
	jmp	1b
payload_end halt

/* Starts all other processors, in real mode at 0x8000; each adds one to FLAG. */
payload smp
	cld
	movl	$(8f - payload_smp + BASE), %esi
	movl	$0x8000, %edi
	movl	$(9f - 8f), %ecx
	rep movsb
	movl	$0xfee00000, %esi
	movl	$0x1ff, 0xf0(%esi) /* switch the local APIC on */
	movl	$0xc4500, 0x300(%esi) /* INIT to all but self */
	movl	$0xc4608, 0x300(%esi) /* STARTUP at page 8 to all but self */
1:	pause
	cmpw	$3, FLAG
	jne	1b
	power_off
1:	hlt
	jmp	1b
	.code16
8:	xorw	%ax, %ax
	movw	%ax, %ds
	lock incw FLAG
1:	hlt
	jmp	1b
9:
	.code32
payload_end smp

	.section .note.GNU-stack,"",@progbits
