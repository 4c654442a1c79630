/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU and its guest's driver, both of this test: messages, rings, and what is wrong with them. */
#include <endian.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vsock/vhost.h"

#include "test.h"

enum { RX, TX, RING = 8, MEMORY = 1 << 20, PAGE = 4096, USER = 1 << 30, BUFFERS = 64 * 1024 };
enum {
	SET_FEATURES = 2,
	SET_MEM_TABLE = 5,
	SET_NUM = 8,
	SET_ADDR = 9,
	SET_BASE = 10,
	GET_BASE = 11
};
enum { SET_KICK = 12, SET_CALL = 13, SET_ENABLE = 18, GET_CONFIG = 24 };

static struct rig {
	struct loop loop;
	struct vsock_mux *mux;
	struct vsock_vhost v;
	int qemu; /* its end */
	int device;
	uint8_t *mem;
	uint16_t posted[2];
	uint16_t used_seen[2];
	uint32_t token;
	unsigned int dials;
} g;

static void on_ready(void *ctx)
{
	(void)ctx;
	vsock_vhost_ready(&g.v);
}

static void on_dial(void *ctx, uint32_t route, uint32_t token)
{
	(void)ctx;
	(void)route;
	g.token = token;
	g.dials++;
}

static const struct vsock_mux_ops ops = {.ready = on_ready, .dial = on_dial};

static void pump(void)
{
	for (int i = 0; i < 8; i++)
		ASSERT_OK(loop_once(&g.loop, 0));
}

