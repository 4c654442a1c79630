/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/console.h"

#include "test.h"
#include "testdrv.h"

enum { LOG_RX, LOG_TX, CTRL_RX, CTRL_TX, CHAN_RX, CHAN_TX, N_QUEUES };
#define ALL_FEATURES UINT64_MAX

struct rig {
	struct drv d;
	struct virtio_console c;
	int log_fd; /* our end */
	int chan_fd;
	struct console_host host;
	unsigned int hangups;
	unsigned int opens;
	bool open;
};

static void on_hangup(struct virtio_console *c, void *arg)
{
	(void)c;
	((struct rig *)arg)->hangups++;
}

static void on_guest_open(struct virtio_console *c, bool open, void *arg)
{
	struct rig *r = arg;

	(void)c;
	r->opens++;
	r->open = open;
}

static void rig_init(struct rig *r)
{
	int p[2];
	int s[2];

	ASSERT_OK(drv_init(&r->d));
	ASSERT_OK(io_pipe(0, p));
	ASSERT_OK(io_socketpair(SOCK_STREAM, s));
	r->log_fd = p[0];
	r->chan_fd = s[0];
	r->hangups = 0;
	r->opens = 0;
	r->open = false;
	r->host = (struct console_host){.log_fd = p[1],
		.channel_fd = s[1],
		.on_hangup = on_hangup,
		.on_guest_open = on_guest_open,
		.arg = r};
	ASSERT_OK(io_nonblock(r->log_fd, true));
	ASSERT_OK(io_nonblock(r->chan_fd, true));
	ASSERT_OK(virtio_console_init(&r->c, &r->d.env, &r->host));
	drv_attach(&r->d, &r->c.dev);
}

static void rig_deinit(struct rig *r)
{
	virtio_console_deinit(&r->c);
	drv_deinit(&r->d);
	r->log_fd = fd_close(r->log_fd);
	r->chan_fd = fd_close(r->chan_fd);
	(void)fd_close(r->host.log_fd);
	(void)fd_close(r->host.channel_fd);
}

static struct virtio_stats stats(struct rig *r)
{
	struct virtio_stats s;

	virtio_dev_stats(&r->c.dev, &s);
	return s;
}

static void send_ctrl(struct rig *r, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control m = {.id = id, .event = event, .value = value};
	struct drv_buf b = {drv_alloc(&r->d, sizeof(m)), sizeof(m), false};
	uint32_t head;
	uint32_t len;

	memcpy(drv_ptr(&r->d, b.gpa), &m, sizeof(m));
	(void)drv_submit(&r->d, CTRL_TX, &b, 1);
	drv_kick(&r->d, CTRL_TX);
	ASSERT_TRUE(drv_used(&r->d, CTRL_TX, &head, &len));
	ASSERT_EQ(len, 0);
}

/* The buffer behind a used element of one-descriptor chains. */
static uint8_t *used_buf(struct rig *r, uint32_t q, uint32_t *len)
{
	const struct vring_desc *t = drv_ptr(&r->d, r->d.q[q].desc);
	uint32_t id;

	if (!drv_used(&r->d, q, &id, len))
		return NULL;
	return drv_ptr(&r->d, t[id].addr);
}

static void expect_ctrl(
	struct rig *r, uint32_t id, uint16_t event, uint16_t value, const char *text)
{
	struct virtio_console_control m;
	uint32_t len;
	const uint8_t *p = used_buf(r, CTRL_RX, &len);

	ASSERT_TRUE(p != NULL);
	ASSERT_EQ(len, sizeof(m) + strlen(text));
	memcpy(&m, p, sizeof(m));
	ASSERT_EQ(m.id, id);
	ASSERT_EQ(m.event, event);
	ASSERT_EQ(m.value, value);
	ASSERT_MEMEQ(p + sizeof(m), text, strlen(text));
}

static void expect_no_ctrl(struct rig *r)
{
	uint32_t len;

	ASSERT_TRUE(used_buf(r, CTRL_RX, &len) == NULL);
}

static void add_bufs(struct rig *r, uint32_t q, unsigned int n, uint32_t size)
{
	for (unsigned int i = 0; i < n; i++) {
		struct drv_buf b = {drv_alloc(&r->d, size), size, true};

		(void)drv_submit(&r->d, q, &b, 1);
	}
	drv_kick(&r->d, q);
}

