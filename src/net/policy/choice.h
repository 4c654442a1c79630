/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user says about the network, and the policy that comes of it.
 *
 * Words collect in a struct policy_choice; policy_choice_build() sees whether they fit together.
 *
 *   nothing, or rules only    the rules, then the default policy (policy_init)
 *   profiles                  the rules, then lookups and the groups of the profiles
 *   all, none                 the rules, then everything or nothing, both ways
 *   defaults, or no network   the rules and nothing else: lookups need a rule, too
 *
 * Blocked names come before all rules.
 */
#pragma once

#include "net/policy/policy.h"

enum policy_profile {
	PROFILE_PUBLIC = 0,
	PROFILE_PRIVATE,
	PROFILE_HOST,
	PROFILE_ALL,
	PROFILE_NONE,
	PROFILE_COUNT,
};

/* Zeroed: nothing said. The parsers take it as void *, as tables of options do. */
struct policy_choice {
	bool no_net;
	bool strict;
	uint8_t profiles; /* bit per enum policy_profile */
	bool default_given[POLICY_DIRECTIONS];
	uint8_t defaults[POLICY_DIRECTIONS];
	uint32_t n_blocks; /* of .rules, in front */
	struct policy rules; /* only the list counts; policy_choice_deinit() */
};

/** policy_choice_profiles - comma-separated profiles, adds to those given before */
int policy_choice_profiles(void *choice, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** policy_choice_rules - comma-separated rules, behind those given before */
int policy_choice_rules(void *choice, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** policy_choice_block - a name that is neither looked up nor reached */
int policy_choice_block(void *choice, const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** policy_choice_block_suffix - the same for the name and everything below it */
int policy_choice_block_suffix(void *choice, const char *name, struct msb_err *err) MSB_MUST_CHECK;

/** policy_choice_default - action of both directions, where no rule matches */
int policy_choice_default(void *choice, const char *action, struct msb_err *err) MSB_MUST_CHECK;
int policy_choice_default_egress(void *choice, const char *action, struct msb_err *err)
	MSB_MUST_CHECK;
int policy_choice_default_ingress(void *choice, const char *action, struct msb_err *err)
	MSB_MUST_CHECK;

/** policy_choice_build - the policy; -EINVAL where the words contradict each other */
int policy_choice_build(const struct policy_choice *choice, struct policy *ret, struct msb_err *err)
	MSB_MUST_CHECK;

void policy_choice_deinit(struct policy_choice *choice);
