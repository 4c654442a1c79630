/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry of the bare-metal test guest: from the PVH state (32 bits, no paging) to 64-bit C.
 *
 * The first 4 GiB are mapped one to one with pages of 2 MiB. Exceptions end in guest_exception();
 * interrupts stay off.
 */
	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18			/* name and value are 4 bytes; XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.section .text.start, "ax"
	.code32
	.globl start
start:
	cld
	mov $stack_end, %esp
	mov %ebx, %ebp			/* struct hvm_start_info */

	/* Four page directories of 512 entries: bits present, writable, 2 MiB. */
	mov $page_dirs, %edi
	mov $0x83, %eax
	xor %edx, %edx
	mov $2048, %ecx
1:	mov %eax, (%edi)
	mov %edx, 4(%edi)
	add $0x200000, %eax
	adc $0, %edx
	add $8, %edi
	dec %ecx
	jnz 1b

	mov $page_dirs + 3, %eax
	mov $pdpt, %edi
	mov $4, %ecx
2:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	dec %ecx
	jnz 2b
	movl $pdpt + 3, pml4

	mov $pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000001, %eax		/* paging, protection */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $8, $long_mode

	.code64
long_mode:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %ebp, %edi
	call guest_main
3:	hlt
	jmp 3b

	/* One stub of 16 bytes per exception: the vector, then the common part. */
	.globl exception_stubs
	.balign 16
exception_stubs:
	.set vector, 0
	.rept 32
	.balign 16
	pushq $vector
	jmp exception
	.set vector, vector + 1
	.endr
exception:
	mov %rsp, %rdi
	and $-16, %rsp
	call guest_exception

	.section .rodata
	.align 8
gdt:
	.quad 0
	.quad 0x00af9a000000ffff	/* 64-bit code */
	.quad 0x00cf92000000ffff	/* data */
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.section .bss
	.align 4096
pml4:
	.skip 4096
pdpt:
	.skip 4096
page_dirs:
	.skip 4 * 4096
	.skip 16384
stack_end:

	.section .note.GNU-stack, "", @progbits
