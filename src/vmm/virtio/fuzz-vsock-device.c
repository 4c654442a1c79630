/* SPDX-License-Identifier: Apache-2.0 */
/* A socket device with a driver, and a process of msb-vsock that says anything at any time. */
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/vsock.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	struct fuzz_device f;
	struct virtio_vsock v;
	int peer;
};

/* A packet, a packet taken, the end of the peer, or a chain that looks like a buffer or a packet.
 */
static void host(struct fuzz_device *f, struct fuzz_input *in)
{
	struct target *t = container_of(f, struct target, f);
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	static uint8_t m[VSOCKLINK_HEADER + VSOCKLINK_FROM_GUEST_MAX];
	struct drv_buf b = {0x8000, (uint32_t)fuzz_take(in, 2), !(what & 4)};
	size_t len = MIN((size_t)b.len, sizeof(m));

	switch (what % 4) {
	case 0:
		if (t->peer >= 0)
			(void)!send(t->peer, m, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		if (t->peer >= 0)
			(void)!recv(t->peer, m, sizeof(m), MSG_DONTWAIT);
		break;
	case 2:
		if (what == 0xfe)
			t->peer = fd_close(t->peer);
		break;
	default:
		if (f->d.q[1].size)
			(void)drv_submit(&f->d, what >> 2 & 1, &b, 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct target t;
	int fds[2];

	t = (struct target){.f = {.host = host}};
	FUZZ_REQUIRE(io_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds) == 0);
	t.peer = fds[0];
	fuzz_device_init(&t.f);
	FUZZ_REQUIRE(virtio_vsock_init(&t.v, &t.f.d.env, fds[1]) == 0);
	t.f.dev = &t.v.dev;
	fuzz_device_run(&t.f, &in, true);
	virtio_vsock_deinit(&t.v);
	drv_deinit(&t.f.d);
	fd_close(t.peer);
	fd_close(fds[1]);
	return 0;
}
