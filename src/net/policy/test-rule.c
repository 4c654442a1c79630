/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of rules, its complaints, and policies as JSON. */
#include "base/str.h"

#include "net/policy/rule.h"

#include "test.h"

static const char *canonical(const char *text)
{
	static char out[POLICY_RULE_TEXT];
	struct policy_rule rule;
	struct msb_err err = {0};

	if (policy_rule_parse(text, strlen(text), &rule, &err) < 0)
		test_fail(__FILE__, __LINE__, "%s", err.msg);
	return policy_rule_text(&rule, out, sizeof(out));
}

TEST(rules_print_canonically)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{"allow@any", "allow@any"},
		{"deny@public", "deny@public"},
		{"allow:egress@private", "allow@private"},
		{"deny:ingress@loopback", "deny:ingress@loopback"},
		{"allow:any@link-local", "allow:any@link-local"},
		{" allow@meta ", "allow@meta"},
		{"allow@multicast:udp", "allow@multicast:udp"},
		{"allow@host:tcp:8080", "allow@host:tcp:8080"},
		{"allow@public:any:80", "allow@public:any:80"},
		{"allow@public:any:any", "allow@public"},
		{"allow@public:tcp:any", "allow@public:tcp"},
		{"allow@public:tcp:80-443", "allow@public:tcp:80-443"},
		{"allow@public:tcp:80-80", "allow@public:tcp:80"},
		{"allow@public:icmpv4", "allow@public:icmpv4"},
		{"allow@any:icmpv6", "allow@any:icmpv6"},
		{"allow@dns", "allow@dns"},
		{"allow@dns:udp:53", "allow@dns:udp"},
		{"allow@dns:tcp", "allow@dns:tcp"},
		{"deny@dns:any:any", "deny@dns"},
		{"allow@1.2.3.4", "allow@1.2.3.4"},
		{"allow@1.2.3.4/32", "allow@1.2.3.4"},
		{"allow@10.1.2.3/8", "allow@10.0.0.0/8"},
		{"allow@0.0.0.0/0:udp:1-65535", "allow@0.0.0.0/0:udp:1-65535"},
		{"allow@[::1]", "allow@[::1]"},
		{"allow@[2001:DB8::5/32]:tcp:443", "allow@[2001:db8::/32]:tcp:443"},
		{"allow@[::ffff:10.0.0.1]", "allow@10.0.0.1"},
		{"deny@[::ffff:10.0.0.1/104]", "deny@10.0.0.0/8"},
		{"allow@PyPI.org", "allow@pypi.org"},
		{"allow@pypi.org.", "allow@pypi.org"},
		{"allow@domain=public", "allow@domain=public"},
		{"allow@domain=a.example:tcp:1", "allow@a.example:tcp:1"},
		{"allow@*.example.com", "allow@*.example.com"},
		{"allow@suffix=example.com", "allow@*.example.com"},
		{"allow@suffix=*.example.com", "allow@*.example.com"},
		{"allow@_srv._tcp.example.com", "allow@_srv._tcp.example.com"},
		{"allow@xn--mnchen-3ya.de", "allow@xn--mnchen-3ya.de"},
	};
	char once[POLICY_RULE_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_STREQ(canonical(cases[i].in), cases[i].out);
		(void)snprintf(once, sizeof(once), "%s", cases[i].out);
		ASSERT_STREQ(canonical(once), cases[i].out);
	}
}

