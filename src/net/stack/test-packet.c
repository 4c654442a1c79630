/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of the stack below and beside TCP: checks of frames, ARP, ICMP, neighbours, fragments,
 * datagrams. */
#include "net/stack/testguest.h"

#include "test.h"

static struct guest g;

static void done(void)
{
	ASSERT_TRUE(guest_next(&g) == NULL);
	guest_deinit(&g);
}

/* Is the checksum of the transport right? */
static bool sum_ok(const struct guest_frame *f)
{
	struct net_addr src = f->v6 ? net_addr_v6(f->ip + 8) : net_addr_v4(f->ip + 12);
	struct net_addr dst = f->v6 ? net_addr_v6(f->ip + 24) : net_addr_v4(f->ip + 16);
	uint64_t sum = f->proto == IP_ICMP ? 0 : pseudo_sum(&src, &dst, f->proto, f->l4_len);

	return csum_fold(csum_add(sum, f->l4, f->l4_len)) == 0xffff;
}

TEST(configuration)
{
	struct stack_config bad = {.mtu = 500};

	ASSERT_ERR(guest_init_with(&g, &bad), EINVAL);
	bad = (struct stack_config){.mtu = 65521};
	ASSERT_ERR(guest_init_with(&g, &bad), EINVAL);
	ASSERT_OK(guest_init(&g, STACK_TX_TSO4)); /* without checksums that is nothing */
	ASSERT_EQ(g.stack->cfg.offload, 0);
	done();
}