/* A message with at most one descriptor. */
static void say(uint32_t request, const void *payload, uint32_t size, int fd)
{
	uint8_t m[512];
	const struct vhost_user_head h = {request, 1, size};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {m, sizeof(h) + size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(m, &h, sizeof(h));
	memcpy(m + sizeof(h), payload, size);
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	ASSERT_EQ(sendmsg(g.qemu, &msg, 0), (ssize_t)iov.iov_len);
	pump();
}

static uint8_t *ring(unsigned int q)
{
	return g.mem + (size_t)q * 4 * PAGE;
}

static void start_queue(uint32_t q)
{
	const uint64_t base = USER + (uint64_t)q * 4 * PAGE;
	const uint64_t addr[5] = {q, base, base + 2 * PAGE, base + PAGE, 0};
	const uint32_t num[2] = {q, RING};
	const uint32_t zero[2] = {q, 0};
	const uint32_t on[2] = {q, 1};
	const uint64_t kick = q;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ASSERT_OK(fd);
	say(SET_NUM, num, sizeof(num), -1);
	say(SET_BASE, zero, sizeof(zero), -1);
	say(SET_ADDR, addr, sizeof(addr), -1);
	say(SET_ENABLE, on, sizeof(on), -1);
	say(SET_KICK, &kick, sizeof(kick), fd);
	fd_close(fd);
}

static void rig_init(void)
{
	static const uint32_t ports[] = {5000};
	const uint64_t table[5] = {1, 0, MEMORY, USER, 0};
	const uint64_t features = UINT64_C(1) << 32;
	int memory = memfd_create("guest", MFD_CLOEXEC);
	int fds[2];

	memset(&g, 0, sizeof(g));
	ASSERT_OK(memory);
	ASSERT_OK(ftruncate(memory, MEMORY));
	g.mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	ASSERT_TRUE(g.mem != MAP_FAILED);
	ASSERT_OK(loop_init(&g.loop));
	g.mux = vsock_mux_new(&g.loop, ports, 1, &ops, NULL);
	ASSERT_TRUE(g.mux != NULL);
	ASSERT_OK(io_socketpair(SOCK_STREAM, fds));
	g.qemu = fds[0];
	g.device = fds[1];
	ASSERT_OK(vsock_vhost_init(&g.v, &g.loop, g.device, g.mux));
	say(SET_FEATURES, &features, sizeof(features), -1);
	say(SET_MEM_TABLE, table, sizeof(table), memory);
	fd_close(memory);
	start_queue(RX);
	start_queue(TX);
	ASSERT_TRUE(!g.loop.stopped);
}

static void rig_deinit(void)
{
	vsock_vhost_deinit(&g.v);
	g.mux = vsock_mux_free(g.mux);
	loop_deinit(&g.loop);
	fd_close(g.qemu);
	fd_close(g.device);
	ASSERT_OK(munmap(g.mem, MEMORY));
}

static void put_desc(
	unsigned int q, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	const struct vring_desc d = {.addr = addr, .len = len, .flags = flags, .next = next};

	memcpy(ring(q) + i * sizeof(d), &d, sizeof(d));
}

/* The chain that begins at @head is for the device. */
static void post(unsigned int q, uint16_t head)
{
	uint8_t *avail = ring(q) + PAGE;

	memcpy(avail + 4 + (g.posted[q] % RING) * 2, &head, 2);
	g.posted[q]++;
	__atomic_store_n((uint16_t *)(void *)(avail + 2), g.posted[q], __ATOMIC_RELEASE);
	vsock_vhost_ready(&g.v);
	pump();
}

/* Length of the next buffer that came back, -1: none. */
static int64_t came_back(unsigned int q)
{
	const uint8_t *used = ring(q) + 2 * PAGE;
	struct vring_used_elem e;
	uint16_t idx;

	memcpy(&idx, used + 2, 2);
	if (idx == g.used_seen[q])
		return -1;
	memcpy(&e, used + 4 + (g.used_seen[q]++ % RING) * sizeof(e), sizeof(e));
	return e.len;
}

static uint64_t packet(uint16_t op, const void *data, uint32_t len)
{
	const struct virtio_vsock_hdr h = {.src_cid = htole64(VSOCK_CID_GUEST),
		.dst_cid = htole64(VSOCK_CID_HOST),
		.src_port = htole32(40000),
		.dst_port = htole32(5000),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(65536)};

	memcpy(g.mem + BUFFERS, &h, sizeof(h));
	if (len > 0)
		memcpy(g.mem + BUFFERS + sizeof(h), data, len);
	return BUFFERS;
}

static void send_packet(uint16_t op, const void *data, uint32_t len)
{
	put_desc(TX, 0, packet(op, data, len), (uint32_t)sizeof(struct virtio_vsock_hdr) + len, 0,
		0);
	post(TX, 0);
}

/* A buffer for the device, in two pieces that cut the header. */
static void give_room(uint16_t first)
{
	uint64_t at = BUFFERS + (uint64_t)(first + 1) * 8192;

	put_desc(RX, first, at, 20, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, (uint16_t)(first + 1));
	put_desc(RX, (uint16_t)(first + 1), at + 20, 1000, VRING_DESC_F_WRITE, 0);
	post(RX, first);
}

static uint16_t op_at(uint16_t first)
{
	struct virtio_vsock_hdr h;

	memcpy(&h, g.mem + BUFFERS + (size_t)(first + 1) * 8192, sizeof(h));
	return le16toh(h.op);
}

static int connected(void)
{
	int fds[2];

	send_packet(VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	ASSERT_EQ(came_back(TX), 0);
	ASSERT_EQ(g.dials, 1);
	ASSERT_OK(io_socketpair(SOCK_STREAM | SOCK_NONBLOCK, fds));
	vsock_mux_dialled(g.mux, g.token, fds[0]);
	give_room(0);
	ASSERT_EQ(came_back(RX), sizeof(struct virtio_vsock_hdr));
	ASSERT_EQ(op_at(0), VIRTIO_VSOCK_OP_RESPONSE);
	return fds[1];
}

TEST(a_connection_through_rings)
{
	char b[16];

	rig_init();
	cleanup_fd int host = connected();
	send_packet(VIRTIO_VSOCK_OP_RW, "question", 8);
	ASSERT_EQ(came_back(TX), 0);
	ASSERT_EQ(recv(host, b, sizeof(b), 0), 8);
	/* The answer waits for a buffer. */
	ASSERT_EQ(send(host, "answer", 6, 0), 6);
	pump();
	ASSERT_EQ(came_back(RX), -1);
	give_room(2);
	ASSERT_EQ(came_back(RX), sizeof(struct virtio_vsock_hdr) + 6);
	ASSERT_EQ(op_at(2), VIRTIO_VSOCK_OP_RW);
	ASSERT_MEMEQ(g.mem + BUFFERS + 3 * 8192 + sizeof(struct virtio_vsock_hdr), "answer", 6);
	rig_deinit();
}

TEST(which_guest_it_is)
{
	const uint32_t q[5] = {0, 8, 0, 0, 0};
	uint8_t reply[64];
	uint64_t cid;

	rig_init();
	say(GET_CONFIG, q, sizeof(q), -1);
	ASSERT_EQ(recv(g.qemu, reply, sizeof(reply), MSG_DONTWAIT), 12 + (ssize_t)sizeof(q));
	memcpy(&cid, reply + 12 + 12, sizeof(cid));
	ASSERT_EQ(le64toh(cid), VSOCK_CID_GUEST);
	rig_deinit();
}

/* What is wrong with a question about the configuration ends the device. */
TEST(configuration_that_there_is_not)
{
	static const uint32_t wrong[][5] = {
		{0, 9}, {1, 8}, {8, 1}, {UINT32_MAX, 8}, {0, UINT32_MAX}};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		rig_init();
		say(GET_CONFIG, wrong[i], sizeof(wrong[i]), -1);
		ASSERT_TRUE(g.loop.stopped);
		ASSERT_ERR(g.loop.result, EPROTO);
		rig_deinit();
	}
}

/* A packet that is none is given back; the queue goes on. */
TEST(packets_that_are_none)
{
	rig_init();
	put_desc(TX, 0, packet(VIRTIO_VSOCK_OP_REQUEST, NULL, 0), 43, 0, 0);
	post(TX, 0);
	ASSERT_EQ(came_back(TX), 0);
	/* A length that is not there. */
	(void)packet(VIRTIO_VSOCK_OP_RW, "abc", 3);
	put_desc(TX, 0, BUFFERS, sizeof(struct virtio_vsock_hdr) + 2, 0, 0);
	post(TX, 0);
	ASSERT_EQ(came_back(TX), 0);
	ASSERT_EQ(g.dials, 0);
	send_packet(VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	ASSERT_EQ(came_back(TX), 0);
	ASSERT_EQ(g.dials, 1);
	rig_deinit();
}

/* Each of these breaks the queue, and nothing but the queue. */
TEST(chains_that_cannot_be)
{
	for (unsigned int i = 0; i < 4; i++) {
		rig_init();
		switch (i) {
		case 0: /* a loop */
			put_desc(TX, 0, BUFFERS, 44, VRING_DESC_F_NEXT, 0);
			break;
		case 1: /* outside of memory */
			put_desc(TX, 0, MEMORY - 43, 44, 0, 0);
			break;
		case 2: /* an address that wraps */
			put_desc(TX, 0, UINT64_MAX - 10, 44, 0, 0);
			break;
		default: /* a descriptor that is none */
			put_desc(TX, 0, BUFFERS, 44, VRING_DESC_F_NEXT, RING);
			break;
		}
		post(TX, 0);
		ASSERT_EQ(came_back(TX), -1);
		ASSERT_TRUE(g.v.user.queues[TX].vq.broken);
		ASSERT_TRUE(!g.loop.stopped);
		send_packet(VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
		ASSERT_EQ(g.dials, 0);
		rig_deinit();
	}
}

TEST(buffers_that_are_of_no_use)
{
	for (unsigned int i = 0; i < 2; i++) {
		rig_init();
		/* Too small for a byte, or not to be written to. */
		put_desc(RX, 0, BUFFERS, i ? 44 : 1000, i ? VRING_DESC_F_WRITE : 0, 0);
		send_packet(VIRTIO_VSOCK_OP_RW, NULL, 0);
		post(RX, 0);
		ASSERT_EQ(came_back(RX), -1);
		ASSERT_TRUE(g.v.user.queues[RX].vq.broken);
		rig_deinit();
	}
}

/* Buffers are handed back where the queue is stopped, and a queue can begin anew. */
TEST(stopped_and_started)
{
	const uint32_t which[2] = {TX, 0};
	uint8_t reply[64];

	rig_init();
	cleanup_fd int host = connected();
	say(GET_BASE, which, sizeof(which), -1);
	ASSERT_EQ(recv(g.qemu, reply, sizeof(reply), MSG_DONTWAIT), 12 + (ssize_t)sizeof(which));
	send_packet(VIRTIO_VSOCK_OP_RW, "x", 1);
	ASSERT_EQ(came_back(TX), -1);
	ASSERT_EQ(recv(host, reply, 1, 0), -1);
	rig_deinit();
}

TEST(the_end_of_qemu)
{
	rig_init();
	g.qemu = fd_close(g.qemu);
	pump();
	ASSERT_TRUE(g.loop.stopped);
	ASSERT_EQ(g.loop.result, 0);
	rig_deinit();
}
