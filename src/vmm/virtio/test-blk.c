/* SPDX-License-Identifier: Apache-2.0 */
/* The file system calls of the device are wrapped (meson.build), to fail or fall short on demand.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "vmm/virtio/blk.h"

#include "test.h"
#include "testdrv.h"

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

enum { SECTORS = 1000, SECTOR = 512 };
#define ALL_FEATURES UINT64_MAX

/* What the next file system calls do. */
static struct {
	int error; /* fail with this */
	unsigned int times; /* so often */
	size_t at_most; /* move no more bytes than this per call, 0: no limit */
	unsigned int interrupts; /* EINTR so often first */
	unsigned int calls;
} disk;

static bool disk_fails(void)
{
	disk.calls++;
	if (disk.interrupts > 0) {
		disk.interrupts--;
		errno = EINTR;
		return true;
	}
	if (disk.times == 0)
		return false;
	disk.times--;
	errno = disk.error;
	return true;
}

ssize_t __real_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
int __real_fdatasync(int fd);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
int __wrap_fdatasync(int fd);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off)
{
	struct iovec one = iov[0];

	if (disk_fails())
		return -1;
	if (!disk.at_most)
		return __real_preadv64(fd, iov, n, off);
	one.iov_len = MIN(one.iov_len, disk.at_most);
	return __real_preadv64(fd, &one, 1, off);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	struct iovec one = iov[0];

	if (disk_fails())
		return -1;
	if (!disk.at_most)
		return __real_pwritev64(fd, iov, n, off);
	one.iov_len = MIN(one.iov_len, disk.at_most);
	return __real_pwritev64(fd, &one, 1, off);
}

int __wrap_fdatasync(int fd)
{
	return disk_fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	return disk_fails() ? -1 : __real_fallocate64(fd, mode, off, len);
}

struct rig {
	struct drv d;
	struct virtio_blk b;
	int fd;
	struct blk_extent extent;
	uint64_t data; /* 64 KiB of guest memory */
	uint64_t hdr;
	uint64_t status;
	uint32_t used_len;
};

static void rig_init(struct rig *r, bool read_only, uint64_t features)
{
	struct blk_host host = {.extents = &r->extent,
		.n_extents = 1,
		.read_only = read_only,
		.serial = "serial-0123456789abc"};

	memset(&disk, 0, sizeof(disk));
	ASSERT_OK(drv_init(&r->d));
	r->fd = memfd_create("disk", MFD_CLOEXEC);
	ASSERT_OK(ftruncate(r->fd, SECTORS * SECTOR + 100)); /* the odd tail is not part of it */
	r->extent = (struct blk_extent){.fd = r->fd};
	ASSERT_OK(virtio_blk_init(&r->b, &r->d.env, &host));
	drv_attach(&r->d, &r->b.dev);
	drv_start(&r->d, features, 16);
	r->data = drv_alloc(&r->d, 64 * 1024);
	r->hdr = drv_alloc(&r->d, 16);
	r->status = drv_alloc(&r->d, 1);
}

static void rig_deinit(struct rig *r)
{
	virtio_blk_deinit(&r->b);
	drv_deinit(&r->d);
	r->fd = fd_close(r->fd);
}

static void set_header(struct rig *r, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};

	memcpy(drv_ptr(&r->d, r->hdr), &h, sizeof(h));
	*(uint8_t *)drv_ptr(&r->d, r->status) = 0xee;
}

static uint8_t run(struct rig *r, const struct drv_buf *bufs, unsigned int n)
{
	uint32_t id;

	(void)drv_submit(&r->d, 0, bufs, n);
	drv_kick(&r->d, 0);
	ASSERT_TRUE(drv_used(&r->d, 0, &id, &r->used_len));
	return *(uint8_t *)drv_ptr(&r->d, r->status);
}

static uint8_t request(struct rig *r, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
	struct drv_buf b[3] = {{r->hdr, 16, false}, {r->data, len, in}, {r->status, 1, true}};

	set_header(r, type, sector);
	if (len == 0) {
		b[1] = b[2];
		return run(r, b, 2);
	}
	return run(r, b, 3);
}

static uint8_t read_sectors(struct rig *r, uint64_t sector, uint32_t n)
{
	return request(r, VIRTIO_BLK_T_IN, sector, n * SECTOR, true);
}

