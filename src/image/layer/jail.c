/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-layer: see jail.h.
 *
 * System calls of the C library, which serve both threads; those of the job stand beside its code:
 * #syscalls(layer:worker): brk mmap(2&PROT_EXEC=0) mprotect(2&PROT_EXEC=0) mremap munmap madvise
 * futex exit exit_group rt_sigprocmask
 *
 * A thread that was made before the filter may begin after it, and malloc asks once for a random
 * number and for the count of processors, a large qsort() for the size of the memory:
 * #syscalls(layer:worker): set_robust_list rseq sched_getaffinity getrandom sysinfo
 *
 * What a sanitizer does around threads, in its builds only:
 * #syscalls(layer:worker:asan): sigaltstack gettid getpid sched_yield prlimit64
 */
#include "image/layer/jail.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/jail.h"

#include "image/layer/merge.h"
#include "image/layer/unpack.h"
#include "image/layer/worker.h"

#include SECCOMP_HEADER

_Static_assert(ARRAY_SIZE(seccomp_worker) <= JAIL_FILTER_MAX, "room for the filter");

/*
 * Private memory: the window of zstd and the buffers of a parser are bounded; what a merge holds
 * grows with the names of the image. A sanitizer's shadow memory alone would break any limit.
 */
#ifdef MSB_SANITIZED
static const uint64_t data_max = RLIM_INFINITY;
static const uint64_t data_max_merge = RLIM_INFINITY;
#else
static const uint64_t data_max = 512 * MIB;
static const uint64_t data_max_merge = 4 * GIB;
#endif

/* Contents and the padding behind each file. */
#define FILE_SIZE_MAX (UNPACK_BYTES_MAX + 8 * GIB)

static int set_limits(enum layer_job job, struct msb_err *err)
{
	int r = jail_limit(RLIMIT_CORE, 0, err);

	if (r == 0)
		r = jail_limit(RLIMIT_NOFILE, 0, err); /* open ones stay; new ones are refused */
	if (r == 0)
		r = jail_limit(RLIMIT_FSIZE, FILE_SIZE_MAX, err);
	return r < 0 ? r
		     : jail_limit(RLIMIT_DATA, job == LAYER_MERGE ? data_max_merge : data_max, err);
}

/* How many descriptors from the result's on belong to a job. */
static unsigned int job_fds(enum layer_job job)
{
	if (job == LAYER_MERGE)
		return WORKER_FD_INDEX - WORKER_FD_RESULT + MERGE_LAYERS_MAX;
	if (job == LAYER_UNPACK || job == LAYER_PACK)
		return WORKER_FD_RECIPE - WORKER_FD_RESULT + 1;
	return WORKER_FD_INDEX - WORKER_FD_RESULT + 1;
}

int layer_jail_enter(enum layer_job job, struct msb_err *err)
{
	int keep[WORKER_FD_INDEX - WORKER_FD_RESULT + MERGE_LAYERS_MAX];
	const unsigned int n = job_fds(job);
	uint32_t level = 0;
	int r;

	for (unsigned int i = 0; i < n; i++)
		keep[i] = WORKER_FD_RESULT + (int)i;
	r = jail_close_fds(keep, n, err);
	if (r == 0)
		r = jail_enter(&level, err);
	if (r < 0)
		return r;
	/* Beyond the size limit a write fails, with a message, instead of killing. */
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return msb_err_errno(err, -errno, "cannot ignore a signal");
	return 0;
}

int layer_jail_lock(enum layer_job job, struct msb_err *err)
{
	int r = set_limits(job, err);

	if (r < 0)
		return r;
	r = jail_seccomp(seccomp_worker, ARRAY_SIZE(seccomp_worker), SECCOMP_FILTER_FLAG_TSYNC);
	return r < 0 ? msb_err_errno(err, r, "cannot confine the process") : 0;
}
