/* SPDX-License-Identifier: Apache-2.0 */
/* msb-vmm on one side, services of the test on the other. */
#include <endian.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vsock/link.h"

#include "test.h"

enum { PORT = 5000, GUEST = 40000 };

static struct rig {
	struct loop loop;
	struct vsock_mux *mux;
	struct vsock_link link;
	int vmm; /* its end */
	int device;
	uint32_t token;
	uint32_t alloc;
} g;

static struct {
	struct virtio_vsock_hdr h;
	uint8_t data[VSOCKLINK_FROM_GUEST_MAX + 1];
} out, in;

static void on_ready(void *ctx)
{
	(void)ctx;
	vsock_link_ready(&g.link);
}

static void on_dial(void *ctx, uint32_t route, uint32_t token)
{
	(void)ctx;
	(void)route;
	g.token = token;
}

static const struct vsock_mux_ops ops = {.ready = on_ready, .dial = on_dial};

static void pump(void)
{
	for (int i = 0; i < 16; i++)
		ASSERT_OK(loop_once(&g.loop, 0));
}

static void rig_init(void)
{
	static const uint32_t ports[] = {PORT};
	int fds[2];

	memset(&g, 0, sizeof(g));
	g.alloc = 1 << 30;
	ASSERT_OK(loop_init(&g.loop));
	g.mux = vsock_mux_new(&g.loop, ports, 1, &ops, NULL);
	ASSERT_TRUE(g.mux != NULL);
	ASSERT_OK(io_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds));
	g.vmm = fds[0];
	g.device = fds[1];
	ASSERT_OK(vsock_link_init(&g.link, &g.loop, g.device, g.mux));
}

static void rig_deinit(void)
{
	vsock_link_deinit(&g.link);
	g.mux = vsock_mux_free(g.mux);
	loop_deinit(&g.loop);
	fd_close(g.vmm);
	fd_close(g.device);
}

static void say(uint16_t op, size_t len)
{
	out.h = (struct virtio_vsock_hdr){.src_cid = htole64(VSOCK_CID_GUEST),
		.dst_cid = htole64(VSOCK_CID_HOST),
		.src_port = htole32(GUEST),
		.dst_port = htole32(PORT),
		.len = htole32((uint32_t)len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(g.alloc)};
	ASSERT_EQ(send(g.vmm, &out, sizeof(out.h) + len, 0), (ssize_t)(sizeof(out.h) + len));
	pump();
}

/* The next packet for the guest: its op, 0: none. */
static uint16_t next(void)
{
	ssize_t n = recv(g.vmm, &in, sizeof(in), 0);

	if (n < 0)
		return 0;
	ASSERT_TRUE(n >= (ssize_t)sizeof(in.h));
	ASSERT_EQ(le32toh(in.h.len), (size_t)n - sizeof(in.h));
	pump();
	return le16toh(in.h.op);
}

static int connected(void)
{
	int fds[2];

	say(VIRTIO_VSOCK_OP_REQUEST, 0);
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	vsock_mux_dialled(g.mux, g.token, fds[0]);
	pump();
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RESPONSE);
	return fds[1];
}

TEST(bytes_both_ways)
{
	char b[16];

	rig_init();
	cleanup_fd int host = connected();
	memcpy(out.data, "question", 8);
	say(VIRTIO_VSOCK_OP_RW, 8);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 8);
	ASSERT_EQ(send(host, "answer", 6, 0), 6);
	pump();
	ASSERT_EQ(next(), VIRTIO_VSOCK_OP_RW);
	ASSERT_MEMEQ(in.data, "answer", 6);
	ASSERT_EQ(next(), 0);
	rig_deinit();
}

/* msb-vmm does not read: nothing is lost, nothing grows, and the order stays. */
TEST(a_machine_that_is_slow)
{
	static uint8_t chunk[4096];
	uint64_t sent = 0;
	uint64_t got = 0;

	rig_init();
	cleanup_fd int host = connected();
	for (unsigned int quiet = 0; quiet < 8;) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = (uint8_t)((sent + i) / 251);
		n = send(host, chunk, sizeof(chunk), 0);
		quiet = n > 0 ? 0 : quiet + 1;
		sent += n > 0 ? (uint64_t)n : 0;
		pump();
	}
	ASSERT_TRUE(g.link.full);
	ASSERT_TRUE(sent < 8u << 20);
	while (next() == VIRTIO_VSOCK_OP_RW) {
		for (uint32_t i = 0; i < le32toh(in.h.len); i++)
			ASSERT_EQ(in.data[i], (uint8_t)((got + i) / 251));
		got += le32toh(in.h.len);
	}
	ASSERT_EQ(got, sent);
	rig_deinit();
}

/* A machine that breaks the rules of the link is no machine. */
TEST(what_is_no_packet)
{
	static const size_t lengths[] = {1, VSOCKLINK_HEADER - 1, sizeof(out)};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		rig_init();
		ASSERT_EQ(send(g.vmm, &out, lengths[i], 0), (ssize_t)lengths[i]);
		pump();
		ASSERT_TRUE(g.loop.stopped);
		rig_deinit();
	}
}

TEST(the_end_of_the_machine)
{
	rig_init();
	g.vmm = fd_close(g.vmm);
	pump();
	ASSERT_TRUE(g.loop.stopped);
	ASSERT_EQ(g.loop.result, 0);
	rig_deinit();
}