static uint8_t write_sectors(struct rig *r, uint64_t sector, uint32_t n)
{
	return request(r, VIRTIO_BLK_T_OUT, sector, n * SECTOR, false);
}

static uint8_t ranges(
	struct rig *r, uint32_t type, const struct virtio_blk_discard_write_zeroes *seg, size_t n)
{
	memcpy(drv_ptr(&r->d, r->data), seg, n * sizeof(*seg));
	return request(r, type, 0, (uint32_t)(n * sizeof(*seg)), false);
}

TEST(config)
{
	struct rig r;

	rig_init(&r, true, ALL_FEATURES);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG), SECTORS);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG + 12), 126); /* seg_max */
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG + 20), SECTOR); /* blk_size */
	ASSERT_TRUE(r.b.dev.acked & UINT64_C(1) << VIRTIO_BLK_F_RO);
	ASSERT_TRUE(!(r.b.dev.acked & UINT64_C(1) << VIRTIO_BLK_F_DISCARD));
	drv_write(&r.d, VIRTIO_MMIO_CONFIG, 1);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG), SECTORS);
	rig_deinit(&r);
}

TEST(write_then_read)
{
	struct rig r;
	uint8_t *p;

	rig_init(&r, false, ALL_FEATURES);
	p = drv_ptr(&r.d, r.data);
	memset(p, 'A', 4 * SECTOR);
	ASSERT_EQ(write_sectors(&r, 996, 4), VIRTIO_BLK_S_OK);
	ASSERT_EQ(r.used_len, 1);
	memset(p, 0, 4 * SECTOR);
	ASSERT_EQ(read_sectors(&r, 995, 5), VIRTIO_BLK_S_OK);
	ASSERT_EQ(r.used_len, 5 * SECTOR + 1);
	ASSERT_TRUE(p[SECTOR - 1] == 0 && p[SECTOR] == 'A' && p[5 * SECTOR - 1] == 'A');
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	ASSERT_EQ(r.b.dev.stats.failed, 0);
	ASSERT_EQ(r.b.dev.stats.bytes_in, 5 * SECTOR);
	ASSERT_EQ(r.b.dev.stats.bytes_out, 4 * SECTOR);
	rig_deinit(&r);
}

/* The driver may cut header, data and status where it likes. */
TEST(any_layout)
{
	struct rig r;
	uint8_t *p;

	rig_init(&r, false, ALL_FEATURES);
	p = drv_ptr(&r.d, r.data);
	for (unsigned int i = 0; i < 2 * SECTOR; i++)
		p[i] = (uint8_t)i;
	memmove(p + 2048 + 4, p, 2 * SECTOR);
	set_header(&r, VIRTIO_BLK_T_OUT, 7);
	/* Header in two, the second with data behind it. */
	memcpy(p + 2048 - 6, (uint8_t *)drv_ptr(&r.d, r.hdr) + 6, 10);
	struct drv_buf out[4] = {{r.hdr, 6, false}, {r.data + 2048 - 6, 10, false},
		{r.data + 2048 + 4, 700, false}, {r.data + 2048 + 704, 2 * SECTOR - 700, false}};
	struct drv_buf w[5] = {out[0], out[1], out[2], out[3], {r.status, 1, true}};
	ASSERT_EQ(run(&r, w, 5), VIRTIO_BLK_S_OK);

	memset(p, 0, 4096);
	set_header(&r, VIRTIO_BLK_T_IN, 7);
	/* Data in two, the second with the status byte behind it. */
	struct drv_buf in[3] = {
		{r.hdr, 16, false}, {r.data, 3, true}, {r.data + 100, 2 * SECTOR - 3 + 1, true}};
	p[100 + 2 * SECTOR - 3] = 0xee;
	(void)run(&r, in, 3);
	ASSERT_EQ(p[100 + 2 * SECTOR - 3], VIRTIO_BLK_S_OK);
	ASSERT_TRUE(p[0] == 0 && p[1] == 1 && p[2] == 2 && p[100] == 3);
	ASSERT_EQ(p[100 + 2 * SECTOR - 4], (uint8_t)(2 * SECTOR - 1));
	rig_deinit(&r);
}

