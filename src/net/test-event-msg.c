/* SPDX-License-Identifier: Apache-2.0 */
/* Events on the wire: the same on the other side, harmless whatever comes. */
#include "net/event-msg.h"

#include "test.h"

static struct net_event sample(void)
{
	static const uint8_t v4[4] = {93, 184, 215, 14};
	static const uint8_t v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};

	return (struct net_event){
		.kind = NET_EVENT_HTTP,
		.log = true,
		.proto = NET_EVENT_UDP,
		.ingress = true,
		.flow = 7,
		.guest = {.addr = net_addr_v6(v6), .port = 40000},
		.remote = {.addr = net_addr_v4(v4), .port = 443},
		.name = "api.example",
		.rule = 3,
		.rule_text = "allow@api.example",
		.error = ECONNREFUSED,
		.up = 1,
		.down = UINT64_C(1) << 40,
		.took_ns = 12,
		.lost = 5,
		.qtype = 28,
		.rcode = 3,
		.result = "answered",
		.n_addrs = 2,
		.addrs = {net_addr_v4(v4), net_addr_v6(v6)},
		.method = "GET",
		.path = "/v1?x=1",
		.status = 200,
		.secret = "KEY",
		.text = "why",
	};
}

TEST(an_event_arrives_as_it_was)
{
	struct net_event e = sample();
	struct net_event got;
	struct buf b;

	buf_init(&b, NET_EVENT_MAX);
	ASSERT_OK(net_event_put(&b, &e));
	ASSERT_OK(net_event_get(buf_data(&b), buf_len(&b), &got));
	ASSERT_TRUE(got.kind == e.kind && got.log && got.proto == e.proto && got.ingress);
	ASSERT_TRUE(got.flow == 7 && got.rule == 3 && got.error == ECONNREFUSED && got.up == 1);
	ASSERT_TRUE(got.down == e.down && got.took_ns == 12 && got.lost == 5 && got.qtype == 28);
	ASSERT_TRUE(net_peer_equal(&got.guest, &e.guest) && net_peer_equal(&got.remote, &e.remote));
	ASSERT_TRUE(got.rcode == 3 && got.n_addrs == 2 && got.status == 200);
	ASSERT_TRUE(net_addr_equal(&got.addrs[1], &e.addrs[1]));
	ASSERT_STREQ(got.name, e.name);
	ASSERT_STREQ(got.rule_text, e.rule_text);
	ASSERT_STREQ(got.result, e.result);
	ASSERT_STREQ(got.method, e.method);
	ASSERT_STREQ(got.path, e.path);
	ASSERT_STREQ(got.secret, e.secret);
	ASSERT_STREQ(got.text, e.text);
	buf_deinit(&b);
}

TEST(long_and_odd_strings_are_cut_and_cleaned)
{
	struct net_event e = {.kind = NET_EVENT_DNS};
	char path[3 * NET_EVENT_PATH];
	struct net_event got;
	struct buf b;

	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	path[1] = '\n';
	path[2] = '\x80';
	e.path = e.text = e.name = e.rule_text = e.method = e.secret = e.result = path;
	e.n_addrs = NET_EVENT_ADDRS;
	for (size_t i = 0; i < NET_EVENT_ADDRS; i++)
		e.addrs[i].family = NET_V6;
	buf_init(&b, NET_EVENT_MAX);
	ASSERT_OK(net_event_put(&b, &e));
	ASSERT_OK(net_event_get(buf_data(&b), buf_len(&b), &got));
	ASSERT_EQ(strlen(got.path), NET_EVENT_PATH);
	ASSERT_EQ(strlen(got.name), NET_EVENT_NAME);
	ASSERT_TRUE(strncmp(got.path, "p??p", 4) == 0);
	buf_deinit(&b);
}

TEST(what_is_no_event_is_refused)
{
	struct net_event e = sample();
	struct net_event got;
	struct buf b;
	cleanup_free uint8_t *copy = NULL;
	size_t len;

	buf_init(&b, NET_EVENT_MAX);
	ASSERT_OK(net_event_put(&b, &e));
	len = buf_len(&b);
	copy = malloc(len + 1);
	ASSERT_TRUE(copy);
	memcpy(copy, buf_data(&b), len);
	copy[len] = 0;
	for (size_t n = 0; n < len; n++)
		ASSERT_ERR(net_event_get(copy, n, &got), EBADMSG);
	ASSERT_ERR(net_event_get(copy, len + 1, &got), EBADMSG);
	copy[0] = NET_EVENT_END;
	ASSERT_ERR(net_event_get(copy, len, &got), EBADMSG);
	copy[0] = 0;
	ASSERT_ERR(net_event_get(copy, len, &got), EBADMSG);
	copy[0] = NET_EVENT_HTTP;
	copy[2] = NET_EVENT_PROTOS;
	ASSERT_ERR(net_event_get(copy, len, &got), EBADMSG);
	copy[2] = NET_EVENT_TCP;
	copy[12] = 5; /* the guest's family */
	ASSERT_ERR(net_event_get(copy, len, &got), EBADMSG);
	copy[12] = NET_V6;
	ASSERT_OK(net_event_get(copy, len, &got));
	copy[len - 2] = '\n'; /* the last letter of the text */
	ASSERT_ERR(net_event_get(copy, len, &got), EBADMSG);
	buf_deinit(&b);
}
