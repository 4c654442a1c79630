/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file of the project includes first: attributes, ownership helpers, checked arithmetic.
 *
 * Ownership is visible at the declaration: a variable marked cleanup_fd or cleanup_free is released
 * when it goes out of scope, TAKE_FD() and TAKE_PTR() hand its value over and disarm it.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define MSB_MUST_CHECK	   __attribute__((warn_unused_result))
#define MSB_PRINTF(fmt, a) __attribute__((format(printf, fmt, a)))
#define MSB_UNUSED	   __attribute__((unused))
#define MSB_NORETURN	   __attribute__((noreturn))

#define ARRAY_SIZE(a)                                                                     \
	(sizeof(a) / sizeof((a)[0]) + 0 * sizeof(struct {                                 \
		_Static_assert(!__builtin_types_compatible_p(typeof(a), typeof(&(a)[0])), \
			"ARRAY_SIZE needs an array");                                     \
		int unused_;                                                              \
	}))

#define container_of(ptr, type, member) ((type *)((char *)(uintptr_t)(ptr)-offsetof(type, member)))

#define MIN(a, b)                                  \
	({                                         \
		typeof(a) min_a_ = (a);            \
		typeof(b) min_b_ = (b);            \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		typeof(a) max_a_ = (a);            \
		typeof(b) max_b_ = (b);            \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define NSEC_PER_SEC  UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "only little-endian machines");
_Static_assert(sizeof(size_t) == 8, "only 64-bit machines");

/* Hands over what @x holds and leaves the cleanup-armed variable empty. */
#define TAKE_PTR(x)                           \
	({                                    \
		typeof(x) *take_p_ = &(x);    \
		typeof(x) take_v_ = *take_p_; \
		*take_p_ = NULL;              \
		take_v_;                      \
	})
#define TAKE_FD(x)                      \
	({                              \
		int *take_p_ = &(x);    \
		int take_v_ = *take_p_; \
		*take_p_ = -EBADF;      \
		take_v_;                \
	})

static inline void cleanup_free_fn(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd_fn(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

static inline void cleanup_file_fn(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define cleanup_free	 __attribute__((cleanup(cleanup_free_fn)))
#define cleanup_fd	 __attribute__((cleanup(cleanup_fd_fn)))
#define cleanup_file	 __attribute__((cleanup(cleanup_file_fn)))
#define cleanup_with(fn) __attribute__((cleanup(fn)))

/* Defines a cleanup attribute target `free_fn##_p` for a pointer type, e.g. DEFINE_CLEANUP(struct
 * json *, json_free). */
#define DEFINE_CLEANUP(type, free_fn)           \
	static inline void free_fn##_p(type *p) \
	{                                       \
		if (*p)                         \
			(void)free_fn(*p);      \
	}                                       \
	struct msb_swallow_semicolon_

/**
 * fd_close - close @fd unless it is negative
 *
 * Return: -EBADF, so that callers write `fd = fd_close(fd)`. errno is kept.
 */
static inline int fd_close(int fd)
{
	cleanup_fd_fn(&fd);
	return -EBADF;
}

static inline bool MSB_MUST_CHECK size_add(size_t a, size_t b, size_t *ret)
{
	return !__builtin_add_overflow(a, b, ret);
}

static inline bool MSB_MUST_CHECK size_mul(size_t a, size_t b, size_t *ret)
{
	return !__builtin_mul_overflow(a, b, ret);
}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/** clock_mono_ns - CLOCK_MONOTONIC in nanoseconds, the only clock used for deadlines */
static inline uint64_t clock_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

#include "base/banned.h"
