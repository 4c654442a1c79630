/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: defaults, order, names, and what the log says. */
#include "net/policy/policy.h"
#include "net/policy/rule.h"

#include "test.h"

static struct net_addr addr(const char *text)
{
	struct net_addr a = {0};

	if (net_addr_parse(text, &a) < 0)
		test_fail(__FILE__, __LINE__, "'%s' is no address", text);
	return a;
}

static void set_gateway(struct policy *p)
{
	p->gateway4 = addr("172.16.0.1");
	p->gateway6 = addr("fd42:6d73:62::1");
}

static struct policy with_rules(enum policy_action egress, const char *rules)
{
	struct policy p;
	struct msb_err err = {0};
	uint32_t at = 0;

	policy_init_none(&p);
	p.defaults[POLICY_EGRESS] = (uint8_t)egress;
	set_gateway(&p);
	if (policy_rules_parse(&p, &at, rules, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	return p;
}

static struct policy defaults(void)
{
	struct policy p;

	ASSERT_OK(policy_init(&p));
	set_gateway(&p);
	return p;
}

static enum policy_action tcp(const struct policy *p, const char *to, uint16_t port)
{
	struct policy_query q = {.addr = addr(to), .port = port};
	struct policy_verdict v;

	policy_decide(p, &q, &v);
	return v.action;
}

static enum policy_action udp(const struct policy *p, const char *to, uint16_t port)
{
	struct policy_query q = {.proto = POLICY_UDP, .addr = addr(to), .port = port};
	struct policy_verdict v;

	policy_decide(p, &q, &v);
	return v.action;
}

/* TCP 443 to an address that the lookup of @names gave. */
static struct policy_query named(const char *to, const char *const *names, size_t n)
{
	return (struct policy_query){.addr = addr(to), .port = 443, .names = names, .n_names = n};
}

static enum policy_action decide(const struct policy *p, const struct policy_query *q)
{
	struct policy_verdict v;

	policy_decide(p, q, &v);
	return v.action;
}

static enum policy_action inspect(
	const struct policy *p, struct policy_query q, const char *authority)
{
	q.inspected = true;
	q.authority = authority;
	return decide(p, &q);
}

TEST(default_is_public_only)
{
	static const char *const shut[] = {"10.0.0.1", "172.20.0.1", "192.168.1.1", "100.64.0.1",
		"127.0.0.1", "169.254.1.1", "169.254.169.254", "224.0.0.251", "0.0.0.0",
		"255.255.255.255", "172.16.0.1", "::1", "fe80::1", "fd00::1", "fd00:ec2::254",
		"ff02::fb", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
		"64:ff9b::a00:1", "2002:a9fe:a9fe::1", "2001:0:808:808:0:0:80ff:fffe",
		"fd42:6d73:62::1", "::", "::127.0.0.1"};
	struct policy p = defaults();

	for (size_t i = 0; i < ARRAY_SIZE(shut); i++) {
		if (tcp(&p, shut[i], 80) != POLICY_DENY || udp(&p, shut[i], 80) != POLICY_DENY)
			test_fail(__FILE__, __LINE__, "%s is open", shut[i]);
	}
	ASSERT_EQ(tcp(&p, "1.1.1.1", 443), POLICY_ALLOW);
	ASSERT_EQ(udp(&p, "2606:4700::1111", 443), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "::ffff:1.1.1.1", 443), POLICY_ALLOW);
	ASSERT_EQ(udp(&p, "172.16.0.1", 53), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "fd42:6d73:62::1", 53), POLICY_ALLOW);
	policy_deinit(&p);
}

TEST(everything_comes_in_by_default)
{
	struct policy p = defaults();
	struct policy_query q = {.direction = POLICY_INGRESS, .addr = addr("10.0.0.7"), .port = 80};

	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	policy_deinit(&p);
}

