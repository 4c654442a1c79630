/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages: what is read, what is refused, what is written. */
#include "net/dns/msg.h"
#include "net/policy/class.h"

#include "test.h"

/* A query as resolvers send it: example.com A, RD, with EDNS of 1400 bytes and DO. */
static const uint8_t plain_query[] = {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'E', 'x',
	'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1, 0, 1};
static const uint8_t opt[] = {0, 0, 41, 0x05, 0x78, 0, 0, 0x80, 0, 0, 0};

TEST(a_query_is_taken_apart)
{
	uint8_t msg[sizeof(plain_query) + sizeof(opt)];
	struct dns_query q;

	ASSERT_EQ(dns_query_parse(plain_query, sizeof(plain_query), &q), 0);
	ASSERT_STREQ(q.name.text, "example.com");
	ASSERT_TRUE(q.name.plain && q.recurse && !q.edns);
	ASSERT_EQ(q.id, 0x1234);
	ASSERT_EQ(q.type, DNS_A);
	ASSERT_EQ(q.udp_size, 512);
	ASSERT_EQ(q.question_end, sizeof(plain_query));
	memcpy(msg, plain_query, sizeof(plain_query));
	memcpy(msg + sizeof(plain_query), opt, sizeof(opt));
	msg[11] = 1;
	ASSERT_EQ(dns_query_parse(msg, sizeof(msg), &q), 0);
	ASSERT_TRUE(q.edns && q.dnssec_ok);
	ASSERT_EQ(q.udp_size, 1400);
}

TEST(other_queries_are_refused)
{
	static const struct {
		size_t at;
		uint8_t value;
		int expect;
	} cases[] = {
		{2, 0x81, -EBADMSG}, /* an answer */
		{2, 0x11, DNS_NOTIMP}, /* a status request */
		{2, 0x03, DNS_FORMERR}, /* truncated */
		{5, 0, DNS_FORMERR}, {5, 2, DNS_FORMERR},
		{7, 1, DNS_FORMERR}, /* says it has an answer */
		{9, 1, DNS_FORMERR}, {11, 1, DNS_FORMERR}, /* says it has an OPT */
		{12, 0xc0, DNS_FORMERR}, /* pointer */
		{12, 64, DNS_FORMERR}, {20, 60, DNS_FORMERR}, /* label beyond the end */
		{28, 3, DNS_REFUSED}, /* class chaos */
	};
	struct dns_query q;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t msg[sizeof(plain_query)];

		memcpy(msg, plain_query, sizeof(msg));
		msg[cases[i].at] = cases[i].value;
		ASSERT_EQ(dns_query_parse(msg, sizeof(msg), &q), cases[i].expect);
	}
	for (size_t len = 0; len < sizeof(plain_query); len++)
		ASSERT_TRUE(dns_query_parse(plain_query, len, &q) != 0);
}

TEST(nothing_rides_behind_a_query)
{
	uint8_t msg[DNS_QUERY_MAX + 1] = {0};
	struct dns_query q;

	memcpy(msg, plain_query, sizeof(plain_query));
	ASSERT_EQ(dns_query_parse(msg, sizeof(plain_query) + 1, &q), DNS_FORMERR);
	memcpy(msg + sizeof(plain_query), opt, sizeof(opt));
	msg[11] = 1;
	ASSERT_EQ(dns_query_parse(msg, sizeof(plain_query) + sizeof(opt) + 1, &q), DNS_FORMERR);
	/* Options in it are read over, and not sent on. */
	msg[sizeof(plain_query) + 10] = 4;
	ASSERT_EQ(dns_query_parse(msg, sizeof(plain_query) + sizeof(opt) + 4, &q), 0);
	ASSERT_EQ(dns_query_parse(msg, sizeof(msg), &q), DNS_FORMERR);
}

TEST(odd_bytes_in_names_are_marked)
{
	uint8_t msg[sizeof(plain_query)];
	struct dns_query q;

	memcpy(msg, plain_query, sizeof(msg));
	msg[14] = '.';
	msg[15] = 0;
	ASSERT_EQ(dns_query_parse(msg, sizeof(msg), &q), 0);
	ASSERT_TRUE(!q.name.plain);
	ASSERT_STREQ(q.name.text, "e??mple.com");
}

