/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy comes of what a user says. */
#include "net/policy/choice.h"
#include "net/policy/rule.h"

#include "test.h"

/* "egress ingress [strict] rule,rule,..." of the policy. */
static const char *built(struct policy_choice *c)
{
	static char text[2048];
	char rule[POLICY_RULE_TEXT];
	struct msb_err err = {0};
	struct policy p;
	size_t at;

	if (policy_choice_build(c, &p, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	at = (size_t)snprintf(text, sizeof(text), "%s %s%s",
		p.defaults[POLICY_EGRESS] == POLICY_ALLOW ? "allow" : "deny",
		p.defaults[POLICY_INGRESS] == POLICY_ALLOW ? "allow" : "deny",
		p.strict ? " strict" : "");
	for (uint32_t i = 0; i < p.n_rules; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%c%s", i ? ',' : ' ',
			policy_rule_text(&p.rules[i], rule, sizeof(rule)));
	policy_deinit(&p);
	policy_choice_deinit(c);
	*c = (struct policy_choice){0};
	return text;
}

static void contradiction(struct policy_choice *c, const char *msg)
{
	struct msb_err err = {0};
	struct policy p;

	ASSERT_ERR(policy_choice_build(c, &p, &err), EINVAL);
	ASSERT_EQ(err.kind, MSB_USAGE);
	ASSERT_STREQ(err.msg, msg);
	policy_choice_deinit(c);
	*c = (struct policy_choice){0};
}

TEST(nothing_said_is_public_only)
{
	struct policy_choice c = {0};

	ASSERT_STREQ(built(&c), "deny allow allow@dns,allow@public");
}

TEST(rules_stand_before_the_default_policy)
{
	struct policy_choice c = {.strict = true};

	ASSERT_OK(policy_choice_rules(&c, "allow@10.0.0.1,deny@a.b", NULL));
	ASSERT_OK(policy_choice_rules(&c, "allow@host", NULL));
	ASSERT_STREQ(built(&c), "deny allow strict "
				"allow@10.0.0.1,deny@a.b,allow@host,allow@dns,allow@public");
}

TEST(defaults_take_the_default_policy_away)
{
	struct policy_choice c = {0};

	ASSERT_OK(policy_choice_default(&c, "deny", NULL));
	ASSERT_OK(policy_choice_rules(&c, "allow@pypi.org:tcp:443", NULL));
	ASSERT_STREQ(built(&c), "deny deny allow@pypi.org:tcp:443");
	ASSERT_OK(policy_choice_default_egress(&c, "allow", NULL));
	ASSERT_STREQ(built(&c), "allow allow");
	ASSERT_OK(policy_choice_default_ingress(&c, "deny", NULL));
	ASSERT_STREQ(built(&c), "deny deny");
	c.no_net = true;
	ASSERT_OK(policy_choice_rules(&c, "allow@1.1.1.1", NULL));
	ASSERT_STREQ(built(&c), "deny deny allow@1.1.1.1");
	c.no_net = true;
	ASSERT_OK(policy_choice_default(&c, "deny", NULL));
	ASSERT_STREQ(built(&c), "deny deny");
}

TEST(profiles_come_in_one_order)
{
	struct policy_choice c = {0};

	ASSERT_OK(policy_choice_profiles(&c, "host,public", NULL));
	ASSERT_OK(policy_choice_profiles(&c, "private", NULL));
	ASSERT_OK(policy_choice_rules(&c, "deny@10.0.0.1", NULL));
	ASSERT_STREQ(built(&c), "deny allow deny@10.0.0.1,allow@dns,allow@public,allow@private,"
				"allow@host");
	ASSERT_OK(policy_choice_profiles(&c, "private", NULL));
	ASSERT_STREQ(built(&c), "deny allow allow@dns,allow@private");
	ASSERT_OK(policy_choice_profiles(&c, "all", NULL));
	ASSERT_STREQ(built(&c), "allow allow");
	ASSERT_OK(policy_choice_profiles(&c, "none", NULL));
	ASSERT_STREQ(built(&c), "deny deny");
}

TEST(blocks_come_first)
{
	struct policy_choice c = {0};

	ASSERT_OK(policy_choice_rules(&c, "allow@ads.example.com", NULL));
	ASSERT_OK(policy_choice_block(&c, "Ads.Example.com", NULL));
	ASSERT_OK(policy_choice_block_suffix(&c, "evil.example", NULL));
	ASSERT_OK(policy_choice_block_suffix(&c, "*.zip.example", NULL));
	ASSERT_OK(policy_choice_block_suffix(&c, ".mov.example", NULL));
	ASSERT_OK(policy_choice_block(&c, "*.b.example", NULL));
	ASSERT_STREQ(built(&c), "deny allow deny@ads.example.com,deny@*.evil.example,"
				"deny@*.zip.example,deny@*.mov.example,deny@*.b.example,"
				"allow@ads.example.com,allow@dns,allow@public");
	ASSERT_ERR(policy_choice_block_suffix(&c, "mov", NULL), EINVAL);
	ASSERT_ERR(policy_choice_block(&c, "", NULL), EINVAL);
	ASSERT_ERR(policy_choice_block(&c, "a b", NULL), EINVAL);
	policy_choice_deinit(&c);
}

TEST(contradictions_are_named)
{
	struct policy_choice c = {.no_net = true};

	ASSERT_OK(policy_choice_profiles(&c, "public", NULL));
	contradiction(&c, "--net and --no-net contradict each other");
	ASSERT_OK(policy_choice_profiles(&c, "public", NULL));
	ASSERT_OK(policy_choice_default_egress(&c, "deny", NULL));
	contradiction(&c, "--net brings its own defaults: --net-default does not go with it");
	c.no_net = true;
	ASSERT_OK(policy_choice_default(&c, "allow", NULL));
	contradiction(&c, "--no-net and --net-default allow contradict each other");
	ASSERT_OK(policy_choice_profiles(&c, "all,public", NULL));
	contradiction(&c, "profile all does not go with others");
	ASSERT_OK(policy_choice_profiles(&c, "none", NULL));
	ASSERT_OK(policy_choice_profiles(&c, "host", NULL));
	contradiction(&c, "profile none does not go with others");
}

TEST(words_are_checked)
{
	struct policy_choice c = {0};
	struct msb_err err = {0};

	ASSERT_ERR(policy_choice_profiles(&c, "pubic", &err), EINVAL);
	ASSERT_STREQ(err.msg, "'pubic' is no profile");
	ASSERT_STREQ(err.hint, "did you mean 'public'?");
	ASSERT_ERR(policy_choice_profiles(&c, "public,", &err), EINVAL);
	ASSERT_ERR(policy_choice_profiles(&c, "", &err), EINVAL);
	ASSERT_ERR(policy_choice_profiles(&c, "example.com", &err), EINVAL);
	ASSERT_STREQ(err.hint, "write public, private, host, all or none; single addresses and "
			       "names are for --net-rule");
	ASSERT_ERR(policy_choice_default(&c, "block", &err), EINVAL);
	ASSERT_STREQ(err.msg, "'block' is no action");
	policy_choice_deinit(&c);
}

TEST(memory_may_run_out)
{
	FAULT_LOOP({
		struct policy_choice c = {0};
		struct policy p;

		(void)!policy_choice_rules(&c, "allow@any,deny@a.b", NULL);
		(void)!policy_choice_block(&c, "a.b", NULL);
		if (policy_choice_build(&c, &p, NULL) == 0)
			policy_deinit(&p);
		policy_choice_deinit(&c);
	});
}
