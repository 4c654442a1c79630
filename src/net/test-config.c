/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"

#include "net/config.h"

#include "test.h"

static void to_text(const struct net_config *c, struct buf *out)
{
	buf_init(out, LIMIT_JSON_BYTES);
	ASSERT_OK(net_config_to_json(c, out));
}

TEST(addresses_of_a_link)
{
	struct net_config c;
	char text[NET_ADDR_TEXT];

	net_config_init(&c, 0x1234, true);
	ASSERT_STREQ(net_addr_text(&c.gateway4, text), "172.16.72.209");
	ASSERT_STREQ(net_addr_text(&c.guest4, text), "172.16.72.210");
	ASSERT_STREQ(net_addr_text(&c.guest6, text), "fd42:6d73:62:1234::2");
	ASSERT_STREQ(net_addr_text(&c.gateway6, text), "fd42:6d73:62:1234::1");
	ASSERT_EQ(c.guest_mac[3] << 8 | c.guest_mac[4], 0x1234);
	ASSERT_EQ(c.guest_mac[5], 2);
	ASSERT_EQ(c.gateway_mac[5], 1);
	net_config_deinit(&c);
	net_config_init(&c, UINT16_MAX, false);
	ASSERT_STREQ(net_addr_text(&c.guest4, text), "172.19.255.254");
	ASSERT_EQ(c.guest6.family, NET_NONE);
	net_config_deinit(&c);
}

TEST(addresses_of_a_pool)
{
	static const char *const bad4[] = {"", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/0", "10.0.0/8",
		"127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/8", "fd00::/64",
		"10.0.0.0/8 ", "10.0.0.0/8/8", "[10.0.0.0]/8"};
	static const char *const bad6[] = {
		"fd00::", "fd00::/65", "fe80::/10", "::1/64", "10.0.0.0/30", "fd00::1.2.3/64"};
	struct net_pools p = {.bits4 = 0};
	struct msb_err err = {0};
	struct net_config c;
	char text[NET_ADDR_TEXT];

	ASSERT_OK(net_pool4_parse(&p, "10.99.1.77/24", &err));
	net_config_init(&c, 0, false);
	net_config_pools(&c, &p);
	ASSERT_STREQ(net_addr_text(&c.gateway4, text), "10.99.1.1");
	ASSERT_STREQ(net_addr_text(&c.guest4, text), "10.99.1.2");
	ASSERT_EQ(c.guest6.family, NET_NONE);
	ASSERT_OK(net_pool6_parse(&p, "fd00:99::/64", &err));
	net_config_pools(&c, &p);
	ASSERT_STREQ(net_addr_text(&c.gateway6, text), "fd00:99::1");
	ASSERT_STREQ(net_addr_text(&c.guest6, text), "fd00:99::2");
	net_config_deinit(&c);
	for (size_t i = 0; i < ARRAY_SIZE(bad4); i++)
		ASSERT_ERR(net_pool4_parse(&p, bad4[i], &err), EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad6); i++)
		ASSERT_ERR(net_pool6_parse(&p, bad6[i], &err), EINVAL);
	ASSERT_STREQ(err.msg, "'fd00::1.2.3/64' is no pool of IPv6 addresses");
}

TEST(what_is_written_is_read)
{
	struct net_config a;
	struct net_config b;
	struct msb_err err = {0};
	struct buf json;
	char port[NET_PORT_TEXT];

	net_config_init(&a, 7, true);
	ASSERT_OK(policy_init(&a.policy));
	a.max_connections = 99;
	ASSERT_OK(dns_settings_add(&a.dns, "192.0.2.1", &err));
	ASSERT_OK(dns_settings_add(&a.dns, "[2001:db8::1]:5353", &err));
	a.ports.n = 1;
	a.ports.list[0] = (struct net_port){.bind = a.gateway4, .host = 1, .guest = 2, .udp = true};
	to_text(&a, &json);
	ASSERT_OK(net_config_from_json((const char *)buf_data(&json), buf_len(&json), &b, &err));
	ASSERT_EQ(b.ports.n, 1);
	ASSERT_STREQ(net_port_text(&b.ports.list[0], port), "172.16.0.29:1:2/udp");
	ASSERT_MEMEQ(a.guest_mac, b.guest_mac, 6);
	ASSERT_MEMEQ(a.gateway_mac, b.gateway_mac, 6);
	ASSERT_TRUE(net_addr_equal(&a.guest4, &b.guest4));
	ASSERT_TRUE(net_addr_equal(&a.guest6, &b.guest6));
	ASSERT_TRUE(net_addr_equal(&a.gateway6, &b.policy.gateway6));
	ASSERT_TRUE(net_addr_equal(&a.gateway4, &b.policy.gateway4));
	ASSERT_EQ(b.max_connections, 99);
	ASSERT_EQ(b.dns.n_servers, 2);
	ASSERT_STREQ(b.dns.servers[1].host, "2001:db8::1");
	ASSERT_EQ(b.dns.servers[1].port, 5353);
	ASSERT_TRUE(b.dns.rebind_protection);
	ASSERT_EQ(b.policy.n_rules, a.policy.n_rules);
	ASSERT_EQ(b.policy.defaults[POLICY_EGRESS], POLICY_DENY);
	buf_deinit(&json);
	net_config_deinit(&a);
	net_config_deinit(&b);
}

static void refuse(const char *from, const char *to)
{
	struct net_config c;
	struct msb_err err = {0};
	struct buf json;
	char text[4096];
	const char *at;

	net_config_init(&c, 0, true);
	to_text(&c, &json);
	at = memmem(buf_data(&json), buf_len(&json), from, strlen(from));
	ASSERT_TRUE(at);
	int before = (int)(at - (const char *)buf_data(&json));
	int after = (int)buf_len(&json) - before - (int)strlen(from);
	int n = snprintf(text, sizeof(text), "%.*s%s%.*s", before, (const char *)buf_data(&json),
		to, after, at + strlen(from));
	ASSERT_ERR(net_config_from_json(text, (size_t)n, &c, &err), EINVAL);
	ASSERT_TRUE(strstr(err.msg, "network description") == err.msg);
	buf_deinit(&json);
}

TEST(what_cannot_be_is_refused)
{
	refuse("02:6d:73:00:00:02", "02:6d:73:00:00");
	refuse("02:6d:73:00:00:02", "02:6d:73:00:00:0g");
	refuse("02:6d:73:00:00:02", "02:6d:73:00:00-02");
	refuse("172.16.0.2", "172.16.0.256");
	refuse("172.16.0.2", "fd42::1");
	refuse("fd42:6d73:62::2", "172.16.0.3");
	refuse("\"max_connections\"", "\"more\"");
	refuse("\"policy\"", "\"police\"");
	refuse("\"dns\"", "\"dnt\"");
}
