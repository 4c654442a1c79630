/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again, and how long to wait before: see retry.h. */
#include "image/registry/retry.h"

/* A server that asks for more patience than this is told no. */
#define AFTER_MAX_NS (60 * NSEC_PER_SEC)

const struct retry_policy retry_default = {
	.attempts = 6,
	.attempts_total = 40,
	.first_ns = 500 * NSEC_PER_MSEC,
	.max_ns = 20 * NSEC_PER_SEC,
};

void retry_init(struct retry *r, const struct retry_policy *policy, uint64_t seed)
{
	*r = (struct retry){.policy = policy, .random = seed | 1};
}

/* xorshift64: good enough to spread clients. */
static uint64_t random_below(struct retry *r, uint64_t n)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return n ? r->random % n : 0;
}

bool retry_again(struct retry *r, bool progress, uint64_t after_ns, uint64_t *ret_wait_ns)
{
	const struct retry_policy *p = r->policy;
	uint64_t wait = p->first_ns;

	if (progress)
		r->failures = 0;
	r->failures++;
	r->total++;
	if (r->failures >= p->attempts || r->total >= p->attempts_total || after_ns > AFTER_MAX_NS)
		return false;
	for (unsigned int i = 1; i < r->failures && wait < p->max_ns; i++)
		wait *= 2;
	wait = MIN(wait, p->max_ns);
	wait = wait / 2 + random_below(r, wait / 2 + 1);
	*ret_wait_ns = MAX(wait, after_ns);
	return true;
}
