/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that says what it likes on one side, sockets of the test on the other. */
#include <endian.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vsock/mux.h"

#include "test.h"

enum { PORT = 5000, OTHER = 6000, GUEST = 40000, ALLOC = 256 * 1024, DIALS = 1024 };

struct packet {
	struct virtio_vsock_hdr h;
	ssize_t len; /* -EAGAIN: there is none */
	uint8_t data[VSOCK_BUFFER];
};

static struct rig {
	struct loop loop;
	struct vsock_mux *mux;
	unsigned int ready;
	uint32_t tokens[DIALS];
	uint32_t routes[DIALS];
	unsigned int n_dials;
	uint32_t fwd; /* what the guest has taken */
	struct packet p;
} g;

static void on_ready(void *ctx)
{
	(void)ctx;
	g.ready++;
}

static void on_dial(void *ctx, uint32_t route, uint32_t token)
{
	(void)ctx;
	ASSERT_TRUE(g.n_dials < DIALS);
	g.routes[g.n_dials] = route;
	g.tokens[g.n_dials++] = token;
}

static const struct vsock_mux_ops ops = {.ready = on_ready, .dial = on_dial};

static void rig_init(void)
{
	static const uint32_t ports[] = {PORT, OTHER};

	memset(&g, 0, sizeof(g));
	ASSERT_OK(loop_init(&g.loop));
	g.mux = vsock_mux_new(&g.loop, ports, ARRAY_SIZE(ports), &ops, NULL);
	ASSERT_TRUE(g.mux != NULL);
}

static void rig_deinit(void)
{
	g.mux = vsock_mux_free(g.mux);
	loop_deinit(&g.loop);
}

static struct virtio_vsock_hdr head(uint32_t port, uint16_t op, uint32_t from)
{
	return (struct virtio_vsock_hdr){.src_cid = htole64(VSOCK_CID_GUEST),
		.dst_cid = htole64(VSOCK_CID_HOST),
		.src_port = htole32(from),
		.dst_port = htole32(port),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(ALLOC),
		.fwd_cnt = htole32(g.fwd)};
}

static void say(uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr h = head(PORT, op, GUEST);

	h.flags = htole32(flags);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
}

static void say_data(const void *p, size_t n)
{
	struct virtio_vsock_hdr h = head(PORT, VIRTIO_VSOCK_OP_RW, GUEST);
	struct iovec iov = {(void *)(uintptr_t)p, n};

	h.len = htole32((uint32_t)n);
	vsock_mux_take(g.mux, &h, &iov, 1, n);
}

/* The next packet for the guest, with at most @room bytes; its op, 0: none. */
static uint16_t next_in(size_t room)
{
	struct iovec iov = {g.p.data, room};

	g.p.len = vsock_mux_next(g.mux, &g.p.h, &iov, 1);
	if (g.p.len < 0)
		return 0;
	ASSERT_TRUE((size_t)g.p.len <= room);
	ASSERT_EQ(le32toh(g.p.h.len), g.p.len);
	return le16toh(g.p.h.op);
}

static uint16_t next(void)
{
	return next_in(sizeof(g.p.data));
}

/* Lets the loop see what the sockets have. */
static void pump(void)
{
	for (int i = 0; i < 4; i++)
		ASSERT_OK(loop_once(&g.loop, 0));
}

/* A connection, up to the answer. Return: the service's end. */
static int connected(void)
{
	int fds[2];

	say(VIRTIO_VSOCK_OP_REQUEST, 0);
	ASSERT_EQ(g.n_dials, 1);
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	vsock_mux_dialled(g.mux, g.tokens[0], fds[0]);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RESPONSE);
	ASSERT_EQ(le32toh(g.p.h.dst_port), GUEST);
	ASSERT_EQ(le32toh(g.p.h.src_port), PORT);
	ASSERT_EQ(le32toh(g.p.h.buf_alloc), VSOCK_BUFFER);
	return fds[1];
}

static void expect_reset(void)
{
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RST);
	ASSERT_EQ(next(), 0);
	ASSERT_EQ(vsock_mux_held(g.mux), 0);
}