TEST(out_of_range)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors;
	} bad[] = {{SECTORS, 1}, {SECTORS - 1, 2}, {UINT64_MAX, 1}, {UINT64_MAX - 1, 2},
		{UINT64_C(1) << 55, 1}, {(UINT64_C(1) << 55) + 1, 1}, {SECTORS + 1, 1}};
	struct rig r;

	rig_init(&r, false, ALL_FEATURES);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(read_sectors(&r, bad[i].sector, bad[i].sectors), VIRTIO_BLK_S_IOERR);
		ASSERT_EQ(r.used_len, 0);
		ASSERT_EQ(write_sectors(&r, bad[i].sector, bad[i].sectors), VIRTIO_BLK_S_IOERR);
	}
	ASSERT_EQ(r.b.dev.stats.failed, 2 * ARRAY_SIZE(bad));
	ASSERT_EQ(disk.calls, 0);
	/* Not a number of sectors. */
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_IN, 0, 513, true), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_OUT, 0, 100, false), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(disk.calls, 0);
	rig_deinit(&r);
}

TEST(file_shrinks)
{
	struct rig r;

	rig_init(&r, false, ALL_FEATURES);
	ASSERT_OK(ftruncate(r.fd, 10 * SECTOR));
	ASSERT_EQ(read_sectors(&r, 8, 4), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(read_sectors(&r, 8, 2), VIRTIO_BLK_S_OK);
	rig_deinit(&r);
}

TEST(request_too_long)
{
	struct rig r;
	struct drv_buf b[16] = {{0}};

	/* The same 4 MiB again and again, on a disk that has that many sectors. */
	rig_init(&r, false, ALL_FEATURES);
	r.b.sectors = 1 << 20;
	set_header(&r, VIRTIO_BLK_T_IN, 0);
	b[0] = (struct drv_buf){r.hdr, 16, false};
	for (unsigned int i = 1; i < 15; i++)
		b[i] = (struct drv_buf){DRV_HIGH, DRV_RAM, true};
	b[15] = (struct drv_buf){r.status, 1, true};
	ASSERT_EQ(run(&r, b, 16), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(disk.calls, 0);
	rig_deinit(&r);
}

/* Whatever the driver says it negotiated, a read-only disk is not written. */
TEST(read_only)
{
	const struct virtio_blk_discard_write_zeroes seg = {.sector = 0, .num_sectors = 8};
	struct rig r;

	rig_init(&r, true, 0);
	ASSERT_EQ(r.b.dev.acked, UINT64_C(1) << VIRTIO_F_VERSION_1);
	ASSERT_EQ(write_sectors(&r, 0, 1), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_DISCARD, &seg, 1), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &seg, 1), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	ASSERT_EQ(disk.calls, 0);
	ASSERT_EQ(read_sectors(&r, 0, 1), VIRTIO_BLK_S_OK);
	rig_deinit(&r);
}

TEST(get_id)
{
	struct rig r;

	rig_init(&r, true, ALL_FEATURES);
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
	ASSERT_EQ(r.used_len, 21);
	ASSERT_MEMEQ(drv_ptr(&r.d, r.data), "serial-0123456789abc", 20);
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_GET_ID, 0, 19, true), VIRTIO_BLK_S_IOERR);
	rig_deinit(&r);
}

TEST(malformed)
{
	struct rig r;

	rig_init(&r, false, ALL_FEATURES);
	ASSERT_EQ(request(&r, 0x1234, 0, 16, true), VIRTIO_BLK_S_UNSUPP);
	ASSERT_EQ(request(&r, UINT32_MAX, 0, 0, true), VIRTIO_BLK_S_UNSUPP);
	/* No status byte, no whole header, nothing readable at all. */
	struct drv_buf no_status[2] = {{r.hdr, 16, false}, {r.data, SECTOR, false}};
	struct drv_buf no_header[2] = {{r.hdr, 15, false}, {r.status, 1, true}};
	struct drv_buf only_in[1] = {{r.data, 600, true}};
	set_header(&r, VIRTIO_BLK_T_OUT, 0);
	ASSERT_EQ(run(&r, no_status, 2), 0xee);
	ASSERT_EQ(run(&r, no_header, 2), 0xee);
	ASSERT_EQ(run(&r, only_in, 1), 0xee);
	ASSERT_EQ(r.used_len, 0);
	ASSERT_EQ(r.b.dev.stats.malformed, 3);
	/* A read with nowhere to put data, a write without data: of no sectors, and so fine. */
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_IN, 0, 0, true), VIRTIO_BLK_S_OK);
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_OUT, 0, 0, true), VIRTIO_BLK_S_OK);
	ASSERT_EQ(disk.calls, 0);
	rig_deinit(&r);
}