TEST(none_is_none)
{
	struct policy p;
	struct policy_query q = {.direction = POLICY_INGRESS, .addr = addr("8.8.8.8"), .port = 80};
	struct policy_verdict v;

	policy_init_none(&p);
	set_gateway(&p);
	ASSERT_EQ(tcp(&p, "1.1.1.1", 443), POLICY_DENY);
	ASSERT_EQ(udp(&p, "172.16.0.1", 53), POLICY_DENY);
	ASSERT_EQ(decide(&p, &q), POLICY_DENY);
	policy_decide_name(&p, "example.com", POLICY_UDP, &v);
	ASSERT_EQ(v.action, POLICY_DENY);
	policy_deinit(&p);
}

TEST(first_match_wins)
{
	struct policy p = with_rules(POLICY_DENY, "deny@10.0.0.0/8,allow@10.1.0.0/16,allow@any");
	struct policy q =
		with_rules(POLICY_DENY, "allow@10.1.0.0/16,deny@10.0.0.0/8:tcp:80-90,allow@any");

	ASSERT_EQ(tcp(&p, "10.1.0.1", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "11.1.0.1", 80), POLICY_ALLOW);
	ASSERT_EQ(tcp(&q, "10.1.0.1", 80), POLICY_ALLOW);
	ASSERT_EQ(tcp(&q, "10.2.0.1", 79), POLICY_ALLOW);
	ASSERT_EQ(tcp(&q, "10.2.0.1", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&q, "10.2.0.1", 90), POLICY_DENY);
	ASSERT_EQ(tcp(&q, "10.2.0.1", 91), POLICY_ALLOW);
	ASSERT_EQ(udp(&q, "10.2.0.1", 80), POLICY_ALLOW);
	policy_deinit(&p);
	policy_deinit(&q);
}

TEST(groups_are_disjoint)
{
	struct policy p = with_rules(POLICY_DENY, "allow@private,allow@link-local");

	ASSERT_EQ(tcp(&p, "10.0.0.1", 80), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "169.254.1.1", 80), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "169.254.169.254", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "fd00:ec2::254", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "172.16.0.1", 80), POLICY_DENY); /* the gateway is host */
	ASSERT_EQ(tcp(&p, "8.8.8.8", 80), POLICY_DENY);
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "allow@host,allow@meta:tcp:80");
	ASSERT_EQ(tcp(&p, "172.16.0.1", 8080), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "fd42:6d73:62::1", 8080), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "172.16.0.5", 8080), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "169.254.169.254", 80), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "169.254.169.254", 81), POLICY_DENY);
	policy_deinit(&p);
}

TEST(a_ban_sees_through_transition_addresses)
{
	struct policy p = with_rules(POLICY_ALLOW, "deny@10.0.0.0/8");
	struct policy q = with_rules(POLICY_DENY, "allow@10.0.0.0/8");

	ASSERT_EQ(tcp(&p, "10.0.0.1", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "::ffff:10.0.0.1", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "64:ff9b::a00:1", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "2002:a00:1::", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "2001:0:a00:1:0:0:f7f7:f7f7", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&q, "64:ff9b::a00:1", 80), POLICY_ALLOW);
	/* Two addresses, one of them not allowed. */
	ASSERT_EQ(tcp(&q, "2001:0:a00:1:0:0:f7f7:f7f7", 80), POLICY_DENY);
	policy_deinit(&p);
	policy_deinit(&q);
}

TEST(icmp_skips_rules_with_ports)
{
	struct policy p =
		with_rules(POLICY_DENY, "deny@any:any:80,allow@public:icmpv4,allow@any:udp");
	struct policy_query q = {.proto = POLICY_ICMPV4, .addr = addr("1.1.1.1")};

	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	q.proto = POLICY_ICMPV6;
	q.addr = addr("2606::1");
	ASSERT_EQ(decide(&p, &q), POLICY_DENY);
	policy_deinit(&p);
}

TEST(ingress_looks_at_peer_and_guest_port)
{
	struct policy p = with_rules(POLICY_ALLOW, "deny:ingress@192.168.0.0/16:tcp:8080");
	struct policy_query q = {
		.direction = POLICY_INGRESS, .addr = addr("192.168.1.1"), .port = 8080};

	p.defaults[POLICY_INGRESS] = POLICY_ALLOW;
	ASSERT_EQ(decide(&p, &q), POLICY_DENY);
	q.port = 8081;
	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	q.direction = POLICY_EGRESS;
	q.port = 8080;
	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	policy_deinit(&p);
}