TEST(complaints_are_precise)
{
	static const struct {
		const char *in;
		const char *msg;
		const char *hint;
	} cases[] = {
		{"", "a rule is missing", ""},
		{"allow", "'@' and a target are missing", "write e.g. allow@example.com:tcp:443"},
		{"alow@public", "'alow' is no action",
			"did you mean 'allow'? It is one of allow or deny"},
		{"permit@public", "'permit' is no action", "write allow or deny"},
		{"@public", "'' is no action", "write allow or deny"},
		{"allow:egres@public", "'egres' is no direction",
			"did you mean 'egress'? It is one of egress, ingress or any"},
		{"allow:out@public", "'out' is no direction", "write egress, ingress or any"},
		{"allow@", "the target behind '@' is missing", ""},
		{"allow@publc", "'publc' is neither a group nor a name with a dot",
			"did you mean 'public'? A host name is domain=publc"},
		{"allow@metadata", "'metadata' is neither a group nor a name with a dot",
			"write domain=metadata if it is the name of a host"},
		{"allow@localhost", "'localhost' is neither a group nor a name with a dot",
			"write domain=localhost if it is the name of a host"},
		{"allow@public:80", "'80' stands where the protocol belongs",
			"write public:tcp:80"},
		{"allow@example.com:80-90", "'80-90' stands where the protocol belongs",
			"write example.com:tcp:80-90"},
		{"allow@[::1]:443", "'443' stands where the protocol belongs",
			"write [::1]:tcp:443"},
		{"allow@public:tpc:80", "'tpc' is no protocol",
			"did you mean 'tcp'? It is one of tcp, udp, icmpv4, icmpv6 or any"},
		{"allow@public:icmp", "'icmp' is no protocol", "write icmpv4 or icmpv6"},
		{"allow@public:", "the protocol behind ':' is missing", ""},
		{"allow@public:tcp:", "'' is no port", "write N, LO-HI or any"},
		{"allow@public:tcp:http", "'http' is no port", "write N, LO-HI or any"},
		{"allow@public:tcp:80-", "'80-' is no port", "write N, LO-HI or any"},
		{"allow@public:tcp:0", "port '0' is not between 1 and 65535", ""},
		{"allow@public:tcp:65536", "port '65536' is not between 1 and 65535", ""},
		{"allow@public:tcp:90-80", "ports '90-80' run backwards", "write 80-90"},
		{"allow@public:tcp:80:x", "':x' is too much behind the ports", NULL},
		{"allow@public:icmpv4:8", "ICMP has no ports", ""},
		{"allow:ingress@any:icmpv4",
			"ICMP comes in for nobody: such a rule is for egress only", ""},
		{"allow:any@any:icmpv6", "ICMP comes in for nobody: such a rule is for egress only",
			""},
		{"allow:ingress@dns", "target dns is for egress only", ""},
		{"allow@dns:icmpv4", "target dns is tcp and udp", ""},
		{"allow@dns:udp:54", "target dns is port 53", ""},
		{"deny:ingress@example.com",
			"who connects has an address and no name: such a rule is for egress only",
			"write an address or a group"},
		{"allow@*.com", "suffix 'com' is too broad: it needs two labels at least",
			"write e.g. *.example.com"},
		{"allow@suffix=org", "suffix 'org' is too broad: it needs two labels at least",
			"write e.g. *.example.org"},
		{"allow@a.*.com", "'a.*.com': '*' stands for whole labels in front only",
			"write *.SUFFIX"},
		{"allow@10.0.0.256", "'10.0.0.256' is no IPv4 address", ""},
		{"allow@10.0.0/8", "'10.0.0' is no IPv4 address", ""},
		{"allow@010.0.0.1", "'010.0.0.1' is no IPv4 address", ""},
		{"allow@0x7f.0.0.1", "'0x7f.0.0.1' is neither an IPv4 address nor a host name", ""},
		{"allow@10.0.0.0/33", "'33' is no length of a prefix of IPv4 (0-32)", ""},
		{"allow@[::1", "'[::1': the bracket is not closed",
			"write [ADDRESS] or [ADDRESS/LEN]"},
		{"allow@[::1]x", "'x' behind the bracket is no ':PROTO'", ""},
		{"allow@[::1/129]", "'129' is no length of a prefix of IPv6 (0-128)", ""},
		{"allow@[1.2.3.4]", "'1.2.3.4' is no IPv6 address", ""},
		{"allow@[fe80::1%eth0]", "'fe80::1%eth0' is no IPv6 address", ""},
		{"allow@2001:db8::1", "'2001:db8::1': an IPv6 address stands in brackets",
			"write [2001:db8::1]"},
		{"allow@a..b", "'a..b' has an empty label", ""},
		{"allow@-a.b", "'-a.b' has a label that begins or ends with '-'", ""},
		{"allow@a_b!.c", "'a_b!.c' is no host name", ""},
		{"allow@m\xc3\xbcnchen.de", "'m\\xc3\\xbcnchen.de' is no host name",
			"write names of other scripts as xn--..."},
		{"allow@name=x", "'name=x' is no target", "names are domain=NAME or suffix=SUFFIX"},
		{"allow@domain=", "a name is missing", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_rule rule;
		struct msb_err err = {0};
		const char *msg;
		char quoted[120];
		size_t skip;

		ASSERT_ERR(
			policy_rule_parse(cases[i].in, strlen(cases[i].in), &rule, &err), EINVAL);
		ASSERT_EQ(err.kind, MSB_USAGE);
		str_quote(quoted, sizeof(quoted), cases[i].in, strlen(cases[i].in));
		skip = strlen("rule ") + strlen(quoted) + strlen(": ");
		ASSERT_TRUE(strlen(err.msg) > skip);
		ASSERT_TRUE(strncmp(err.msg + strlen("rule "), quoted, strlen(quoted)) == 0);
		msg = err.msg + skip;
		ASSERT_STREQ(msg, cases[i].msg);
		if (cases[i].hint)
			ASSERT_STREQ(err.hint, cases[i].hint);
	}
}

TEST(long_words_are_no_harm)
{
	char text[1024];
	struct policy_rule rule;
	struct msb_err err = {0};

	memset(text, 'a', sizeof(text));
	memcpy(text, "allow@", 6);
	for (size_t len = 0; len < sizeof(text); len++) {
		if (policy_rule_parse(text, len, &rule, &err) == 0)
			test_fail(__FILE__, __LINE__, "%zu bytes are a rule", len);
	}
	for (size_t i = 6 + 50; i < sizeof(text); i += 51)
		text[i] = '.';
	ASSERT_OK(policy_rule_parse(text, 6 + 253, &rule, &err));
	ASSERT_EQ(strlen(rule.name), 253);
	ASSERT_ERR(policy_rule_parse(text, 6 + 254, &rule, &err), EINVAL);
	ASSERT_ERR(policy_rule_parse("allow@\0any", 10, &rule, &err), EINVAL);
}

TEST(lists_keep_their_order)
{
	struct policy p;
	struct msb_err err = {0};
	char text[POLICY_RULE_TEXT];
	uint32_t at = 0;

	ASSERT_OK(policy_init(&p));
	ASSERT_OK(policy_rules_parse(&p, &at, "deny@a.example, allow@b.example:tcp:1", &err));
	ASSERT_OK(policy_rules_parse(&p, &at, "deny@c.example", &err));
	ASSERT_EQ(at, 3);
	ASSERT_EQ(p.n_rules, 5);
	ASSERT_STREQ(policy_rule_text(&p.rules[0], text, sizeof(text)), "deny@a.example");
	ASSERT_STREQ(policy_rule_text(&p.rules[1], text, sizeof(text)), "allow@b.example:tcp:1");
	ASSERT_STREQ(policy_rule_text(&p.rules[2], text, sizeof(text)), "deny@c.example");
	ASSERT_STREQ(policy_rule_text(&p.rules[3], text, sizeof(text)), "allow@dns");
	ASSERT_STREQ(policy_rule_text(&p.rules[4], text, sizeof(text)), "allow@public");
	ASSERT_ERR(policy_rules_parse(&p, &at, "deny@d.example,,", &err), EINVAL);
	ASSERT_ERR(policy_rules_parse(&p, &at, "", &err), EINVAL);
	policy_deinit(&p);
}

static void print(const struct policy *p, struct buf *b)
{
	struct json_out o;

	buf_init(b, 256 * KIB);
	json_out_init(&o, b, JSON_COMPACT);
	policy_to_json(p, &o, NULL);
	ASSERT_OK(json_out_end(&o));
}

static int reread(const char *text, size_t len, struct policy *ret, struct msb_err *err)
{
	cleanup_json struct json *v = NULL;

	ASSERT_OK(json_parse(text, len, &v, err));
	return policy_from_json(v, ret, err);
}

TEST(json_reads_back)
{
	struct policy p;
	struct policy q;
	struct buf a;
	struct buf b;
	struct msb_err err = {0};
	uint32_t at = 0;

	ASSERT_OK(policy_init(&p));
	p.strict = true;
	p.public_only = true;
	ASSERT_OK(policy_rules_parse(&p, &at, "deny:any@[fd00::/8]:udp:1-9,allow@*.a.b", &err));
	print(&p, &a);
	ASSERT_STREQ(buf_cstr(&a),
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":true,"
		"\"public_only\":true,\"rules\":[\"deny:any@[fd00::/"
		"8]:udp:1-9\",\"allow@*.a.b\",\"allow@dns\","
		"\"allow@public\"]}");
	ASSERT_OK(reread((const char *)buf_data(&a), buf_len(&a), &q, &err));
	print(&q, &b);
	ASSERT_EQ(buf_len(&a), buf_len(&b));
	ASSERT_MEMEQ(buf_data(&a), buf_data(&b), buf_len(&a));
	buf_deinit(&a);
	buf_deinit(&b);
	policy_deinit(&p);
	policy_deinit(&q);
}

TEST(json_is_strict)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"default_egress\":\"maybe\",\"default_ingress\":\"allow\",\"strict\":true,"
		"\"rules\":[]}",
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":1,"
		"\"rules\":[]}",
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":true}",
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":true,"
		"\"rules\":[1]}",
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":true,"
		"\"rules\":[\"x\"]}",
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":true,"
		"\"rules\":[\"allow@any,allow@dns\"]}",
		"{\"default_egress\":\"deny\",\"default_ingress\":\"allow\",\"strict\":true,"
		"\"rules\":[],\"more\":1}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct policy p;
		struct msb_err err = {0};

		if (reread(bad[i], strlen(bad[i]), &p, &err) == 0)
			test_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
		ASSERT_TRUE(err.msg[0]);
	}
}

TEST(json_is_capped)
{
	struct buf b;
	struct policy p;
	struct msb_err err = {0};

	buf_init(&b, 64 * KIB);
	ASSERT_OK(buf_printf(&b, "{\"default_egress\":\"deny\",\"default_ingress\":\"deny\","
				 "\"strict\":false,\"rules\":["));
	for (int i = 0; i <= POLICY_RULES_MAX; i++)
		ASSERT_OK(buf_printf(&b, "%s\"allow@any\"", i ? "," : ""));
	ASSERT_OK(buf_printf(&b, "]}"));
	ASSERT_ERR(reread((const char *)buf_data(&b), buf_len(&b), &p, &err), E2BIG);
	buf_deinit(&b);
}

TEST(memory_may_run_out)
{
	static const char text[] = "{\"default_egress\":\"deny\",\"default_ingress\":\"deny\","
				   "\"strict\":false,\"rules\":[\"allow@any\",\"deny@a.b\"]}";

	FAULT_LOOP({
		cleanup_json struct json *v = NULL;
		struct policy p;

		if (json_parse(text, strlen(text), &v, NULL) == 0 &&
			policy_from_json(v, &p, NULL) == 0)
			policy_deinit(&p);
	});
}
