/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP of the stack against a guest made by hand and a clock that stands still. */
#include "net/stack/tcp-internal.h"
#include "net/stack/testguest.h"

#include "test.h"

enum { ISN = 0xfffffff0 }; /* the numbers wrap early */

static struct guest g; /* each test is a process of its own */

static const uint32_t first = ISN + 1u;

/* SYN, accept, SYN-ACK, ACK. Returns the first number of our stream. */
static uint32_t open_with(uint16_t wnd)
{
	const struct guest_frame *f;
	uint32_t iss;

	guest_tcp(&g, TCP_SYN, ISN, 0, 65535, NULL, 0);
	ASSERT_EQ(g.wanted, 1);
	ASSERT_TRUE(guest_next(&g) == NULL); /* nothing is said before the decision */
	stack_tcp_accept(g.tcp);
	f = guest_next(&g);
	ASSERT_TRUE(f && f->proto == IP_TCP);
	ASSERT_EQ(f->l4[13], TCP_SYN | TCP_ACK);
	ASSERT_EQ(get32(f->l4 + 8), first);
	iss = get32(f->l4 + 4);
	guest_tcp(&g, TCP_ACK, first, iss + 1, wnd, NULL, 0);
	ASSERT_EQ(g.connected, 1);
	guest_drop(&g);
	return iss + 1;
}

static uint32_t open_tso(void)
{
	ASSERT_OK(guest_init(&g, STACK_TX_CSUM | STACK_TX_TSO4 | STACK_TX_TSO6));
	return open_with(65535);
}

static void expect(uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
	const struct guest_frame *f = guest_next(&g);

	ASSERT_TRUE(f != NULL);
	ASSERT_EQ(f->proto, IP_TCP);
	ASSERT_EQ(f->l4[13], flags);
	ASSERT_EQ(get32(f->l4 + 4), seq);
	if (flags & TCP_ACK)
		ASSERT_EQ(get32(f->l4 + 8), ack);
	ASSERT_EQ(f->body_len, len);
}

static void done(void)
{
	ASSERT_TRUE(guest_next(&g) == NULL);
	guest_deinit(&g);
}

TEST(whole_life_guest_ends_first)
{
	uint32_t seq = open_tso();

	guest_tcp(&g, TCP_ACK | TCP_PSH, first, seq, 512, "hello", 5);
	ASSERT_EQ(buf_len(&g.got), 5);
	ASSERT_MEMEQ(buf_data(&g.got), "hello", 5);
	expect(TCP_ACK, seq, first + 5, 0);
	ASSERT_EQ(stack_tcp_write(g.tcp, "world!", 6), 6);
	expect(TCP_ACK | TCP_PSH, seq, first + 5, 6);
	guest_tcp(&g, TCP_ACK | TCP_FIN, first + 5, seq + 6, 512, NULL, 0);
	ASSERT_TRUE(stack_tcp_eof(g.tcp));
	expect(TCP_ACK, seq + 6, first + 6, 0);
	/* Our direction is still open. */
	ASSERT_EQ(stack_tcp_write(g.tcp, "more", 4), 4);
	expect(TCP_ACK | TCP_PSH, seq + 6, first + 6, 4);
	stack_tcp_shutdown(g.tcp);
	expect(TCP_ACK | TCP_FIN | TCP_PSH, seq + 10, first + 6, 0);
	ASSERT_EQ(g.closed, 0);
	guest_tcp(&g, TCP_ACK, first + 6, seq + 11, 512, NULL, 0);
	ASSERT_EQ(g.closed, 1);
	ASSERT_EQ(g.why, STACK_END_DONE);
	ASSERT_EQ(stack_stats(g.stack)->tcp_now, 0);
	ASSERT_EQ(stack_stats(g.stack)->bytes_now, 0);
	done();
}

