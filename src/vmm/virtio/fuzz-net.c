/* SPDX-License-Identifier: Apache-2.0 */
/* A network device with a driver, and a process of msb-net that says anything at any time. */
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/net.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	struct fuzz_device f;
	struct virtio_net n;
	int peer;
};

/* A frame, a frame taken, the end of the peer, or a chain that looks like a buffer or a frame. */
static void host(struct fuzz_device *f, struct fuzz_input *in)
{
	struct target *t = container_of(f, struct target, f);
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	static uint8_t m[NETFRAME_MAX];
	struct drv_buf b = {0x8000, (uint32_t)fuzz_take(in, 2), !(what & 4)};
	size_t len = b.len < sizeof(m) ? b.len : sizeof(m);

	switch (what % 4) {
	case 0:
		m[0] = what >> 7;
		m[1] = what >> 4 & 7;
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
	static const uint8_t mac[VIRTIO_NET_MAC] = {2};
	static struct target t;
	int fds[2];

	t = (struct target){.f = {.host = host}};
	FUZZ_REQUIRE(io_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds) == 0);
	t.peer = fds[0];
	fuzz_device_init(&t.f);
	FUZZ_REQUIRE(virtio_net_init(&t.n, &t.f.d.env, fds[1], mac) == 0);
	t.f.dev = &t.n.dev;
	fuzz_device_run(&t.f, &in, true);
	virtio_net_deinit(&t.n);
	drv_deinit(&t.f.d);
	fd_close(t.peer);
	fd_close(fds[1]);
	return 0;
}
