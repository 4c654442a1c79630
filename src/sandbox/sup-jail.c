/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is taken away from the supervisor before the guest speaks.
 *
 * It decodes frames of a hostile guest. Whoever takes it over by them may remove the files of this
 * sandbox's directory, end this sandbox's machine, and talk to the clients that are connected: no
 * other path, no program, no new socket, no other process. What it keeps is bound to descriptors it
 * has open.
 *
 * Its own code needs the calls listed beside it (#syscalls(sandbox:loop)); here is what remains,
 *the allocator, the loop and the engines once their process runs:
 *
 * #syscalls(sandbox:loop): brk mmap(2&PROT_EXEC=0) mprotect(2&PROT_EXEC=0) munmap mremap madvise
 *	epoll_pwait epoll_wait epoll_ctl clock_gettime restart_syscall rt_sigreturn
 *	read recvfrom recvmsg sendto sendmsg write close exit exit_group
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>

#include "base/jail.h"
#include "base/landlock.h"
#include "base/log.h"

#include "sandbox/sup-internal.h"

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_loop) <= JAIL_FILTER_MAX, "room for the filter");

/* A sanitizer looks around in /proc and needs more calls than can be listed. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Root needs one of its rights: to end a machine that runs under another identity. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (geteuid() != 0)
		return 0;
	data[0].effective = data[0].permitted = 1u << CAP_KILL;
	if (syscall(SYS_capset, &header, data) == 0)
		return 0;
	/* Root of a container that was never given this one. */
	data[0].effective = data[0].permitted = 0;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int confine_paths(const struct supervisor *sup)
{
	const struct landlock_allow allow[] = {
		{sup->dir.fd, LANDLOCK_READ_DIR | LANDLOCK_REMOVE_FILE},
		{sup->dir.parent_fd, LANDLOCK_REMOVE_DIR},
		{sup->vm.cgroup.parent_fd, LANDLOCK_REMOVE_DIR},
	};
	bool cgroup = sup->vm.cgroup.parent_fd >= 0;
	int r = landlock_deny_but(
		allow, ARRAY_SIZE(allow) - (cgroup ? 0 : 1), LANDLOCK_KEEP_SIGNALS);

	if (r == -ENOSYS || r == -EOPNOTSUPP) {
		log_debug("this kernel has no Landlock");
		return 0;
	}
	return r;
}

int sup_jail(struct supervisor *sup, struct msb_err *err)
{
	int r = drop_capabilities();

	if (r < 0)
		return msb_err_errno(err, r, "jail of the supervisor: capabilities");
	if (SANITIZED)
		return 0;
	r = confine_paths(sup);
	if (r < 0)
		return msb_err_errno(err, r, "jail of the supervisor: Landlock");
	r = jail_seccomp(seccomp_loop, ARRAY_SIZE(seccomp_loop), 0);
	return r < 0 ? msb_err_errno(err, r, "jail of the supervisor: system calls") : 0;
}
