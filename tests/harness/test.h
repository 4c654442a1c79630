/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit test harness: TEST(name) registers a test, each runs in its own process, output is TAP.
 *
 * A test fails by a failed assertion, a crash, a sanitizer report or a leaked file descriptor.
 * SKIP(reason) skips it. Programs accept --list, --filter SUBSTRING and --no-fork (for debuggers).
 *
 * Fault injection: FAULT_LOOP(code) runs @code again and again; in the n-th round the n-th call of
 * a wrapped function (allocation and the system calls listed in fault.c) fails, until a round has
 * no failure left to inject. The code must handle every one of them without leaking.
 */
#pragma once

#include "base/base.h"

struct test {
	const char *name;
	void (*fn)(void);
	struct test *next;
};

void test_register(struct test *t);
void test_fail(const char *file, int line, const char *fmt, ...) MSB_PRINTF(3, 4) MSB_NORETURN;
void test_skip(const char *reason) MSB_NORETURN;

#define TEST(name_)                                                             \
	static void test_fn_##name_(void);                                      \
	__attribute__((constructor)) static void test_reg_##name_(void)         \
	{                                                                       \
		static struct test t = {.name = #name_, .fn = test_fn_##name_}; \
		test_register(&t);                                              \
	}                                                                       \
	static void test_fn_##name_(void)

#define SKIP(reason) test_skip(reason)

#define ASSERT_TRUE(x)                                                    \
	do {                                                              \
		if (!(x))                                                 \
			test_fail(__FILE__, __LINE__, "%s is false", #x); \
	} while (0)

#define ASSERT_EQ(a, b)                                                                         \
	do {                                                                                    \
		long long a_ = (long long)(a);                                                  \
		long long b_ = (long long)(b);                                                  \
		if (a_ != b_)                                                                   \
			test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #a, a_, b_); \
	} while (0)

#define ASSERT_OK(x)                                                                            \
	do {                                                                                    \
		long long r_ = (long long)(x);                                                  \
		if (r_ < 0)                                                                     \
			test_fail(__FILE__, __LINE__, "%s failed: %s", #x, strerror((int)-r_)); \
	} while (0)

/* @e is the positive errno the call must fail with. */
#define ASSERT_ERR(x, e)                                                                           \
	do {                                                                                       \
		long long r_ = (long long)(x);                                                     \
		if (r_ != -(e))                                                                    \
			test_fail(                                                                 \
				__FILE__, __LINE__, "%s returned %lld, expected -%s", #x, r_, #e); \
	} while (0)

#define ASSERT_STREQ(a, b)                                                             \
	do {                                                                           \
		const char *a_ = (a);                                                  \
		const char *b_ = (b);                                                  \
		if (!a_ || !b_ || strcmp(a_, b_) != 0)                                 \
			test_fail(__FILE__, __LINE__, "%s is '%s', expected '%s'", #a, \
				a_ ? a_ : "(null)", b_ ? b_ : "(null)");               \
	} while (0)

#define ASSERT_MEMEQ(a, b, n)                                                                      \
	do {                                                                                       \
		if (memcmp((a), (b), (n)) != 0)                                                    \
			test_fail(__FILE__, __LINE__, "%s and %s differ within %zu bytes", #a, #b, \
				(size_t)(n));                                                      \
	} while (0)

/* Fault injection; see the header comment. */
void fault_arm(unsigned int nth); /* 0: off */
bool fault_hit(void); /* did the armed failure happen? disarms */
bool fault_now(int error); /* for wrappers of a test's own: true, with errno set, when this call is
			      to fail */

#define FAULT_ROUNDS 10000u

#define FAULT_LOOP(code)                                \
	do {                                            \
		unsigned int n_;                        \
		for (n_ = 1; n_ < FAULT_ROUNDS; n_++) { \
			fault_arm(n_);                  \
			code;                           \
			if (!fault_hit())               \
				break;                  \
		}                                       \
		ASSERT_TRUE(n_ < FAULT_ROUNDS);         \
	} while (0)

/** test_tmpdir - fresh directory, removed with everything in it when the test ends; valid until
 * then */
const char *test_tmpdir(void);
