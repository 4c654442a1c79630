/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the network through the table. */
#include "lib/net-args.h"
#include "net/policy/rule.h"

#include "test.h"

struct args {
	struct run_net net;
};

static const struct opt opts[] = {RUN_NET_OPTS(struct args, net)};
static const struct opt_command command = {
	.name = "x", .summary = "x", .opts = opts, .n_opts = ARRAY_SIZE(opts)};
static const struct opt_command *const commands[] = {&command};
static const struct opt_program program = {
	.name = "p", .version = "0", .summary = "x", .commands = commands, .n_commands = 1};

static int parse(const char *const *argv, struct policy *p, struct dns_settings *dns,
	struct args *args, struct msb_err *err)
{
	struct opt_words words = {0};
	int argc = 0;
	int r;

	while (argv[argc])
		argc++;
	*args = (struct args){0};
	r = opt_parse(&program, &command, argc, (char **)(uintptr_t)argv, args, &words, err);
	if (r == 0)
		r = run_net_apply(&args->net, p, dns, err);
	run_net_deinit(&args->net);
	opt_deinit(&program, &command, args);
	opt_words_deinit(&words);
	return r;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL}, &p, &dns, &args, &err)

TEST(everything_arrives)
{
	struct msb_err err = {0};
	struct dns_settings dns;
	struct policy p;
	struct args args;
	char text[POLICY_RULE_TEXT];

	ASSERT_OK(PARSE("--net-rule", "allow@host,allow@10.0.0.1", "--net=private",
		"--dns-block-domain", "ads.example.com", "--dns-block-suffix", "evil.example",
		"--net-strict", "--dns-nameserver", "1.1.1.1", "--dns-nameserver=[::1]:54",
		"--dns-nameserver", "dns.example:5353", "--dns-query-timeout-ms", "700",
		"--no-dns-rebind-protection", "--max-connections", "9", "--net-ipv4-pool",
		"10.9.8.0/30", "--net-ipv6-pool=fd00::/48", "-p", "8080:80",
		"--publish=[::1]:0:53/udp"));
	ASSERT_EQ(args.net.ports.n, 2);
	ASSERT_EQ(args.net.ports.list[1].guest, 53);
	ASSERT_EQ(p.n_rules, 6);
	ASSERT_STREQ(policy_rule_text(&p.rules[0], text, sizeof(text)), "deny@ads.example.com");
	ASSERT_STREQ(policy_rule_text(&p.rules[1], text, sizeof(text)), "deny@*.evil.example");
	ASSERT_STREQ(policy_rule_text(&p.rules[3], text, sizeof(text)), "allow@10.0.0.1");
	ASSERT_STREQ(policy_rule_text(&p.rules[5], text, sizeof(text)), "allow@private");
	ASSERT_TRUE(p.strict);
	ASSERT_EQ(dns.n_servers, 3);
	ASSERT_STREQ(dns.servers[2].host, "dns.example");
	ASSERT_EQ(dns.servers[1].port, 54);
	ASSERT_EQ(dns.timeout_ms, 700);
	ASSERT_TRUE(!dns.rebind_protection);
	ASSERT_EQ(args.net.max_connections, 9);
	ASSERT_EQ(args.net.pools.bits4, 30);
	ASSERT_EQ(args.net.pools.bits6, 48);
	policy_deinit(&p);
}

TEST(nothing_said_is_safe)
{
	struct msb_err err = {0};
	struct dns_settings dns;
	struct policy p;
	struct args args;

	ASSERT_OK(parse((const char *const[]){NULL}, &p, &dns, &args, &err));
	ASSERT_EQ(p.defaults[POLICY_EGRESS], POLICY_DENY);
	ASSERT_EQ(p.n_rules, 2);
	ASSERT_TRUE(dns.rebind_protection);
	ASSERT_EQ(dns.timeout_ms, 5000);
	ASSERT_EQ(dns.n_servers, 0);
	policy_deinit(&p);
	ASSERT_OK(PARSE("--no-network"));
	ASSERT_EQ(p.n_rules, 0);
	ASSERT_EQ(p.defaults[POLICY_INGRESS], POLICY_DENY);
	policy_deinit(&p);
}