static uint8_t byte_at(struct rig *r, uint64_t sector)
{
	uint8_t b;

	ASSERT_EQ(pread(r->fd, &b, 1, (off_t)(sector * SECTOR)), 1);
	return b;
}

TEST(discard_and_zeroes)
{
	struct virtio_blk_discard_write_zeroes seg[2] = {
		{.sector = 8, .num_sectors = 8}, {.sector = 40, .num_sectors = 8}};
	struct rig r;
	struct stat before;
	struct stat after;

	rig_init(&r, false, ALL_FEATURES);
	memset(drv_ptr(&r.d, r.data), 'Z', 64 * 1024);
	ASSERT_EQ(write_sectors(&r, 0, 128), VIRTIO_BLK_S_OK);
	ASSERT_OK(fstat(r.fd, &before));
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_DISCARD, seg, 2), VIRTIO_BLK_S_OK);
	ASSERT_OK(fstat(r.fd, &after));
	ASSERT_TRUE(after.st_blocks < before.st_blocks && after.st_size == before.st_size);
	ASSERT_TRUE(byte_at(&r, 7) == 'Z' && byte_at(&r, 8) == 0 && byte_at(&r, 16) == 'Z');
	ASSERT_TRUE(byte_at(&r, 47) == 0 && byte_at(&r, 48) == 'Z');
	/* memfd has no ZERO_RANGE: zeros are written. */
	seg[0] = (struct virtio_blk_discard_write_zeroes){.sector = 100, .num_sectors = 3};
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, seg, 1), VIRTIO_BLK_S_OK);
	ASSERT_TRUE(byte_at(&r, 99) == 'Z' && byte_at(&r, 100) == 0 && byte_at(&r, 102) == 0 &&
		    byte_at(&r, 103) == 'Z');
	seg[0] = (struct virtio_blk_discard_write_zeroes){
		.sector = 110, .num_sectors = 1, .flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP};
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, seg, 1), VIRTIO_BLK_S_OK);
	ASSERT_TRUE(byte_at(&r, 110) == 0 && byte_at(&r, 111) == 'Z');
	rig_deinit(&r);
}

TEST(ranges_refused)
{
	static const struct virtio_blk_discard_write_zeroes good = {.sector = 8, .num_sectors = 8};
	static const struct {
		uint32_t type;
		struct virtio_blk_discard_write_zeroes seg;
		uint8_t status;
	} bad[] = {
		{VIRTIO_BLK_T_DISCARD, {.sector = SECTORS, .num_sectors = 1}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {.sector = 1, .num_sectors = SECTORS}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {.sector = UINT64_MAX, .num_sectors = 1},
			VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {.sector = 0, .num_sectors = UINT32_MAX},
			VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {.sector = 0, .num_sectors = 8, .flags = 1},
			VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, {.sector = 0, .num_sectors = 8, .flags = 2},
			VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, {.sector = SECTORS, .num_sectors = 8},
			VIRTIO_BLK_S_IOERR},
	};
	struct virtio_blk_discard_write_zeroes many[33] = {{0}};
	struct rig r;

	rig_init(&r, false, ALL_FEATURES);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		/* The good range before the bad one is not touched either. */
		struct virtio_blk_discard_write_zeroes two[2] = {good, bad[i].seg};

		ASSERT_EQ(ranges(&r, bad[i].type, two, 2), bad[i].status);
	}
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_DISCARD, many, 33), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_DISCARD, many, 32), VIRTIO_BLK_S_OK); /* all empty */
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_DISCARD, 0, 0, false), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_DISCARD, 0, 15, false), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(disk.calls, 0);
	rig_deinit(&r);
}