TEST(allowed_names_need_pin_and_authority)
{
	static const char *const shared[] = {"pypi.org", "other.example"};
	struct policy p = with_rules(POLICY_DENY, "allow@pypi.org:tcp:443");
	struct policy_query q = named("151.101.0.223", shared, 2);
	struct policy_query alone = named("151.101.0.223", shared, 1);
	struct policy_query guessed = named("151.101.0.223", NULL, 0);

	ASSERT_TRUE(policy_needs_names(&p));
	ASSERT_EQ(decide(&p, &q), POLICY_INSPECT);
	ASSERT_EQ(decide(&p, &alone), POLICY_INSPECT);
	ASSERT_EQ(inspect(&p, q, "pypi.org"), POLICY_ALLOW);
	ASSERT_EQ(inspect(&p, q, "other.example"), POLICY_DENY); /* fronting */
	ASSERT_EQ(inspect(&p, alone, "evil.example"), POLICY_DENY);
	ASSERT_EQ(inspect(&p, alone, NULL), POLICY_ALLOW); /* ssh and the like */
	/* An address the guest made up is refused at once, whatever name it would say. */
	ASSERT_EQ(decide(&p, &guessed), POLICY_DENY);
	ASSERT_EQ(inspect(&p, guessed, "pypi.org"), POLICY_DENY);
	alone.port = 80;
	ASSERT_EQ(decide(&p, &alone), POLICY_DENY);
	alone.port = 443;
	alone.proto = POLICY_UDP;
	ASSERT_EQ(decide(&p, &alone), POLICY_DENY); /* the rule says tcp */
	policy_deinit(&p);
}

TEST(strict_wants_to_read_the_name)
{
	static const char *const names[] = {"pypi.org"};
	struct policy p = with_rules(POLICY_DENY, "allow@pypi.org");
	struct policy_query q = named("151.101.0.223", names, 1);

	p.strict = true;
	ASSERT_EQ(decide(&p, &q), POLICY_INSPECT);
	ASSERT_EQ(inspect(&p, q, "pypi.org"), POLICY_ALLOW);
	ASSERT_EQ(inspect(&p, q, NULL), POLICY_DENY);
	q.hidden = true;
	ASSERT_EQ(inspect(&p, q, "pypi.org"), POLICY_DENY);
	p.strict = false;
	ASSERT_EQ(inspect(&p, q, "pypi.org"), POLICY_ALLOW);
	q.hidden = false;
	q.proto = POLICY_UDP;
	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	p.strict = true;
	ASSERT_EQ(decide(&p, &q), POLICY_DENY);
	policy_deinit(&p);
}

TEST(denied_names_are_caught_either_way)
{
	static const char *const evil[] = {"evil.example"};
	static const char *const shared[] = {"evil.example", "good.example"};
	struct policy p = with_rules(POLICY_DENY, "deny@*.evil.example,allow@public");
	struct policy_query q = named("93.184.216.34", evil, 1);
	struct policy_query both = named("93.184.216.34", shared, 2);
	struct policy_query direct = named("93.184.216.34", NULL, 0);

	ASSERT_EQ(decide(&p, &q), POLICY_DENY);
	ASSERT_EQ(decide(&p, &both), POLICY_INSPECT);
	ASSERT_EQ(inspect(&p, both, "good.example"), POLICY_ALLOW);
	ASSERT_EQ(inspect(&p, both, "www.evil.example"), POLICY_DENY);
	ASSERT_EQ(inspect(&p, both, NULL), POLICY_DENY);
	both.hidden = true;
	ASSERT_EQ(inspect(&p, both, "good.example"), POLICY_DENY);
	both.hidden = false;
	ASSERT_EQ(decide(&p, &direct), POLICY_INSPECT);
	ASSERT_EQ(inspect(&p, direct, "evil.example"), POLICY_DENY);
	ASSERT_EQ(inspect(&p, direct, "notevil.example"), POLICY_ALLOW);
	ASSERT_EQ(inspect(&p, direct, NULL), POLICY_ALLOW);
	both.proto = POLICY_UDP;
	ASSERT_EQ(decide(&p, &both), POLICY_DENY);
	policy_deinit(&p);
}