TEST(complaints_name_the_option)
{
	struct msb_err err = {0};
	struct dns_settings dns;
	struct policy p;
	struct args args;

	ASSERT_ERR(PARSE("--net-rule", "allow@public:80"), EINVAL);
	ASSERT_STREQ(err.msg, "option --net-rule: rule 'allow@public:80': '80' stands where the "
			      "protocol belongs");
	ASSERT_STREQ(err.hint, "write public:tcp:80");
	ASSERT_ERR(PARSE("--net", "public", "--no-net"), EINVAL);
	ASSERT_ERR(PARSE("--net", "public", "--net-default", "deny"), EINVAL);
	ASSERT_STREQ(err.msg, "--net brings its own defaults: --net-default does not go with it");
	ASSERT_ERR(PARSE("--dns-nameserver", "1.1.1.300"), EINVAL);
	ASSERT_ERR(PARSE("--dns-nameserver", "dns.example:99999"), EINVAL);
	ASSERT_ERR(PARSE("--max-connections", "4097"), EINVAL);
	ASSERT_ERR(PARSE("--net-ipv4-pool", "172.16.0.0/31"), EINVAL);
	ASSERT_ERR(PARSE("--dns-query-timeout-ms", "5"), EINVAL);
}

TEST(limits)
{
	struct msb_err err = {0};
	struct dns_settings dns;
	struct policy p;
	struct args args;
	const struct net_limits *l = &args.net.limits;

	ASSERT_OK(PARSE("--net-egress-bandwidth", "10M", "--net-egress-bandwidth-burst=1G",
		"--net-egress-ops", "100/100ms", "--net-egress-ops-burst", "7",
		"--net-ingress-bandwidth", "1K/1s", "--net-ingress-ops=9"));
	policy_deinit(&p);
	ASSERT_TRUE(l->egress.bytes.size == 10 << 20 && l->egress.bytes.burst == 1 << 30);
	ASSERT_TRUE(l->egress.packets.size == 100 && l->egress.packets.burst == 7);
	ASSERT_TRUE(l->egress.packets.window_ns == 100 * NSEC_PER_MSEC);
	ASSERT_TRUE(l->ingress.bytes.size == 1024 && l->ingress.packets.size == 9);
	ASSERT_TRUE(l->ingress.bytes.burst == 0 && l->ingress.bytes.window_ns == NSEC_PER_SEC);
	ASSERT_ERR(PARSE("--net-ingress-ops-burst", "5"), EINVAL);
	ASSERT_TRUE(strstr(err.msg, "--net-ingress-ops, which is not given"));
	ASSERT_ERR(PARSE("--net-egress-ops", "5", "--net-egress-ops-burst", "5/1s"), EINVAL);
	ASSERT_ERR(PARSE("--net-egress-bandwidth", "0"), EINVAL);
}

/* What the options of TLS come to; 0, or what is wrong is in @err. */
static int parse_tls(const char *const *argv, struct args *args, struct tls_settings *ret,
	struct opt_words *words, struct msb_err *err)
{
	int argc = 0;
	int r;

	while (argv[argc])
		argc++;
	*args = (struct args){0};
	r = opt_parse(&program, &command, argc, (char **)(uintptr_t)argv, args, words, err);
	return r == 0 ? run_tls_apply(&args->net.tls, ret, err) : r;
}

TEST(authorities_for_some_hosts)
{
	static const char *const good[] = {"--tls-upstream-ca-cert-for", "*.corp=/dev/null",
		"--tls-upstream-ca-cert-for=db.corp=/dev/zero", NULL};
	static const struct {
		const char *word, *says;
	} bad[] = {{"/dev/null", "is not a host"}, {"=/dev/null", "is not a host"},
		{"a b=/dev/null", "not the name"}, {"x.corp=/nowhere", "No such file"}};
	struct opt_words words = {0};
	struct tls_settings s = {.on = false};
	struct msb_err err = {0};
	struct args args;

	ASSERT_OK(parse_tls(good, &args, &s, &words, &err));
	ASSERT_TRUE(s.on);
	ASSERT_EQ(s.n_ca_for, 2);
	ASSERT_STREQ(s.ca_for[0].pattern, "*.corp");
	ASSERT_STREQ(s.ca_for[0].file, "/dev/null");
	ASSERT_STREQ(s.ca_for[1].file, "/dev/zero");
	for (size_t i = 0;; i++) {
		const char *words_of[] = {"--tls-upstream-ca-cert-for", NULL, NULL};

		run_net_deinit(&args.net);
		opt_deinit(&program, &command, &args);
		opt_words_deinit(&words);
		if (i == ARRAY_SIZE(bad))
			break;
		words_of[1] = bad[i].word;
		ASSERT_TRUE(parse_tls(words_of, &args, &s, &words, &err) < 0);
		if (!strstr(err.msg, bad[i].says))
			ASSERT_STREQ(err.msg, bad[i].says);
	}
}
