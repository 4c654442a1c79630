/* SPDX-License-Identifier: Apache-2.0 */
/* A driver on one side, the other end of the socket on the other. */
#include <linux/virtio_net.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/net.h"

#include "test.h"
#include "testdrv.h"

enum { RX, TX };

struct rig {
	struct drv d;
	struct virtio_net n;
	int peer;
	int fd;
};

static const uint8_t mac[VIRTIO_NET_MAC] = {2, 0x6d, 0x73, 0, 7, 2};

static void rig_init(struct rig *g, uint64_t features, uint16_t size)
{
	int buffer = NETFRAME_SOCKET_BUFFER;
	int fds[2];

	ASSERT_OK(io_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds));
	g->peer = fds[0];
	g->fd = fds[1];
	ASSERT_OK(setsockopt(g->peer, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)));
	ASSERT_OK(setsockopt(g->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)));
	ASSERT_OK(drv_init(&g->d));
	ASSERT_OK(virtio_net_init(&g->n, &g->d.env, g->fd, mac));
	drv_attach(&g->d, &g->n.dev);
	drv_start(&g->d, features, size);
}

static void rig_deinit(struct rig *g)
{
	virtio_net_deinit(&g->n);
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

/* A frame for the guest: header, then bytes that count. */
static void say(struct rig *g, size_t len, uint8_t flags, uint8_t gso)
{
	static uint8_t m[NETFRAME_MAX + 1];
	struct virtio_net_hdr_v1 h = {.flags = flags, .gso_type = gso, .num_buffers = 77};

	for (size_t i = 0; i < len; i++)
		m[i] = (uint8_t)i;
	memcpy(m, &h, sizeof(h));
	ASSERT_EQ(send(g->peer, m, len, 0), (ssize_t)len);
}

static uint16_t buffers_of(struct rig *g, uint64_t at)
{
	struct virtio_net_hdr_v1 h;

	memcpy(&h, drv_ptr(&g->d, at), sizeof(h));
	return h.num_buffers;
}

TEST(what_the_driver_is_offered)
{
	struct rig g;

	rig_init(&g, UINT64_MAX, 64);
	for (uint32_t i = 0; i < VIRTIO_NET_MAC; i++) {
		uint8_t b = 0;

		(void)bus_read(&g.d.bus, DRV_MMIO + VIRTIO_MMIO_CONFIG + i, &b, 1);
		ASSERT_EQ(b, mac[i]);
	}
	uint16_t status = 0;
	(void)bus_read(&g.d.bus, DRV_MMIO + VIRTIO_MMIO_CONFIG + 6, &status, 2);
	ASSERT_EQ(status, VIRTIO_NET_S_LINK_UP);
	rig_deinit(&g);
}

TEST(a_frame_out_of_pieces)
{
	struct rig g;
	uint8_t m[4096];
	uint32_t id;
	uint32_t len;

	rig_init(&g, UINT64_MAX, 64);
	uint64_t at = drv_alloc(&g.d, 2000);
	struct drv_buf b[3] = {{at, 12, false}, {at + 12, 14, false}, {at + 26, 1000, false}};

	memset(drv_ptr(&g.d, at), 0x5a, 1026);
	(void)drv_submit(&g.d, TX, b, 3);
	drv_kick(&g.d, TX);
	ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), 1026);
	ASSERT_EQ(m[1025], 0x5a);
	ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	ASSERT_EQ(len, 0);
	rig_deinit(&g);
}

TEST(the_largest_frame_goes_both_ways)
{
	static uint8_t m[NETFRAME_MAX];
	struct rig g;
	uint32_t id;
	uint32_t len;
	uint32_t sum = 0;
	unsigned int n = 0;

	rig_init(&g, UINT64_MAX, 64);
	uint64_t out = drv_alloc(&g.d, NETFRAME_MAX);
	struct drv_buf b = {out, NETFRAME_MAX, false};
	(void)drv_submit(&g.d, TX, &b, 1);
	drv_kick(&g.d, TX);
	ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), NETFRAME_MAX);

	uint64_t first = room(&g, 1526);
	for (unsigned int i = 1; i < 50; i++)
		(void)room(&g, 1526);
	drv_kick(&g.d, RX);
	say(&g, NETFRAME_MAX, VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4);
	drv_pump(&g.d);
	while (drv_used(&g.d, RX, &id, &len)) {
		sum += len;
		n++;
	}
	ASSERT_EQ(sum, NETFRAME_MAX);
	ASSERT_EQ(n, (NETFRAME_MAX + 1525) / 1526);
	ASSERT_EQ(buffers_of(&g, first), n);
	ASSERT_EQ(((uint8_t *)drv_ptr(&g.d, first))[1525], (uint8_t)1525);
	rig_deinit(&g);
}

TEST(a_frame_waits_for_buffers)
{
	struct rig g;
	uint32_t id;
	uint32_t len;

	rig_init(&g, UINT64_MAX, 64);
	say(&g, 1000, 0, 0);
	drv_pump(&g.d);
	ASSERT_TRUE(g.n.starved);
	(void)room(&g, 600);
	drv_kick(&g.d, RX);
	ASSERT_TRUE(g.n.starved);
	ASSERT_TRUE(!drv_used(&g.d, RX, &id, &len));
	(void)room(&g, 600);
	drv_kick(&g.d, RX);
	ASSERT_TRUE(!g.n.starved);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(len, 600);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(len, 400);
	rig_deinit(&g);
}