TEST(bytes_go_both_ways)
{
	char b[16];

	rig_init();
	cleanup_fd int host = connected();
	say_data("question", 8);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 8);
	ASSERT_MEMEQ(b, "question", 8);
	ASSERT_EQ(send(host, "answer", 6, 0), 6);
	pump();
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(g.p.len, 6);
	ASSERT_MEMEQ(g.p.data, "answer", 6);
	ASSERT_EQ(le32toh(g.p.h.fwd_cnt), 8);
	ASSERT_EQ(next(), 0);
	rig_deinit();
}

TEST(only_the_ports_of_the_list)
{
	static const uint32_t ports[] = {0, 1, PORT - 1, PORT + 1, OTHER + 1, UINT32_MAX};

	rig_init();
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct virtio_vsock_hdr h = head(ports[i], VIRTIO_VSOCK_OP_REQUEST, GUEST);

		vsock_mux_take(g.mux, &h, NULL, 0, 0);
		ASSERT_EQ(g.n_dials, 0);
		ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RST);
		ASSERT_EQ(le32toh(g.p.h.src_port), ports[i]);
	}
	ASSERT_EQ(next(), 0);
	rig_deinit();
}

TEST(who_is_not_there_refuses)
{
	rig_init();
	say(VIRTIO_VSOCK_OP_REQUEST, 0);
	ASSERT_EQ(next(), 0);
	vsock_mux_dialled(g.mux, g.tokens[0], -ECONNREFUSED);
	expect_reset();
	ASSERT_EQ(vsock_mux_stats(g.mux).refused, 1);
	rig_deinit();
}

TEST(a_busy_service_is_asked_again)
{
	rig_init();
	say(VIRTIO_VSOCK_OP_REQUEST, 0);
	vsock_mux_dialled(g.mux, g.tokens[0], -EAGAIN);
	ASSERT_EQ(g.n_dials, 1);
	while (g.n_dials < 2)
		ASSERT_OK(loop_once(&g.loop, clock_mono_ns() + NSEC_PER_SEC));
	vsock_mux_dialled(g.mux, g.tokens[1], -ENOENT);
	expect_reset();
	rig_deinit();
}

TEST(packets_of_nobody)
{
	struct virtio_vsock_hdr h;

	rig_init();
	for (uint16_t op = 0; op < 12; op++) {
		if (op == VIRTIO_VSOCK_OP_REQUEST)
			continue;
		say(op, 3);
		ASSERT_EQ(next(), op == VIRTIO_VSOCK_OP_RST ? 0 : VIRTIO_VSOCK_OP_RST);
	}
	h = head(PORT, VIRTIO_VSOCK_OP_REQUEST, GUEST);
	h.src_cid = htole64(7);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	h = head(PORT, VIRTIO_VSOCK_OP_REQUEST, GUEST);
	h.dst_cid = htole64(1);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	ASSERT_EQ(next(), 0);
	h = head(PORT, VIRTIO_VSOCK_OP_REQUEST, GUEST);
	h.type = htole16(VIRTIO_VSOCK_TYPE_SEQPACKET);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RST);
	ASSERT_EQ(g.n_dials, 0);
	ASSERT_EQ(vsock_mux_stats(g.mux).malformed, 3);
	rig_deinit();
}

/* A length that is not there, one too long, and what is no operation, end the connection or
 * nothing. */
TEST(lies_about_lengths)
{
	static uint8_t much[VSOCK_BUFFER + 1];
	struct virtio_vsock_hdr h;
	struct iovec iov = {much, 10};

	rig_init();
	cleanup_fd int host = connected();
	h = head(PORT, VIRTIO_VSOCK_OP_RW, GUEST);
	h.len = htole32(UINT32_MAX);
	vsock_mux_take(g.mux, &h, &iov, 1, 10);
	ASSERT_EQ(next(), 0);
	ASSERT_EQ(recv(host, much, 1, 0), -1);
	say_data(much, sizeof(much));
	expect_reset();
	rig_deinit();
}

TEST(every_operation_that_is_none_ends_the_connection)
{
	static const uint16_t wrong[] = {VIRTIO_VSOCK_OP_INVALID, VIRTIO_VSOCK_OP_REQUEST,
		VIRTIO_VSOCK_OP_RESPONSE, 8, UINT16_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char b;

		rig_init();
		cleanup_fd int host = connected();
		say(wrong[i], 0);
		ASSERT_EQ(recv(host, &b, 1, 0), 0);
		expect_reset();
		rig_deinit();
	}
}

