/* SPDX-License-Identifier: Apache-2.0 */
#include "net/port.h"

#include "test.h"

TEST(what_can_be_written)
{
	static const char *const words[][2] = {
		{"8080:80", "127.0.0.1:8080:80/tcp"},
		{"8080:80/tcp", "127.0.0.1:8080:80/tcp"},
		{"0:1", "127.0.0.1:0:1/tcp"},
		{"5353:53/udp", "127.0.0.1:5353:53/udp"},
		{"0.0.0.0:65535:65535", "0.0.0.0:65535:65535/tcp"},
		{"[::1]:8080:80/udp", "[::1]:8080:80/udp"},
		{"[::]:8080:80", "[::]:8080:80/tcp"},
	};
	struct msb_err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct net_port p;
		struct net_port again;
		char text[NET_PORT_TEXT];

		ASSERT_OK(net_port_parse(words[i][0], &p, &err));
		ASSERT_STREQ(net_port_text(&p, text), words[i][1]);
		ASSERT_OK(net_port_parse(text, &again, &err));
		ASSERT_TRUE(net_addr_equal(&p.bind, &again.bind));
		ASSERT_EQ(p.host, again.host);
		ASSERT_EQ(p.guest, again.guest);
		ASSERT_EQ(p.udp, again.udp);
	}
}

TEST(what_cannot)
{
	static const char *const words[][2] = {
		{"", "missing"},
		{"80", "missing"},
		{"80:", "a port is"},
		{":80", "a port is"},
		{"8080:0", "a port is"},
		{"8080:65536", "a port is"},
		{"65536:80", "a port is"},
		{"-1:80", "ranges"},
		{"8000-8010:80", "ranges"},
		{"8080:80-90", "ranges"},
		{"8080:80/sctp", "protocol"},
		{"8080:80/", "protocol"},
		{"8080:80/udp/tcp", "protocol"},
		{"localhost:8080:80", "no address"},
		{"::1:8080:80", "no address"},
		{"[127.0.0.1]:8080:80", "no address"},
		{"[::1:8080:80", "no address"},
		{"[]:8080:80", "no address"},
		{"[:8080:80", "no address"},
		{":8080:80", "no address"},
		{"1.2.3.4:1.2.3.4:8080:80", "no address"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct msb_err err = {0};
		struct net_port p;

		ASSERT_ERR(net_port_parse(words[i][0], &p, &err), EINVAL);
		ASSERT_EQ(err.kind, MSB_USAGE);
		ASSERT_TRUE(strstr(err.msg, words[i][1]));
		ASSERT_TRUE(strstr(err.hint, "HOST:GUEST"));
	}
}

static bool same(const char *a, const char *b)
{
	struct msb_err err = {0};
	struct net_ports list = {0};
	struct net_port p;
	int r;

	ASSERT_OK(net_port_parse(a, &p, &err));
	ASSERT_OK(net_ports_add(&list, &p, &err));
	ASSERT_OK(net_port_parse(b, &p, &err));
	r = net_ports_add(&list, &p, &err);
	ASSERT_TRUE(r == 0 || r == -EEXIST);
	ASSERT_EQ(list.n, r == 0 ? 2 : 1);
	return r < 0;
}

TEST(no_port_of_the_host_twice)
{
	ASSERT_TRUE(same("80:80", "80:81"));
	ASSERT_TRUE(same("0.0.0.0:80:80", "80:80"));
	ASSERT_TRUE(same("[::]:80:80", "[::1]:80:80"));
	ASSERT_TRUE(!same("80:80", "80:80/udp"));
	ASSERT_TRUE(!same("80:80", "81:80"));
	ASSERT_TRUE(!same("0:80", "0:80"));
	ASSERT_TRUE(!same("127.0.0.2:80:80", "127.0.0.1:80:80"));
	ASSERT_TRUE(!same("[::]:80:80", "0.0.0.0:80:80"));
}

TEST(there_is_a_limit)
{
	static struct net_ports list;
	struct net_port p = {.bind = {.family = NET_V4}, .guest = 1};
	struct msb_err err = {0};

	for (uint32_t i = 0; i < LIMIT_PORTS; i++)
		ASSERT_OK(net_ports_add(&list, &p, &err));
	ASSERT_ERR(net_ports_add(&list, &p, &err), E2BIG);
}

TEST(lists_as_json)
{
	static const char bad[] = "{\"p\":[\"1:1\",\"1:2\"],\"q\":[1],\"r\":[\"x\"]}";
	static struct net_ports a;
	static struct net_ports b;
	struct msb_err err = {0};
	cleanup_json struct json *doc = NULL;
	struct json_out o;
	char text[NET_PORT_TEXT];
	struct net_port p;
	struct buf out;

	ASSERT_OK(net_port_parse("[::1]:80:8080/udp", &p, &err));
	ASSERT_OK(net_ports_add(&a, &p, &err));
	ASSERT_OK(net_port_parse("0:22", &p, &err));
	ASSERT_OK(net_ports_add(&a, &p, &err));
	buf_init(&out, 4096);
	json_out_init(&o, &out, JSON_COMPACT);
	json_begin_object(&o, NULL);
	net_ports_to_json(&a, &o, "ports");
	json_end_object(&o);
	ASSERT_OK(json_out_end(&o));
	ASSERT_OK(json_parse((const char *)buf_data(&out), buf_len(&out), &doc, &err));
	ASSERT_OK(net_ports_from_json(doc, "ports", &b, &err));
	ASSERT_EQ(b.n, 2);
	ASSERT_STREQ(net_port_text(&b.list[0], text), "[::1]:80:8080/udp");
	ASSERT_STREQ(net_port_text(&b.list[1], text), "127.0.0.1:0:22/tcp");
	ASSERT_OK(net_ports_from_json(doc, "none", &b, &err));
	ASSERT_EQ(b.n, 0);
	buf_deinit(&out);
	json_free(doc);
	doc = NULL;
	ASSERT_OK(json_parse(bad, sizeof(bad) - 1, &doc, &err));
	ASSERT_ERR(net_ports_from_json(doc, "p", &b, &err), EEXIST);
	ASSERT_TRUE(net_ports_from_json(doc, "q", &b, &err) < 0);
	ASSERT_TRUE(net_ports_from_json(doc, "r", &b, &err) < 0);
}