TEST(disk_falls_short)
{
	struct rig r;
	uint8_t *p;

	rig_init(&r, false, ALL_FEATURES);
	p = drv_ptr(&r.d, r.data);
	for (unsigned int i = 0; i < 8 * SECTOR; i++)
		p[i] = (uint8_t)(i * 7);
	disk.at_most = 1000;
	disk.interrupts = 2;
	ASSERT_EQ(write_sectors(&r, 3, 8), VIRTIO_BLK_S_OK);
	ASSERT_TRUE(disk.calls >= 7);
	memset(p, 0, 8 * SECTOR);
	disk.interrupts = 2;
	ASSERT_EQ(read_sectors(&r, 3, 8), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 8 * SECTOR; i++)
		ASSERT_EQ(p[i], (uint8_t)(i * 7));
	disk.interrupts = 2;
	ASSERT_EQ(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	rig_deinit(&r);
}

TEST(disk_fails_and_recovers)
{
	static const int errors[] = {EIO, ENOSPC, EDQUOT, EFBIG, EBADF, ENOMEM};
	const struct virtio_blk_discard_write_zeroes seg = {.sector = 0, .num_sectors = 8};
	struct rig r;

	rig_init(&r, false, ALL_FEATURES);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		disk.error = errors[i];
		disk.times = 1;
		ASSERT_EQ(write_sectors(&r, 0, 8), VIRTIO_BLK_S_IOERR);
		disk.times = 1;
		ASSERT_EQ(read_sectors(&r, 0, 8), VIRTIO_BLK_S_IOERR);
		ASSERT_EQ(r.used_len, 0);
		disk.times = 1;
		ASSERT_EQ(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_IOERR);
		disk.times = 1;
		ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_DISCARD, &seg, 1), VIRTIO_BLK_S_IOERR);
		disk.times = 1;
		ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &seg, 1), VIRTIO_BLK_S_IOERR);
		ASSERT_EQ(write_sectors(&r, 0, 8), VIRTIO_BLK_S_OK);
	}
	ASSERT_EQ(r.b.dev.stats.failed, 5 * ARRAY_SIZE(errors));
	/* Discarding is a hint; zeroing is not. */
	disk.error = EOPNOTSUPP;
	disk.times = 1;
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_DISCARD, &seg, 1), VIRTIO_BLK_S_UNSUPP);
	disk.times = 1;
	ASSERT_EQ(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &seg, 1), VIRTIO_BLK_S_OK);
	ASSERT_EQ(drv_status(&r.d) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	rig_deinit(&r);
}

TEST(write_through)
{
	struct rig r;

	rig_init(&r, false, 0);
	ASSERT_EQ(write_sectors(&r, 0, 1), VIRTIO_BLK_S_OK);
	ASSERT_EQ(disk.calls, 2);
	disk.interrupts = 1;
	ASSERT_EQ(read_sectors(&r, 0, 1), VIRTIO_BLK_S_OK);
	ASSERT_EQ(disk.calls, 4);
	rig_deinit(&r);
}

