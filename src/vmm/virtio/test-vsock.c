/* SPDX-License-Identifier: Apache-2.0 */
/* A driver on one side, the other end of the socket on the other. */
#include <endian.h>
#include <linux/virtio_vsock.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/vsock.h"

#include "test.h"
#include "testdrv.h"

enum { RX, TX, EVENT };

struct rig {
	struct drv d;
	struct virtio_vsock v;
	int peer;
	int fd;
};

static void rig_init(struct rig *g)
{
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds));
	g->peer = fds[0];
	g->fd = fds[1];
	ASSERT_OK(drv_init(&g->d));
	ASSERT_OK(virtio_vsock_init(&g->v, &g->d.env, g->fd));
	drv_attach(&g->d, &g->v.dev);
	drv_start(&g->d, UINT64_MAX, 16);
}

static void rig_deinit(struct rig *g)
{
	virtio_vsock_deinit(&g->v);
	drv_deinit(&g->d);
	fd_close(g->peer);
	fd_close(g->fd);
}

static uint64_t room(struct rig *g, uint32_t len)
{
	uint64_t at = drv_alloc(&g->d, len);
	struct drv_buf b = {at, len, true};

	(void)drv_submit(&g->d, RX, &b, 1);
	return at;
}

/* A packet for the guest with @len bytes that count. */
static void say(struct rig *g, size_t len)
{
	static uint8_t m[VSOCKLINK_HEADER + VSOCKLINK_TO_GUEST_MAX + 1];
	struct virtio_vsock_hdr h = {.len = htole32((uint32_t)len), .op = htole16(5)};

	for (size_t i = 0; i < len; i++)
		m[sizeof(h) + i] = (uint8_t)i;
	memcpy(m, &h, sizeof(h));
	ASSERT_EQ(send(g->peer, m, sizeof(h) + len, 0), (ssize_t)(sizeof(h) + len));
}

static uint32_t length_at(struct rig *g, uint64_t at)
{
	struct virtio_vsock_hdr h;

	memcpy(&h, drv_ptr(&g->d, at), sizeof(h));
	ASSERT_EQ(le16toh(h.op), 5);
	return le32toh(h.len);
}

TEST(who_the_guest_is)
{
	struct rig g;
	uint64_t cid = 0;

	rig_init(&g);
	for (uint32_t i = 0; i < 8; i++) {
		uint8_t b = 0;

		(void)bus_read(&g.d.bus, DRV_MMIO + VIRTIO_MMIO_CONFIG + i, &b, 1);
		cid |= (uint64_t)b << (8 * i);
	}
	ASSERT_EQ(cid, VSOCKLINK_CID_GUEST);
	rig_deinit(&g);
}

TEST(a_packet_out_of_pieces)
{
	struct rig g;
	uint8_t m[4096];
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	uint64_t at = drv_alloc(&g.d, 2000);
	struct drv_buf b[3] = {{at, 40, false}, {at + 40, 4, false}, {at + 44, 1000, false}};

	memset(drv_ptr(&g.d, at), 0x5a, 1044);
	(void)drv_submit(&g.d, TX, b, 3);
	drv_kick(&g.d, TX);
	ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), 1044);
	ASSERT_EQ(m[1043], 0x5a);
	ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	ASSERT_EQ(len, 0);
	rig_deinit(&g);
}

/* A packet is cut to the buffers of the guest, each with a header of its own. */
TEST(a_packet_in_several_buffers)
{
	struct rig g;
	uint64_t at[3];
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	for (unsigned int i = 0; i < 2; i++)
		at[i] = room(&g, 144);
	say(&g, 250);
	drv_kick(&g.d, RX);
	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
		ASSERT_EQ(len, 144);
		ASSERT_EQ(length_at(&g, at[i]), 100);
		ASSERT_EQ(((const uint8_t *)drv_ptr(&g.d, at[i]))[44 + 7], i * 100 + 7);
	}
	/* The rest waits for a buffer, and so does what comes after it. */
	ASSERT_TRUE(!drv_used(&g.d, RX, &id, &len));
	ASSERT_TRUE(!drv_busy(&g.d));
	say(&g, 0);
	at[2] = room(&g, 4096);
	drv_kick(&g.d, RX);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(len, 44 + 50);
	ASSERT_EQ(length_at(&g, at[2]), 50);
	ASSERT_EQ(((const uint8_t *)drv_ptr(&g.d, at[2]))[44], 200);
	at[2] = room(&g, 4096);
	drv_kick(&g.d, RX);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(len, 44);
	rig_deinit(&g);
}

TEST(the_largest_packet_goes_both_ways)
{
	static uint8_t m[VSOCKLINK_HEADER + VSOCKLINK_FROM_GUEST_MAX];
	struct rig g;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	uint64_t at = drv_alloc(&g.d, sizeof(m) + 1);
	struct drv_buf b = {at, sizeof(m), false};

	(void)drv_submit(&g.d, TX, &b, 1);
	drv_kick(&g.d, TX);
	ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), (ssize_t)sizeof(m));
	b.len++;
	(void)drv_submit(&g.d, TX, &b, 1);
	b.len = VSOCKLINK_HEADER - 1;
	(void)drv_submit(&g.d, TX, &b, 1);
	drv_kick(&g.d, TX);
	ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), -1);
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	ASSERT_EQ(g.v.dev.stats.malformed, 2);
	at = room(&g, sizeof(m));
	say(&g, VSOCKLINK_TO_GUEST_MAX);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(length_at(&g, at), VSOCKLINK_TO_GUEST_MAX);
	rig_deinit(&g);
}

TEST(buffers_of_the_wrong_kind)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct rig g;
		uint32_t id;
		uint32_t len;

		rig_init(&g);
		uint64_t at = drv_alloc(&g.d, 4096);
		struct drv_buf b = {at, i ? 44 : 4096, i != 0};

		(void)drv_submit(&g.d, RX, &b, 1);
		say(&g, 10);
		drv_kick(&g.d, RX);
		ASSERT_TRUE(!drv_used(&g.d, RX, &id, &len));
		ASSERT_TRUE(drv_status(&g.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
		ASSERT_TRUE(!drv_busy(&g.d));
		rig_deinit(&g);
	}
}

/* Nobody reads at the other end: the guest's packets wait, in order. */
TEST(a_full_socket)
{
	static uint8_t m[VSOCKLINK_HEADER + 30000];
	struct rig g;
	unsigned int sent = 0;
	unsigned int got = 0;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	uint64_t at = drv_alloc(&g.d, sizeof(m));

	for (unsigned int i = 0; i < 14; i++, sent++) {
		struct drv_buf b = {at, sizeof(m), false};

		(void)drv_submit(&g.d, TX, &b, 1);
	}
	drv_kick(&g.d, TX);
	ASSERT_TRUE(g.v.blocked);
	while (got < sent) {
		ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), (ssize_t)sizeof(m));
		got++;
		drv_pump(&g.d);
	}
	for (unsigned int i = 0; i < sent; i++)
		ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	ASSERT_TRUE(!drv_used(&g.d, TX, &id, &len));
	rig_deinit(&g);
}

TEST(the_end_of_the_process)
{
	struct rig g;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	g.peer = fd_close(g.peer);
	drv_pump(&g.d);
	uint64_t at = drv_alloc(&g.d, 100);
	struct drv_buf b = {at, 100, false};

	(void)drv_submit(&g.d, TX, &b, 1);
	drv_kick(&g.d, TX);
	ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	ASSERT_TRUE(!drv_busy(&g.d));
	rig_deinit(&g);
}
