/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of guests that test the VMM. Says what it sees and does on the console, one
 * `guest: key=value` line each, as the kernel command line asks:
 *
 *	do=disk,channel,rng,balloon	exercise these devices
 *	end=shutdown|panic|sleep	how to end
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "base/base.h"

enum { BLOCK = 4096, CHANNEL_BYTES = 200 * 1024 };

static void say(const char *key, const char *value)
{
	printf("guest: %s=%s\n", key, value);
}

static void say_result(const char *key, bool ok)
{
	say(key, ok ? "ok" : strerror(errno));
}

/* Writes, reads back, flushes and discards a block of the writable disk, if there is one. */
static void use_disk(void)
{
	static uint8_t out[BLOCK] __attribute__((aligned(BLOCK)));
	static uint8_t in[BLOCK] __attribute__((aligned(BLOCK)));
	cleanup_fd int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	uint64_t range[2] = {4 * BLOCK, BLOCK};
	bool ok;

	memset(out, 0xa5, sizeof(out));
	ok = fd >= 0 && pwrite(fd, out, BLOCK, 4 * BLOCK) == BLOCK && fdatasync(fd) == 0 &&
	     pread(fd, in, BLOCK, 4 * BLOCK) == BLOCK && memcmp(in, out, BLOCK) == 0;
	say_result("disk", ok);
	if (!ok)
		return;
	ok = ioctl(fd, BLKDISCARD, range) == 0 && pread(fd, in, BLOCK, 4 * BLOCK) == BLOCK;
	say_result("discard", ok);
}

static bool transfer(int fd, uint8_t *p, size_t n, bool out)
{
	while (n) {
		ssize_t done = out ? write(fd, p, n) : read(fd, p, n);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* The host echoes what comes on the channel. It stays open: closing it is the end of the machine.
 */
static void use_channel(void)
{
	static uint8_t out[CHANNEL_BYTES];
	static uint8_t in[CHANNEL_BYTES];
	int fd = open("/dev/vport0p1", O_RDWR | O_CLOEXEC);
	bool ok = fd >= 0;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t at = 0; ok && at < sizeof(out); at += BLOCK)
		ok = transfer(fd, out + at, BLOCK, true) && transfer(fd, in + at, BLOCK, false);
	ok = ok && memcmp(in, out, sizeof(out)) == 0;
	say_result("channel", ok);
}

static void use_rng(void)
{
	cleanup_fd int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);
	uint8_t bytes[64] = {0};
	uint8_t any = 0;

	if (fd >= 0 && read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes)) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			any |= bytes[i];
	}
	say_result("rng", any != 0);
}

/* Free page reporting starts two seconds after enough memory became free. */
static void use_balloon(void)
{
	const size_t size = 32 << 20;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED) {
		memset(p, 1, size);
		(void)munmap(p, size);
	}
	(void)nanosleep(&(struct timespec){.tv_sec = 4}, NULL);
	say_result("balloon", p != MAP_FAILED);
}

static void end(const char *how)
{
	cleanup_fd int fd = -EBADF;

	sync();
	if (streq(how, "panic")) {
		fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
		(void)!write(fd, "c", 1);
		_exit(1); /* the end of PID 1 is a panic too */
	}
	if (streq(how, "sleep")) {
		for (;;)
			(void)pause();
	}
	(void)reboot(RB_AUTOBOOT);
}

int main(void)
{
	const char *todo = getenv("do");
	const char *how = getenv("end");
	struct sysinfo info = {0};
	char text[32];

	(void)mkdir("/dev", 0755);
	(void)mkdir("/proc", 0755);
	(void)mount("dev", "/dev", "devtmpfs", 0, "");
	(void)mount("proc", "/proc", "proc", 0, "");
	if (!freopen("/dev/hvc0", "w", stdout))
		return 1;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)snprintf(text, sizeof(text), "%d", get_nprocs());
	say("cpus", text);
	(void)sysinfo(&info);
	(void)snprintf(
		text, sizeof(text), "%" PRIu64, (uint64_t)info.totalram * info.mem_unit / MIB);
	say("mem_mib", text);
	if (todo && strstr(todo, "disk"))
		use_disk();
	if (todo && strstr(todo, "channel"))
		use_channel();
	if (todo && strstr(todo, "rng"))
		use_rng();
	if (todo && strstr(todo, "balloon"))
		use_balloon();
	say("state", "done");
	end(how ? how : "shutdown");
	return 1;
}
