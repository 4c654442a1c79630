/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the waits between attempts; nothing here waits. */
#include "image/registry/retry.h"

#include "test.h"

static const struct retry_policy policy = {
	.attempts = 5, .attempts_total = 12, .first_ns = 1000, .max_ns = 3000};

TEST(waits_grow_within_bounds)
{
	static const uint64_t top[] = {1000, 2000, 3000, 3000};
	struct retry r;
	uint64_t wait = 0;

	retry_init(&r, &policy, 42);
	for (size_t i = 0; i < ARRAY_SIZE(top); i++) {
		ASSERT_TRUE(retry_again(&r, false, 0, &wait));
		ASSERT_TRUE(wait >= top[i] / 2 && wait <= top[i]);
	}
	ASSERT_TRUE(!retry_again(&r, false, 0, &wait));
}

TEST(jitter_differs_between_clients)
{
	unsigned int different = 0;

	for (uint64_t seed = 0; seed < 20; seed++) {
		struct retry a;
		struct retry b;
		uint64_t wait_a = 0;
		uint64_t wait_b = 0;

		retry_init(&a, &retry_default, 2 * seed);
		retry_init(&b, &retry_default, 2 * seed + 1000);
		ASSERT_TRUE(retry_again(&a, false, 0, &wait_a));
		ASSERT_TRUE(retry_again(&b, false, 0, &wait_b));
		different += wait_a != wait_b;
	}
	ASSERT_TRUE(different >= 19);
}

TEST(progress_earns_attempts_but_not_for_ever)
{
	struct retry r;
	uint64_t wait = 0;
	unsigned int n = 1;

	retry_init(&r, &policy, 1);
	while (retry_again(&r, true, 0, &wait)) {
		ASSERT_TRUE(wait <= 1000); /* as after a first failure */
		n++;
	}
	ASSERT_EQ(n, policy.attempts_total);
}

TEST(the_server_may_ask_for_patience)
{
	struct retry r;
	uint64_t wait = 0;

	retry_init(&r, &policy, 1);
	ASSERT_TRUE(retry_again(&r, false, 5 * NSEC_PER_SEC, &wait));
	ASSERT_EQ(wait, 5 * NSEC_PER_SEC);
	ASSERT_TRUE(!retry_again(&r, false, 3600 * NSEC_PER_SEC, &wait));
}
