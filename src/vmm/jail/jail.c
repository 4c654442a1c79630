/* SPDX-License-Identifier: Apache-2.0 */
/* What is special about the jail of the VMM: see jail.h. */
#include "vmm/jail/jail.h"

#include <sys/resource.h>

#include "vmm/jail/seccomp.h"

int jail_limits(uint64_t file_max, struct msb_err *err)
{
	/* Not RLIMIT_NPROC: newer kernels start a helper thread of the machine in the first
	 * KVM_RUN and count it as ours. The filter forbids us to make any. */
	int r = jail_limit(RLIMIT_CORE, 0, err); /* a core holds the guest's memory */

	if (r == 0)
		r = jail_limit(RLIMIT_NOFILE, 0, err); /* open ones stay; new ones are refused */
	return r < 0 ? r : jail_limit(RLIMIT_FSIZE, file_max, err);
}

int jail_filter(enum jail_thread thread)
{
	return seccomp_install(thread);
}
