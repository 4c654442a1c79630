/* SPDX-License-Identifier: Apache-2.0 */
/* What an address is. */
#include "net/policy/class.h"

#include "test.h"

static struct net_addr addr(const char *text)
{
	struct net_addr a = {0};

	if (net_addr_parse(text, &a) < 0)
		test_fail(__FILE__, __LINE__, "'%s' is no address", text);
	return a;
}

static const char *class_of(const char *text)
{
	struct net_addr a = addr(text);

	return net_class_name(net_addr_class(&a));
}

TEST(texts_are_strict)
{
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "010.0.0.1", "0x7f.0.0.1",
		"2130706433", "1.2.3.256", " 1.2.3.4", "1.2.3.4 ", "::1%lo", "fe80::1%2",
		":::", "1::2::3", "[::1]", "example.com"};
	struct net_addr a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_ERR(net_addr_parse(bad[i], &a), EINVAL);
	ASSERT_OK(net_addr_parse("192.168.1.2", &a));
	ASSERT_EQ(a.family, NET_V4);
	ASSERT_OK(net_addr_parse("::1", &a));
	ASSERT_EQ(a.family, NET_V6);
}

TEST(every_address_has_one_class)
{
	static const struct {
		const char *text;
		const char *class;
	} cases[] = {
		{"8.8.8.8", "public"},
		{"2606:4700::1111", "public"},
		{"9.255.255.255", "public"},
		{"10.0.0.0", "private"},
		{"10.255.255.255", "private"},
		{"11.0.0.0", "public"},
		{"172.15.255.255", "public"},
		{"172.16.0.0", "private"},
		{"172.31.255.255", "private"},
		{"172.32.0.0", "public"},
		{"192.168.0.1", "private"},
		{"192.169.0.1", "public"},
		{"100.63.255.255", "public"},
		{"100.64.0.0", "private"},
		{"100.127.255.255", "private"},
		{"100.128.0.0", "public"},
		{"127.0.0.1", "loopback"},
		{"127.255.0.1", "loopback"},
		{"169.254.0.1", "link-local"},
		{"169.254.169.254", "meta"},
		{"169.254.169.253", "link-local"},
		{"100.100.100.200", "meta"},
		{"168.63.129.16", "meta"},
		{"224.0.0.1", "multicast"},
		{"239.255.255.255", "multicast"},
		{"0.0.0.0", "reserved"},
		{"0.1.2.3", "reserved"},
		{"240.0.0.1", "reserved"},
		{"255.255.255.255", "reserved"},
		{"::", "reserved"},
		{"::1", "loopback"},
		{"::2", "reserved"},
		{"fd00:ec2::254", "meta"},
		{"fd20:ce::254", "meta"},
		{"fd00:ec2::255", "private"},
		{"fc00::1", "private"},
		{"fdff::1", "private"},
		{"fe80::1", "link-local"},
		{"febf::1", "link-local"},
		{"fec0::1", "private"},
		{"ff02::1", "multicast"},
		{"100::1", "reserved"},
		{"64:ff9b:1::1", "private"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (strcmp(class_of(cases[i].text), cases[i].class) != 0)
			test_fail(__FILE__, __LINE__, "%s is %s, expected %s", cases[i].text,
				class_of(cases[i].text), cases[i].class);
	}
}

/* The same hosts, spelled so that somebody on the way unwraps them. */
TEST(hidden_addresses_count)
{
	static const struct {
		const char *text;
		const char *class;
	} cases[] = {
		{"::ffff:10.0.0.1", "private"},
		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:169.254.169.254", "meta"},
		{"::ffff:8.8.8.8", "public"},
		{"::127.0.0.1", "loopback"},
		{"::10.1.2.3", "private"},
		{"::8.8.8.8", "reserved"},
		{"64:ff9b::7f00:1", "loopback"},
		{"64:ff9b::a9fe:a9fe", "meta"},
		{"64:ff9b::a00:1", "private"},
		{"64:ff9b::808:808", "public"},
		{"64:ff9b::6440:1", "private"},
		{"64:ff9b:1::808:808", "private"},
		{"::ffff:0:10.0.0.1", "private"},
		{"::ffff:0:169.254.169.254", "meta"},
		{"::ffff:0:8.8.8.8", "public"},
		{"2002:7f00:1::", "loopback"},
		{"2002:a9fe:a9fe::1", "meta"},
		{"2002:c0a8:101::5", "private"},
		{"2002:808:808::", "public"},
		/* Teredo: server 8.8.8.8, client 127.0.0.1 with all bits turned. */
		{"2001:0:808:808:0:0:80ff:fffe", "loopback"},
		/* server 169.254.169.254, client 8.8.8.8 */
		{"2001:0:a9fe:a9fe:0:0:f7f7:f7f7", "meta"},
		{"2001:0:808:808:0:0:f7f7:f7f7", "public"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (strcmp(class_of(cases[i].text), cases[i].class) != 0)
			test_fail(__FILE__, __LINE__, "%s is %s, expected %s", cases[i].text,
				class_of(cases[i].text), cases[i].class);
	}
}

TEST(special_ranges_are_for_no_public_name)
{
	static const char *const special[] = {"0.0.0.1", "10.0.0.1", "100.64.1.1", "127.0.0.1",
		"169.254.1.1", "172.16.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
		"240.0.0.1", "::", "::1", "fc00::1", "fe80::1", "fec0::1", "ff02::1", "100::1",
		"64:ff9b:1::1", "2001:db8::1", "3fff:fff::1", "::ffff:192.0.2.1",
		"64:ff9b::c000:201", "2002:cb00:7101::"};
	static const char *const ordinary[] = {"1.1.1.1", "198.20.0.1", "192.0.1.1", "2a00::1",
		"2001:db9::1", "3fff:1000::1", "64:ff9b::101:101", "::ffff:9.9.9.9"};

	for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
		struct net_addr a = addr(special[i]);

		if (!net_addr_special(&a))
			test_fail(__FILE__, __LINE__, "%s is not special", special[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++) {
		struct net_addr a = addr(ordinary[i]);

		if (net_addr_special(&a))
			test_fail(__FILE__, __LINE__, "%s is special", ordinary[i]);
	}
}

TEST(prefixes_and_masks)
{
	struct net_addr a = addr("10.1.2.3");
	struct net_addr net = addr("10.1.0.0");
	struct net_addr six = addr("fdff:ffff::1");
	struct net_addr any6 = addr("::");
	char text[NET_ADDR_TEXT];

	ASSERT_TRUE(net_addr_in(&a, &net, 16));
	ASSERT_TRUE(net_addr_in(&a, &net, 22));
	ASSERT_TRUE(!net_addr_in(&a, &net, 23));
	ASSERT_TRUE(net_addr_in(&a, &net, 0));
	ASSERT_TRUE(!net_addr_in(&a, &net, 33));
	ASSERT_TRUE(!net_addr_in(&a, &any6, 0));
	ASSERT_TRUE(net_addr_in(&six, &any6, 0));
	net_addr_mask(&a, 12);
	ASSERT_STREQ(net_addr_text(&a, text), "10.0.0.0");
	net_addr_mask(&six, 7);
	ASSERT_STREQ(net_addr_text(&six, text), "fc00::");
	net_addr_mask(&six, 0);
	ASSERT_TRUE(net_addr_equal(&six, &any6));
}
