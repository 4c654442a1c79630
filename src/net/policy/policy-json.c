/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy in the description of a sandbox. Rules are stored in the words of the grammar: one
 * parser decides what a rule may be, whoever wrote it.
 */
#include "net/policy/rule.h"

static const char *action_word(uint8_t action)
{
	return action == POLICY_ALLOW ? "allow" : "deny";
}

void policy_to_json(const struct policy *p, struct json_out *o, const char *key)
{
	char text[POLICY_RULE_TEXT];

	json_begin_object(o, key);
	json_put_str(o, "default_egress", action_word(p->defaults[POLICY_EGRESS]));
	json_put_str(o, "default_ingress", action_word(p->defaults[POLICY_INGRESS]));
	json_put_bool(o, "strict", p->strict);
	if (p->public_only)
		json_put_bool(o, "public_only", true);
	json_begin_array(o, "rules");
	for (uint32_t i = 0; i < p->n_rules; i++)
		json_put_str(o, NULL, policy_rule_text(&p->rules[i], text, sizeof(text)));
	json_end_array(o);
	json_end_object(o);
}

static int read_default(const struct json *v, const char *key, uint8_t *ret, struct msb_err *err)
{
	const char *text;
	int r = json_get_str(v, key, &text, err);

	if (r == 0)
		r = policy_action_parse(text, ret, err);
	return r < 0 ? msb_err_prefix(err, r, "%s", key) : 0;
}

static int read_rules(const struct json *rules, struct policy *p, struct msb_err *err)
{
	json_foreach (item, rules) {
		struct policy_rule rule;
		const char *text;
		int r = json_to_str(item, "rule", &text, err);

		if (r == 0)
			r = policy_rule_parse(text, strlen(text), &rule, err);
		if (r < 0)
			return r;
		r = policy_add(p, &rule);
		if (r < 0)
			return msb_err_errno(err, r, "reading the rules");
	}
	return 0;
}

int policy_from_json(const struct json *v, struct policy *ret, struct msb_err *err)
{
	static const char *const keys[] = {
		"default_egress", "default_ingress", "strict", "public_only", "rules"};
	const struct json *rules = NULL;
	struct policy p;
	int r = json_only(v, keys, ARRAY_SIZE(keys), err);

	policy_init_none(&p);
	if (r == 0)
		r = read_default(v, "default_egress", &p.defaults[POLICY_EGRESS], err);
	if (r == 0)
		r = read_default(v, "default_ingress", &p.defaults[POLICY_INGRESS], err);
	if (r == 0)
		r = json_get_bool(v, "strict", &p.strict, err);
	if (r == 0)
		r = json_opt_bool(v, "public_only", &p.public_only, err);
	if (r == 0)
		r = json_get_array(v, "rules", &rules, err);
	if (r == 0 && json_len(rules) > POLICY_RULES_MAX)
		r = msb_err_set(err, -E2BIG, MSB_LIMIT, "more than %d rules", POLICY_RULES_MAX);
	if (r == 0)
		r = read_rules(rules, &p, err);
	if (r < 0) {
		policy_deinit(&p);
		return r;
	}
	*ret = p;
	return 0;
}
