/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of test_engine.py's machines: says what the machine has, does what "do=" of the kernel
 * command line says, and ends the machine.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <termios.h>
#include <unistd.h>

static void show_file(const char *what, const char *path)
{
	char text[512] = "";
	FILE *f = fopen(path, "re");

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = '\0';
		fclose(f);
	}
	text[strcspn(text, "\n")] = '\0';
	printf("%s=%s\n", what, f ? text : "absent");
}

static void show_disk(const char *name)
{
	char path[64];
	char what[64];
	char first[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, first, sizeof(first) - 1) < 0)
		first[0] = '\0';
	printf("%s=%s\n", name, first);
	close(fd);
	snprintf(what, sizeof(what), "%s.ro", name);
	snprintf(path, sizeof(path), "/sys/block/%s/ro", name);
	show_file(what, path);
	snprintf(what, sizeof(what), "%s.sectors", name);
	snprintf(path, sizeof(path), "/sys/block/%s/size", name);
	show_file(what, path);
}

/* FNV-1a of all that is on the disk, read in pieces of an odd number of pages. */
static void sum_disk(const char *path)
{
	static unsigned char piece[37 * 4096];
	unsigned long long sum = 0xcbf29ce484222325;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ piece[i]) * 0x100000001b3;
	}
	if (n == 0)
		printf("sum=%016llx\n", sum);
	else
		printf("sum=failed\n");
	close(fd);
}

static void write_disk(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ok = fd >= 0 && write(fd, "written by guest", 16) == 16 && fsync(fd) == 0;

	printf("write=%s\n", ok ? "ok" : "failed");
	close(fd);
}

/* Sends back what comes on the agent channel, up to a newline. */
static void echo_channel(void)
{
	int fd = open("/dev/vport0p1", O_RDWR | O_CLOEXEC);
	char c = 0;

	printf("channel=%s\n", fd >= 0 ? "open" : "absent");
	fflush(stdout);
	if (fd < 0 || write(fd, "ready\n", 6) != 6)
		return;
	while (c != '\n' && read(fd, &c, 1) == 1) {
		if (write(fd, &c, 1) != 1)
			return;
	}
}

static const char *order(char *cmdline, size_t size)
{
	FILE *f = fopen("/proc/cmdline", "re");
	const char *at;

	if (!f || !fgets(cmdline, (int)size, f))
		return "";
	fclose(f);
	at = strstr(cmdline, "do=");
	return at ? at + 3 : "";
}

int main(void)
{
	char cmdline[2048];
	struct sysinfo info;
	const char *what;

	(void)mkdir("/proc", 0755);
	(void)mkdir("/sys", 0755);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("sys", "/sys", "sysfs", 0, NULL);
	what = order(cmdline, sizeof(cmdline));
	sysinfo(&info);
	printf("\ncpus=%ld\nmemory=%lu\n", sysconf(_SC_NPROCESSORS_ONLN), info.totalram >> 20);
	show_file("port", "/sys/class/virtio-ports/vport0p1/name");
	show_file("rng", "/sys/class/misc/hw_random/rng_current");
	show_file(
		"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	show_disk("vda");
	show_disk("vdb");
	write_disk("/dev/vdb");
	if (!strncmp(what, "echo", 4))
		echo_channel();
	if (!strncmp(what, "sum", 3))
		sum_disk("/dev/vda");
	printf("end\n");
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	if (!strncmp(what, "hang", 4))
		for (;;)
			pause();
	if (!strncmp(what, "panic", 5))
		return 1;
	reboot(RB_AUTOBOOT);
	return 1;
}