TEST(whole_life_we_end_first)
{
	uint32_t seq = open_tso();

	stack_tcp_write(g.tcp, "bye", 3);
	stack_tcp_shutdown(g.tcp);
	expect(TCP_ACK | TCP_PSH, seq, first, 3);
	expect(TCP_ACK | TCP_PSH | TCP_FIN, seq + 3, first, 0);
	guest_tcp(&g, TCP_ACK, first, seq + 4, 512, NULL, 0);
	guest_tcp(&g, TCP_ACK | TCP_PSH, first, seq + 4, 512, "late", 4);
	ASSERT_EQ(buf_len(&g.got), 4);
	expect(TCP_ACK, seq + 4, first + 4, 0);
	guest_tcp(&g, TCP_ACK | TCP_FIN, first + 4, seq + 4, 512, NULL, 0);
	expect(TCP_ACK, seq + 4, first + 5, 0); /* the last word, said without a handle */
	ASSERT_EQ(g.closed, 1);
	ASSERT_EQ(stack_stats(g.stack)->tcp_now, 0);
	done();
}

TEST(refusals)
{
	static const struct {
		enum stack_refusal how;
		uint8_t code;
	} icmp[] = {
		{STACK_PROHIBITED, 13}, {STACK_HOST_UNREACHABLE, 1}, {STACK_NET_UNREACHABLE, 0}};
	const struct guest_frame *f;

	ASSERT_OK(guest_init(&g, 0));
	guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
	stack_tcp_refuse(g.tcp, STACK_REFUSED);
	expect(TCP_RST | TCP_ACK, 0, first, 0);
	for (size_t i = 0; i < ARRAY_SIZE(icmp); i++) {
		guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
		stack_tcp_refuse(g.tcp, icmp[i].how);
		f = guest_next(&g);
		ASSERT_TRUE(f && f->proto == IP_ICMP);
		ASSERT_EQ(f->l4[0], 3);
		ASSERT_EQ(f->l4[1], icmp[i].code);
		ASSERT_EQ(get16(f->l4 + 8 + 20), g.sport); /* the quote names the connection */
		ASSERT_EQ(get32(f->l4 + 8 + 24), ISN);
	}
	guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
	stack_tcp_refuse(g.tcp, STACK_SILENT);
	ASSERT_EQ(g.closed, 0); /* whoever refuses knows */
	ASSERT_EQ(stack_stats(g.stack)->tcp_now, 0);
	done();
}

TEST(undecided_connections)
{
	ASSERT_OK(guest_init(&g, 0));
	guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
	guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0); /* the guest is impatient */
	ASSERT_EQ(g.wanted, 1);
	guest_tcp(&g, TCP_RST, first, 0, 0, NULL, 0);
	ASSERT_EQ(g.closed, 1);
	ASSERT_EQ(g.why, STACK_END_RESET);
	guest_tcp(&g, TCP_SYN, 5000, 0, 512, NULL, 0);
	guest_tcp(&g, TCP_SYN, 9000, 0, 512, NULL, 0); /* the first one was given up */
	stack_tcp_accept(g.tcp);
	ASSERT_EQ(get32(guest_next(&g)->l4 + 8), 9001);
	/* Nobody finishes the handshake: a few more SYN-ACKs, then the end. */
	guest_drop(&g);
	guest_wait(&g, 300 * NSEC_PER_SEC);
	ASSERT_EQ(g.closed, 2);
	ASSERT_EQ(g.why, STACK_END_TIMEOUT);
	ASSERT_TRUE(g.n_frames > 3 && g.n_frames < 10);
	guest_drop(&g);
	done();
}

TEST(strangers_are_reset)
{
	ASSERT_OK(guest_init(&g, 0));
	guest_tcp(&g, TCP_ACK, 100, 77, 512, "x", 1);
	expect(TCP_RST, 77, 0, 0);
	guest_tcp(&g, TCP_FIN, 100, 0, 512, NULL, 0);
	expect(TCP_RST | TCP_ACK, 0, 101, 0);
	guest_tcp(&g, TCP_RST, 100, 0, 512, NULL, 0);
	guest_tcp(&g, TCP_SYN | TCP_FIN, 100, 0, 512, NULL, 0);
	ASSERT_EQ(g.wanted, 0);
	expect(TCP_RST | TCP_ACK, 0, 102, 0);
	done();
}

