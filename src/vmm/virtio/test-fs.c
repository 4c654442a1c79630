/* SPDX-License-Identifier: Apache-2.0 */
/* A driver on one side, the other end of the socket on the other. */
#include <linux/fuse.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/fs.h"

#include "test.h"
#include "testdrv.h"

enum { REQUEST = 64, REPLY = 128 };

struct rig {
	struct drv d;
	struct virtio_fs f;
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
	ASSERT_OK(virtio_fs_init(&g->f, &g->d.env, g->fd, "share"));
	drv_attach(&g->d, &g->f.dev);
	drv_start(&g->d, UINT64_MAX, 64);
}

static void rig_deinit(struct rig *g)
{
	virtio_fs_deinit(&g->f);
	drv_deinit(&g->d);
	fd_close(g->peer);
	fd_close(g->fd);
}

/* A request in two pieces with room for a reply in two. */
static uint64_t offer(struct rig *g, uint32_t queue, uint64_t unique, uint32_t room)
{
	struct fuse_in_header h = {.len = REQUEST, .opcode = FUSE_GETATTR, .unique = unique};
	uint64_t at = drv_alloc(&g->d, REQUEST + REPLY);
	struct drv_buf b[4] = {{at, 40, false}, {at + 40, REQUEST - 40, false},
		{at + REQUEST, 16, true}, {at + REQUEST + 16, room - 16, true}};

	memcpy(drv_ptr(&g->d, at), &h, sizeof(h));
	memset(drv_ptr(&g->d, at + 40), (int)unique, REQUEST - 40);
	(void)drv_submit(&g->d, queue, b, room ? 4 : 2);
	drv_kick(&g->d, queue);
	return at + REQUEST;
}

static uint64_t hear(struct rig *g, uint32_t *ret_room)
{
	uint8_t m[sizeof(struct fslink_head) + REQUEST + 1];
	struct fslink_head head;
	struct fuse_in_header h;
	ssize_t n = recv(g->peer, m, sizeof(m), 0);

	if (n < 0)
		return 0;
	ASSERT_EQ(n, sizeof(head) + REQUEST);
	memcpy(&head, m, sizeof(head));
	memcpy(&h, m + sizeof(head), sizeof(h));
	ASSERT_EQ(m[n - 1], (uint8_t)h.unique);
	*ret_room = head.room;
	return h.unique;
}

static void say(struct rig *g, uint64_t unique, uint32_t len)
{
	uint8_t m[REPLY];
	struct fuse_out_header out = {.len = len, .unique = unique};

	memset(m, (int)unique, sizeof(m));
	memcpy(m, &out, sizeof(out));
	ASSERT_EQ(send(g->peer, m, len, 0), len);
}

TEST(requests_and_replies_in_order)
{
	struct rig g;
	uint32_t room;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	uint64_t one = offer(&g, 1, 1, REPLY);
	uint64_t two = offer(&g, 1, 2, 100);
	ASSERT_EQ(hear(&g, &room), 1);
	ASSERT_EQ(room, REPLY);
	ASSERT_EQ(hear(&g, &room), 2);
	ASSERT_EQ(room, 100);
	ASSERT_TRUE(!drv_used(&g.d, 1, &id, &len));
	say(&g, 1, 60);
	say(&g, 2, 16);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, 1, &id, &len));
	ASSERT_EQ(len, 60);
	ASSERT_EQ(((uint8_t *)drv_ptr(&g.d, one))[59], 1);
	ASSERT_TRUE(drv_used(&g.d, 1, &id, &len));
	ASSERT_EQ(len, 16);
	ASSERT_EQ(((struct fuse_out_header *)drv_ptr(&g.d, two))->unique, 2);
	rig_deinit(&g);
}

TEST(no_room_no_reply)
{
	struct rig g;
	uint32_t room;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	(void)offer(&g, 0, 5, 0);
	ASSERT_TRUE(drv_used(&g.d, 0, &id, &len));
	ASSERT_EQ(len, 0);
	ASSERT_EQ(hear(&g, &room), 5);
	ASSERT_EQ(room, 0);
	rig_deinit(&g);
}

TEST(a_bounded_number_is_on_its_way)
{
	struct rig g;
	unsigned int n = 0;
	uint32_t room;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	/* 16 descriptors, four for each: as many requests as there are at once, in steps. */
	for (uint64_t i = 1; i <= 4 * VIRTIO_FS_FLIGHTS; i++) {
		(void)offer(&g, 1, i, REPLY);
		ASSERT_EQ(hear(&g, &room), i);
		say(&g, i, 20);
		drv_pump(&g.d);
		while (drv_used(&g.d, 1, &id, &len))
			n++;
	}
	ASSERT_EQ(n, 4 * VIRTIO_FS_FLIGHTS);
	rig_deinit(&g);
}

