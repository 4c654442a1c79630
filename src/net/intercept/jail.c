/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-tls: see jail.h.
 *
 * It has the secrets and speaks with servers and guests, so it is left with nothing else: it
 * cannot even open a socket, but is given connected ones.
 *
 * System calls of the C library, OpenSSL, the loop and the end:
 * #syscalls(tls:loop): brk mmap(2&PROT_EXEC=0) mprotect(2&PROT_EXEC=0) munmap mremap madvise futex
 * epoll_ctl epoll_pwait epoll_wait clock_gettime restart_syscall rt_sigreturn close exit_group
 * read write recvfrom sendto recvmsg shutdown getrandom getpid
 *
 * And of other secrets while it runs:
 * #syscalls(tls:loop): mlock pread64 pwrite64 ftruncate fstat
 * newfstatat(3&AT_EMPTY_PATH=AT_EMPTY_PATH)
 *
 * What a sanitizer does besides, in its builds only:
 * #syscalls(tls:loop:asan): mprotect sigaltstack gettid sched_yield prlimit64
 * readlink fstat newfstatat prctl clone rt_sigaction rt_sigprocmask wait4 openat
 */
#include "net/intercept/jail.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/jail.h"

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_loop) <= JAIL_FILTER_MAX, "room for the filter");

int intercept_jail_enter(struct msb_err *err)
{
	uint32_t level = 0;

	/* Two for each flow, as many as the host permits: msb-net bounds the flows. */
	jail_more_descriptors();
	return jail_enter(&level, err);
}

int intercept_jail_lock(struct msb_err *err)
{
	int r = jail_limit(RLIMIT_CORE, 0, err);

	if (r < 0)
		return r;
	r = jail_seccomp(seccomp_loop, ARRAY_SIZE(seccomp_loop), 0);
	return r < 0 ? msb_err_errno(err, r, "cannot confine the process") : 0;
}