TEST(order_and_overlap)
{
	uint32_t seq = open_tso();

	guest_tcp(&g, TCP_ACK | TCP_PSH, first + 3, seq, 512, "DEF", 3); /* early */
	ASSERT_EQ(buf_len(&g.got), 0);
	expect(TCP_ACK, seq, first, 0);
	guest_tcp(&g, TCP_ACK | TCP_PSH, first, seq, 512, "abc", 3);
	expect(TCP_ACK, seq, first + 3, 0);
	/* Two bytes again with other content, two new ones: the first copy counts. */
	guest_tcp(&g, TCP_ACK | TCP_PSH, first + 1, seq, 512, "XYde", 4);
	expect(TCP_ACK, seq, first + 5, 0);
	ASSERT_EQ(buf_len(&g.got), 5);
	ASSERT_MEMEQ(buf_data(&g.got), "abcde", 5);
	guest_tcp(&g, TCP_ACK, first, seq, 512, "abc", 3); /* all old */
	expect(TCP_ACK, seq, first + 5, 0);
	guest_tcp(&g, TCP_ACK, first + 4, seq, 512, NULL, 0); /* keepalive */
	expect(TCP_ACK, seq, first + 5, 0);
	guest_tcp(&g, TCP_ACK, first + 5 + 4 * 1024 * 1024, seq, 512, "z", 1); /* far out */
	expect(TCP_ACK, seq, first + 5, 0);
	ASSERT_EQ(stack_stats(g.stack)->tcp_out_of_order, 1);
	ASSERT_EQ(stack_stats(g.stack)->tcp_out_of_window, 1);
	done();
}

TEST(blind_attacks)
{
	uint32_t seq = open_tso();

	guest_tcp(&g, TCP_RST, first + 10, 0, 0, NULL, 0); /* inside the window, not exact */
	expect(TCP_ACK, seq, first, 0);
	guest_tcp(&g, TCP_RST, first - 10, 0, 0, NULL, 0);
	guest_tcp(&g, TCP_SYN, first, 0, 512, NULL, 0);
	expect(TCP_ACK, seq, first, 0);
	guest_tcp(&g, TCP_ACK, first, seq + 100, 512, "x", 1); /* acknowledges the unsent */
	expect(TCP_ACK, seq, first, 0);
	ASSERT_EQ(buf_len(&g.got), 0);
	for (int i = 0; i < 1000; i++)
		guest_tcp(&g, TCP_SYN, first, 0, 512, NULL, 0);
	ASSERT_TRUE(g.n_frames <= 103);
	ASSERT_EQ(g.closed, 0);
	guest_drop(&g);
	guest_tcp(&g, TCP_RST, first, 0, 0, NULL, 0);
	ASSERT_EQ(g.closed, 1);
	ASSERT_EQ(g.why, STACK_END_RESET);
	done();
}

TEST(slow_owner_closes_the_window)
{
	uint32_t seq = open_tso(), at = first;
	static uint8_t chunk[32768 + 7]; /* never in step with the unit of the window */
	const struct guest_frame *f;
	uint32_t edge = 0, stored = 0;

	g.keep = true;
	for (int i = 0; i < 100; i++) {
		guest_tcp(&g, TCP_ACK | TCP_PSH, at, seq, 512, chunk, sizeof(chunk));
		f = guest_next(&g);
		ASSERT_TRUE(f != NULL);
		at = get32(f->l4 + 8);
		stored = at - first;
		edge = stored + ((uint32_t)get16(f->l4 + 14) << 5);
		ASSERT_TRUE(edge <= RING_MAX);
		guest_drop(&g);
	}
	ASSERT_TRUE(edge - stored < 32); /* shut */
	ASSERT_TRUE(stored > RING_MAX / 2);
	ASSERT_EQ(stack_stats(g.stack)->budget_drops, 0); /* what was promised was kept */
	stack_tcp_consume(g.tcp, 100); /* not worth a word */
	ASSERT_TRUE(guest_next(&g) == NULL);
	stack_tcp_consume(g.tcp, 200 * 1024);
	f = guest_next(&g);
	ASSERT_TRUE(f != NULL && get16(f->l4 + 14) > 0);
	done();
}

