/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jails of msb-vsock: see jail.h.
 *
 * System calls of the C library, the loop and the end:
 * #syscalls(vsock:serve): brk mmap(2&PROT_EXEC=0) mprotect(2&PROT_EXEC=0) munmap mremap madvise
 * futex epoll_ctl epoll_pwait epoll_wait clock_gettime restart_syscall close exit_group
 *
 * What a sanitizer does besides, in its builds only:
 * #syscalls(vsock:serve:asan): mprotect sigaltstack gettid getpid sched_yield prlimit64 write read
 * readlink fstat newfstatat prctl clone rt_sigaction rt_sigprocmask wait4 openat
 * #syscalls(vsock:dial:asan): brk mmap mprotect munmap madvise futex sigaltstack gettid getpid
 * sched_yield prlimit64 write read readlink prctl clone rt_sigaction rt_sigprocmask wait4
 */
#include "vsock/jail.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/jail.h"
#include "base/landlock.h"

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_serve) <= JAIL_FILTER_MAX, "room for the filter");
_Static_assert(ARRAY_SIZE(seccomp_dial) <= JAIL_FILTER_MAX, "room for the filter");

int vsock_jail_enter(enum vsock_role role, struct msb_err *err)
{
	uint32_t level;
	int r;

	if (role != VSOCK_DIAL) {
		/* As many connections as the host permits: the table bounds them. */
		jail_more_descriptors();
		return jail_enter(&level, err);
	}
	r = jail_drop_privileges(err);
	if (r < 0)
		return r;
	/* Paths without access and sockets are none of its business: they go on working. */
	r = landlock_deny_all();
	if (r < 0 && r != -ENOSYS && r != -EOPNOTSUPP)
		return msb_err_errno(err, r, "cannot restrict file access");
	return 0;
}

int vsock_jail_lock(enum vsock_role role, struct msb_err *err)
{
	int r = jail_limit(RLIMIT_CORE, 0, err);

	if (r < 0)
		return r;
	r = role == VSOCK_DIAL ? jail_seccomp(seccomp_dial, ARRAY_SIZE(seccomp_dial), 0)
			       : jail_seccomp(seccomp_serve, ARRAY_SIZE(seccomp_serve), 0);
	return r < 0 ? msb_err_errno(err, r, "cannot confine the process") : 0;
}