TEST(queries_are_written_anew)
{
	uint8_t coins[32];
	uint8_t out[DNS_QUERY_OUT_MAX];
	struct dns_query q;
	struct dns_query again;
	size_t len;

	ASSERT_EQ(dns_query_parse(plain_query, sizeof(plain_query), &q), 0);
	len = dns_query_write(&q, 0xabcd, NULL, out);
	ASSERT_EQ(len, sizeof(plain_query));
	ASSERT_EQ(dns_query_parse(out, len, &again), 0);
	ASSERT_EQ(again.id, 0xabcd);
	ASSERT_STREQ(again.name.text, "example.com");
	ASSERT_EQ(out[13], 'e');
	memset(coins, 0xff, sizeof(coins));
	q.edns = true;
	len = dns_query_write(&q, 1, coins, out);
	ASSERT_EQ(out[13], 'E');
	ASSERT_EQ(dns_query_parse(out, len, &again), 0);
	ASSERT_TRUE(again.edns && !again.dnssec_ok);
	ASSERT_EQ(again.udp_size, DNS_UDP_MAX);
}

TEST(the_longest_name_fits)
{
	uint8_t msg[DNS_QUERY_MAX] = {0, 1, 1, 0, 0, 1};
	uint8_t out[DNS_QUERY_OUT_MAX];
	struct dns_query q;
	size_t at = DNS_HEADER;

	for (int i = 0; i < 4; i++) {
		size_t n = i < 3 ? 63 : 61;

		msg[at++] = (uint8_t)n;
		memset(msg + at, 'a' + i, n);
		at += n;
	}
	msg[at++] = 0;
	msg[at + 1] = 1;
	msg[at + 3] = 1;
	ASSERT_EQ(dns_query_parse(msg, at + 4, &q), 0);
	ASSERT_EQ(strlen(q.name.text), 253);
	q.edns = true;
	ASSERT_EQ(dns_query_write(&q, 1, NULL, out), at + 4 + 11);
	/* One more byte in the last label is one too many. */
	memmove(msg + at + 1, msg + at, 4);
	msg[DNS_HEADER + 3 * 64] = 62;
	msg[at - 1] = 'd';
	msg[at] = 0;
	ASSERT_EQ(dns_query_parse(msg, at + 5, &q), DNS_FORMERR);
}

/* example.com CNAME www.example.com, and that one's two addresses. */
static const uint8_t answer[] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0, 7, 'E', 'x', 'a',
	'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1, 0, 1,
	/* 29 */ 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, 'w', 'w', 'w', 0xc0, 12,
	/* 47 */ 0xc0, 41, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 93, 184, 216, 34,
	/* 63 */ 0xc0, 41, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16, 0x26, 6, 0x28, 0, 2, 0x20, 0, 1, 2, 0x48,
	0x18, 0x93, 0x25, 0xc8, 0x19, 0x46};

static int parse(const uint8_t *msg, size_t len, struct dns_answer *a)
{
	return dns_answer_parse(
		msg, len, plain_query + DNS_HEADER, sizeof(plain_query) - DNS_HEADER, a);
}

TEST(answers_are_walked)
{
	struct dns_answer a;
	struct dns_record r;
	struct dns_name target;
	struct net_addr addr;
	char text[NET_ADDR_TEXT];

	ASSERT_OK(parse(answer, sizeof(answer), &a));
	ASSERT_EQ(a.id, 0x1234);
	ASSERT_EQ(a.rcode, DNS_NOERROR);
	ASSERT_EQ(dns_answer_next(&a, &r), 1);
	ASSERT_TRUE(dns_record_target(&a, &r, &target));
	ASSERT_STREQ(r.name.text, "example.com");
	ASSERT_STREQ(target.text, "www.example.com");
	ASSERT_EQ(r.ttl, 60);
	ASSERT_TRUE(!dns_record_address(&a, &r, &addr));
	ASSERT_EQ(dns_answer_next(&a, &r), 1);
	ASSERT_STREQ(r.name.text, "www.example.com");
	ASSERT_TRUE(dns_record_address(&a, &r, &addr));
	ASSERT_STREQ(net_addr_text(&addr, text), "93.184.216.34");
	ASSERT_EQ(dns_answer_next(&a, &r), 1);
	ASSERT_TRUE(dns_record_address(&a, &r, &addr));
	ASSERT_STREQ(net_addr_text(&addr, text), "2606:2800:220:1:248:1893:25c8:1946");
	ASSERT_EQ(dns_answer_next(&a, &r), 0);
}

static int walk(const uint8_t *msg, size_t len)
{
	struct dns_answer a;
	struct dns_record r;
	int more = parse(msg, len, &a);

	if (more < 0)
		return more;
	while ((more = dns_answer_next(&a, &r)) > 0)
		;
	return more;
}