TEST(slow_guest_is_probed)
{
	static uint8_t data[200 * 1024];
	size_t total = 0;
	uint32_t seq;

	ASSERT_OK(guest_init(&g, STACK_TX_CSUM | STACK_TX_TSO4));
	seq = open_with(0); /* shut from the beginning */
	total = stack_tcp_write(g.tcp, data, sizeof(data));
	ASSERT_EQ(total, sizeof(data));
	ASSERT_TRUE(guest_next(&g) == NULL);
	guest_wait(&g, 2 * NSEC_PER_SEC);
	expect(TCP_ACK, seq - 1, first, 0);
	guest_drop(&g);
	guest_tcp(&g, TCP_ACK, first, seq, 16, NULL, 0); /* 2 KiB */
	expect(TCP_ACK, seq, first, 1460);
	guest_tcp(&g, TCP_ACK, first, seq + 1460, 1024, NULL, 0); /* 128 KiB */
	expect(TCP_ACK, seq + 1460, first, 64240); /* whole segments, as large as a frame may be */
	expect(TCP_ACK, seq + 1460 + 64240, first, 64240);
	expect(TCP_ACK, seq + 1460 + 2 * 64240, first, 1460); /* what fits the window */
	ASSERT_EQ(g.frames[0].vnet[0], VNET_NEEDS_CSUM);
	ASSERT_EQ(g.frames[1].vnet[1], VNET_GSO_TCPV4);
	ASSERT_EQ(get16le(g.frames[1].vnet + 4), 1460);
	guest_drop(&g);
	stack_tcp_abort(g.tcp);
	expect(TCP_RST | TCP_ACK, seq + 2920 + 2 * 64240, first, 0);
	ASSERT_EQ(stack_stats(g.stack)->bytes_now, 0);
	done();
}

TEST(loss_is_repaired)
{
	static uint8_t data[3 * 1460];
	uint32_t seq;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	ASSERT_OK(guest_init(&g, 0));
	seq = open_with(65535);
	stack_tcp_write(g.tcp, data, sizeof(data));
	for (int i = 0; i < 3; i++) { /* cut and summed here, for want of offloads */
		ASSERT_EQ(g.frames[i].body_len, 1460);
		ASSERT_EQ(g.frames[i].vnet[0], 0);
	}
	guest_drop(&g);
	for (int i = 0; i < 3; i++)
		guest_tcp(&g, TCP_ACK, first, seq, 65535, NULL, 0);
	expect(TCP_ACK, seq, first, 1460); /* three duplicates: once, at once */
	ASSERT_TRUE(guest_next(&g) == NULL);
	guest_drop(&g);
	guest_wait(&g, 2 * NSEC_PER_SEC);
	for (uint32_t i = 0; i < 3; i++) /* the timer: all of it */
		expect(i == 2 ? TCP_ACK | TCP_PSH : TCP_ACK, seq + i * 1460, first, 1460);
	ASSERT_MEMEQ(g.frames[2].body, data + 2920, 1460);
	guest_drop(&g);
	guest_tcp(&g, TCP_ACK, first, seq + 4380, 65535, NULL, 0);
	guest_wait(&g, 60 * NSEC_PER_SEC);
	ASSERT_EQ(stack_stats(g.stack)->bytes_now, 0); /* an idle connection holds no buffer */
	ASSERT_EQ(stack_stats(g.stack)->tcp_now, 1);
	done();
}

TEST(dead_guest_is_given_up)
{
	open_tso();
	guest_wait(&g, 4 * 3600 * NSEC_PER_SEC);
	ASSERT_EQ(g.closed, 1);
	ASSERT_EQ(g.why, STACK_END_TIMEOUT);
	guest_drop(&g);
	done();
}

TEST(full_link_keeps_what_matters)
{
	uint32_t seq = open_tso();

	g.full = true;
	stack_tcp_write(g.tcp, "data", 4);
	guest_tcp(&g, TCP_ACK | TCP_PSH, first, seq, 512, "in", 2);
	ASSERT_TRUE(guest_next(&g) == NULL);
	g.full = false;
	stack_link_ready(g.stack);
	expect(TCP_ACK | TCP_PSH, seq, first + 2, 4); /* one frame says both */
	guest_drop(&g);
	g.full = true;
	stack_tcp_abort(g.tcp);
	for (uint16_t i = 0; i < 3000; i++) { /* a guest that asks and does not listen */
		g.sport = (uint16_t)(1000 + i);
		guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
		stack_tcp_refuse(g.tcp, STACK_REFUSED);
	}
	g.full = false;
	stack_link_ready(g.stack);
	expect(TCP_RST | TCP_ACK, seq + 4, first + 2, 0);
	ASSERT_EQ(stack_stats(g.stack)->tcp_now, 0);
	guest_drop(&g);
	done();
}

