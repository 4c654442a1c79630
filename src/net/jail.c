/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-net: see jail.h.
 *
 * System calls of the C library, the loop and the end:
 * #syscalls(net:loop): brk mmap(2&PROT_EXEC=0) mprotect(2&PROT_EXEC=0) munmap mremap madvise futex
 * epoll_ctl epoll_pwait epoll_wait clock_gettime restart_syscall rt_sigreturn close exit_group
 *
 * What a sanitizer does besides, in its builds only:
 * #syscalls(net:loop:asan): mprotect sigaltstack gettid getpid sched_yield prlimit64 write read
 * readlink fstat newfstatat prctl clone rt_sigaction rt_sigprocmask wait4 openat
 */
#include "net/jail.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/jail.h"

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_loop) <= JAIL_FILTER_MAX, "room for the filter");

int net_jail_enter(uint32_t *ret_level, struct msb_err *err)
{
	/* As many sockets as the host permits: the stack bounds the flows. */
	jail_more_descriptors();
	return jail_enter_but(JAIL_KEEP_NETWORK, ret_level, err);
}

int net_jail_lock(struct msb_err *err)
{
	int r = jail_limit(RLIMIT_CORE, 0, err);

	if (r < 0)
		return r;
	r = jail_seccomp(seccomp_loop, ARRAY_SIZE(seccomp_loop), 0);
	return r < 0 ? msb_err_errno(err, r, "cannot confine the process") : 0;
}
