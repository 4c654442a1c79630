/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64: QEMU's microvm machine and the kernel parameters of both engines.
 *
 * The machine keeps RTC, PIT and PIC: without paravirtual clock the kernel calibrates the TSC
 * against the PIT, and reading an absent RTC costs a second. ACPI is off, so QEMU puts the virtio
 * devices on the kernel command line.
 */
#include "engine/arch.h"

#include <cpuid.h>

const char arch_qemu_binary[] = "qemu-system-x86_64";
const char arch_qemu_package[] = "qemu-system-x86";
const char arch_qemu_machine[] = "microvm,x-option-roms=off,isa-serial=off,acpi=off,rtc=on,pit=on,"
				 "pic=on,mem-merge=off,dump-guest-core=off";
/* More interrupts exist with ACPI only. */
const uint32_t arch_qemu_devices = 8;
/* Five-level tables are slower to walk, and copying by bytes is slow in an emulator. */
const char arch_qemu_cpu[] = "max,la57=off,erms=off,fsrm=off";

/*
 * A panic reboots at once and a reboot is a triple fault, which both engines see as the end. The
 * kernel's code is not patched for a single processor: thousands of changes of running code cost
 * more than the lock prefixes, a third of the boot when every one makes an emulator translate anew.
 */
#define CMDLINE_COMMON                                                                          \
	"console=hvc0 quiet panic=-1 reboot=t random.trust_cpu=on tsc=reliable no_timer_check " \
	"noreplace-smp dummy.numdummies=0"

enum {
	KERNEL_HZ = 250,
	CLOCK_TRIES = 8,
	CLOCK_MIN_NS = 300000, /* makes the frequency good to a few parts per million */
	CPUID_POWER = 0x80000007,
	CPUID_POWER_EDX_INVARIANT_TSC = 1 << 8,
};

/* The time is read between two readings of the counter; the closest of a few pairs counts. */
struct arch_clock arch_clock_now(void)
{
	struct arch_clock best = {};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < CLOCK_TRIES; i++) {
		uint64_t before = __builtin_ia32_rdtsc();
		uint64_t now_ns = clock_mono_ns();
		uint64_t width = __builtin_ia32_rdtsc() - before;

		if (width < least) {
			least = width;
			best = (struct arch_clock){before + width / 2, now_ns};
		}
	}
	return best;
}

static bool tsc_is_a_clock(void)
{
	unsigned int eax;
	unsigned int ebx;
	unsigned int ecx;
	unsigned int edx;

	return __get_cpuid(CPUID_POWER, &eax, &ebx, &ecx, &edx) &&
	       (edx & CPUID_POWER_EDX_INVARIANT_TSC);
}

static uint64_t tsc_khz(const struct arch_clock *start)
{
	struct arch_clock now;

	if (!tsc_is_a_clock())
		return 0;
	do {
		now = arch_clock_now();
	} while (now.mono_ns - start->mono_ns < CLOCK_MIN_NS);
	return (uint64_t)((unsigned __int128)(now.ticks - start->ticks) * 1000000 /
			  (now.mono_ns - start->mono_ns));
}

/*
 * QEMU's guests see the host's time stamp counter. Their kernel would measure its frequency against
 * an emulated timer, which fails on a busy host and leaves it with a clock of 4 ms steps; so it is
 * told, and with several processors also how long its delay loops are: each one that comes up
 * would measure that for up to a second. The number is for our kernel's 250 ticks a second.
 */
int arch_cmdline_qemu(char *to, size_t size, uint32_t vcpus, const struct arch_clock *start)
{
	uint64_t khz = tsc_khz(start);
	char early[80] = "";
	int n;

	if (khz)
		(void)snprintf(early, sizeof(early), " tsc_early_khz=%" PRIu64, khz);
	if (khz && vcpus > 1)
		(void)snprintf(early, sizeof(early), " tsc_early_khz=%" PRIu64 " lpj=%" PRIu64, khz,
			khz * 1000 / KERNEL_HZ);
	/* Calibrating the APIC timer against the PIT takes 0.2 s; one processor can do with the PIT
	 * alone. */
	n = snprintf(to, size, "%s%s%s", CMDLINE_COMMON, early, vcpus == 1 ? " noapictimer" : "");
	return n < 0 || (size_t)n >= size ? -E2BIG : 0;
}

const char *arch_cmdline_kvm(uint32_t vcpus)
{
	(void)vcpus;
	return CMDLINE_COMMON;
}
