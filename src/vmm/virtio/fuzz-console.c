/* SPDX-License-Identifier: Apache-2.0 */
/* A console with a driver, an agent's socket that is written, read and closed, and a log pipe. */
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/console.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	struct fuzz_device f;
	struct virtio_console c;
	int peer;
	uint64_t received;
};

static void drain(struct target *t, size_t max)
{
	static uint8_t b[65536];
	ssize_t n;

	if (t->peer < 0)
		return;
	n = recv(t->peer, b, MIN(max, sizeof(b)), MSG_DONTWAIT);
	if (n > 0)
		t->received += (uint64_t)n;
}

/* A control message: two bits of port, a small event, a small value. */
static void control(struct fuzz_device *f, uint8_t kind, uint8_t what)
{
	struct virtio_console_control m = {
		.id = kind >> 3 & 3,
		.event = what & 0xf,
		.value = what >> 4 & 1,
	};
	struct drv_buf b = {0x8000 + (kind >> 5) * 16u, sizeof(m), false};

	if (!f->d.q[3].size)
		return;
	(void)!gmem_write(&f->d.mem, b.gpa, &m, sizeof(m));
	(void)drv_submit(&f->d, 3, &b, 1);
}

/* Buffers for the guest: control messages or channel bytes. */
static void add_buffers(struct fuzz_device *f, uint8_t kind, uint8_t what)
{
	uint32_t q = kind & 8 ? 2 : 4;
	struct drv_buf b = {0x9000, (what & 0xfu) * 16 + 4, true};

	if (!f->d.q[q].size)
		return;
	for (unsigned int i = 0; i <= what >> 4; i++, b.gpa += 256)
		(void)drv_submit(&f->d, q, &b, 1);
}

static void host(struct fuzz_device *f, struct fuzz_input *in)
{
	struct target *t = container_of(f, struct target, f);
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	static const uint8_t b[16384];

	switch (kind & 7) {
	case 0:
		if (t->peer >= 0)
			(void)!send(t->peer, b, fuzz_take(in, 2) % sizeof(b) + 1,
				MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		drain(t, fuzz_take(in, 2) + 1);
		break;
	case 2:
		drain(t, SIZE_MAX);
		break;
	case 3:
		if (kind == 0xfb)
			t->peer = fd_close(t->peer);
		break;
	case 4:
	case 5:
		control(f, kind, (uint8_t)fuzz_take(in, 1));
		break;
	default:
		add_buffers(f, kind, (uint8_t)fuzz_take(in, 1));
		break;
	}
}

static void check(struct fuzz_device *f)
{
	struct target *t = container_of(f, struct target, f);

	/* What the driver was told is gone really went somewhere. */
	FUZZ_REQUIRE(t->received <= f->dev->stats.bytes_out);
	FUZZ_REQUIRE(t->c.tx_done <= VIRTQ_BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct target t = {.f = {.host = host, .check = check}};
	struct console_host h;
	int s[2];
	int p[2];

	FUZZ_REQUIRE(io_socketpair(SOCK_STREAM, s) == 0 && io_pipe(0, p) == 0);
	t.peer = s[0];
	h = (struct console_host){.log_fd = p[1], .channel_fd = s[1]};
	fuzz_device_init(&t.f);
	FUZZ_REQUIRE(virtio_console_init(&t.c, &t.f.d.env, &h) == 0);
	t.f.dev = &t.c.dev;
	fuzz_device_run(&t.f, &in, true);
	virtio_console_deinit(&t.c);
	drv_deinit(&t.f.d);
	(void)fd_close(t.peer);
	(void)fd_close(s[1]);
	(void)fd_close(p[0]);
	(void)fd_close(p[1]);
	return 0;
}