static void handshake(struct rig *r)
{
	drv_start(&r->d, ALL_FEATURES, 16);
	add_bufs(r, CTRL_RX, 8, 64);
	expect_no_ctrl(r);
	send_ctrl(r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_ctrl(r, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_ctrl(r, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_no_ctrl(r);
	send_ctrl(r, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_ctrl(r, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, "");
	send_ctrl(r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_ctrl(r, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "msb.channel");
	expect_ctrl(r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_no_ctrl(r);
	ASSERT_EQ(stats(r).malformed, 0);
}

static void ready(struct rig *r)
{
	rig_init(r);
	handshake(r);
	send_ctrl(r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ASSERT_TRUE(r->opens == 1 && r->open);
}

TEST(config)
{
	struct rig r;

	rig_init(&r);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG + 4), 2); /* max_nr_ports */
	drv_write(&r.d, VIRTIO_MMIO_CONFIG + 8, 'x'); /* no emergency write */
	ASSERT_EQ(stats(&r).malformed, 1);
	rig_deinit(&r);
}

TEST(handshake)
{
	struct rig r;

	ready(&r);
	/* A second driver goes through the same dialogue. */
	drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
	drv_pump(&r.d);
	ASSERT_TRUE(r.opens == 2 && !r.open);
	handshake(&r);
	rig_deinit(&r);
}

TEST(control_buffers_come_late)
{
	struct rig r;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	for (unsigned int i = 0; i < 3; i++)
		send_ctrl(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	send_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	add_bufs(&r, CTRL_RX, 1, 64);
	expect_ctrl(&r, 0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_no_ctrl(&r);
	add_bufs(&r, CTRL_RX, 5, 64);
	expect_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "msb.channel");
	expect_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_no_ctrl(&r);
	rig_deinit(&r);
}

TEST(control_nonsense)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	ready(&r);
	uint64_t before = stats(&r).malformed;
	send_ctrl(&r, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	send_ctrl(&r, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
	send_ctrl(&r, 0, 99, 1);
	send_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_NAME, 1);
	ASSERT_EQ(stats(&r).malformed, before + 4);
	send_ctrl(&r, 0, VIRTIO_CONSOLE_PORT_READY, 0);
	send_ctrl(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	expect_no_ctrl(&r);
	/* Too short to be a message. */
	struct drv_buf b = {drv_alloc(&r.d, 8), 7, false};
	(void)drv_submit(&r.d, CTRL_TX, &b, 1);
	drv_kick(&r.d, CTRL_TX);
	ASSERT_TRUE(drv_used(&r.d, CTRL_TX, &id, &len));
	ASSERT_EQ(stats(&r).malformed, before + 5);
	rig_deinit(&r);
}

TEST(control_buffer_too_small)
{
	struct rig r;
	uint32_t len = 7;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	send_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	add_bufs(&r, CTRL_RX, 1, 10); /* the name does not fit */
	ASSERT_TRUE(used_buf(&r, CTRL_RX, &len) != NULL);
	ASSERT_EQ(len, 0);
	ASSERT_EQ(stats(&r).malformed, 1);
	rig_deinit(&r);
}

static void guest_write(struct rig *r, uint32_t q, const void *p, uint32_t n)
{
	struct drv_buf b = {drv_alloc(&r->d, n), n, false};

	memcpy(drv_ptr(&r->d, b.gpa), p, n);
	(void)drv_submit(&r->d, q, &b, 1);
}

TEST(log)
{
	struct rig r;
	char b[64];
	uint32_t id;
	uint32_t len;

	/* Works before any control message: the kernel prints early. */
	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	guest_write(&r, LOG_TX, "hello ", 6);
	guest_write(&r, LOG_TX, "world", 5);
	drv_kick(&r.d, LOG_TX);
	ASSERT_EQ(read(r.log_fd, b, sizeof(b)), 11);
	ASSERT_MEMEQ(b, "hello world", 11);
	ASSERT_TRUE(drv_used(&r.d, LOG_TX, &id, &len) && len == 0);
	ASSERT_TRUE(drv_used(&r.d, LOG_TX, &id, &len));
	rig_deinit(&r);
}

TEST(log_never_blocks)
{
	struct rig r;
	static uint8_t big[100000];
	uint32_t id;
	uint32_t len;

	rig_init(&r);
	drv_start(&r.d, ALL_FEATURES, 16);
	for (unsigned int i = 0; i < 10; i++) {
		guest_write(&r, LOG_TX, big, sizeof(big));
		drv_kick(&r.d, LOG_TX);
		ASSERT_TRUE(drv_used(&r.d, LOG_TX, &id, &len));
	}
	struct virtio_stats s = stats(&r);
	ASSERT_EQ(s.bytes_out, 10 * sizeof(big));
	/* Exactly what the pipe does not hold. */
	ASSERT_EQ(s.dropped, s.bytes_out - (uint64_t)fcntl(r.host.log_fd, F_GETPIPE_SZ));
	rig_deinit(&r);
}

TEST(channel_to_host)
{
	struct rig r;
	char b[64];
	uint32_t id;
	uint32_t len;

	ready(&r);
	guest_write(&r, CHAN_TX, "abc", 3);
	guest_write(&r, CHAN_TX, "defg", 4);
	drv_kick(&r.d, CHAN_TX);
	ASSERT_EQ(read(r.chan_fd, b, sizeof(b)), 7);
	ASSERT_MEMEQ(b, "abcdefg", 7);
	ASSERT_TRUE(drv_used(&r.d, CHAN_TX, &id, &len) && len == 0);
	ASSERT_TRUE(drv_used(&r.d, CHAN_TX, &id, &len));
	ASSERT_TRUE(!drv_used(&r.d, CHAN_TX, &id, &len));
	rig_deinit(&r);
}

/* A socket that is full stops the queue and loses nothing, wherever the cut falls. */
TEST(channel_back_pressure)
{
	struct rig r;
	static uint8_t chunk[40001];
	uint32_t seed = 1;
	uint32_t check = 1;
	unsigned int sent = 0;
	unsigned int done = 0;
	size_t received = 0;
	const unsigned int total = 60;

	ready(&r);
	while (done < total) {
		uint32_t id;
		uint32_t len;
		uint8_t b[30011];
		ssize_t n;

		while (sent < total && sent - done < 16) {
			for (size_t i = 0; i < sizeof(chunk); i++) {
				seed = seed * 1664525 + 1013904223;
				chunk[i] = (uint8_t)(seed >> 24);
			}
			guest_write(&r, CHAN_TX, chunk, sizeof(chunk));
			sent++;
		}
		drv_kick(&r.d, CHAN_TX);
		while (drv_used(&r.d, CHAN_TX, &id, &len))
			done++;
		n = read(r.chan_fd, b, sizeof(b));
		for (ssize_t i = 0; i < n; i++) {
			check = check * 1664525 + 1013904223;
			ASSERT_EQ(b[i], (uint8_t)(check >> 24));
		}
		received += n > 0 ? (size_t)n : 0;
	}
	/* The last buffers count as done when the socket has them. */
	for (;;) {
		uint8_t b[30011];
		ssize_t n = read(r.chan_fd, b, sizeof(b));

		if (n <= 0)
			break;
		received += (size_t)n;
	}
	ASSERT_EQ(received, total * sizeof(chunk));
	ASSERT_EQ(stats(&r).bytes_out, received);
	ASSERT_EQ(stats(&r).dropped, 0);
	rig_deinit(&r);
}

TEST(channel_stalled_is_quiet)
{
	struct rig r;
	static uint8_t big[400000];
	uint64_t runs;
	uint32_t id;
	uint32_t len;

	ready(&r);
	guest_write(&r, CHAN_TX, big, sizeof(big));
	drv_kick(&r.d, CHAN_TX);
	ASSERT_TRUE(!drv_used(&r.d, CHAN_TX, &id, &len));
	runs = stats(&r).runs;
	for (unsigned int i = 0; i < 20; i++)
		ASSERT_OK(loop_once(&r.d.loop, 0));
	ASSERT_EQ(stats(&r).runs, runs);
	/* Other ports go on. */
	guest_write(&r, LOG_TX, "log", 3);
	drv_kick(&r.d, LOG_TX);
	ASSERT_TRUE(drv_used(&r.d, LOG_TX, &id, &len));
	rig_deinit(&r);
}

TEST(channel_reset_while_stalled)
{
	struct rig r;
	static uint8_t big[400000];
	static uint8_t b[65536];
	ssize_t n = 0;

	ready(&r);
	guest_write(&r, CHAN_TX, big, sizeof(big));
	drv_kick(&r.d, CHAN_TX);
	ASSERT_TRUE(r.c.tx_blocked);
	drv_write(&r.d, VIRTIO_MMIO_STATUS, 0);
	drv_pump(&r.d);
	ASSERT_TRUE(!r.c.tx_blocked && r.c.tx_done == 0);
	/* The next driver meets a socket that is still full, and gets through later. */
	handshake(&r);
	guest_write(&r, CHAN_TX, "again", 5);
	drv_kick(&r.d, CHAN_TX);
	for (;;) {
		ssize_t got = read(r.chan_fd, b, sizeof(b));

		if (got <= 0)
			break;
		n = got;
		drv_pump(&r.d);
	}
	ASSERT_TRUE(n >= 5);
	ASSERT_MEMEQ(b + n - 5, "again", 5);
	rig_deinit(&r);
}

/* The driver changes a buffer of which a part has been sent. */
TEST(channel_buffer_shrinks)
{
	struct rig r;
	static uint8_t big[400000];
	uint8_t b[65536];

	ready(&r);
	uint16_t at = r.d.q[CHAN_TX].next_desc;
	guest_write(&r, CHAN_TX, big, sizeof(big));
	drv_kick(&r.d, CHAN_TX);
	ASSERT_TRUE(r.c.tx_done > 0);
	drv_desc(&r.d, CHAN_TX, at, GMEM_PAGE, 1, 0, 0);
	ASSERT_TRUE(read(r.chan_fd, b, sizeof(b)) > 0);
	while (read(r.chan_fd, b, sizeof(b)) > 0)
		;
	drv_pump(&r.d);
	ASSERT_TRUE(drv_status(&r.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	ASSERT_STREQ(r.c.dev.queues[CHAN_TX].fault, "buffer shrank while it was being sent");
	rig_deinit(&r);
}

TEST(channel_to_guest)
{
	struct rig r;
	uint32_t len;
	uint8_t *p;

	ready(&r);
	ASSERT_EQ(write(r.chan_fd, "0123456789", 10), 10);
	drv_pump(&r.d);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) == NULL);
	/* The bytes wait in the socket until there are buffers, and fill them one after the other.
	 */
	add_bufs(&r, CHAN_RX, 3, 4);
	p = used_buf(&r, CHAN_RX, &len);
	ASSERT_TRUE(p && len == 4);
	ASSERT_MEMEQ(p, "0123", 4);
	p = used_buf(&r, CHAN_RX, &len);
	ASSERT_TRUE(p && len == 4);
	p = used_buf(&r, CHAN_RX, &len);
	ASSERT_TRUE(p && len == 2);
	ASSERT_MEMEQ(p, "89", 2);
	/* The queue is empty again and no byte is read. */
	ASSERT_EQ(write(r.chan_fd, "abcd", 4), 4);
	drv_pump(&r.d);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) == NULL);
	add_bufs(&r, CHAN_RX, 2, 64);
	p = used_buf(&r, CHAN_RX, &len);
	ASSERT_TRUE(p && len == 4);
	ASSERT_MEMEQ(p, "abcd", 4);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) == NULL);
	ASSERT_EQ(stats(&r).bytes_in, 14);
	rig_deinit(&r);
}

TEST(channel_waits_for_open)
{
	struct rig r;
	uint32_t len;

	rig_init(&r);
	handshake(&r);
	add_bufs(&r, CHAN_RX, 4, 64);
	ASSERT_EQ(write(r.chan_fd, "early", 5), 5);
	drv_pump(&r.d);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) == NULL);
	send_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) && len == 5);
	send_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	ASSERT_EQ(write(r.chan_fd, "late", 4), 4);
	drv_pump(&r.d);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) == NULL);
	ASSERT_TRUE(r.opens == 2 && !r.open);
	rig_deinit(&r);
}

