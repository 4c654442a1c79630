/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules as text, and policies as JSON.
 *
 *   rules  := token {"," token}
 *   token  := action [":" direction] "@" target [":" proto [":" ports]]
 *   action := allow | deny               direction := egress | ingress | any
 *   proto  := any | tcp | udp | icmpv4 | icmpv6
 *   ports  := any | N | LO-HI
 *   target := any | dns | public | private | loopback | link-local | meta | multicast | host
 *           | IPv4[/LEN] | "[" IPv6[/LEN] "]"
 *           | NAME-WITH-A-DOT | domain=NAME | *.SUFFIX | suffix=SUFFIX
 *
 * What is accepted prints back in one canonical form that reads back as the same rule.
 */
#pragma once

#include "net/policy/policy.h"

/** policy_rule_parse - one token of @len bytes; -EINVAL with a message fit for the user */
int policy_rule_parse(const char *text, size_t len, struct policy_rule *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * policy_rules_parse - insert the rules of a list
 * @at: index of the first, moved behind the last
 *
 * Return: 0, -EINVAL, -E2BIG over POLICY_RULES_MAX, -ENOMEM. After an error @p holds the rules
 * before the one at fault.
 */
int policy_rules_parse(struct policy *p, uint32_t *at, const char *text, struct msb_err *err)
	MSB_MUST_CHECK;

/** policy_rule_text - canonical text; @size POLICY_RULE_TEXT always suffices; returns @to */
const char *policy_rule_text(const struct policy_rule *r, char *to, size_t size);

/** policy_action_parse - allow or deny */
int policy_action_parse(const char *text, uint8_t *ret, struct msb_err *err) MSB_MUST_CHECK;

/**
 * policy_name_parse - a host name in its stored form: lower case, no final dot
 *
 * Letters, digits, '-' and '_' in labels of at most 63 bytes; nothing that resolvers take for a
 * number. Return: 0 or -EINVAL with a message.
 */
int policy_name_parse(const char *text, size_t len, char ret[POLICY_NAME_MAX], struct msb_err *err)
	MSB_MUST_CHECK;

/** policy_to_json - append the policy as a JSON object, member @key of the open object of @o */
void policy_to_json(const struct policy *p, struct json_out *o, const char *key);

/** policy_from_json - strict; @ret is a new policy on success */
int policy_from_json(const struct json *v, struct policy *ret, struct msb_err *err) MSB_MUST_CHECK;
