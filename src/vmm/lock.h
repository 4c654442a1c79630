/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mutex of the VMM, annotated for clang's -Wthread-safety.
 *
 * C structures cannot name their own mutex in a field attribute (clang 14), so fields say in their
 * comment which lock guards them and the functions that touch them carry VMM_REQUIRES().
 */
#pragma once

#include <pthread.h>

#include "base/base.h"

#ifdef __clang__
#define VMM_ATTR(x) __attribute__((x))
#else
#define VMM_ATTR(x)
#endif
#define VMM_REQUIRES(...) VMM_ATTR(requires_capability(__VA_ARGS__))
#define VMM_EXCLUDES(...) VMM_ATTR(locks_excluded(__VA_ARGS__))

struct VMM_ATTR(capability("mutex")) vmm_lock {
	pthread_mutex_t mutex;
};

static inline void vmm_lock_init(struct vmm_lock *l)
{
	l->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

/* Errors of a default mutex are misuse, that is a bug of ours. */
static inline void vmm_lock(struct vmm_lock *l) VMM_ATTR(acquire_capability(*l))
	VMM_ATTR(no_thread_safety_analysis)
{
	int r = pthread_mutex_lock(&l->mutex);

	assert(r == 0);
}

static inline void vmm_unlock(struct vmm_lock *l) VMM_ATTR(release_capability(*l))
	VMM_ATTR(no_thread_safety_analysis)
{
	int r = pthread_mutex_unlock(&l->mutex);

	assert(r == 0);
}

/* Tells the analysis what it cannot follow through a pointer: the caller holds this lock. */
static inline void vmm_lock_held(struct vmm_lock *l) VMM_ATTR(assert_capability(*l))
	VMM_ATTR(no_thread_safety_analysis)
{
	(void)l;
}