/* The service does not read: the guest may send what the buffers hold, and no byte more. */
TEST(a_slow_service_holds_the_guest)
{
	static uint8_t chunk[4096];
	uint64_t sent = 0;
	uint64_t told = 0;
	uint64_t got = 0;
	ssize_t n;

	rig_init();
	cleanup_fd int host = connected();
	/* An honest guest: never more than it was told that there is room for. */
	for (;;) {
		while (next() == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
			told = le32toh(g.p.h.fwd_cnt);
		if (sent - told + sizeof(chunk) > VSOCK_BUFFER)
			break;
		memset(chunk, (int)(sent / sizeof(chunk)), sizeof(chunk));
		say_data(chunk, sizeof(chunk));
		sent += sizeof(chunk);
		pump();
	}
	ASSERT_TRUE(sent >= VSOCK_BUFFER && sent < 8u << 20);
	while ((n = recv(host, chunk, sizeof(chunk), 0)) > 0 || got < sent) {
		for (ssize_t i = 0; i < n; i++)
			ASSERT_EQ(chunk[i], (uint8_t)((got + (uint64_t)i) / sizeof(chunk)));
		got += n > 0 ? (uint64_t)n : 0;
		pump();
	}
	ASSERT_EQ(got, sent);
	/* Now the guest is told of all of it. */
	while (next() == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
		told = le32toh(g.p.h.fwd_cnt);
	ASSERT_TRUE(sent - told <= VSOCK_BUFFER / 2);
	rig_deinit();
}

TEST(a_guest_that_ignores_its_credit_is_cut_off)
{
	static uint8_t chunk[VSOCK_BUFFER];
	unsigned int i;

	rig_init();
	cleanup_fd int host = connected();
	ASSERT_OK(host);
	for (i = 0; i < 1000 && vsock_mux_stats(g.mux).malformed == 0; i++)
		say_data(chunk, sizeof(chunk));
	ASSERT_TRUE(i > 1 && i < 1000);
	while (next() != VIRTIO_VSOCK_OP_RST)
		ASSERT_TRUE(g.p.len >= 0);
	ASSERT_EQ(vsock_mux_held(g.mux), 0);
	rig_deinit();
}

/* No more than the guest has said, in each packet and in all; nothing it says makes it more. */
TEST(the_guest_s_room_is_respected)
{
	struct virtio_vsock_hdr h;
	static uint8_t much[20000];
	size_t got = 0;

	rig_init();
	cleanup_fd int host = connected();
	ASSERT_EQ(send(host, much, sizeof(much), 0), (ssize_t)sizeof(much));
	h = head(PORT, VIRTIO_VSOCK_OP_CREDIT_UPDATE, GUEST);
	h.buf_alloc = htole32(5000);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	pump();
	while (next_in(1500) == VIRTIO_VSOCK_OP_RW)
		got += (size_t)g.p.len;
	ASSERT_EQ(got, 5000);
	/* More taken than was ever sent, less room than is in use: that is none. */
	h.fwd_cnt = htole32(5001);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	ASSERT_EQ(next(), 0);
	h.fwd_cnt = htole32(UINT32_MAX);
	h.buf_alloc = htole32(10);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	ASSERT_EQ(next(), 0);
	h.fwd_cnt = htole32(5000);
	h.buf_alloc = htole32(15000);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	while (next_in(VSOCK_BUFFER) == VIRTIO_VSOCK_OP_RW)
		got += (size_t)g.p.len;
	ASSERT_EQ(got, sizeof(much));
	rig_deinit();
}

TEST(credit_when_asked)
{
	rig_init();
	cleanup_fd int host = connected();
	ASSERT_OK(host);
	say_data("abc", 3);
	ASSERT_EQ(next(), 0);
	say(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ASSERT_EQ(le32toh(g.p.h.fwd_cnt), 3);
	ASSERT_EQ(next(), 0);
	rig_deinit();
}

TEST(the_guest_has_said_all)
{
	char b[8];

	rig_init();
	cleanup_fd int host = connected();
	say_data("last", 4);
	say(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 4);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 0);
	ASSERT_EQ(send(host, "thanks", 6, MSG_NOSIGNAL), 6);
	pump();
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(g.p.len, 6);
	/* Who has said all and says more is wrong. */
	say_data("x", 1);
	expect_reset();
	rig_deinit();
}

TEST(the_guest_takes_no_more)
{
	char b[8];

	rig_init();
	int host = connected();
	ASSERT_EQ(send(host, "answer", 6, 0), 6);
	pump();
	say(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV);
	ASSERT_EQ(next(), 0);
	say_data("still", 5);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 5);
	/* The end of the socket is there, and room for it, and nobody who takes it. */
	fd_close(host);
	pump();
	ASSERT_EQ(next(), 0);
	rig_deinit();
}

TEST(the_service_has_said_all)
{
	char b[8];

	rig_init();
	cleanup_fd int host = connected();
	ASSERT_EQ(send(host, "last", 4, 0), 4);
	ASSERT_OK(shutdown(host, SHUT_WR));
	pump();
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_SHUTDOWN);
	ASSERT_EQ(le32toh(g.p.h.flags), VIRTIO_VSOCK_SHUTDOWN_SEND);
	ASSERT_EQ(next(), 0);
	say_data("still", 5);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 5);
	/* The guest ends, too: it is told that the connection is no more. */
	say(VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 0);
	expect_reset();
	rig_deinit();
}