TEST(a_frame_that_never_fits_is_dropped)
{
	struct rig g;
	uint32_t id;
	uint32_t len;

	/* All buffers of the ring together are too few: waiting would be for ever. */
	rig_init(&g, UINT64_MAX, 4);
	for (unsigned int i = 0; i < 4; i++)
		(void)room(&g, 100);
	drv_kick(&g.d, RX);
	say(&g, 1000, 0, 0);
	say(&g, 90, 0, 0);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(len, 90);
	ASSERT_EQ(g.n.dev.stats.dropped, 1000);
	rig_deinit(&g);
}

TEST(a_driver_gets_what_it_understands)
{
	const uint64_t plain = UINT64_C(1) << VIRTIO_F_VERSION_1;
	struct rig g;
	uint32_t id;
	uint32_t len;

	rig_init(&g, plain, 64);
	uint64_t at = room(&g, 2000);
	(void)room(&g, 2000);
	drv_kick(&g.d, RX);
	say(&g, 200, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
	say(&g, 300, 0, VIRTIO_NET_HDR_GSO_TCPV4);
	say(&g, 400, 0, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN);
	say(&g, 500, 0, VIRTIO_NET_HDR_GSO_UDP);
	say(&g, 3000, 0, 0); /* more than one buffer, and they cannot be merged */
	say(&g, 600, 0, 0);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(len, 600);
	ASSERT_EQ(buffers_of(&g, at), 1);
	ASSERT_TRUE(!drv_used(&g.d, RX, &id, &len));
	ASSERT_EQ(g.n.dev.stats.dropped, 200 + 300 + 400 + 500 + 3000);
	rig_deinit(&g);
}

TEST(frames_of_wrong_length_are_dropped)
{
	struct rig g;
	uint8_t m[64];
	uint32_t id;
	uint32_t len;

	rig_init(&g, UINT64_MAX, 64);
	uint64_t at = drv_alloc(&g.d, NETFRAME_MAX + 1);
	struct drv_buf small = {at, NETFRAME_HEADER + NETFRAME_ETH - 1, false};
	struct drv_buf large = {at, NETFRAME_MAX + 1, false};
	struct drv_buf none = {at, 100, true};

	(void)drv_submit(&g.d, TX, &small, 1);
	(void)drv_submit(&g.d, TX, &large, 1);
	(void)drv_submit(&g.d, TX, &none, 1);
	drv_kick(&g.d, TX);
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	ASSERT_EQ(recv(g.peer, m, sizeof(m), 0), -1);
	ASSERT_TRUE(!g.n.gone);
	rig_deinit(&g);
}

TEST(a_buffer_for_the_device_to_read_breaks_the_receive_queue)
{
	struct rig g;

	rig_init(&g, UINT64_MAX, 64);
	uint64_t at = drv_alloc(&g.d, 100);
	struct drv_buf b = {at, 100, false};

	(void)drv_submit(&g.d, RX, &b, 1);
	drv_kick(&g.d, RX);
	say(&g, 80, 0, 0);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_status(&g.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Its frame waits for the driver to come back to its senses. */
	drv_start(&g.d, UINT64_MAX, 64);
	uint64_t to = room(&g, 100);
	drv_kick(&g.d, RX);
	ASSERT_EQ(buffers_of(&g, to), 1);
	rig_deinit(&g);
}

TEST(a_full_socket_waits)
{
	struct rig g;
	uint8_t m[2048];
	unsigned int sent = 0;
	unsigned int heard = 0;
	uint32_t id;
	uint32_t len;

	rig_init(&g, UINT64_MAX, 64);
	uint64_t at = drv_alloc(&g.d, 2048);
	struct drv_buf b = {at, 2048, false};

	while (!g.n.blocked && sent < 100000) {
		(void)drv_submit(&g.d, TX, &b, 1);
		drv_kick(&g.d, TX);
		while (drv_used(&g.d, TX, &id, &len))
			;
		sent++;
	}
	ASSERT_TRUE(g.n.blocked);
	while (recv(g.peer, m, sizeof(m), 0) == (ssize_t)sizeof(m))
		heard++;
	drv_pump(&g.d);
	ASSERT_TRUE(!g.n.blocked);
	while (recv(g.peer, m, sizeof(m), 0) == (ssize_t)sizeof(m))
		heard++;
	ASSERT_EQ(heard, sent);
	rig_deinit(&g);
}

TEST(without_its_process_the_link_is_down)
{
	struct rig g;
	uint32_t id;
	uint32_t len;
	uint16_t status = 7;

	rig_init(&g, UINT64_MAX, 64);
	g.peer = fd_close(g.peer);
	drv_pump(&g.d);
	ASSERT_TRUE(g.n.gone);
	(void)bus_read(&g.d.bus, DRV_MMIO + VIRTIO_MMIO_CONFIG + 6, &status, 2);
	ASSERT_EQ(status, 0);
	ASSERT_TRUE(virtio_dev_isr(&g.n.dev) & VIRTIO_IRQ_CONFIG);
	/* The guest can still get rid of its frames. */
	uint64_t at = drv_alloc(&g.d, 100);
	struct drv_buf b = {at, 100, false};
	(void)drv_submit(&g.d, TX, &b, 1);
	drv_kick(&g.d, TX);
	ASSERT_TRUE(drv_used(&g.d, TX, &id, &len));
	rig_deinit(&g);
}

TEST(a_packet_that_is_no_frame_ends_the_link)
{
	struct rig g;

	rig_init(&g, UINT64_MAX, 64);
	(void)room(&g, 2000);
	drv_kick(&g.d, RX);
	say(&g, NETFRAME_HEADER + NETFRAME_ETH - 1, 0, 0);
	drv_pump(&g.d);
	ASSERT_TRUE(g.n.gone);
	rig_deinit(&g);
}