TEST(arp)
{
	uint8_t q[ETH_LEN + 28] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct guest_frame *f;

	ASSERT_OK(guest_init(&g, 0));
	memcpy(q + 6, g.cfg.guest_mac, 6);
	put16(q + 12, ETH_ARP);
	memcpy(q + 14, (const uint8_t[]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
	memcpy(q + 22, g.cfg.guest_mac, 6);
	memcpy(q + 28, g.cfg.guest4.b, 4);
	memcpy(q + 38, g.cfg.gateway4.b, 4);
	guest_send(&g, q, sizeof(q));
	f = guest_next(&g);
	ASSERT_TRUE(f != NULL && f->len == sizeof(q));
	ASSERT_MEMEQ(f->data, g.cfg.guest_mac, 6);
	ASSERT_EQ(get16(f->data + 20), 2);
	ASSERT_MEMEQ(f->data + 22, g.cfg.gateway_mac, 6);
	ASSERT_MEMEQ(f->data + 28, g.cfg.gateway4.b, 4);
	ASSERT_MEMEQ(f->data + 32, g.cfg.guest_mac, 6);
	q[41] = 9; /* somebody else's address */
	guest_send(&g, q, sizeof(q));
	q[41] = 1;
	q[22] ^= 1; /* somebody else's MAC */
	guest_send(&g, q, sizeof(q));
	guest_send(&g, q, sizeof(q) - 1);
	ASSERT_EQ(g.stack->stats.spoofed, 1);
	ASSERT_EQ(g.stack->stats.bad_frames, 1);
	done();
}

TEST(source_addresses)
{
	ASSERT_OK(guest_init(&g, 0));
	g.cfg.guest4.b[3] = 77;
	guest_udp(&g, "x", 1);
	g.cfg.guest4.b[3] = 2;
	g.v6 = true;
	g.cfg.guest6.b[15] = 77;
	guest_udp(&g, "x", 1);
	g.cfg.guest6.b[15] = 2;
	g.cfg.guest_mac[5] = 77;
	guest_udp(&g, "x", 1);
	ASSERT_EQ(g.stack->stats.spoofed, 3);
	g.cfg.guest_mac[5] = 2;
	g.cfg.gateway_mac[5] = 77; /* to somebody else */
	guest_udp(&g, "x", 1);
	ASSERT_EQ(g.stack->stats.bad_frames, 1);
	ASSERT_EQ(g.udp_wanted, 0);
	done();
}

/* An echo request to @dst of the family @v6 says, from the guest. */
static void ping(const uint8_t *dst, uint16_t seq, const uint8_t *data, size_t len)
{
	uint8_t *b = calloc(1, ETH_LEN + IP6_LEN + ICMP_LEN + len);
	size_t head = g.v6 ? IP6_LEN : IP4_LEN;
	uint8_t *ip = b + ETH_LEN, *l4 = ip + head;
	struct net_addr d;
	uint64_t sum = 0;

	memcpy(b, g.cfg.gateway_mac, 6);
	memcpy(b + 6, g.cfg.guest_mac, 6);
	put16(b + 12, g.v6 ? ETH_IP6 : ETH_IP4);
	if (g.v6) {
		d = net_addr_v6(dst);
		ip[0] = 0x60;
		put16(ip + 4, (uint16_t)(ICMP_LEN + len));
		ip[6] = IP_ICMP6;
		ip[7] = 64;
		memcpy(ip + 8, g.cfg.guest6.b, 16);
		memcpy(ip + 24, dst, 16);
		sum = pseudo_sum(&g.cfg.guest6, &d, IP_ICMP6, ICMP_LEN + len);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, (uint16_t)(IP4_LEN + ICMP_LEN + len));
		ip[8] = 64;
		ip[9] = IP_ICMP;
		memcpy(ip + 12, g.cfg.guest4.b, 4);
		memcpy(ip + 16, dst, 4);
		put16(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
	}
	l4[0] = g.v6 ? 128 : 8;
	put16(l4 + 4, 0x1234);
	put16(l4 + 6, seq);
	memcpy(l4 + 8, data, len);
	put16(l4 + 2, (uint16_t)~csum_fold(csum_add(sum, l4, ICMP_LEN + len)));
	guest_send(&g, b, ETH_LEN + head + ICMP_LEN + len);
	free(b);
}

TEST(echo)
{
	static const uint8_t there4[] = {8, 8, 8, 8}, group4[] = {224, 0, 0, 1};
	static const uint8_t there6[16] = {0x20, 1, [15] = 1},
			     mapped[16] = {[10] = 0xff, [11] = 0xff, [15] = 1};
	const struct guest_frame *f;

	ASSERT_OK(guest_init(&g, 0));
	for (int family = 0; family < 2; family++) {
		g.v6 = family == 1;
		g.echoes = 0;
		ping(g.v6 ? g.cfg.gateway6.b : g.cfg.gateway4.b, 1, (const uint8_t *)"ping", 4);
		f = guest_next(&g);
		ASSERT_TRUE(f != NULL && sum_ok(f));
		ASSERT_EQ(f->l4[0], g.v6 ? 129 : 0);
		ASSERT_EQ(get16(f->l4 + 4), 0x1234);
		ASSERT_MEMEQ(f->body, "ping", 4);
		ASSERT_EQ(g.echoes, 0);
		ping(g.v6 ? there6 : there4, 2, (const uint8_t *)"far", 3);
		ASSERT_EQ(g.echoes, 1);
		f = guest_next(&g);
		ASSERT_TRUE(f != NULL && sum_ok(f));
		ASSERT_MEMEQ(f->ip + (g.v6 ? 8 : 12), g.v6 ? there6 : there4, g.v6 ? 16 : 4);
		ping(g.v6 ? there6 : there4, 7, (const uint8_t *)"no", 2);
		f = guest_next(&g);
		ASSERT_TRUE(f != NULL && sum_ok(f));
		ASSERT_EQ(f->l4[0], g.v6 ? 1 : 3);
		ASSERT_EQ(f->l4[1], g.v6 ? 1 : 13);
		ASSERT_EQ(get16(f->body + (g.v6 ? 44 : 24)), 0x1234);
	}
	ping(mapped, 3, (const uint8_t *)"x", 1);
	ASSERT_EQ(g.stack->stats.bad_frames, 1);
	g.v6 = false;
	ping(group4, 3, (const uint8_t *)"x", 1);
	ASSERT_EQ(g.echoes, 2);
	done();
}

TEST(neighbours)
{
	uint8_t ns[24 + 8] = {135};
	const struct guest_frame *f;
	struct net_addr dst;

	ASSERT_OK(guest_init(&g, 0));
	g.v6 = true;
	memcpy(ns + 8, g.cfg.gateway6.b, 16);
	ns[24] = 1;
	ns[25] = 1;
	guest_ip(&g, IP_ICMP6, ns, sizeof(ns), 2);
	f = guest_next(&g);
	ASSERT_TRUE(f != NULL && sum_ok(f));
	ASSERT_EQ(f->ip[7], 255);
	ASSERT_EQ(f->l4[0], 136);
	ASSERT_EQ(f->l4[4], 0xe0);
	ASSERT_MEMEQ(f->l4 + 26, g.cfg.gateway_mac, 6);
	/* Duplicate detection of the gateway's address is answered to all. */
	dst = g.cfg.guest6;
	memset(g.cfg.guest6.b, 0, 16);
	guest_ip(&g, IP_ICMP6, ns, sizeof(ns), 2);
	g.cfg.guest6 = dst;
	f = guest_next(&g);
	ASSERT_TRUE(f != NULL && sum_ok(f));
	ASSERT_EQ(f->ip[24], 0xff);
	ns[23] = 2; /* its own */
	guest_ip(&g, IP_ICMP6, ns, sizeof(ns), 2);
	ns[23] = 1;
	guest_ip(&g, IP_ICMP6, ns, 20, 2);
	ASSERT_EQ(g.stack->stats.bad_frames, 1);
	done();
}

TEST(checksums)
{
	uint8_t udp[12] = {0x9c, 0x40, 0, 53, 0, 12, 0x12, 0x34, 'a', 'b', 'c', 'd'};

	ASSERT_OK(guest_init(&g, 0));
	guest_ip(&g, IP_UDP, udp, sizeof(udp), 0); /* a wrong one */
	ASSERT_EQ(g.stack->stats.bad_frames, 1);
	udp[6] = udp[7] = 0; /* none: IPv4 only */
	guest_ip(&g, IP_UDP, udp, sizeof(udp), 0);
	ASSERT_EQ(g.datagrams, 1);
	g.v6 = true;
	guest_ip(&g, IP_UDP, udp, sizeof(udp), 0);
	ASSERT_EQ(g.stack->stats.bad_frames, 2);
	g.partial = true;
	guest_udp(&g, "abc", 3);
	ASSERT_EQ(g.datagrams, 2);
	guest_ip(&g, IP_UDP, udp, sizeof(udp), 4); /* vouches for another place */
	ASSERT_EQ(g.stack->stats.bad_frames, 3);
	done();
}

TEST(datagrams)
{
	const struct guest_frame *f;

	ASSERT_OK(guest_init(&g, 0));
	for (int family = 0; family < 2; family++) {
		g.v6 = family == 1;
		guest_udp(&g, "query", 5);
		ASSERT_EQ(g.dgram_len, 5);
		ASSERT_EQ(stack_udp_tuple(g.udp)->remote.port, 80);
		stack_udp_send(g.udp, "answer!", 7);
		f = guest_next(&g);
		ASSERT_TRUE(f != NULL && f->proto == IP_UDP && sum_ok(f));
		ASSERT_EQ(get16(f->l4), 80);
		ASSERT_MEMEQ(f->body, "answer!", 7);
		stack_udp_too_big(g.udp, 1400);
		f = guest_next(&g);
		ASSERT_TRUE(f != NULL && sum_ok(f));
		ASSERT_EQ(f->l4[0], g.v6 ? 2 : 3);
		ASSERT_EQ(get32(f->l4 + 4), 1400);
		ASSERT_EQ(g.dgram_whole, g.v6);
	}
	g.v6 = false;
	g.whole = true;
	guest_udp(&g, "probe", 5);
	ASSERT_TRUE(g.dgram_whole);
	g.v6 = true;
	ASSERT_EQ(g.stack->stats.udp_now, 2);
	guest_wait(&g, 59 * NSEC_PER_SEC);
	guest_udp(&g, "again", 5);
	guest_wait(&g, 2 * NSEC_PER_SEC);
	ASSERT_EQ(g.udp_closed, 1);
	guest_wait(&g, 60 * NSEC_PER_SEC);
	ASSERT_EQ(g.udp_closed, 2);
	g.refuse_udp = true;
	guest_udp(&g, "no", 2);
	f = guest_next(&g);
	ASSERT_TRUE(f != NULL && f->l4[0] == 1 && f->l4[1] == 1);
	ASSERT_EQ(g.stack->stats.udp_now, 0);
	done();
}

/* The guest says that nobody takes what came from @t->remote. */
static void refuse(const struct net_tuple *t, uint8_t code)
{
	uint8_t b[ICMP_LEN + IP4_LEN + UDP_LEN] = {3, code};
	uint8_t *ip = b + ICMP_LEN;

	ip[0] = 0x45;
	ip[9] = IP_UDP;
	memcpy(ip + 12, t->remote.addr.b, 4);
	memcpy(ip + 16, t->guest.addr.b, 4);
	put16(ip + IP4_LEN, t->remote.port);
	put16(ip + IP4_LEN + 2, t->guest.port);
	guest_ip(&g, IP_ICMP, b, sizeof(b), 2);
}

TEST(a_datagram_that_nobody_takes)
{
	const uint8_t cut[ICMP_LEN + IP4_LEN] = {3, 3};
	struct net_tuple t;

	ASSERT_OK(guest_init(&g, 0));
	t = (struct net_tuple){{g.cfg.guest4, 8080}, {g.cfg.gateway4, 50000}};
	ASSERT_TRUE(stack_udp_open(g.stack, &t, &guest_udp_ops, &g) != NULL);
	refuse(&t, 3);
	ASSERT_EQ(g.udp_refused, 1);
	refuse(&t, 1); /* says something else */
	t.remote.port++;
	refuse(&t, 3); /* about another one */
	ASSERT_EQ(g.udp_refused, 1);
	ASSERT_EQ(g.stack->stats.bad_frames, 0);
	guest_ip(&g, IP_ICMP, cut, sizeof(cut), 2);
	ASSERT_EQ(g.stack->stats.bad_frames, 1);
	done();
}

/* From 127.0.0.1 comes what answers a call to it, and nothing else. */
TEST(answers_of_the_loopback)
{
	static const uint8_t there[4] = {93, 184, 215, 14};
	const struct net_addr loopback = net_addr_v4((const uint8_t[]){127, 0, 0, 1});
	struct net_tuple t = {{loopback, 8080}, {net_addr_v4(there), 50000}};
	const struct guest_frame *f;
	struct net_addr own;

	ASSERT_OK(guest_init(&g, 0));
	own = g.cfg.guest4;
	g.cfg.guest4 = loopback;
	g.sport = 8080;
	g.dport = 50000;
	guest_udp(&g, "x", 1);
	guest_tcp(&g, TCP_SYN, 1, 0, 1000, NULL, 0);
	guest_tcp(&g, TCP_ACK, 1, 1, 1000, NULL, 0);
	ping(there, 2, (const uint8_t *)"far", 3);
	ASSERT_EQ(g.wanted + g.udp_wanted + g.echoes, 0);
	ASSERT_EQ(g.stack->stats.spoofed, 3);
	ASSERT_TRUE(guest_next(&g) == NULL);
	ASSERT_TRUE(stack_udp_open(g.stack, &t, &guest_udp_ops, &g) != NULL);
	guest_udp(&g, "answer", 6);
	ASSERT_EQ(g.dgram_len, 6);
	g.tcp = stack_tcp_connect(g.stack, &t, &guest_tcp_ops, &g);
	ASSERT_TRUE(g.tcp != NULL);
	f = guest_next(&g);
	ASSERT_TRUE(f != NULL && f->proto == IP_TCP);
	guest_tcp(&g, TCP_RST | TCP_ACK, 0, get32(f->l4 + 4) + 1, 0, NULL, 0);
	ASSERT_EQ(g.closed, 1);
	g.cfg.guest4 = net_addr_v4((const uint8_t[]){127, 0, 0, 2});
	guest_udp(&g, "x", 1);
	ASSERT_EQ(g.stack->stats.spoofed, 4);
	g.cfg.guest4 = own;
	done();
}

TEST(datagram_flows_have_a_limit)
{
	struct stack_config cfg = {.max_udp = 4};

	ASSERT_OK(guest_init_with(&g, &cfg));
	for (uint16_t i = 0; i < 10; i++) {
		g.sport = (uint16_t)(1000 + i);
		guest_udp(&g, "x", 1);
	}
	ASSERT_EQ(g.stack->stats.udp_now, 4);
	ASSERT_EQ(g.udp_closed, 6);
	ASSERT_EQ(g.stack->stats.udp_evicted, 6);
	done();
}

static uint8_t big[9000];
static const uint8_t rest[1480];

/* One fragment of a datagram of sizeof(big) bytes with the number @id. */
static void fragment(uint16_t id, size_t offset, size_t len, bool more)
{
	uint8_t b[ETH_LEN + IP4_LEN + 1480] = {0};
	uint8_t *ip = b + ETH_LEN;

	memcpy(b, g.cfg.gateway_mac, 6);
	memcpy(b + 6, g.cfg.guest_mac, 6);
	put16(b + 12, ETH_IP4);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(IP4_LEN + len));
	put16(ip + 4, id);
	put16(ip + 6, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
	ip[8] = 64;
	ip[9] = IP_UDP;
	memcpy(ip + 12, g.cfg.guest4.b, 4);
	memcpy(ip + 16, (const uint8_t[]){1, 1, 1, 1}, 4);
	put16(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
	memcpy(ip + IP4_LEN, offset + len <= sizeof(big) ? big + offset : rest, len);
	guest_send(&g, b, ETH_LEN + IP4_LEN + len);
}

static void prepare(void)
{
	ASSERT_OK(guest_init(&g, 0));
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 13);
	put16(big, 5000);
	put16(big + 2, 53);
	put16(big + 4, sizeof(big));
	put16(big + 6, 0);
}

TEST(reassembly)
{
	prepare();
	for (size_t at = 1480; at < sizeof(big); at += 1480) /* the first comes last */
		fragment(1, at, MIN((size_t)1480, sizeof(big) - at), at + 1480 < sizeof(big));
	ASSERT_EQ(g.datagrams, 0);
	fragment(1, 0, 1480, true);
	ASSERT_EQ(g.datagrams, 1);
	ASSERT_EQ(g.dgram_len, sizeof(big) - UDP_LEN);
	ASSERT_TRUE(!g.dgram_whole);
	ASSERT_MEMEQ(g.dgram, big + UDP_LEN, g.dgram_len);
	ASSERT_EQ(g.stack->n_frags, 0);
	ASSERT_EQ(g.stack->frag_bytes, 0);
	done();
}

TEST(fragments_that_lie)
{
	prepare();
	fragment(1, 0, 1480, true);
	fragment(1, 1472, 1480, true); /* overlaps */
	fragment(1, 1480, 16, false);
	ASSERT_EQ(g.stack->stats.fragments_refused, 1);
	fragment(2, 0, 1479, true); /* not a multiple of eight */
	fragment(3, 2960, 1480, true); /* beyond the end */
	fragment(3, 0, 8, true);
	fragment(3, 8, 8, false);
	fragment(4, 65528, 100, false); /* beyond everything */
	ASSERT_EQ(g.stack->stats.fragments_refused, 4);
	ASSERT_EQ(g.datagrams, 0);
	ASSERT_EQ(g.stack->n_frags, 4);
	guest_wait(&g, 11 * NSEC_PER_SEC);
	ASSERT_EQ(g.stack->n_frags, 0);
	for (uint16_t id = 0; id < 1000; id++)
		fragment(id, 6000 / 8 * 8, 1480, true);
	ASSERT_TRUE(g.stack->n_frags <= FRAG_SETS);
	ASSERT_TRUE(g.stack->frag_bytes <= FRAG_BYTES);
	done();
}

TEST(large_datagrams_go_out_in_fragments)
{
	static uint8_t data[5000], whole[5008];
	const struct guest_frame *f;
	size_t have = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 11);
	for (int family = 0; family < 2; family++) {
		ASSERT_OK(guest_init(&g, STACK_TX_CSUM));
		g.v6 = family == 1;
		guest_udp(&g, "q", 1);
		stack_udp_send(g.udp, data, sizeof(data));
		have = 0;
		while ((f = guest_next(&g)) != NULL) {
			size_t at = g.v6 ? get16(f->l4 + 2) & 0xfff8u
					 : (get16(f->ip + 6) & 0x1fffu) * 8;
			const uint8_t *from = g.v6 ? f->l4 + 8 : f->l4;
			size_t n = f->l4_len - (g.v6 ? 8 : 0);

			ASSERT_TRUE(f->len <= ETH_LEN + 1500u);
			ASSERT_TRUE(at + n <= sizeof(whole));
			memcpy(whole + at, from, n);
			have += n;
		}
		ASSERT_EQ(have, sizeof(whole));
		ASSERT_MEMEQ(whole + UDP_LEN, data, sizeof(data));
		guest_deinit(&g);
	}
}

TEST(options_of_ipv6)
{
	uint8_t b[8 + 8 + 9] = {60, 0, 1, 4, 0, 0, 0, 0, IP_UDP, 0, 1, 4, 0, 0, 0, 0};
	struct net_addr dst = net_addr_v6((const uint8_t[16]){0x26, 0x06, [15] = 9});

	ASSERT_OK(guest_init(&g, 0));
	g.v6 = true;
	put16(b + 16, 5000);
	put16(b + 18, 53);
	put16(b + 20, 9);
	b[24] = 'x';
	put16(b + 22, (uint16_t)~csum_fold(
			      csum_add(pseudo_sum(&g.cfg.guest6, &dst, IP_UDP, 9), b + 16, 9)));
	guest_ip(&g, 0, b, sizeof(b), 0);
	ASSERT_EQ(g.datagrams, 1);
	b[0] = 43; /* routing header */
	guest_ip(&g, 0, b, sizeof(b), 0);
	b[0] = 0; /* hop by hop, and not the first */
	guest_ip(&g, 0, b, sizeof(b), 0);
	b[0] = 60;
	b[1] = 200; /* longer than the packet */
	guest_ip(&g, 0, b, sizeof(b), 0);
	ASSERT_EQ(g.stack->stats.bad_frames, 3);
	ASSERT_EQ(g.datagrams, 1);
	done();
}