TEST(a_service_that_goes_away)
{
	int host;

	rig_init();
	host = connected();
	ASSERT_EQ(send(host, "bye", 3, 0), 3);
	fd_close(host);
	pump();
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RW);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_SHUTDOWN);
	ASSERT_EQ(le32toh(g.p.h.flags) & VIRTIO_VSOCK_SHUTDOWN_SEND, VIRTIO_VSOCK_SHUTDOWN_SEND);
	say_data("x", 1);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_SHUTDOWN);
	ASSERT_EQ(le32toh(g.p.h.flags), 3);
	pump();
	ASSERT_EQ(vsock_mux_held(g.mux), 1);
	say(VIRTIO_VSOCK_OP_RST, 0);
	ASSERT_EQ(next(), 0);
	ASSERT_EQ(vsock_mux_held(g.mux), 0);
	rig_deinit();
}

/* What was sent before the guest closed comes through, also when the service reads late. */
TEST(the_last_bytes_of_a_guest_that_closes)
{
	static uint8_t chunk[4096];
	uint64_t sent = 0;
	uint64_t got = 0;
	ssize_t n = 1;

	rig_init();
	cleanup_fd int host = connected();
	/* More than the service's socket takes, so that some of it waits here. */
	while (sent < 4u << 20) {
		uint32_t told = sent > 0 ? le32toh(g.p.h.fwd_cnt) : 0;

		if (sent - told + sizeof(chunk) > VSOCK_BUFFER)
			break;
		say_data(chunk, sizeof(chunk));
		sent += sizeof(chunk);
		say(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
		ASSERT_EQ(next(), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	say(VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	ASSERT_EQ(next(), 0);
	while (n != 0) {
		n = recv(host, chunk, sizeof(chunk), 0);
		got += n > 0 ? (uint64_t)n : 0;
		pump();
	}
	ASSERT_EQ(got, sent);
	expect_reset();
	rig_deinit();
}

TEST(a_guest_that_gives_up_while_it_waits)
{
	static const uint16_t ways[] = {VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_SHUTDOWN,
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_REQUEST};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		char b;
		int fds[2];

		rig_init();
		say(VIRTIO_VSOCK_OP_REQUEST, 0);
		say(ways[i], 3);
		ASSERT_EQ(next(), i == 0 ? 0 : VIRTIO_VSOCK_OP_RST);
		ASSERT_EQ(vsock_mux_held(g.mux), 1);
		ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
		vsock_mux_dialled(g.mux, g.tokens[0], fds[0]);
		ASSERT_EQ(recv(fds[1], &b, 1, 0), 0);
		fd_close(fds[1]);
		ASSERT_EQ(next(), 0);
		ASSERT_EQ(vsock_mux_held(g.mux), 0);
		rig_deinit();
	}
}

TEST(answers_to_no_question)
{
	static const uint32_t tokens[] = {0, 1, 511, 512, UINT32_MAX};

	rig_init();
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		int fds[2];
		char b;

		ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
		vsock_mux_dialled(g.mux, tokens[i], fds[0]);
		ASSERT_EQ(recv(fds[1], &b, 1, 0), 0);
		fd_close(fds[1]);
	}
	ASSERT_EQ(next(), 0);
	rig_deinit();
}

/* One port's connections are bounded, the other's are its own; places come back. */
TEST(so_many_connections_of_a_port_and_no_more)
{
	struct virtio_vsock_hdr h;
	unsigned int refused = 0;

	rig_init();
	for (uint32_t i = 0; i < VSOCK_STREAMS_MAX + 44; i++) {
		h = head(PORT, VIRTIO_VSOCK_OP_REQUEST, GUEST + i);
		vsock_mux_take(g.mux, &h, NULL, 0, 0);
		refused += next() == VIRTIO_VSOCK_OP_RST;
	}
	ASSERT_EQ(refused, 44);
	ASSERT_EQ(vsock_mux_held(g.mux), VSOCK_STREAMS_MAX);
	ASSERT_EQ(g.n_dials, VSOCK_DIALS_MAX);
	h = head(OTHER, VIRTIO_VSOCK_OP_REQUEST, GUEST);
	vsock_mux_take(g.mux, &h, NULL, 0, 0);
	ASSERT_EQ(next(), 0);
	/* Each answer lets the next one be asked for. */
	for (unsigned int i = 0; i < VSOCK_STREAMS_MAX + 1; i++) {
		ASSERT_TRUE(i < g.n_dials);
		vsock_mux_dialled(g.mux, g.tokens[i], -ECONNREFUSED);
	}
	ASSERT_EQ(g.routes[VSOCK_STREAMS_MAX], 1);
	for (unsigned int i = 0; i < VSOCK_STREAMS_MAX + 1; i++)
		ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RST);
	ASSERT_EQ(next(), 0);
	ASSERT_EQ(vsock_mux_held(g.mux), 0);
	rig_deinit();
}

/* A guest that does not read fills the queue of resets, and then nothing more is taken of it. */
TEST(a_guest_that_does_not_read)
{
	unsigned int n = 0;

	rig_init();
	while (vsock_mux_accepts(g.mux) && n < 10000) {
		say(VIRTIO_VSOCK_OP_RW, 0);
		n++;
	}
	ASSERT_EQ(n, VSOCK_RESETS_MAX);
	ASSERT_EQ(g.ready, 1);
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RST);
	ASSERT_TRUE(vsock_mux_accepts(g.mux));
	rig_deinit();
}