TEST(channel_bulk_to_guest)
{
	struct rig r;
	uint8_t out[8192];
	uint32_t seed = 7;
	uint32_t check = 7;
	size_t left = 2 * MIB;
	size_t got = 0;

	ready(&r);
	add_bufs(&r, CHAN_RX, 16, 4096);
	while (got < 2 * MIB) {
		uint32_t len;
		uint32_t id;

		while (left > 0) {
			size_t n = MIN(left, sizeof(out));
			uint32_t s = seed;
			ssize_t w;

			for (size_t i = 0; i < n; i++) {
				s = s * 1664525 + 1013904223;
				out[i] = (uint8_t)(s >> 24);
			}
			w = write(r.chan_fd, out, n);
			if (w < 0)
				break;
			left -= (size_t)w;
			for (ssize_t i = 0; i < w; i++)
				seed = seed * 1664525 + 1013904223;
		}
		drv_pump(&r.d);
		while (drv_used(&r.d, CHAN_RX, &id, &len)) {
			const struct vring_desc *t = drv_ptr(&r.d, r.d.q[CHAN_RX].desc);
			const uint8_t *p = drv_ptr(&r.d, t[id].addr);

			for (uint32_t i = 0; i < len; i++) {
				check = check * 1664525 + 1013904223;
				ASSERT_EQ(p[i], (uint8_t)(check >> 24));
			}
			got += len;
			drv_post(&r.d, CHAN_RX, (uint16_t)id);
		}
		drv_kick(&r.d, CHAN_RX);
	}
	ASSERT_EQ(got, 2 * MIB);
	rig_deinit(&r);
}

