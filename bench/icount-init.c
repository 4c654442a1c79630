/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icount-init.c - PID 1 of bench/boot-icount when no agent is given: report the time stamp counter,
 * then end the machine.
 *
 * The counter is read before anything else. Under QEMU's instruction counting it is the number of
 * instructions executed (plus idle time) since the machine was reset. The kernel opened
 * /dev/console for it; the machine runs with reboot=t and -no-reboot, so a restart ends QEMU.
 */
#include <stdio.h>
#include <sys/reboot.h>
#include <unistd.h>
#include <x86intrin.h>

int main(void)
{
	unsigned long long tsc = __rdtsc();

	printf("msb-mark pid1 tsc=%llu cpus=%ld\n", tsc, sysconf(_SC_NPROCESSORS_ONLN));
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
