/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-agent: PID 1 of a guest, started by the kernel from our initramfs.
 *
 * PID 1 must not end: the kernel panics if it does. Whatever fails here is said on the console, and
 * the machine is reset.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "base/log.h"

#include "agent/agent.h"
#include "agent/arch/cycles.h"
#include "agent/init/boot.h"
#include "agent/init/port.h"

/* Three descriptors for each of LIMIT_STREAMS, and directories of trees being removed. */
enum { NOFILE = 16384 };

/* Only in the initramfs of a guest are we what we take ourselves for. */
static bool is_guest_init(void)
{
	struct statfs fs;

	return getpid() == 1 && statfs("/", &fs) == 0 &&
	       ((unsigned long)fs.f_type == RAMFS_MAGIC || (unsigned long)fs.f_type == TMPFS_MAGIC);
}

/* The kernel opens the console for us if it is there in time. */
static void ensure_stdio(void)
{
	while (fcntl(2, F_GETFD) < 0) {
		int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

		if (fd < 0)
			fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0 || fd > 2)
			break;
	}
}

static int serve(struct agent *a)
{
	const struct rlimit nofile = {NOFILE, NOFILE};
	uint64_t pid1_cycles = arch_cycles();
	uint64_t pid1_ns = clock_mono_ns();
	int fd;
	int r = boot_early();

	ensure_stdio();
	if (r < 0)
		return r;
	fd = port_open(BOOT_SYSFS);
	if (fd < 0)
		return fd;
	(void)setrlimit(RLIMIT_NOFILE, &nofile);
	r = agent_init(a, fd, true);
	if (r < 0)
		return r;
	a->pid1_ns = pid1_ns;
	a->pid1_cycles = pid1_cycles;
	r = agent_boot(a);
	return r < 0 ? r : loop_run(&a->loop);
}

int main(void)
{
	static struct agent agent;
	int r;

	if (!is_guest_init()) {
		(void)fputs("msb-agent: runs only as PID 1 of a sandbox\n", stderr);
		return 1;
	}
	log_init("msb-agent", LOG_WARN);
	r = serve(&agent);
	log_err("cannot go on: %s", strerror(r < 0 ? -r : EIO));
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
