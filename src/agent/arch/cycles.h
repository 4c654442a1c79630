/* SPDX-License-Identifier: Apache-2.0 */
/* The processor's time stamp counter, for phase timestamps that the host can compare. */
#pragma once

#include "base/base.h"

static inline uint64_t arch_cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return 0;
#endif
}
