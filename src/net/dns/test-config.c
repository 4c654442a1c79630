/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of lookups. */
#include "net/dns/config.h"
#include "net/policy/class.h"

#include "test.h"

TEST(name_servers_in_every_form)
{
	static const struct {
		const char *text;
		const char *host;
		uint16_t port;
	} cases[] = {
		{"1.1.1.1", "1.1.1.1", 53},
		{"1.1.1.1:5353", "1.1.1.1", 5353},
		{"2606:4700::1111", "2606:4700::1111", 53},
		{"[2606:4700::1111]", "2606:4700::1111", 53},
		{"[::1]:54", "::1", 54},
		{"DNS.example", "dns.example", 53},
		{"dns.example:8053", "dns.example", 8053},
		{"resolver", "resolver", 53},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dns_settings s;

		dns_settings_init(&s);
		ASSERT_OK(dns_settings_add(&s, cases[i].text, NULL));
		ASSERT_STREQ(s.servers[0].host, cases[i].host);
		ASSERT_EQ(s.servers[0].port, cases[i].port);
	}
}

TEST(other_words_are_none)
{
	static const char *const bad[] = {"", ":53", "1.1.1.1:", "1.1.1.1:0", "1.1.1.1:65536",
		"1.1.1.300", "1.1.1", "[::1", "[::1]x", "[1.1.1.1]", "[dns.example]", "a b",
		"https://dns.example", "::1%lo", "dns.example:53:53"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct dns_settings s;
		struct msb_err err = {0};

		dns_settings_init(&s);
		if (dns_settings_add(&s, bad[i], &err) != -EINVAL)
			test_fail(__FILE__, __LINE__, "'%s' is accepted", bad[i]);
		ASSERT_TRUE(err.msg[0] && err.hint[0]);
		ASSERT_EQ(s.n_servers, 0);
	}
}

TEST(name_servers_are_capped)
{
	struct dns_settings s;

	dns_settings_init(&s);
	for (int i = 0; i < DNS_SERVERS_MAX; i++)
		ASSERT_OK(dns_settings_add(&s, "1.1.1.1", NULL));
	ASSERT_ERR(dns_settings_add(&s, "1.1.1.1", NULL), E2BIG);
	dns_settings_add_host(&s, "nameserver 8.8.8.8\n", 19);
	ASSERT_EQ(s.n_servers, DNS_SERVERS_MAX);
}

TEST(the_host_is_read_like_resolvers_read_it)
{
	static const char text[] = "# comment\nsearch a.example\nnameserver 192.0.2.1\n"
				   "nameserver\t2001:db8::1   # x\nnameservers 9.9.9.9\n"
				   "nameserver fe80::1%eth0\nnameserver junk\n nameserver 9.9.9.9\n"
				   "nameserver 192.0.2.2";
	struct dns_settings s;
	struct dns_config c = {.mix_case = true};

	dns_settings_init(&s);
	dns_settings_add_host(&s, text, sizeof(text) - 1);
	ASSERT_EQ(s.n_servers, 3);
	ASSERT_OK(dns_settings_apply(&s, &c, NULL));
	ASSERT_EQ(c.n_servers, 3);
	ASSERT_EQ(c.servers[1].addr.family, NET_V6);
	ASSERT_EQ(c.servers[2].addr.b[3], 2);
	ASSERT_EQ(c.servers[2].port, 53);
	ASSERT_TRUE(c.mix_case && c.rebind_protection);
	ASSERT_EQ(c.timeout_ms, 5000);
	dns_settings_init(&s);
	dns_settings_add_host(&s, "", 0);
	ASSERT_EQ(s.n_servers, 1);
	ASSERT_STREQ(s.servers[0].host, "127.0.0.1");
}

TEST(names_must_be_resolved_first)
{
	struct dns_settings s;
	struct dns_config c = {0};
	struct msb_err err = {0};

	dns_settings_init(&s);
	ASSERT_OK(dns_settings_add(&s, "dns.example", NULL));
	ASSERT_ERR(dns_settings_apply(&s, &c, &err), EINVAL);
	ASSERT_STREQ(err.msg, "the address of name server 'dns.example' is not known");
}

static int reread(const char *text, struct dns_settings *ret, struct msb_err *err)
{
	cleanup_json struct json *v = NULL;

	ASSERT_OK(json_parse(text, strlen(text), &v, err));
	return dns_settings_from_json(v, ret, err);
}

TEST(json_reads_back)
{
	static const char text[] = "{\"nameservers\":[\"1.1.1.1:53\",\"[::1]:54\","
				   "\"dns.example:53\"],\"query_timeout_ms\":700,"
				   "\"rebind_protection\":false}";
	struct dns_settings s;
	struct msb_err err = {0};
	struct json_out o;
	struct buf b;

	ASSERT_OK(reread(text, &s, &err));
	ASSERT_EQ(s.n_servers, 3);
	ASSERT_EQ(s.timeout_ms, 700);
	ASSERT_TRUE(!s.rebind_protection);
	buf_init(&b, 4096);
	json_out_init(&o, &b, JSON_COMPACT);
	dns_settings_to_json(&s, &o, NULL);
	ASSERT_OK(json_out_end(&o));
	ASSERT_STREQ(buf_cstr(&b), text);
	buf_deinit(&b);
}

TEST(json_is_capped)
{
	struct dns_settings s;
	struct msb_err err = {0};

	ASSERT_ERR(reread("{\"nameservers\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
			  "\"a\"],\"query_timeout_ms\":5000,\"rebind_protection\":true}",
			   &s, &err),
		E2BIG);
}

TEST(json_is_strict)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"nameservers\":[],\"query_timeout_ms\":99,\"rebind_protection\":true}",
		"{\"nameservers\":[],\"query_timeout_ms\":60001,\"rebind_protection\":true}",
		"{\"nameservers\":[1],\"query_timeout_ms\":5000,\"rebind_protection\":true}",
		"{\"nameservers\":[\"\"],\"query_timeout_ms\":5000,\"rebind_protection\":true}",
		"{\"nameservers\":[],\"query_timeout_ms\":5000,\"rebind_protection\":1}",
		"{\"nameservers\":[],\"query_timeout_ms\":5000,\"rebind_protection\":true,\"x\":1}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct dns_settings s;
		struct msb_err err = {0};

		if (reread(bad[i], &s, &err) == 0)
			test_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
		ASSERT_TRUE(err.msg[0]);
	}
}
