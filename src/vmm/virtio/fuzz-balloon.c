/* SPDX-License-Identifier: Apache-2.0 */
/* A balloon with a driver. Pages under a file mapping must come through untouched. */
#include <sys/mman.h>

#include "vmm/virtio/balloon.h"

#include "fuzz-device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Above what the driver's memory edits reach, inside what its descriptors do. */
enum { FILE_PAGE = 4, FILE_PAGES = 3 };
#define FILE_GPA (DRV_HIGH + FILE_PAGE * GMEM_PAGE)

struct target {
	struct fuzz_device f;
	struct virtio_balloon b;
	uint8_t *file;
};

/* A list of page numbers around the end of the RAM and around the file. */
static void inflate(struct fuzz_device *f, struct fuzz_input *in)
{
	struct target *t = container_of(f, struct target, f);
	uint8_t kind = (uint8_t)fuzz_take(in, 1);
	uint32_t pfns[16];
	struct drv_buf b = {0x8000, (kind >> 4) * 4u + 4, false};

	if (kind & 8)
		virtio_balloon_set_target(&t->b, kind);
	if (!f->d.q[0].size)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(pfns); i++) {
		pfns[i] = (uint32_t)fuzz_take(in, 1);
		if (kind & 1)
			pfns[i] += (uint32_t)(DRV_HIGH / GMEM_PAGE);
		if (kind & 2)
			pfns[i] += DRV_RAM / GMEM_PAGE - 128;
	}
	(void)!gmem_write(&f->d.mem, b.gpa, pfns, sizeof(pfns));
	(void)drv_submit(&f->d, kind >> 2 & 1, &b, 1);
}

static void check(struct fuzz_device *f)
{
	struct target *t = container_of(f, struct target, f);

	for (unsigned int i = 0; i < FILE_PAGES; i++)
		FUZZ_REQUIRE(t->file[i * GMEM_PAGE] == 0xf1);
	FUZZ_REQUIRE(t->b.given <= t->b.total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct target t = {.f = {.host = inflate, .check = check}};
	cleanup_fd int fd = memfd_create("kernel", MFD_CLOEXEC);

	fuzz_device_init(&t.f);
	FUZZ_REQUIRE(fd >= 0 && ftruncate(fd, FILE_PAGES * GMEM_PAGE) == 0);
	FUZZ_REQUIRE(gmem_map_file(&t.f.d.mem, FILE_GPA, FILE_PAGES * GMEM_PAGE, fd, 0) == 0);
	t.file = drv_ptr(&t.f.d, FILE_GPA);
	memset(t.file, 0xf1, (size_t)FILE_PAGES * GMEM_PAGE);
	FUZZ_REQUIRE(virtio_balloon_init(&t.b, &t.f.d.env) == 0);
	t.f.dev = &t.b.dev;
	fuzz_device_run(&t.f, &in, true);
	virtio_balloon_deinit(&t.b);
	drv_deinit(&t.f.d);
	return 0;
}
