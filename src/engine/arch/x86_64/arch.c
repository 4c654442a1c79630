/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64: QEMU's microvm machine and the kernel parameters of both engines.
 *
 * The machine keeps RTC, PIT and PIC: without paravirtual clock the kernel calibrates the TSC
 * against the PIT, and reading an absent RTC costs a second. ACPI is off, so QEMU puts the virtio
 * devices on the kernel command line.
 */
#include "engine/arch.h"

const char arch_qemu_binary[] = "qemu-system-x86_64";
const char arch_qemu_package[] = "qemu-system-x86";
const char arch_qemu_machine[] = "microvm,x-option-roms=off,isa-serial=off,acpi=off,rtc=on,pit=on,"
				 "pic=on,mem-merge=off,dump-guest-core=off";
const char arch_qemu_cpu[] = "max,la57=off";

/*
 * A panic reboots at once and a reboot is a triple fault, which both engines see as the end.
 * Speculation inside an emulated processor is not the hardware's: mitigations only cost time.
 */
#define CMDLINE_COMMON "console=hvc0 quiet panic=-1 reboot=t random.trust_cpu=on tsc=reliable"
#define CMDLINE_QEMU   CMDLINE_COMMON " mitigations=off no_timer_check"

const char *arch_cmdline_qemu(uint32_t vcpus)
{
	/* Calibrating the APIC timer against the PIT takes 0.2 s; one processor can do with the PIT
	 * alone. */
	return vcpus == 1 ? CMDLINE_QEMU " noapictimer" : CMDLINE_QEMU;
}

const char *arch_cmdline_kvm(uint32_t vcpus)
{
	(void)vcpus;
	return CMDLINE_COMMON;
}