TEST(a_reply_longer_than_its_room_is_cut)
{
	struct rig g;
	uint32_t room;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	(void)offer(&g, 1, 3, 32);
	ASSERT_EQ(hear(&g, &room), 3);
	say(&g, 3, 90);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, 1, &id, &len));
	ASSERT_EQ(len, 32);
	rig_deinit(&g);
}

TEST(what_is_on_its_way_at_a_reset_lands_nowhere)
{
	struct rig g;
	uint32_t room;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	uint64_t old = offer(&g, 1, 1, REPLY);
	ASSERT_EQ(hear(&g, &room), 1);
	drv_write(&g.d, VIRTIO_MMIO_STATUS, 0);
	memset(drv_ptr(&g.d, old), 0, REPLY);
	drv_start(&g.d, UINT64_MAX, 64);
	uint64_t fresh = offer(&g, 1, 2, REPLY);
	say(&g, 1, 60);
	ASSERT_EQ(hear(&g, &room), 2);
	say(&g, 2, 50);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, 1, &id, &len));
	ASSERT_EQ(len, 50);
	ASSERT_EQ(((struct fuse_out_header *)drv_ptr(&g.d, fresh))->unique, 2);
	ASSERT_EQ(((uint8_t *)drv_ptr(&g.d, old))[8], 0);
	ASSERT_TRUE(!drv_used(&g.d, 1, &id, &len));
	rig_deinit(&g);
}

TEST(without_its_process_every_request_fails)
{
	struct rig g;
	uint32_t room;
	uint32_t id;
	uint32_t len;

	rig_init(&g);
	uint64_t before = offer(&g, 1, 1, REPLY);
	ASSERT_EQ(hear(&g, &room), 1);
	g.peer = fd_close(g.peer);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_used(&g.d, 1, &id, &len));
	ASSERT_EQ(len, 16);
	ASSERT_EQ(((struct fuse_out_header *)drv_ptr(&g.d, before))->error, -EIO);
	uint64_t after = offer(&g, 1, 2, REPLY);
	ASSERT_TRUE(drv_used(&g.d, 1, &id, &len));
	ASSERT_EQ(((struct fuse_out_header *)drv_ptr(&g.d, after))->error, -EIO);
	ASSERT_EQ(((struct fuse_out_header *)drv_ptr(&g.d, after))->unique, 2);
	rig_deinit(&g);
}

TEST(a_full_socket_waits)
{
	struct rig g;
	unsigned int heard = 0;
	uint32_t room;
	char big[4096] = "";
	ssize_t n;

	rig_init(&g);
	/* The peer does not read: what it should find is in front of it already. */
	do {
		n = send(g.fd, big, sizeof(big), MSG_DONTWAIT);
	} while (n > 0);
	(void)offer(&g, 1, 9, REPLY);
	ASSERT_TRUE(g.f.blocked);
	while (recv(g.peer, big, sizeof(big), 0) == (ssize_t)sizeof(big))
		heard++;
	ASSERT_TRUE(heard > 0);
	drv_pump(&g.d);
	ASSERT_EQ(hear(&g, &room), 9);
	rig_deinit(&g);
}

/* A ring that breaks the rules stops the device; what comes afterwards is taken and thrown away. */
TEST(replies_after_a_broken_queue)
{
	struct rig g;
	uint32_t room;
	char m[64];

	rig_init(&g);
	(void)offer(&g, 1, 1, REPLY);
	ASSERT_EQ(hear(&g, &room), 1);
	g.d.q[1].avail_idx = (uint16_t)(g.d.q[1].avail_idx + 200);
	drv_post(&g.d, 1, 0);
	drv_kick(&g.d, 1);
	drv_pump(&g.d);
	ASSERT_TRUE(drv_status(&g.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	say(&g, 1, 60);
	drv_pump(&g.d);
	ASSERT_EQ(g.f.n_flights, 0);
	/* One that nobody asked for ends the connection instead of waking the loop for ever. */
	say(&g, 2, 60);
	drv_pump(&g.d);
	ASSERT_TRUE(g.f.gone);
	ASSERT_EQ(recv(g.fd, m, sizeof(m), MSG_DONTWAIT), -1);
	rig_deinit(&g);
}
