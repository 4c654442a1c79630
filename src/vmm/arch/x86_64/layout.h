/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest physical address space of an x86 sandbox.
 *
 *	0x0000_0000	low memory: boot structures, MP pointer in its last KiB
 *	0x000a_0000	hole of the PC architecture; the MP table is in its BIOS part, backed by RAM
 *	0x0010_0000	RAM: the kernel at 16 MiB, the initramfs at the end
 *	0xc000_0000	no RAM from here on
 *	0xd000_0000	virtio-mmio devices, 4 KiB each
 *	0xfec0_0000	I/O APIC, 0xfee0_0000 local APIC (both in KVM)
 *	0xfffb_c000	pages that KVM needs on Intel for real mode
 *	0x1_0000_0000	the rest of the RAM
 */
#pragma once

#include "base/base.h"
#include "base/caps.h"

/* Low memory. */
#define BOOT_INFO_GPA	 0x1000u /* hvm_start_info, module list, memory map: one page */
#define BOOT_CMDLINE_GPA 0x2000u
#define LOW_RAM_END	 0x9fc00u /* the last KiB below 640 KiB is where MP pointers are looked for */
#define MP_POINTER_GPA	 LOW_RAM_END
#define MP_TABLE_GPA	 0xf0000u
#define HIGH_RAM_START	 0x100000u

/* The 32-bit gap. */
#define RAM_BELOW_GAP_END 0xc0000000u
#define MMIO_DEVICES_GPA  0xd0000000u
#define MMIO_DEVICE_SIZE  0x1000u
#define IOAPIC_GPA	  0xfec00000u
#define LAPIC_GPA	  0xfee00000u
#define KVM_IDENTITY_GPA  0xfffbc000u
#define KVM_TSS_GPA	  0xfffbd000u
#define RAM_ABOVE_GAP	  0x100000000u

/* Interrupt lines: pins 0 to 4 carry legacy meanings in kernels, 5 to 23 are the devices'. */
enum { IOAPIC_PINS = 24, IRQ_DEVICES_FIRST = 5 };
