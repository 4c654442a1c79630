/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of where connections may go. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "image/registry/net.h"

#include "test.h"

TEST(kinds_of_addresses)
{
	static const struct {
		const char *host;
		enum net_reach reach;
	} cases[] = {
		{"8.8.8.8", NET_PUBLIC},
		{"1.1.1.1:443", NET_PUBLIC},
		{"172.15.255.255", NET_PUBLIC},
		{"172.32.0.1", NET_PUBLIC},
		{"100.63.0.1", NET_PUBLIC},
		{"100.128.0.1", NET_PUBLIC},
		{"223.255.255.255", NET_PUBLIC},
		{"10.255.0.1", NET_PRIVATE},
		{"172.16.0.1", NET_PRIVATE},
		{"172.31.255.255", NET_PRIVATE},
		{"192.168.1.1:5000", NET_PRIVATE},
		{"100.64.0.1", NET_PRIVATE},
		{"198.19.0.1", NET_PRIVATE},
		{"169.254.169.254", NET_LINK_LOCAL},
		{"127.0.0.1", NET_LOOPBACK},
		{"127.255.0.9:80", NET_LOOPBACK},
		{"0.0.0.0", NET_NOWHERE},
		{"224.0.0.1", NET_NOWHERE},
		{"255.255.255.255", NET_NOWHERE},
		{"[2606:4700::1111]:443", NET_PUBLIC},
		{"2606:4700::1111", NET_PUBLIC},
		{"[::1]:5000", NET_LOOPBACK},
		{"[fe80::1%eth0]", NET_LINK_LOCAL},
		{"[febf::1]", NET_LINK_LOCAL},
		{"[fd12::1]", NET_PRIVATE},
		{"[2001:db8::1]", NET_PRIVATE},
		{"[2001::1]", NET_PRIVATE},
		{"[::]", NET_NOWHERE},
		{"[ff02::1]", NET_NOWHERE},
		{"[4000::1]", NET_NOWHERE},
		/* An address inside another. */
		{"[::ffff:10.0.0.1]", NET_PRIVATE},
		{"[::ffff:8.8.8.8]", NET_PUBLIC},
		{"[64:ff9b::169.254.169.254]", NET_LINK_LOCAL},
		{"[2002:7f00:1::]", NET_LOOPBACK},
		/* Names are what they resolve to, except this machine's own. */
		{"localhost", NET_LOOPBACK},
		{"LocalHost.:5000", NET_LOOPBACK},
		{"a.localhost", NET_LOOPBACK},
		{"notlocalhost", NET_PUBLIC},
		{"example.com", NET_PUBLIC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (net_reach_of_literal(cases[i].host) != cases[i].reach)
			test_fail(__FILE__, __LINE__, "%s is %d", cases[i].host,
				(int)net_reach_of_literal(cases[i].host));
	}
}

TEST(socket_addresses)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr other = {.sa_family = AF_UNIX};

	ASSERT_EQ(net_reach_of((struct sockaddr *)&in), NET_PRIVATE);
	ASSERT_EQ(net_reach_of((struct sockaddr *)&in6), NET_LOOPBACK);
	ASSERT_EQ(net_reach_of(&other), NET_NOWHERE);
}

TEST(a_registry_never_sends_us_nearer)
{
	static const bool allowed[5][5] = {
		/* to: public, private, loopback, link-local, nowhere */
		[NET_PUBLIC] = {true, false, false, false, false},
		[NET_PRIVATE] = {true, true, false, false, false},
		[NET_LOOPBACK] = {true, true, true, false, false},
		[NET_LINK_LOCAL] = {true, false, false, true, false},
		[NET_NOWHERE] = {true, false, false, false, false},
	};

	for (int from = 0; from < 5; from++) {
		for (int to = 0; to < 5; to++)
			ASSERT_EQ(net_may_send_us((enum net_reach)from, (enum net_reach)to),
				allowed[from][to]);
	}
}

static const char *vars[8][2];

static char *get(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(vars); i++) {
		if (vars[i][0] && streq(vars[i][0], name))
			return (char *)(uintptr_t)vars[i][1];
	}
	return NULL;
}

static const char *proxy(const char *scheme, const char *host, uint16_t port)
{
	const char *p = net_proxy(scheme, host, port, get);

	return p ? p : "direct";
}

TEST(proxies_of_the_environment)
{
	vars[0][0] = "HTTPS_PROXY";
	vars[0][1] = "http://upper:1";
	vars[1][0] = "http_proxy";
	vars[1][1] = "http://plain:2";
	ASSERT_STREQ(proxy("https", "ghcr.io", 443), "http://upper:1");
	ASSERT_STREQ(proxy("http", "ghcr.io", 80), "http://plain:2");
	vars[2][0] = "https_proxy";
	vars[2][1] = "http://lower:3";
	ASSERT_STREQ(proxy("https", "ghcr.io", 443), "http://lower:3");
	/* This machine never through a proxy. */
	ASSERT_STREQ(proxy("https", "localhost:5000", 5000), "direct");
	ASSERT_STREQ(proxy("http", "127.0.0.1", 80), "direct");
	ASSERT_STREQ(proxy("http", "[::1]:80", 80), "direct");
	vars[0][1] = "";
	vars[2][1] = "";
	ASSERT_STREQ(proxy("https", "ghcr.io", 443), "direct");
}

TEST(exceptions_from_proxies)
{
	static const char *const direct[] = {"example.com", "a.example.com", "EXAMPLE.com",
		"sub.dotted.org", "10.1.2.3", "192.168.7.7", "[fd00::1]", "ported.net:8443"};
	static const char *const proxied[] = {
		"notexample.com", "example.com.evil.org", "11.1.2.3", "[fe00::1]", "1.192.168.7.7"};

	vars[0][0] = "HTTPS_PROXY";
	vars[0][1] = "P";
	vars[1][0] = "NO_PROXY";
	vars[1][1] = "example.com, .dotted.org 10.0.0.0/8,192.168.7.7,fd00::/8,ported.net:8443,,/,"
		     "10.0.0.0/99,[";
	for (size_t i = 0; i < ARRAY_SIZE(direct); i++) {
		if (!streq(proxy("https", direct[i], 8443), "direct"))
			test_fail(__FILE__, __LINE__, "%s goes through the proxy", direct[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(proxied); i++) {
		if (!streq(proxy("https", proxied[i], 8443), "P"))
			test_fail(__FILE__, __LINE__, "%s avoids the proxy", proxied[i]);
	}
	ASSERT_STREQ(proxy("https", "ported.net", 443), "P");
	vars[1][1] = "*";
	ASSERT_STREQ(proxy("https", "ghcr.io", 443), "direct");
}
