/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the guest: see power.h.
 *
 * kill(-1), umount and reboot would end the machine of whoever runs the tests: kill(-1) is for PID
 * 1 of its name space only, the rest for the PID 1 that set up the machine.
 */
#include "power.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#include "agent/init/boot.h"
#include "agent/init/hand-over.h"
#include "agent/ops/exec.h"
#include "agent/ops/freeze.h"

enum {
	/* A process that does not even die of SIGKILL hangs in the kernel. */
	KILL_WAIT_MS = 2000,
	/* Those of another PID 1 cannot be waited for. */
	REST_WAIT_MS = 200,
	/* Usually the host ends the machine as soon as it has read the goodbye. */
	HEARD_WAIT_MS = 2000,
	MOUNTS_MAX = 1024 * 1024,
};

static void power_timer(struct loop_timer *t);

static void signal_everything(struct agent *a, int signo)
{
	/* It knows what to do and in which order. */
	if (a->handed_over && signo == SIGTERM)
		hand_over_end(a);
	else if (a->handed_over && signo == SIGCONT)
		return;
	else if (getpid() == 1 || a->handed_over)
		(void)kill(-1, signo);
	else
		exec_signal_all(a, signo);
}

static void reset_machine(const struct agent *a)
{
	if (a->machine && (getpid() == 1 || a->handed_over))
		(void)reboot(RB_AUTOBOOT);
}

/* One line of mountinfo: "id parent dev root TARGET options [tags] - fstype SOURCE superoptions".
 */
static void unmount_line(char *line)
{
	char *save = line;
	char *target = NULL;
	char *source;

	for (int i = 0; i < 5; i++)
		target = strsep(&save, " ");
	source = save ? strstr(save, " - ") : NULL;
	if (!target || !source)
		return;
	source += 3;
	(void)strsep(&source, " ");
	/* Only file systems on disks have something to write back, and only a writable one. */
	if (!source || !str_starts(source, "/dev/"))
		return;
	(void)strsep(&source, " ");
	if (!source || str_starts(source, "ro"))
		return;
	if (!streq(target, "/") && umount2(target, 0) == 0)
		return;
	if (mount(NULL, target, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		log_err("cannot write back %s: %s", target, strerror(errno));
}

/* Later mounts first. */
static void unmount_disks(void)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (io_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_MAX, &text, &len) < 0)
		return;
	while (len) {
		char *line;

		text[--len] = '\0';
		line = memrchr(text, '\n', len);
		line = line ? line + 1 : text;
		unmount_line(line);
		len = (size_t)(line - text);
	}
}

/*
 * What is written to the port is only queued, and before a reset the kernel takes the queues from
 * the devices, with all that the host has not read. So the machine is left to the host, who ends it
 * when it knows; the reset is for one who does not, and for one who is gone and has hung up.
 */
static void say_last_words(struct agent *a)
{
	struct pollfd host = {.fd = a->ch.fd};

	channel_flush_all(&a->ch);
	if (a->machine && a->ch.up && !a->ch.dead)
		(void)poll(&host, 1, HEARD_WAIT_MS);
}

static void power_finish(struct agent *a)
{
	int r;

	loop_timer_del(&a->stop_timer);
	freeze_end(a);
	channel_drop_streams(&a->ch);
	if (a->machine) {
		unmount_disks();
		root_release();
		sync();
	}
	r = msg_put_u32(&a->ch.out, FRAME_BYE, 0, a->stop_signal);
	if (r < 0)
		log_err("cannot say good-bye: %s", strerror(-r));
	say_last_words(a);
	reset_machine(a);
	loop_stop(&a->loop, 0);
}

static bool no_child_left(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

void power_check(struct agent *a)
{
	/* What is not ours we cannot wait for, only give time. */
	if (!a->loop.stopped && !a->handed_over && no_child_left())
		power_finish(a);
}

static void power_kill(struct agent *a)
{
	a->killing = true;
	hand_over_gone(a);
	signal_everything(a, SIGKILL);
	loop_timer_set(&a->loop, &a->stop_timer,
		clock_mono_ns() + (a->handed_over ? REST_WAIT_MS : KILL_WAIT_MS) * NSEC_PER_MSEC,
		power_timer);
}

static void power_timer(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, stop_timer);

	if (a->killing)
		power_finish(a);
	else
		power_kill(a);
}

void power_stop(struct agent *a, uint32_t grace_ms, uint32_t signo)
{
	bool first = a->state != AGENT_STOPPING;

	if (first) {
		a->state = AGENT_STOPPING;
		a->stop_signal = signo;
		freeze_interrupt(a, -ESHUTDOWN);
	}
	/* PID 1 ends everything and we are last: the rest is ours. */
	if (a->handed_over && signo)
		grace_ms = 0;
	if (grace_ms == 0 && !a->killing) {
		power_kill(a);
	} else if (first) {
		loop_timer_set(&a->loop, &a->stop_timer, clock_mono_ns() + grace_ms * NSEC_PER_MSEC,
			power_timer);
		signal_everything(a, SIGTERM);
		/* A stopped process cannot end itself. */
		signal_everything(a, SIGCONT);
	}
	power_check(a);
}

void power_off(struct agent *a)
{
	freeze_end(a);
	sync();
	say_last_words(a);
	reset_machine(a);
	loop_stop(&a->loop, -EIO);
}
