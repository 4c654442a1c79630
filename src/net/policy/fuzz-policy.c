/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules and policies of arbitrary bytes: what is accepted prints, reads back as the same, and
 * decides without harm.
 */
#include "net/policy/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide_all(const struct policy *p, const uint8_t *data, size_t size)
{
	const char *name = p->n_rules && p->rules[0].name[0] ? p->rules[0].name : "a.example";
	uint8_t bytes[16] = {0};

	memcpy(bytes, data, MIN(size, sizeof(bytes)));
	for (unsigned int i = 0; i < 32; i++) {
		struct policy_query q = {
			.direction = i & 1 ? POLICY_INGRESS : POLICY_EGRESS,
			.proto = (enum policy_proto)(i / 2 % POLICY_PROTO_COUNT),
			.addr = i & 8 ? net_addr_v6(bytes) : net_addr_v4(bytes),
			.port = bytes[0],
			.names = &name,
			.n_names = i & 16 ? 1 : 0,
		};
		struct policy_verdict v;

		policy_decide(p, &q, &v);
		assert(v.text[0] && v.rule < (int)p->n_rules);
		q.inspected = true;
		q.authority = name;
		policy_decide(p, &q, &v);
		assert(v.action != POLICY_INSPECT);
		(void)policy_allows_explicitly(p, &q.addr);
	}
}

static void try_rule(const uint8_t *data, size_t size)
{
	struct policy_rule rule;
	struct policy_rule again;
	struct policy p = {0};
	char text[POLICY_RULE_TEXT];
	struct msb_err err = {0};
	int r = policy_rule_parse((const char *)data, size, &rule, &err);

	if (r < 0) {
		assert(err.msg[0]);
		return;
	}
	policy_rule_text(&rule, text, sizeof(text));
	assert(strlen(text) < sizeof(text) - 1);
	memset(&again, 0, sizeof(again));
	r = policy_rule_parse(text, strlen(text), &again, &err);
	assert(r == 0);
	assert(rule.action == again.action && rule.target == again.target);
	assert(rule.directions == again.directions && rule.protos == again.protos);
	assert(rule.port_lo == again.port_lo && rule.port_hi == again.port_hi);
	assert(rule.group == again.group && rule.bits == again.bits);
	assert(net_addr_equal(&rule.net, &again.net) && streq(rule.name, again.name));
	if (policy_add(&p, &rule) == 0)
		decide_all(&p, data, size);
	policy_deinit(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_json struct json *v = NULL;
	struct msb_err err = {0};
	struct policy p;

	try_rule(data, size);
	if (json_parse((const char *)data, size, &v, &err) < 0)
		return 0;
	if (policy_from_json(v, &p, &err) < 0) {
		assert(err.msg[0]);
		return 0;
	}
	decide_all(&p, data, size);
	policy_deinit(&p);
	return 0;
}