TEST(hangup)
{
	struct rig r;
	uint32_t id;
	uint32_t len;

	ready(&r);
	add_bufs(&r, CHAN_RX, 4, 64);
	ASSERT_EQ(write(r.chan_fd, "last", 4), 4);
	r.chan_fd = fd_close(r.chan_fd);
	drv_pump(&r.d);
	ASSERT_TRUE(used_buf(&r, CHAN_RX, &len) && len == 4);
	ASSERT_EQ(r.hangups, 1);
	expect_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	/* Nobody listens: the guest is not made to wait. */
	guest_write(&r, CHAN_TX, "lost", 4);
	drv_kick(&r.d, CHAN_TX);
	ASSERT_TRUE(drv_used(&r.d, CHAN_TX, &id, &len));
	ASSERT_EQ(stats(&r).dropped, 4);
	ASSERT_EQ(r.hangups, 1);
	rig_deinit(&r);
}

TEST(hangup_before_the_guest_is_up)
{
	struct rig r;

	rig_init(&r);
	r.chan_fd = fd_close(r.chan_fd);
	ASSERT_OK(loop_once(&r.d.loop, 0));
	ASSERT_EQ(r.hangups, 1);
	drv_start(&r.d, ALL_FEATURES, 16);
	add_bufs(&r, CTRL_RX, 8, 64);
	expect_no_ctrl(&r);
	send_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "msb.channel");
	expect_ctrl(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	rig_deinit(&r);
}

