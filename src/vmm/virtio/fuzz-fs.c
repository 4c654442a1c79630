/* SPDX-License-Identifier: Apache-2.0 */
/* A file system device with a driver, and a process of msb-fs that says anything at any time. */
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/fs.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	struct fuzz_device f;
	struct virtio_fs fs;
	int peer;
};

/* A reply, a request taken, the end of the peer, or a chain that looks like a request. */
static void host(struct fuzz_device *f, struct fuzz_input *in)
{
	struct target *t = container_of(f, struct target, f);
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	uint8_t m[300] = {0};
	struct drv_buf b[2] = {{0x8000, 40 + (what >> 4), false}, {0x9000, what * 2u, true}};

	switch (what % 4) {
	case 0:
		if (t->peer >= 0)
			(void)!send(
				t->peer, m, (size_t)fuzz_take(in, 1), MSG_DONTWAIT | MSG_NOSIGNAL);
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
			(void)drv_submit(&f->d, what >> 2 & 1, b, what & 8 ? 2 : 1);
		break;
	}
}

static void check(struct fuzz_device *f)
{
	struct target *t = container_of(f, struct target, f);

	FUZZ_REQUIRE(t->fs.n_flights <= VIRTIO_FS_FLIGHTS && t->fs.first < VIRTIO_FS_FLIGHTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct target t;
	int fds[2];

	t = (struct target){.f = {.host = host, .check = check, .held_max = VIRTIO_FS_FLIGHTS}};
	FUZZ_REQUIRE(io_socketpair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds) == 0);
	t.peer = fds[0];
	fuzz_device_init(&t.f);
	FUZZ_REQUIRE(virtio_fs_init(&t.fs, &t.f.d.env, fds[1], "share") == 0);
	t.f.dev = &t.fs.dev;
	fuzz_device_run(&t.f, &in, true);
	virtio_fs_deinit(&t.fs);
	drv_deinit(&t.f.d);
	fd_close(t.peer);
	fd_close(fds[1]);
	return 0;
}
