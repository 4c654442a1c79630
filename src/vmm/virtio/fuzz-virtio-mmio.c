/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers, memory edits and notifications in any order, from a device that nobody initialised.
 * The first byte chooses the device.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"

#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/rng.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_console(struct fuzz_device *f, struct fuzz_input *in)
{
	struct virtio_console c;
	int s[2];

	FUZZ_REQUIRE(io_socketpair(SOCK_STREAM, s) == 0);
	FUZZ_REQUIRE(virtio_console_init(&c, &f->d.env,
			     &(struct console_host){.log_fd = -1, .channel_fd = s[1]}) == 0);
	f->dev = &c.dev;
	fuzz_device_run(f, in, false);
	virtio_console_deinit(&c);
	(void)fd_close(s[0]);
	(void)fd_close(s[1]);
}

static void run_blk(struct fuzz_device *f, struct fuzz_input *in)
{
	struct virtio_blk b;
	struct blk_extent e = {.fd = memfd_create("disk", MFD_CLOEXEC)};
	struct blk_host host = {.extents = &e, .n_extents = 1, .serial = "fuzz"};

	FUZZ_REQUIRE(e.fd >= 0 && ftruncate(e.fd, 64 << 10) == 0);
	FUZZ_REQUIRE(virtio_blk_init(&b, &f->d.env, &host) == 0);
	f->dev = &b.dev;
	fuzz_device_run(f, in, false);
	virtio_blk_deinit(&b);
	(void)fd_close(e.fd);
}

static void run_rng(struct fuzz_device *f, struct fuzz_input *in)
{
	struct virtio_rng r;

	FUZZ_REQUIRE(virtio_rng_init(&r, &f->d.env) == 0);
	f->dev = &r.dev;
	fuzz_device_run(f, in, false);
	virtio_rng_deinit(&r);
}

static void run_balloon(struct fuzz_device *f, struct fuzz_input *in)
{
	struct virtio_balloon b;

	FUZZ_REQUIRE(virtio_balloon_init(&b, &f->d.env) == 0);
	f->dev = &b.dev;
	fuzz_device_run(f, in, false);
	virtio_balloon_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const devices[])(struct fuzz_device * f, struct fuzz_input * in) = {
		run_console, run_blk, run_rng, run_balloon};
	struct fuzz_input in = {data, size};
	struct fuzz_device f = {.host = NULL};

	fuzz_device_init(&f);
	devices[fuzz_take(&in, 1) % ARRAY_SIZE(devices)](&f, &in);
	drv_deinit(&f.d);
	return 0;
}