TEST(limit_of_connections)
{
	struct stack_config cfg = {.max_tcp = 3};

	ASSERT_OK(guest_init_with(&g, &cfg));
	for (uint16_t i = 0; i < 5; i++) {
		g.sport = (uint16_t)(1000 + i);
		guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
	}
	ASSERT_EQ(g.wanted, 3);
	ASSERT_EQ(stack_stats(g.stack)->tcp_refused_limit, 2);
	expect(TCP_RST | TCP_ACK, 0, first, 0);
	expect(TCP_RST | TCP_ACK, 0, first, 0);
	stack_set_max_tcp(g.stack, 4);
	guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
	ASSERT_EQ(g.wanted, 4);
	done();
}

TEST(calling_the_guest)
{
	struct net_tuple t = {.guest.port = 8080, .remote.port = 50000};
	const struct guest_frame *f;
	struct stack_tcp *c;
	uint32_t iss;

	ASSERT_OK(guest_init(&g, STACK_TX_CSUM));
	t.guest.addr = g.cfg.guest4;
	t.remote.addr = net_addr_v4((const uint8_t[]){93, 184, 215, 14});
	c = stack_tcp_connect(g.stack, &t, &guest_tcp_ops, &g);
	ASSERT_TRUE(c != NULL);
	ASSERT_TRUE(stack_tcp_connect(g.stack, &t, &guest_tcp_ops, &g) == NULL);
	ASSERT_EQ(errno, EADDRINUSE);
	f = guest_next(&g);
	ASSERT_TRUE(f && f->l4[13] == TCP_SYN);
	iss = get32(f->l4 + 4);
	g.sport = 8080;
	g.dport = 50000;
	guest_tcp(&g, TCP_SYN | TCP_ACK, ISN, iss + 1, 65535, NULL, 0);
	ASSERT_EQ(g.connected, 1);
	expect(TCP_ACK, iss + 1, first, 0);
	stack_tcp_write(c, "GET", 3);
	expect(TCP_ACK | TCP_PSH, iss + 1, first, 3);
	stack_tcp_abort(c);
	expect(TCP_RST | TCP_ACK, iss + 4, first, 0);
	ASSERT_TRUE(stack_tcp_connect(g.stack, &t, &guest_tcp_ops, &g) != NULL);
	iss = get32(guest_next(&g)->l4 + 4);
	guest_tcp(&g, TCP_RST | TCP_ACK, 0, iss + 1, 0, NULL, 0);
	ASSERT_EQ(g.closed, 1);
	ASSERT_EQ(g.why, STACK_END_RESET);
	done();
}

TEST(a_batch_is_acknowledged_once)
{
	uint32_t seq = open_tso();

	stack_hold(g.stack);
	for (unsigned int i = 0; i < 4; i++)
		guest_tcp(&g, TCP_ACK | TCP_PSH, first + 5 * i, seq, 512, "hello", 5);
	ASSERT_EQ(buf_len(&g.got), 20);
	ASSERT_TRUE(guest_next(&g) == NULL);
	stack_release(g.stack, false);
	expect(TCP_ACK, seq, first + 20, 0);
	done();
}

/* A request of one byte; is it acknowledged at once? */
static bool request(uint32_t *ask, uint32_t seq)
{
	bool at_once;

	guest_tcp(&g, TCP_ACK | TCP_PSH, (*ask)++, seq, 512, "?", 1);
	at_once = guest_next(&g) != NULL;
	ASSERT_TRUE(guest_next(&g) == NULL);
	return at_once;
}

/* Requests and answers in turn, until a request waits for its answer; how many were answered. */
static unsigned int talk(uint32_t *ask, uint32_t *seq)
{
	unsigned int n = 0;

	while (request(ask, *seq)) {
		ASSERT_TRUE(++n < 1000);
		ASSERT_EQ(stack_tcp_write(g.tcp, "!", 1), 1);
		expect(TCP_ACK | TCP_PSH, (*seq)++, *ask, 1);
	}
	return n;
}

