/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again, and how long to wait before.
 *
 * Exponential backoff with jitter, so that many clients of a registry that fell over do not come
 * back at once. Pure: time is waited by the caller. A transfer that advances earns new attempts,
 * but not without end: a server that drips a little and hangs up cannot keep us for ever.
 */
#pragma once

#include "base/base.h"

struct retry_policy {
	unsigned int attempts; /* without progress */
	unsigned int attempts_total;
	uint64_t first_ns;
	uint64_t max_ns;
};

extern const struct retry_policy retry_default;

struct retry {
	const struct retry_policy *policy;
	uint64_t random;
	unsigned int failures; /* since the last progress */
	unsigned int total;
};

/** retry_init - @seed makes the jitter repeatable in tests */
void retry_init(struct retry *r, const struct retry_policy *policy, uint64_t seed);

/**
 * retry_again - an attempt failed in a way that may pass
 * @progress: it brought us further than any before
 * @after_ns: the server asked for this much patience, 0 if it did not
 * @ret_wait_ns: how long to wait before the next one
 *
 * Return: false to give up.
 */
bool retry_again(struct retry *r, bool progress, uint64_t after_ns, uint64_t *ret_wait_ns)
	MSB_MUST_CHECK;