TEST(broken_answers_are_refused)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{2, 0x01}, /* a query */
		{2, 0x89}, /* another opcode */
		{5, 2}, {7, 4}, /* one record more than there is */
		{7, 2}, /* one less: bytes at the end */
		{6, 0x10}, /* thousands */
		{13, 'e'}, /* not the letters that were asked for */
		{26, 28}, /* another type */
		{30, 29}, /* a name that points to itself */
		{30, 45}, /* that points forward */
		{30, 2}, /* into the header */
		{40, 5}, /* data shorter than the name in it */
		{46, 41}, /* a loop within the data */
		{58, 5}, /* an A of five bytes */
		{74, 15}, /* an AAAA of fifteen */
		{41, 0x80}, /* reserved kind of label */
	};
	uint8_t msg[sizeof(answer)];

	ASSERT_EQ(walk(answer, sizeof(answer)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(msg, answer, sizeof(msg));
		msg[cases[i].at] = cases[i].value;
		if (walk(msg, sizeof(msg)) != -EBADMSG)
			test_fail(__FILE__, __LINE__, "case %zu is accepted", i);
	}
	for (size_t len = 0; len < sizeof(answer); len++)
		ASSERT_ERR(walk(answer, len), EBADMSG);
}

TEST(hints_are_addresses)
{
	/* HTTPS 1 . alpn=h2 ipv4hint=10.0.0.1,1.2.3.4 ech=.. ipv6hint=fd00::1 */
	static const uint8_t https[] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 7, 'E', 'x',
		'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 65, 0, 1, 0xc0, 12, 0, 65, 0, 1, 0,
		0, 0, 9, 0, 50, 0, 1, 0, 0, 1, 0, 3, 2, 'h', '2', 0, 4, 0, 8, 10, 0, 0, 1, 1, 2, 3,
		4, 0, 5, 0, 4, 1, 2, 3, 4, 0, 6, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 1};
	struct net_addr addrs[4];
	struct dns_answer a;
	struct dns_record r;
	char text[NET_ADDR_TEXT];

	ASSERT_EQ(sizeof(https), 41 + 50);
	ASSERT_OK(dns_answer_parse(https, sizeof(https), https + DNS_HEADER, 17, &a));
	ASSERT_EQ(dns_answer_next(&a, &r), 1);
	ASSERT_EQ(dns_record_hints(&a, &r, addrs, 4), 3);
	ASSERT_STREQ(net_addr_text(&addrs[0], text), "10.0.0.1");
	ASSERT_STREQ(net_addr_text(&addrs[1], text), "1.2.3.4");
	ASSERT_STREQ(net_addr_text(&addrs[2], text), "fd00::1");
	ASSERT_EQ(dns_record_hints(&a, &r, addrs, 1), 1);
	ASSERT_EQ(dns_answer_next(&a, &r), 0);
}

TEST(short_answers_are_written)
{
	uint8_t out[DNS_QUERY_MAX];
	uint8_t msg[sizeof(plain_query) + sizeof(opt)];
	struct net_addr addr = net_addr_v4((const uint8_t[]){172, 16, 0, 1});
	struct net_addr got;
	struct dns_answer a;
	struct dns_record r;
	struct dns_query q;
	size_t len;

	memcpy(msg, plain_query, sizeof(plain_query));
	memcpy(msg + sizeof(plain_query), opt, sizeof(opt));
	msg[11] = 1;
	ASSERT_EQ(dns_query_parse(msg, sizeof(msg), &q), 0);
	len = dns_reply_write(msg, &q, DNS_NXDOMAIN, true, out);
	ASSERT_OK(parse(out, len, &a));
	ASSERT_EQ(a.rcode, DNS_NXDOMAIN);
	ASSERT_TRUE(a.truncated);
	ASSERT_EQ(walk(out, len), 0);
	len = dns_reply_write(msg, &q, DNS_NOERROR, false, out);
	len = dns_reply_address(out, len, &addr, 60);
	ASSERT_EQ(walk(out, len), 0);
	ASSERT_OK(parse(out, len, &a));
	ASSERT_EQ(dns_answer_next(&a, &r), 1);
	ASSERT_TRUE(dns_record_address(&a, &r, &got));
	ASSERT_TRUE(net_addr_equal(&got, &addr));
	ASSERT_EQ(r.ttl, 60);
	ASSERT_EQ(dns_answer_next(&a, &r), 1);
	ASSERT_EQ(r.type, DNS_OPT);
	ASSERT_EQ(dns_answer_next(&a, &r), 0);
}

TEST(types_have_names)
{
	char to[16];

	ASSERT_STREQ(dns_type_name(28, to), "AAAA");
	ASSERT_STREQ(dns_type_name(4711, to), "TYPE4711");
}