TEST(acknowledgements_wait_for_what_waits)
{
	static uint8_t data[60000];
	uint32_t seq = open_tso();
	uint32_t ask = first;

	stack_hold(g.stack);
	guest_tcp(&g, TCP_ACK | TCP_PSH, ask, seq, 512, data, 1);
	stack_release(g.stack, true);
	ASSERT_TRUE(guest_next(&g) == NULL);
	stack_hold(g.stack);
	stack_release(g.stack, false);
	expect(TCP_ACK, seq, ++ask, 0);
	/* Each frame begins inside the window; a quarter of it is much. */
	for (unsigned int i = 1; i <= 10; i++, ask += sizeof(data)) {
		stack_hold(g.stack);
		guest_tcp(&g, TCP_ACK | TCP_PSH, ask, seq, 512, data, sizeof(data));
		stack_release(g.stack, true);
		if (i % 5 == 0)
			expect(TCP_ACK, seq, ask + sizeof(data), 0);
		else
			ASSERT_TRUE(guest_next(&g) == NULL);
	}
	/* Nothing has come after all. */
	stack_hold(g.stack);
	guest_tcp(&g, TCP_ACK | TCP_PSH, ask++, seq, 512, data, 1);
	stack_release(g.stack, true);
	guest_wait(&g, NSEC_PER_MSEC);
	expect(TCP_ACK, seq, ask, 0);
	/* Bytes of ours take it along. */
	stack_hold(g.stack);
	guest_tcp(&g, TCP_ACK | TCP_PSH, ask, seq, 512, data, 1);
	stack_release(g.stack, true);
	ASSERT_EQ(stack_tcp_write(g.tcp, "!", 1), 1);
	expect(TCP_ACK | TCP_PSH, seq, ask + 1, 1);
	stack_hold(g.stack);
	stack_release(g.stack, false);
	done();
}

TEST(answers_carry_acknowledgements)
{
	uint32_t seq = open_tso();
	uint32_t ask = first;

	ASSERT_EQ(talk(&ask, &seq), ANSWERS_WANTED);
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(stack_tcp_write(g.tcp, "!", 1), 1);
		expect(TCP_ACK | TCP_PSH, seq++, ask, 1);
		ASSERT_TRUE(!request(&ask, seq));
	}
	/* None comes: a little later the request is acknowledged all the same, the next one soon.
	 */
	guest_wait(&g, DELAYED_ACK_NS);
	expect(TCP_ACK, seq, ask, 0);
	ASSERT_EQ(talk(&ask, &seq), 4 * ANSWERS_WANTED);
	/* Late answers are none. */
	guest_wait(&g, DELAYED_ACK_NS);
	expect(TCP_ACK, seq, ask, 0);
	for (int i = 0; i < 2 * ANSWERS_WANTED_MAX; i++) {
		ASSERT_TRUE(request(&ask, seq));
		guest_wait(&g, DELAYED_ACK_NS);
		ASSERT_EQ(stack_tcp_write(g.tcp, "!", 1), 1);
		expect(TCP_ACK | TCP_PSH, seq++, ask, 1);
	}
	done();
}

TEST(a_slow_link_gets_small_windows_and_segments)
{
	struct stack_config cfg = {
		.offload = STACK_TX_CSUM | STACK_TX_TSO4, .max_window = 20000, .max_segment = 5000};
	static uint8_t data[20000];
	struct net_tuple t;
	uint32_t iss, seq;

	ASSERT_OK(guest_init_with(&g, &cfg));
	guest_tcp(&g, TCP_SYN, ISN, 0, 65535, NULL, 0);
	stack_tcp_accept(g.tcp);
	iss = get32(g.frames[0].l4 + 4);
	ASSERT_EQ(get16(guest_next(&g)->l4 + 14), 20000);
	seq = iss + 1;
	guest_tcp(&g, TCP_ACK, first, seq, 65535, NULL, 0);
	g.keep = true;
	guest_tcp(&g, TCP_ACK, first, seq, 65535, data, 12000); /* no PSH, but much of so little */
	expect(TCP_ACK, seq, first + 12000, 0);
	guest_tcp(&g, TCP_ACK, first + 12000, seq, 65535, data, 9000);
	expect(TCP_ACK, seq, first + 20000, 0);
	ASSERT_EQ(stack_stats(g.stack)->tcp_out_of_window, 1);
	/* Once there is room, the guest hears of it, though it be less than two segments. */
	stack_tcp_consume(g.tcp, 20000);
	expect(TCP_ACK, seq, first + 20000, 0);
	ASSERT_EQ(stack_tcp_write(g.tcp, data, sizeof(data)), sizeof(data));
	ASSERT_TRUE(guest_next(&g)->body_len <= 5000);
	guest_drop(&g);
	/* One more connection shares, but each has 16 KiB. */
	t = *stack_tcp_tuple(g.tcp);
	t.remote.port++;
	ASSERT_TRUE(stack_tcp_connect(g.stack, &t, &guest_tcp_ops, &g) != NULL);
	ASSERT_EQ(get16(guest_next(&g)->l4 + 14), 16384);
	done();
}