TEST(credit_counts_differences)
{
	ASSERT_EQ(vsock_credit(0, 0, 100), 100);
	ASSERT_EQ(vsock_credit(100, 0, 100), 0);
	ASSERT_EQ(vsock_credit(5, UINT32_MAX - 4, 100), 90);
	ASSERT_EQ(vsock_credit(UINT32_MAX, UINT32_MAX, UINT32_MAX), UINT32_MAX);
	/* Taken more than was sent; room for less than is under way. */
	ASSERT_EQ(vsock_credit(5, 6, 100), 0);
	ASSERT_EQ(vsock_credit(1000, 0, 999), 0);
	ASSERT_EQ(vsock_credit(0, 0, 0), 0);
}

TEST(a_long_conversation)
{
	static uint8_t chunk[VSOCK_BUFFER / 2];
	static uint8_t sink[sizeof(chunk)];
	uint64_t total = 0;

	rig_init();
	cleanup_fd int host = connected();
	for (unsigned int i = 0; i < 40; i++) {
		ASSERT_EQ(send(host, chunk, sizeof(chunk), 0), (ssize_t)sizeof(chunk));
		pump();
		while (next() == VIRTIO_VSOCK_OP_RW)
			g.fwd += (uint32_t)g.p.len;
		say_data(chunk, sizeof(chunk));
		ASSERT_EQ(recv(host, sink, sizeof(sink), MSG_WAITALL), (ssize_t)sizeof(sink));
		total += sizeof(chunk);
	}
	ASSERT_EQ(g.fwd, total);
	rig_deinit();
}

TEST(without_memory)
{
	FAULT_LOOP({
		static const uint32_t ports[] = {PORT};
		struct loop loop;

		if (loop_init(&loop) == 0) {
			struct vsock_mux *m = vsock_mux_new(&loop, ports, 1, &ops, NULL);

			m = vsock_mux_free(m);
			loop_deinit(&loop);
		}
	});
}
