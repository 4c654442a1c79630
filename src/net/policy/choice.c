/* SPDX-License-Identifier: Apache-2.0 */
/* What a user says about the network: see choice.h. */
#include "net/policy/choice.h"

#include "base/str.h"

#include "net/policy/rule.h"

enum { QUOTED = 120, WORD_MAX = 16, NEAR = 2 };

static const char *const profiles[] = {
	[PROFILE_PUBLIC] = "public",
	[PROFILE_PRIVATE] = "private",
	[PROFILE_HOST] = "host",
	[PROFILE_ALL] = "all",
	[PROFILE_NONE] = "none",
};
static_assert(ARRAY_SIZE(profiles) == PROFILE_COUNT, "a word for every profile");

static int unknown_profile(const char *word, size_t len, struct msb_err *err)
{
	char quoted[QUOTED];
	char copy[WORD_MAX] = "";
	int r = msb_err_usage(
		err, "%s is no profile", str_quote(quoted, sizeof(quoted), word, len));

	if (len < sizeof(copy))
		memcpy(copy, word, len);
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		if (copy[0] && str_distance(copy, profiles[i]) <= NEAR)
			return msb_err_hint(err, r, "did you mean '%s'?", profiles[i]);
	}
	return msb_err_hint(err, r,
		"write public, private, host, all or none; single addresses "
		"and names are for --net-rule");
}

int policy_choice_profiles(void *choice, const char *text, struct msb_err *err)
{
	struct policy_choice *c = choice;

	for (;;) {
		size_t len = strcspn(text, ",");
		size_t i = 0;

		while (i < ARRAY_SIZE(profiles) &&
			(strlen(profiles[i]) != len || memcmp(profiles[i], text, len) != 0))
			i++;
		if (i == ARRAY_SIZE(profiles))
			return unknown_profile(text, len, err);
		c->profiles |= (uint8_t)(1u << i);
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

int policy_choice_rules(void *choice, const char *text, struct msb_err *err)
{
	struct policy_choice *c = choice;
	uint32_t at = c->rules.n_rules;

	return policy_rules_parse(&c->rules, &at, text, err);
}

static int block(
	struct policy_choice *c, const char *name, enum policy_target target, struct msb_err *err)
{
	struct policy_rule rule = {.action = POLICY_DENY,
		.directions = 1u << POLICY_EGRESS,
		.target = (uint8_t)target};
	int r = policy_name_parse(name, strlen(name), rule.name, err);

	if (r < 0)
		return r;
	if (target == POLICY_SUFFIX && !strchr(rule.name, '.'))
		return msb_err_usage(err,
			"suffix '%.80s' is too broad: it needs two labels at least", rule.name);
	r = policy_insert(&c->rules, c->n_blocks, &rule);
	if (r == -E2BIG)
		return msb_err_set(err, r, MSB_LIMIT, "more than %d rules", POLICY_RULES_MAX);
	if (r < 0)
		return msb_err_errno(err, r, "reading the rules");
	c->n_blocks++;
	return 0;
}

int policy_choice_block(void *choice, const char *name, struct msb_err *err)
{
	return block(choice, name + (str_starts(name, "*.") ? 2 : 0),
		str_starts(name, "*.") ? POLICY_SUFFIX : POLICY_DOMAIN, err);
}

int policy_choice_block_suffix(void *choice, const char *name, struct msb_err *err)
{
	if (str_starts(name, "*."))
		name += 2;
	else if (name[0] == '.')
		name++;
	return block(choice, name, POLICY_SUFFIX, err);
}

static int set_default(
	struct policy_choice *c, enum policy_direction dir, const char *action, struct msb_err *err)
{
	int r = policy_action_parse(action, &c->defaults[dir], err);

	if (r == 0)
		c->default_given[dir] = true;
	return r;
}

int policy_choice_default_egress(void *choice, const char *action, struct msb_err *err)
{
	return set_default(choice, POLICY_EGRESS, action, err);
}

int policy_choice_default_ingress(void *choice, const char *action, struct msb_err *err)
{
	return set_default(choice, POLICY_INGRESS, action, err);
}

int policy_choice_default(void *choice, const char *action, struct msb_err *err)
{
	int r = set_default(choice, POLICY_EGRESS, action, err);

	return r < 0 ? r : set_default(choice, POLICY_INGRESS, action, err);
}

static int check(const struct policy_choice *c, struct msb_err *err)
{
	const uint8_t alone = 1u << PROFILE_ALL | 1u << PROFILE_NONE;
	bool defaults = c->default_given[POLICY_EGRESS] || c->default_given[POLICY_INGRESS];

	if (c->profiles && c->no_net)
		return msb_err_usage(err, "--net and --no-net contradict each other");
	if (c->profiles && defaults)
		return msb_err_usage(err,
			"--net brings its own defaults: --net-default does not go with "
			"it");
	for (int i = 0; c->no_net && i < POLICY_DIRECTIONS; i++) {
		if (c->default_given[i] && c->defaults[i] != POLICY_DENY)
			return msb_err_usage(
				err, "--no-net and --net-default allow contradict each other");
	}
	/* More than one bit, and one of them stands alone. */
	if ((c->profiles & alone) && (c->profiles & (c->profiles - 1)))
		return msb_err_usage(err, "profile %s does not go with others",
			c->profiles & 1u << PROFILE_ALL ? "all" : "none");
	return 0;
}

/* What stands behind the user's rules. */
static int base_policy(const struct policy_choice *c, struct policy *p)
{
	static const uint8_t classes[] = {[PROFILE_PUBLIC] = NET_CLASS_PUBLIC,
		[PROFILE_PRIVATE] = NET_CLASS_PRIVATE,
		[PROFILE_HOST] = NET_CLASS_HOST};
	struct policy_rule rule = {
		.action = POLICY_ALLOW, .directions = 1u << POLICY_EGRESS, .target = POLICY_DNS};
	int r = 0;

	policy_init_none(p);
	if (c->no_net || c->profiles & 1u << PROFILE_NONE)
		return 0;
	p->defaults[POLICY_INGRESS] = POLICY_ALLOW;
	if (c->profiles & 1u << PROFILE_ALL) {
		p->defaults[POLICY_EGRESS] = POLICY_ALLOW;
		return 0;
	}
	if (c->default_given[POLICY_EGRESS] || c->default_given[POLICY_INGRESS]) {
		for (int i = 0; i < POLICY_DIRECTIONS; i++) {
			if (c->default_given[i])
				p->defaults[i] = c->defaults[i];
		}
		return 0;
	}
	if (!c->profiles)
		return policy_init(p);
	r = policy_add(p, &rule);
	rule.target = POLICY_GROUP;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(classes); i++) {
		rule.group = classes[i];
		if (c->profiles & 1u << i)
			r = policy_add(p, &rule);
	}
	return r;
}

int policy_choice_build(const struct policy_choice *c, struct policy *ret, struct msb_err *err)
{
	struct policy p;
	int r = check(c, err);

	if (r < 0)
		return r;
	r = base_policy(c, &p);
	for (uint32_t i = 0; r == 0 && i < c->rules.n_rules; i++)
		r = policy_insert(&p, i, &c->rules.rules[i]);
	if (r < 0) {
		policy_deinit(&p);
		return r == -E2BIG ? msb_err_set(err, r, MSB_LIMIT, "more than %d rules",
					     POLICY_RULES_MAX)
				   : msb_err_errno(err, r, "making the policy");
	}
	p.strict = c->strict;
	*ret = p;
	return 0;
}

void policy_choice_deinit(struct policy_choice *c)
{
	policy_deinit(&c->rules);
}
