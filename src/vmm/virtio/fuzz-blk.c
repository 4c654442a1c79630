/* SPDX-License-Identifier: Apache-2.0 */
/* A disk with a driver; the first byte says whether it may be written, and how many pieces it has
 * if not. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "vmm/virtio/blk.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DISK = 64 << 10, PIECES_MAX = 16 };

struct target {
	struct fuzz_device f;
	struct virtio_blk b;
	int fd;
};

/* A request whose header makes sense more often than random bytes do. */
static void request(struct fuzz_device *f, struct fuzz_input *in)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, 99};
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	struct virtio_blk_outhdr h = {
		.type = types[kind % ARRAY_SIZE(types)],
		.sector = fuzz_take(in, kind & 0x80 ? 8 : 1),
	};
	struct virtio_blk_discard_write_zeroes seg = {
		.sector = fuzz_take(in, 1),
		.num_sectors = (uint32_t)fuzz_take(in, kind & 0x40 ? 4 : 1),
		.flags = (uint32_t)fuzz_take(in, 1),
	};
	bool range = h.type == VIRTIO_BLK_T_DISCARD || h.type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t len = range ? sizeof(seg) : (uint32_t)(fuzz_take(in, 1) * 256);
	struct drv_buf b[3] = {{0x8000, sizeof(h), false},
		{0x9000, MAX(len, 1u), h.type == VIRTIO_BLK_T_IN || h.type == VIRTIO_BLK_T_GET_ID},
		{0x8100, 1, true}};

	if (!f->d.q[0].size)
		return;
	(void)!gmem_write(&f->d.mem, b[0].gpa, &h, sizeof(h));
	if (range)
		(void)!gmem_write(&f->d.mem, b[1].gpa, &seg, sizeof(seg));
	(void)drv_submit(&f->d, 0, b, 3);
}

static void check(struct fuzz_device *f)
{
	struct target *t = container_of(f, struct target, f);
	struct stat st;

	FUZZ_REQUIRE(fstat(t->fd, &st) == 0 && st.st_size == DISK);
}

/* Pieces of one file in any order, so that each of its sectors is on the disk once. */
static uint32_t cut(struct blk_extent e[PIECES_MAX], int fd, unsigned int n)
{
	uint64_t len = DISK / n / 512 * 512;

	for (unsigned int i = 0; i < n; i++)
		e[i] = (struct blk_extent){
			.fd = fd, .offset = ((i * 7 + 3) % n) * len, .len = n == 1 ? 0 : len};
	if (n == 1)
		e[0].offset = 0;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct target t = {.f = {.host = request, .check = check}};
	uint8_t first = (uint8_t)fuzz_take(&in, 1);
	struct blk_host h = {.serial = "fuzz", .read_only = first & 1};
	struct blk_extent e[PIECES_MAX];
	static uint8_t pattern[DISK];
	static uint8_t after[DISK];

	memset(pattern, 0xd1, sizeof(pattern));
	t.fd = memfd_create("disk", MFD_CLOEXEC);
	FUZZ_REQUIRE(t.fd >= 0 && pwrite(t.fd, pattern, DISK, 0) == DISK);
	h.n_extents = cut(e, t.fd, h.read_only ? 1 + (first >> 1) % PIECES_MAX : 1);
	h.extents = e;
	fuzz_device_init(&t.f);
	FUZZ_REQUIRE(virtio_blk_init(&t.b, &t.f.d.env, &h) == 0);
	t.f.dev = &t.b.dev;
	fuzz_device_run(&t.f, &in, true);
	if (h.read_only) {
		FUZZ_REQUIRE(pread(t.fd, after, DISK, 0) == DISK);
		FUZZ_REQUIRE(memcmp(pattern, after, DISK) == 0);
	}
	virtio_blk_deinit(&t.b);
	drv_deinit(&t.f.d);
	(void)fd_close(t.fd);
	return 0;
}
