/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that ask msb to end: see interrupt.h. */
#include "cli/interrupt.h"

#include <sys/signalfd.h>

#include "base/io.h"

static bool asked(void *arg)
{
	struct interrupt *in = arg;
	struct signalfd_siginfo info;

	if (read(in->cancel.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	in->signo = (int)info.ssi_signo;
	return true;
}

void interrupt_set(const int *signals, size_t n, sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < n; i++) {
		struct sigaction sa;

		if (sigaction(signals[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(ret, signals[i]);
	}
}

int interrupt_begin(struct interrupt *in, struct msb_err *err)
{
	static const int asking[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	*in = (struct interrupt){.cancel = {.fd = -EBADF, .asked = asked, .arg = in}};
	interrupt_set(asking, ARRAY_SIZE(asking), &set);
	in->cancel.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in->cancel.fd < 0)
		return msb_err_errno(err, -errno, "cannot catch signals");
	if (sigprocmask(SIG_BLOCK, &set, &in->old_mask) < 0) {
		int r = msb_err_errno(err, -errno, "cannot catch signals");

		in->cancel.fd = fd_close(in->cancel.fd);
		return r;
	}
	return 0;
}

static void die_of(int signo)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	if (sigaction(signo, &sa, NULL) == 0 && kill(getpid(), signo) == 0)
		(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void interrupt_end(struct interrupt *in)
{
	in->cancel.fd = fd_close(in->cancel.fd);
	(void)sigprocmask(SIG_SETMASK, &in->old_mask, NULL);
	if (in->signo)
		die_of(in->signo);
}
