/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system call filters of the VMM: see seccomp.h.
 *
 * The header is made at build time from the #syscalls comments in the sources, each next to the
 * code that makes the calls. Whatever is not listed kills the process, also calls by another ABI.
 */
#include "vmm/jail/seccomp.h"

#include <linux/audit.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define SECCOMP_ARG_LOW(n) (offsetof(struct seccomp_data, args) + (n) * sizeof(uint64_t))
/* Stands for the process id in the generated filters; no process has it. */
#define SECCOMP_PID 0xffffffffu

#include SECCOMP_HEADER

enum { FILTER_MAX = 160 };
_Static_assert(ARRAY_SIZE(seccomp_loop) <= FILTER_MAX, "room for the filter");
_Static_assert(ARRAY_SIZE(seccomp_vcpu) <= FILTER_MAX, "room for the filter");

const struct seccomp_call *seccomp_calls(enum jail_thread thread, size_t *ret_n)
{
	if (thread == JAIL_VCPU) {
		*ret_n = ARRAY_SIZE(seccomp_vcpu_calls);
		return seccomp_vcpu_calls;
	}
	*ret_n = ARRAY_SIZE(seccomp_loop_calls);
	return seccomp_loop_calls;
}

int seccomp_install(enum jail_thread thread)
{
	const struct sock_filter *from = thread == JAIL_VCPU ? seccomp_vcpu : seccomp_loop;
	size_t n = thread == JAIL_VCPU ? ARRAY_SIZE(seccomp_vcpu) : ARRAY_SIZE(seccomp_loop);
	struct sock_filter filter[FILTER_MAX];
	struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
	uint32_t pid = (uint32_t)getpid();

	for (size_t i = 0; i < n; i++) {
		filter[i] = from[i];
		if (filter[i].k == SECCOMP_PID)
			filter[i].k = pid;
	}
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