/* A look into the connection that cannot change anything is not taken. */
TEST(no_peek_without_need)
{
	static const char *const names[] = {"pypi.org"};
	struct policy p = with_rules(POLICY_DENY, "deny@evil.example");
	struct policy_query q = named("93.184.216.34", names, 1);

	ASSERT_EQ(decide(&p, &q), POLICY_DENY);
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "allow@pypi.org,allow@public");
	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	policy_deinit(&p);
	p = defaults();
	ASSERT_TRUE(!policy_needs_names(&p));
	ASSERT_EQ(decide(&p, &q), POLICY_ALLOW);
	policy_deinit(&p);
}

TEST(suffix_is_apex_and_below)
{
	struct policy p = with_rules(POLICY_DENY, "allow@*.example.com");
	const struct policy_rule *r = &p.rules[0];

	ASSERT_TRUE(policy_name_matches(r, "example.com"));
	ASSERT_TRUE(policy_name_matches(r, "a.example.com"));
	ASSERT_TRUE(policy_name_matches(r, "a.b.example.com"));
	ASSERT_TRUE(!policy_name_matches(r, "badexample.com"));
	ASSERT_TRUE(!policy_name_matches(r, "com"));
	ASSERT_TRUE(!policy_name_matches(r, "example.com.evil"));
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "allow@example.com");
	ASSERT_TRUE(policy_name_matches(&p.rules[0], "example.com"));
	ASSERT_TRUE(!policy_name_matches(&p.rules[0], "a.example.com"));
	policy_deinit(&p);
}

static enum policy_action lookup(const struct policy *p, const char *name, enum policy_proto proto)
{
	struct policy_verdict v;

	policy_decide_name(p, name, proto, &v);
	return v.action;
}

TEST(lookups_follow_the_names)
{
	struct policy p =
		with_rules(POLICY_DENY, "allow@pypi.org:tcp:443,allow@1.1.1.1,allow@public");

	ASSERT_EQ(lookup(&p, "pypi.org", POLICY_UDP), POLICY_ALLOW);
	ASSERT_EQ(lookup(&p, "www.pypi.org", POLICY_UDP), POLICY_DENY);
	/* No tunnel through names, even where addresses are open. */
	ASSERT_EQ(lookup(&p, "c2VjcmV0.evil.example", POLICY_UDP), POLICY_DENY);
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "deny@*.evil.example,allow@dns:udp");
	ASSERT_EQ(lookup(&p, "a.evil.example", POLICY_UDP), POLICY_DENY);
	ASSERT_EQ(lookup(&p, "pypi.org", POLICY_UDP), POLICY_ALLOW);
	ASSERT_EQ(lookup(&p, "pypi.org", POLICY_TCP), POLICY_DENY);
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "allow@host:any:53");
	ASSERT_EQ(lookup(&p, "pypi.org", POLICY_TCP), POLICY_ALLOW);
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "allow@any:tcp:443");
	ASSERT_EQ(lookup(&p, "pypi.org", POLICY_UDP), POLICY_DENY);
	policy_deinit(&p);
	p = with_rules(POLICY_ALLOW, "deny@10.0.0.0/8");
	ASSERT_EQ(lookup(&p, "pypi.org", POLICY_UDP), POLICY_ALLOW);
	policy_deinit(&p);
}

static bool opened(const char *rules, const char *to)
{
	struct policy p = with_rules(POLICY_ALLOW, rules);
	struct net_addr a = addr(to);
	bool is = policy_allows_explicitly(&p, &a);

	policy_deinit(&p);
	return is;
}