/* What there is room for is what is read in one turn: a guest that takes all at once must not keep
 * it small. */
TEST(whoever_has_much_to_say_gets_room)
{
	struct iovec iov[2];
	size_t room;
	int n;

	(void)open_tso();
	/* Less than there was room for asks for no more. */
	ASSERT_EQ(stack_tcp_reserve(g.tcp, iov, &n), RING_MIN);
	stack_tcp_commit(g.tcp, RING_MIN / 2);
	ASSERT_EQ(g.tcp->tx.cap, RING_MIN);
	for (uint32_t cap = 2 * RING_MIN; cap <= RING_MAX; cap *= 2) {
		room = stack_tcp_reserve(g.tcp, iov, &n);
		stack_tcp_commit(g.tcp, room);
		ASSERT_EQ(g.tcp->tx.cap, cap);
		while (tcp_inflight(g.tcp) > 0) {
			guest_drop(&g);
			guest_tcp(&g, TCP_ACK, first, g.tcp->snd_nxt, 65535, NULL, 0);
		}
	}
	done();
}

TEST(budget)
{
	struct stack_config cfg = {.max_bytes = 64 * 1024};
	static uint8_t data[40000];
	struct iovec iov[2];
	uint32_t seq;
	int n;

	ASSERT_OK(guest_init_with(&g, &cfg));
	seq = open_with(0);
	stack_tcp_write(g.tcp, data, 100);
	g.keep = true;
	guest_tcp(&g, TCP_ACK | TCP_PSH, first, seq, 0, data, sizeof(data)); /* would need 64 KiB */
	ASSERT_EQ(stack_stats(g.stack)->budget_drops, 1);
	ASSERT_TRUE(stack_stats(g.stack)->bytes_now <= cfg.max_bytes);
	guest_drop(&g);
	guest_tcp(&g, TCP_RST, first, 0, 0, NULL, 0);
	ASSERT_EQ(stack_stats(g.stack)->bytes_now, 0);
	/* An owner that finds no budget at all is called when it may try again. */
	guest_tcp(&g, TCP_SYN, ISN, 0, 512, NULL, 0);
	g.stack->budget.used = cfg.max_bytes;
	ASSERT_EQ(stack_tcp_reserve(g.tcp, iov, &n), 0);
	g.stack->budget.used = 0;
	guest_wait(&g, NSEC_PER_SEC);
	ASSERT_EQ(g.writable, 1);
	ASSERT_TRUE(stack_tcp_reserve(g.tcp, iov, &n) > 0);
	done();
}

TEST(memory_may_fail_anywhere)
{
	FAULT_LOOP({
		if (guest_init(&g, STACK_TX_CSUM) == 0) {
			guest_tcp(&g, TCP_SYN, ISN, 0, 65535, NULL, 0);
			if (g.tcp) {
				stack_tcp_accept(g.tcp);
				guest_tcp(&g, TCP_ACK, first, g.tcp->iss + 1, 65535, NULL, 0);
				g.keep = true;
				(void)stack_tcp_write(g.tcp, "abc", 3);
				guest_tcp(&g, TCP_ACK, first, g.tcp->iss + 1, 65535, "abc", 3);
				guest_wait(&g, NSEC_PER_SEC);
			}
			guest_udp(&g, "x", 1);
		}
		guest_deinit(&g);
	});
}
