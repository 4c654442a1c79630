/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-fs: serves one directory or file of the host to one virtual machine. See config.h for how it
 * is started.
 *
 * It gives up every right but that to the share before it reads the first byte of its peer. Its
 * only output is one line on stderr when it cannot start; the exit status is 0 when the peer ended
 * it, 1 for a failure and 2 for words it does not know.
 */
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/jail.h"

#include "fs/config.h"
#include "fs/jail.h"
#include "fs/link.h"
#include "fs/server.h"
#include "fs/usage.h"
#include "fs/vhost.h"

static int complain(const struct msb_err *err)
{
	(void)fprintf(stderr, "msb-fs: %s\n", err->msg);
	return 1;
}

/* How much of the volume is used; before the system calls for that are gone. */
static int count_volume(struct fs *fs, struct msb_err *err)
{
	int64_t *used = NULL;
	int r = fs_usage_attach(FS_FD_USAGE, FS_FD_SHARE, &used);

	if (r < 0)
		return msb_err_errno(err, r, "cannot count what the volume holds");
	fs_count_in(fs, used);
	return 0;
}

/* The kernel's struct sched_attr, first version. */
struct slice_attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

/*
 * Whoever gets a reply is woken by it and often takes the processor from under us, before we are
 * asleep; the next request then waits until it is our turn again. Who asks for short slices has it
 * soon. Kernels before 6.12 take this and do nothing.
 */
static void take_short_turns(void)
{
	enum { SLICE_NS = 100000 };
	struct slice_attr a = {.size = sizeof(a),
		.policy = SCHED_OTHER,
		.nice = getpriority(PRIO_PROCESS, 0),
		.runtime = SLICE_NS};

	/* What somebody chose for us stays. */
	if (syscall(SYS_sched_getscheduler, 0) == SCHED_OTHER)
		(void)syscall(SYS_sched_setattr, 0, &a, 0);
}

static int setup(const struct fs_options *o, struct fs **ret, struct msb_err *err)
{
	static const int keep[] = {FS_FD_SOCKET, FS_FD_SHARE, FS_FD_USAGE};
	uint32_t fds = fs_jail_fds();
	uint32_t level = 0;
	int proc_fd = -EBADF;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	take_short_turns();
	r = jail_close_fds(keep, o->whole ? 3 : 2, err);
	if (r == 0)
		r = fs_jail_enter(FS_FD_SHARE, &proc_fd, &level, err);
	if (r < 0)
		return r;
	r = fs_new(o, FS_FD_SHARE, proc_fd, fds, ret);
	if (r < 0)
		return msb_err_errno(err, r, "cannot serve the shared directory");
	r = o->whole ? count_volume(*ret, err) : 0;
	return r < 0 ? r : fs_jail_lock(err);
}

int main(int argc, char **argv)
{
	struct fs_options o;
	struct msb_err err = {0};
	enum fs_speech speech;
	struct fs *fs = NULL;
	struct vhost *v = NULL;
	int r;

	if (fs_config_parse(argc, argv, &speech, &o, &err) < 0) {
		(void)complain(&err);
		return 2;
	}
	if (speech == FS_LINK)
		fs_link_prepare(FS_FD_SOCKET);
	r = setup(&o, &fs, &err);
	if (r < 0)
		return complain(&err);
	if (speech == FS_VHOST)
		v = vhost_new(fs, FS_FD_SOCKET);
	if (speech == FS_VHOST)
		r = v ? vhost_run(v) : -ENOMEM;
	else
		r = fs_link_run(fs, FS_FD_SOCKET);
	_exit(r < 0 ? 1 : 0);
}
