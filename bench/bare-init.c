/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare-init.c - PID 1 of the bare virtual machines that msb is compared with: say so, power off.
 *
 * The kernel opened /dev/console for it. The machines run with reboot=t and -no-reboot, so that
 * a restart ends QEMU; microvm without ACPI has no other way to power off.
 */
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	ssize_t written = write(STDOUT_FILENO, "init\n", 5);

	reboot(RB_AUTOBOOT);
	return written == 5 ? 0 : 1;
}
