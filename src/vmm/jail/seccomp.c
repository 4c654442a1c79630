/* SPDX-License-Identifier: Apache-2.0 */
/* The system call filters of the VMM: see seccomp.h and base/jail.h. */
#include "vmm/jail/seccomp.h"

#include <linux/falloc.h>
#include <linux/kvm.h>
#include <sys/mman.h>

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_loop) <= JAIL_FILTER_MAX, "room for the filter");
_Static_assert(ARRAY_SIZE(seccomp_vcpu) <= JAIL_FILTER_MAX, "room for the filter");

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
	return thread == JAIL_VCPU ? jail_seccomp(seccomp_vcpu, ARRAY_SIZE(seccomp_vcpu), 0)
				   : jail_seccomp(seccomp_loop, ARRAY_SIZE(seccomp_loop), 0);
}