TEST(rebind_exceptions_are_explicit)
{
	ASSERT_TRUE(opened("allow@private", "10.0.0.1"));
	ASSERT_TRUE(opened("allow@10.0.0.0/8:tcp", "10.0.0.1"));
	ASSERT_TRUE(!opened("allow@any", "10.0.0.1"));
	ASSERT_TRUE(!opened("allow@10.0.0.0/8:tcp:80", "10.0.0.1"));
	ASSERT_TRUE(!opened("deny@10.0.0.1,allow@private", "10.0.0.1"));
	ASSERT_TRUE(!opened("allow:ingress@private", "10.0.0.1"));
	ASSERT_TRUE(!opened("allow@corp.example", "10.0.0.1"));
}

TEST(lookups_go_past_nobody)
{
	static const char *const names[] = {"site.example"};
	struct policy p = defaults();
	struct policy_query q = named("93.184.216.34", names, 1);
	struct policy_verdict v;

	/* DNS over TLS and QUIC, multicast and local lookups. */
	ASSERT_EQ(tcp(&p, "1.1.1.1", 853), POLICY_DENY);
	ASSERT_EQ(udp(&p, "1.1.1.1", 853), POLICY_DENY);
	ASSERT_EQ(udp(&p, "93.184.216.34", 5353), POLICY_DENY);
	ASSERT_EQ(udp(&p, "93.184.216.34", 5355), POLICY_DENY);
	ASSERT_EQ(udp(&p, "93.184.216.34", 137), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "93.184.216.34", 5353), POLICY_ALLOW);
	/* Without rules about names there is nothing to go around. */
	ASSERT_EQ(tcp(&p, "1.1.1.1", 443), POLICY_ALLOW);
	policy_decide_name(&p, "dns.google", POLICY_UDP, &v);
	ASSERT_EQ(v.action, POLICY_ALLOW);
	policy_deinit(&p);
	p = with_rules(POLICY_DENY, "allow@1.1.1.1:tcp:853,allow@any:udp:5300-5400");
	ASSERT_EQ(tcp(&p, "1.1.1.1", 853), POLICY_ALLOW);
	ASSERT_EQ(udp(&p, "224.0.0.251", 5353), POLICY_ALLOW);
	policy_deinit(&p);
	p = with_rules(POLICY_ALLOW, "deny@evil.example");
	q.addr = addr("8.8.8.8");
	ASSERT_EQ(inspect(&p, q, "site.example"), POLICY_DENY);
	ASSERT_EQ(udp(&p, "2606:4700:4700::1111", 443), POLICY_DENY);
	ASSERT_EQ(udp(&p, "64:ff9b::808:808", 443), POLICY_DENY);
	ASSERT_EQ(udp(&p, "8.8.8.8", 444), POLICY_ALLOW);
	q.addr = addr("104.16.249.249");
	ASSERT_EQ(inspect(&p, q, "mozilla.cloudflare-dns.com"), POLICY_DENY);
	ASSERT_EQ(inspect(&p, q, "cloudflare.com"), POLICY_ALLOW);
	policy_decide_name(&p, "dns.google", POLICY_UDP, &v);
	ASSERT_EQ(v.action, POLICY_DENY);
	ASSERT_STREQ(v.text, "lookup of dns.google: denied: a resolver that would go around the "
			     "rules about names");
	policy_decide_name(&p, "use-application-dns.net", POLICY_UDP, &v);
	ASSERT_EQ(v.action, POLICY_DENY);
	policy_deinit(&p);
	p = with_rules(POLICY_ALLOW, "deny@evil.example,allow@8.8.8.8,allow@dns.quad9.net");
	ASSERT_EQ(udp(&p, "8.8.8.8", 443), POLICY_ALLOW);
	policy_decide_name(&p, "dns.quad9.net", POLICY_UDP, &v);
	ASSERT_EQ(v.action, POLICY_ALLOW);
	policy_deinit(&p);
	p = defaults();
	q = (struct policy_query){.addr = addr("9.9.9.9"), .port = 853};
	policy_decide(&p, &q, &v);
	ASSERT_STREQ(v.text, "egress tcp 9.9.9.9:853 (public): denied: names are looked up at the "
			     "gateway only, unless a rule allows this port");
	policy_deinit(&p);
}

