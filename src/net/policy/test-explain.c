/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy would say. */
#include "net/policy/class.h"
#include "net/policy/explain.h"
#include "net/policy/rule.h"

#include "test.h"

TEST(targets_in_every_form)
{
	static const struct {
		const char *text;
		const char *host;
		uint16_t port;
		enum policy_proto proto;
		bool is_address;
	} cases[] = {
		{"https://PyPI.org/simple?x#y", "pypi.org", 443, POLICY_TCP, false},
		{"http://a.example", "a.example", 80, POLICY_TCP, false},
		{"HTTPS://a.example:8443/", "a.example", 8443, POLICY_TCP, false},
		{"wss://a.example?x", "a.example", 443, POLICY_TCP, false},
		{"a.example:22", "a.example", 22, POLICY_TCP, false},
		{"localhost:22/tcp", "localhost", 22, POLICY_TCP, false},
		{"1.1.1.1:53/udp", "1.1.1.1", 53, POLICY_UDP, true},
		{"[2001:db8::1]:443", "2001:db8::1", 443, POLICY_TCP, true},
		{"http://[::1]:8080/x", "::1", 8080, POLICY_TCP, true},
		{"https://10.0.0.1/", "10.0.0.1", 443, POLICY_TCP, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct explain_target t;
		struct msb_err err = {0};

		if (explain_target_parse(cases[i].text, &t, &err) < 0)
			test_fail(__FILE__, __LINE__, "%s", err.msg);
		ASSERT_STREQ(t.host, cases[i].host);
		ASSERT_EQ(t.port, cases[i].port);
		ASSERT_EQ(t.proto, cases[i].proto);
		ASSERT_EQ(t.is_address, cases[i].is_address);
	}
}

TEST(other_targets_are_refused)
{
	static const char *const bad[] = {"", "a.example", "a.example:", "a.example:0",
		"a.example:65536", "a.example:80/icmp", "ftp://a.example/", "2001:db8::1:80",
		"[2001:db8::1]", "[2001:db8::1]80", "[1.1.1.1]:80", "[::1:80", "a b:80", ":80",
		"1.2.3:80", "https://", "https:///x", "https://u@a.example/"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct explain_target t;
		struct msb_err err = {0};

		if (explain_target_parse(bad[i], &t, &err) != -EINVAL)
			test_fail(__FILE__, __LINE__, "'%s' is accepted", bad[i]);
		ASSERT_TRUE(err.msg[0] && err.hint[0]);
	}
}

static struct explain_answer ask(const char *rules, const char *target, const char *address)
{
	struct explain_answer a;
	struct explain_target t;
	struct net_addr addr;
	struct policy p;
	uint32_t at = 0;

	policy_init_none(&p);
	ASSERT_OK(net_addr_parse("172.16.0.1", &p.gateway4));
	ASSERT_OK(policy_rules_parse(&p, &at, rules, NULL));
	ASSERT_OK(explain_target_parse(target, &t, NULL));
	ASSERT_OK(net_addr_parse(address, &addr));
	explain(&p, true, &t, &addr, &a);
	policy_deinit(&p);
	return a;
}

TEST(every_step_is_told)
{
	struct explain_answer a;

	a = ask("allow@dns,allow@public", "https://pypi.org/", "151.101.0.223");
	ASSERT_TRUE(a.looked_up && a.allowed);
	ASSERT_STREQ(a.lookup.text, "lookup of pypi.org: allowed by rule 1 'allow@dns'");
	ASSERT_STREQ(a.flow.text, "egress tcp 151.101.0.223:443 (public, pypi.org): allowed by "
				  "rule 2 'allow@public'");
	a = ask("deny@pypi.org,allow@dns,allow@public", "https://pypi.org/", "151.101.0.223");
	ASSERT_TRUE(!a.allowed);
	ASSERT_EQ(a.lookup.action, POLICY_DENY);
	a = ask("allow@pypi.org:tcp:443", "pypi.org:443", "151.101.0.223");
	ASSERT_TRUE(a.allowed);
	a = ask("allow@pypi.org:tcp:443", "pypi.org:80", "151.101.0.223");
	ASSERT_TRUE(!a.allowed);
	ASSERT_EQ(a.lookup.action, POLICY_ALLOW);
	ASSERT_EQ(a.flow.rule, -1);
	a = ask("allow@dns,allow@public", "https://intern.example/", "10.0.0.1");
	ASSERT_TRUE(a.rebind && !a.allowed);
	a = ask("allow@dns,allow@private", "https://intern.example/", "10.0.0.1");
	ASSERT_TRUE(!a.rebind && a.allowed);
	a = ask("allow@dns,allow@public", "169.254.169.254:80", "169.254.169.254");
	ASSERT_TRUE(!a.looked_up && !a.allowed && !a.rebind);
	ASSERT_EQ(a.flow.class, NET_CLASS_META);
	a = ask("allow@dns,allow@host", "http://" POLICY_HOST_ALIAS ":8080/", "172.16.0.1");
	ASSERT_TRUE(a.allowed && !a.rebind);
	a = ask("allow@pypi.org", "pypi.org:443/udp", "151.101.0.223");
	ASSERT_TRUE(a.allowed);
}