TEST(wrong_direction)
{
	struct rig r;

	ready(&r);
	struct drv_buf b = {drv_alloc(&r.d, 8), 8, true};
	(void)drv_submit(&r.d, CHAN_TX, &b, 1);
	drv_kick(&r.d, CHAN_TX);
	ASSERT_TRUE(drv_status(&r.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_deinit(&r);

	ready(&r);
	b = (struct drv_buf){drv_alloc(&r.d, 8), 8, false};
	(void)drv_submit(&r.d, CHAN_RX, &b, 1);
	ASSERT_EQ(write(r.chan_fd, "x", 1), 1);
	drv_kick(&r.d, CHAN_RX);
	ASSERT_TRUE(drv_status(&r.d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_deinit(&r);
}

TEST(log_without_multiport)
{
	struct rig r;
	char b[8];

	rig_init(&r);
	drv_start(&r.d, 0, 16);
	guest_write(&r, LOG_TX, "old", 3);
	drv_kick(&r.d, LOG_TX);
	ASSERT_EQ(read(r.log_fd, b, sizeof(b)), 3);
	rig_deinit(&r);
}

TEST(init_failures)
{
	struct drv d;
	int s[2];

	ASSERT_OK(drv_init(&d));
	ASSERT_OK(io_socketpair(SOCK_STREAM, s));
	FAULT_LOOP({
		struct virtio_console c;
		struct console_host host = {0};

		host.log_fd = -1;
		host.channel_fd = s[0];
		if (virtio_console_init(&c, &d.env, &host) == 0)
			virtio_console_deinit(&c);
	});
	drv_deinit(&d);
	(void)fd_close(s[0]);
	(void)fd_close(s[1]);
}