TEST(texts_name_the_rule)
{
	static const char *const names[] = {"pypi.org"};
	struct policy p = with_rules(POLICY_DENY, "allow@dns,deny@pypi.org:tcp:443");
	struct policy_query q = named("151.101.0.223", names, 1);
	struct policy_verdict v;

	policy_decide(&p, &q, &v);
	ASSERT_EQ(v.rule, 1);
	ASSERT_STREQ(v.text, "egress tcp 151.101.0.223:443 (public, pypi.org): denied by rule 2 "
			     "'deny@pypi.org:tcp:443'");
	q = (struct policy_query){.proto = POLICY_ICMPV6, .addr = addr("fe80::1")};
	policy_decide(&p, &q, &v);
	ASSERT_EQ(v.rule, -1);
	ASSERT_EQ(v.class, NET_CLASS_LINK_LOCAL);
	ASSERT_STREQ(v.text, "egress icmpv6 [fe80::1] (link-local): denied by default (no rule for "
			     "egress matches)");
	policy_decide_name(&p, "a.example", POLICY_UDP, &v);
	ASSERT_STREQ(v.text, "lookup of a.example: allowed by rule 1 'allow@dns'");
	policy_deinit(&p);
}

TEST(rules_are_capped_and_copied)
{
	struct policy p;
	struct policy copy;
	struct policy_rule r = {.directions = 1, .target = POLICY_ANY};

	policy_init_none(&p);
	policy_init_none(&copy);
	for (int i = 0; i < POLICY_RULES_MAX; i++)
		ASSERT_OK(policy_add(&p, &r));
	ASSERT_ERR(policy_add(&p, &r), E2BIG);
	ASSERT_OK(policy_copy(&copy, &p));
	ASSERT_EQ(copy.n_rules, POLICY_RULES_MAX);
	policy_deinit(&p);
	policy_deinit(&copy);
}

TEST(memory_may_run_out)
{
	FAULT_LOOP({
		struct policy p;
		struct policy copy;

		policy_init_none(&copy);
		if (policy_init(&p) == 0) {
			(void)!policy_copy(&copy, &p);
			policy_deinit(&p);
		}
		policy_deinit(&copy);
	});
}

TEST(tenants_get_public_addresses_only)
{
	struct policy p = with_rules(POLICY_ALLOW,
		"allow@private,allow@10.1.0.0/16,allow@host,allow@[64:ff9b::/96],"
		"allow@db.example.com,deny@198.51.100.7");
	struct net_addr inside = addr("10.1.2.3");
	struct policy_query q = {.addr = addr("10.1.2.3"), .port = 443};
	struct policy_verdict v;

	ASSERT_EQ(tcp(&p, "10.1.2.3", 443), POLICY_ALLOW);
	ASSERT_EQ(policy_allows_explicitly(&p, &inside), true);
	p.public_only = true;
	ASSERT_EQ(tcp(&p, "10.1.2.3", 443), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "127.0.0.1", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "169.254.169.254", 80), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "::ffff:10.1.2.3", 443), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "64:ff9b::a01:203", 443), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "2002:a01:203::1", 443), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "172.16.0.1", 8080), POLICY_DENY);
	ASSERT_EQ(udp(&p, "224.0.0.251", 9), POLICY_DENY);
	ASSERT_EQ(tcp(&p, "172.16.0.1", 53), POLICY_ALLOW);
	ASSERT_EQ(udp(&p, "fd42:6d73:62::1", 53), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "198.51.100.8", 443), POLICY_ALLOW);
	ASSERT_EQ(tcp(&p, "198.51.100.7", 443), POLICY_DENY);
	ASSERT_EQ(policy_allows_explicitly(&p, &inside), false);
	policy_decide(&p, &q, &v);
	ASSERT_STREQ(v.text, "egress tcp 10.1.2.3:443 (private): denied: the deployment profile "
			     "lets only public addresses be reached");
	policy_deinit(&p);
}