struct racer {
	struct rig *r;
	/* Of the queue: the driver's own notes are being rewritten whenever it starts anew. */
	uint64_t desc;
	uint32_t size;
	uint32_t stop;
	uint64_t seed;
};

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A second vCPU that rewrites rings and headers as fast as it can. */
MSB_UNUSED static void *rewrite_memory(void *arg)
{
	struct racer *x = arg;
	const uint64_t good[] = {
		x->r->hdr, x->r->data, x->r->status, DRV_RAM - 8, DRV_RAM, UINT64_MAX};
	uint64_t *desc = drv_ptr(&x->r->d, x->desc);
	uint64_t *hdr = drv_ptr(&x->r->d, x->r->hdr);

	while (!__atomic_load_n(&x->stop, __ATOMIC_RELAXED)) {
		uint64_t v = next_random(&x->seed);
		size_t i = (v >> 8) % x->size * 2;
		/* Lengths of a sector or so, any flags, any successor. */
		uint64_t meta = (v >> 16) % 600 | (v >> 26 & 7) << 32 | (v >> 29) % x->size << 48;

		__atomic_store_n(&desc[i], good[v % ARRAY_SIZE(good)], __ATOMIC_RELAXED);
		__atomic_store_n(&desc[i + 1], meta, __ATOMIC_RELAXED);
		__atomic_store_n(&hdr[0], v >> 40 & 1, __ATOMIC_RELAXED);
		__atomic_store_n(&hdr[1], v >> 41 & 1 ? v : v >> 54, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* What was validated is what is used, whatever the memory says a moment later. */
TEST(memory_changes_under_the_device)
{
#ifdef __SANITIZE_THREAD__
	SKIP("races with the guest are meant here, the thread sanitizer cannot know");
#else
	struct rig r;
	struct racer x = {.r = &r, .seed = 42};
	uint64_t start = clock_mono_ns();
	uint64_t broken = 0;
	uint64_t ns = 0;
	pthread_t t;

	rig_init(&r, false, ALL_FEATURES);
	x.desc = r.d.q[0].desc;
	x.size = r.d.q[0].size;
	ASSERT_EQ(pthread_create(&t, NULL, rewrite_memory, &x), 0);
	/* Half a second, or until the other thread got a processor. */
	while (ns < NSEC_PER_SEC / 2 ||
		((!broken || !r.b.dev.stats.requests) && ns < 30 * NSEC_PER_SEC)) {
		ns = clock_mono_ns() - start;
		for (uint16_t i = 0; i < 8; i++)
			drv_post(&r.d, 0, i);
		drv_kick(&r.d, 0);
		if (!(drv_status(&r.d) & VIRTIO_CONFIG_S_NEEDS_RESET))
			continue;
		/* The rings stay where the other thread writes. */
		struct drv_queue q = r.d.q[0];

		broken++;
		r.d.heap = q.desc;
		memset(drv_ptr(&r.d, q.avail), 0, 6 + q.size * 2u);
		drv_start(&r.d, ALL_FEATURES, q.size);
		ASSERT_EQ(r.d.q[0].desc, q.desc);
	}
	__atomic_store_n(&x.stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_TRUE(broken > 0 && r.b.dev.stats.requests > 0);
	rig_deinit(&r);
#endif
}

TEST(many_requests_in_one_kick)
{
	struct rig r;
	uint32_t id;
	unsigned int done = 0;

	rig_init(&r, false, ALL_FEATURES);
	(void)drv_irqs(&r.d);
	set_header(&r, VIRTIO_BLK_T_IN, 0);
	struct drv_buf b[3] = {{r.hdr, 16, false}, {r.data, SECTOR, true}, {r.status, 1, true}};
	for (unsigned int i = 0; i < 5; i++)
		(void)drv_submit(&r.d, 0, b, 3);
	drv_kick(&r.d, 0);
	while (drv_used(&r.d, 0, &id, &r.used_len))
		done++;
	ASSERT_EQ(done, 5);
	ASSERT_EQ(drv_irqs(&r.d), 1);
	rig_deinit(&r);
}

enum { PIECES = 37, PIECES_SECTORS = 1 + PIECES * (PIECES - 1) / 2 };

/* Extents of 1, 1, 2, 3, ... sectors, each of another file at another offset. */
static void pieces_init(struct rig *r, struct blk_extent e[PIECES], uint8_t *model)
{
	struct blk_host host = {
		.extents = e, .n_extents = PIECES, .read_only = true, .serial = "pieces"};
	uint64_t at = 0;

	memset(&disk, 0, sizeof(disk));
	ASSERT_OK(drv_init(&r->d));
	for (unsigned int i = 0; i < PIECES; i++) {
		uint64_t len = MAX(i, 1u) * SECTOR;

		e[i] = (struct blk_extent){
			.fd = memfd_create("piece", MFD_CLOEXEC), .offset = i * 100ul, .len = len};
		for (uint64_t k = 0; k < len; k++)
			model[at + k] = (uint8_t)(i * 7 + k * 13 + k / 256);
		ASSERT_EQ(pwrite(e[i].fd, model + at, len, (off_t)e[i].offset), len);
		/* What lies behind must never be seen. */
		ASSERT_EQ(pwrite(e[i].fd, "beyond", 6, (off_t)(e[i].offset + len)), 6);
		at += len;
	}
	ASSERT_EQ(at, PIECES_SECTORS * SECTOR);
	ASSERT_OK(virtio_blk_init(&r->b, &r->d.env, &host));
	drv_attach(&r->d, &r->b.dev);
	drv_start(&r->d, ALL_FEATURES, 16);
	r->data = drv_alloc(&r->d, 64 * 1024);
	r->hdr = drv_alloc(&r->d, 16);
	r->status = drv_alloc(&r->d, 1);
	r->fd = -EBADF;
}

static void pieces_deinit(struct rig *r, struct blk_extent e[PIECES])
{
	rig_deinit(r);
	for (unsigned int i = 0; i < PIECES; i++)
		fd_close(e[i].fd);
}

TEST(pieces_of_files_are_one_disk)
{
	static uint8_t model[PIECES_SECTORS * SECTOR];
	struct blk_extent e[PIECES];
	struct rig r;

	pieces_init(&r, e, model);
	ASSERT_EQ(drv_read(&r.d, VIRTIO_MMIO_CONFIG), PIECES_SECTORS);
	for (uint32_t at = 0; at < PIECES_SECTORS; at++) {
		for (uint32_t n = 1; n <= 120 && at + n <= PIECES_SECTORS; n += 17) {
			/* Two buffers that meet anywhere, short reads sometimes. */
			uint32_t len = n * SECTOR;
			uint32_t cut = 1 + (at * 131 + n * 17) % (len - 1);
			struct drv_buf b[4] = {{r.hdr, 16, false}, {r.data, cut, true},
				{r.data + cut, len - cut, true}, {r.status, 1, true}};

			memset(drv_ptr(&r.d, r.data), 0xcc, len + 1);
			disk.at_most = at % 3 == 0 ? 1000 : 0;
			set_header(&r, VIRTIO_BLK_T_IN, at);
			ASSERT_EQ(run(&r, b, 4), VIRTIO_BLK_S_OK);
			ASSERT_MEMEQ(drv_ptr(&r.d, r.data), model + at * SECTOR, len);
			ASSERT_EQ(((uint8_t *)drv_ptr(&r.d, r.data))[len], 0xcc);
		}
	}
	ASSERT_EQ(read_sectors(&r, PIECES_SECTORS - 1, 2), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(write_sectors(&r, 0, 1), VIRTIO_BLK_S_IOERR);
	pieces_deinit(&r, e);
}

/* A layer that was cut short spoils what it held and nothing else. */
TEST(a_piece_that_is_too_short_is_an_error)
{
	static uint8_t model[PIECES_SECTORS * SECTOR];
	struct blk_extent e[PIECES];
	struct rig r;
	uint64_t sector;

	pieces_init(&r, e, model);
	sector = e[20].start / SECTOR;
	ASSERT_OK(ftruncate(e[20].fd, (off_t)(e[20].offset + e[20].len - SECTOR)));
	ASSERT_EQ(read_sectors(&r, sector, 19), VIRTIO_BLK_S_OK);
	ASSERT_EQ(read_sectors(&r, sector + 19, 1), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(read_sectors(&r, sector + 18, 3), VIRTIO_BLK_S_IOERR);
	ASSERT_EQ(read_sectors(&r, sector + 20, 3), VIRTIO_BLK_S_OK);
	ASSERT_MEMEQ(drv_ptr(&r.d, r.data), model + (sector + 20) * SECTOR, 3 * SECTOR);
	pieces_deinit(&r, e);
}

TEST(init_refused)
{
	struct drv d;
	struct virtio_blk b;
	struct blk_extent e[2] = {{.fd = -1}, {.fd = -1, .len = 512}};
	struct blk_host host = {.extents = e, .n_extents = 1};
	int p[2];

	ASSERT_OK(drv_init(&d));
	ASSERT_ERR(virtio_blk_init(&b, &d.env, &host), EBADF);
	ASSERT_EQ(pipe2(p, O_CLOEXEC), 0);
	e[0].fd = p[0];
	ASSERT_ERR(virtio_blk_init(&b, &d.env, &host), ENOTBLK);
	e[0].len = 513;
	ASSERT_ERR(virtio_blk_init(&b, &d.env, &host), EINVAL);
	host.n_extents = 0;
	ASSERT_ERR(virtio_blk_init(&b, &d.env, &host), EINVAL);
	host.n_extents = 2;
	e[0].len = 512;
	ASSERT_ERR(virtio_blk_init(&b, &d.env, &host), EINVAL); /* only if read-only */
	host.read_only = true;
	e[0].len = 0;
	ASSERT_ERR(virtio_blk_init(&b, &d.env, &host), EINVAL);
	(void)fd_close(p[0]);
	(void)fd_close(p[1]);
	drv_deinit(&d);
}
