/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "vmm/mem.h"

#include "test.h"

static void make(struct gmem *mem)
{
	gmem_init(mem);
	ASSERT_OK(gmem_alloc(mem, UINT64_C(4) << 30, MIB));
	ASSERT_OK(gmem_alloc(mem, 0, 4 * MIB));
}

TEST(slice_inside)
{
	struct gmem mem;
	struct gmem_slice s;

	make(&mem);
	ASSERT_EQ(gmem_size(&mem), 5 * MIB);
	ASSERT_OK(gmem_slice(&mem, 0, 4 * MIB, &s));
	ASSERT_TRUE(s.p == mem.regions[0].hva && s.len == 4 * MIB);
	ASSERT_OK(gmem_slice(&mem, 4 * MIB - 1, 1, &s));
	s.p[0] = 7;
	ASSERT_OK(gmem_slice(&mem, UINT64_C(4) << 30, MIB, &s));
	s.p[MIB - 1] = 7;
	gmem_deinit(&mem);
}

TEST(slice_outside)
{
	static const struct {
		uint64_t gpa;
		uint64_t len;
	} bad[] = {
		{0, 0},
		{0, 4 * MIB + 1},
		{4 * MIB - 1, 2},
		{4 * MIB, 1},
		{(UINT64_C(4) << 30) - 1, 1},
		{(UINT64_C(4) << 30) - 1, 2},
		{(UINT64_C(4) << 30) + MIB, 1},
		{4 * MIB - 1, UINT64_MAX},
		{1, UINT64_MAX},
		{UINT64_MAX, 1},
		{UINT64_MAX, 2},
		{UINT64_MAX, UINT64_MAX},
		{UINT64_MAX - 4095, 4096},
		{UINT64_C(1) << 63, UINT64_C(1) << 63},
	};
	struct gmem mem;
	struct gmem_slice s = {.p = NULL, .len = 1};
	uint8_t b[16] = {0};

	make(&mem);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_ERR(gmem_slice(&mem, bad[i].gpa, bad[i].len, &s), EFAULT);
		ASSERT_TRUE(s.p == NULL && s.len == 1);
	}
	ASSERT_ERR(gmem_read(&mem, 4 * MIB - 15, b, 16), EFAULT);
	ASSERT_ERR(gmem_write(&mem, 4 * MIB - 15, b, 16), EFAULT);
	gmem_deinit(&mem);
}

TEST(copy)
{
	struct gmem mem;
	char b[8] = "";

	make(&mem);
	ASSERT_OK(gmem_write(&mem, 4 * MIB - 8, "sandbox", 8));
	ASSERT_OK(gmem_read(&mem, 4 * MIB - 8, b, 8));
	ASSERT_STREQ(b, "sandbox");
	gmem_deinit(&mem);
}

TEST(regions_refused)
{
	struct gmem mem;

	make(&mem);
	ASSERT_ERR(gmem_alloc(&mem, 2 * MIB, MIB), EINVAL); /* overlap */
	ASSERT_ERR(gmem_alloc(&mem, 4 * MIB - GMEM_PAGE, 2 * GMEM_PAGE), EINVAL);
	ASSERT_ERR(gmem_alloc(&mem, 8 * MIB, 0), EINVAL);
	ASSERT_ERR(gmem_alloc(&mem, 8 * MIB + 1, GMEM_PAGE), EINVAL);
	ASSERT_ERR(gmem_alloc(&mem, 8 * MIB, GMEM_PAGE + 1), EINVAL);
	ASSERT_ERR(gmem_alloc(&mem, UINT64_MAX - GMEM_PAGE + 1, GMEM_PAGE), EINVAL); /* wraps */
	ASSERT_ERR(gmem_add(&mem, 8 * MIB, (void *)1, GMEM_PAGE), EINVAL);
	ASSERT_OK(gmem_alloc(&mem, 8 * MIB, GMEM_PAGE));
	ASSERT_OK(gmem_alloc(&mem, 9 * MIB, GMEM_PAGE));
	ASSERT_ERR(gmem_alloc(&mem, 10 * MIB, GMEM_PAGE), ENOSPC);
	gmem_deinit(&mem);
}

TEST(host_addresses_fit_huge_pages)
{
	struct gmem mem;

	gmem_init(&mem);
	ASSERT_OK(gmem_alloc(&mem, 3 * MIB, 8 * MIB));
	ASSERT_EQ((uintptr_t)mem.regions[0].hva % (2 * MIB), MIB);
	gmem_deinit(&mem);
}

TEST(alloc_failures)
{
	FAULT_LOOP({
		struct gmem mem;

		gmem_init(&mem);
		(void)!gmem_alloc(&mem, 0, MIB);
		gmem_deinit(&mem);
	});
}

static int make_file(char fill, size_t len)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);

	ASSERT_OK(ftruncate(fd, (off_t)len));
	for (size_t i = 0; i < len; i++)
		ASSERT_EQ(pwrite(fd, &fill, 1, (off_t)i), 1);
	return fd;
}

TEST(discard_reads_zero)
{
	struct gmem mem;
	struct gmem_slice s;
	uint64_t bytes;

	make(&mem);
	ASSERT_OK(gmem_slice(&mem, 0, MIB, &s));
	memset(s.p, 0x55, s.len);
	/* Only whole pages. */
	ASSERT_OK(gmem_discard(&mem, s.p + 1, 3 * GMEM_PAGE, &bytes));
	ASSERT_EQ(bytes, 2 * GMEM_PAGE);
	ASSERT_EQ(s.p[GMEM_PAGE - 1], 0x55);
	ASSERT_EQ(s.p[GMEM_PAGE], 0);
	ASSERT_EQ(s.p[3 * GMEM_PAGE - 1], 0);
	ASSERT_EQ(s.p[3 * GMEM_PAGE], 0x55);
	ASSERT_OK(gmem_discard(&mem, s.p + 1, GMEM_PAGE, &bytes));
	ASSERT_EQ(bytes, 0);
	gmem_deinit(&mem);
}

TEST(discard_spares_file_mappings)
{
	cleanup_fd int fd = make_file('k', 2 * GMEM_PAGE);
	struct gmem mem;
	struct gmem_slice s;
	uint64_t bytes;

	make(&mem);
	ASSERT_OK(gmem_map_file(&mem, 5 * GMEM_PAGE, GMEM_PAGE, fd, GMEM_PAGE));
	ASSERT_OK(gmem_map_file(&mem, 2 * GMEM_PAGE, 2 * GMEM_PAGE, fd, 0));
	ASSERT_OK(gmem_slice(&mem, 0, 8 * GMEM_PAGE, &s));
	ASSERT_EQ(s.p[2 * GMEM_PAGE], 'k');
	memset(s.p, 'g', s.len);
	ASSERT_OK(gmem_discard(&mem, s.p, s.len, &bytes));
	ASSERT_EQ(bytes, 5 * GMEM_PAGE);
	for (unsigned int page = 0; page < 8; page++) {
		bool file = page == 2 || page == 3 || page == 5;

		ASSERT_EQ(s.p[page * GMEM_PAGE], file ? 'g' : 0);
	}
	/* Starting and ending inside a mapping. */
	ASSERT_OK(gmem_discard(&mem, s.p + 3 * GMEM_PAGE, 2 * GMEM_PAGE, &bytes));
	ASSERT_EQ(bytes, GMEM_PAGE);
	ASSERT_OK(gmem_discard(&mem, s.p + 2 * GMEM_PAGE, GMEM_PAGE, &bytes));
	ASSERT_EQ(bytes, 0);
	gmem_deinit(&mem);
}

TEST(map_file_refused)
{
	cleanup_fd int fd = make_file('k', GMEM_PAGE);
	uint8_t *own =
		mmap(NULL, GMEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct gmem mem;

	make(&mem);
	ASSERT_OK(gmem_add(&mem, 16 * MIB, own, GMEM_PAGE));
	ASSERT_ERR(gmem_map_file(&mem, 4 * MIB - GMEM_PAGE, 2 * GMEM_PAGE, fd, 0), EFAULT);
	ASSERT_ERR(gmem_map_file(&mem, 8 * MIB, GMEM_PAGE, fd, 0), EFAULT);
	ASSERT_ERR(gmem_map_file(&mem, 1, GMEM_PAGE, fd, 0), EINVAL);
	ASSERT_ERR(gmem_map_file(&mem, 16 * MIB, GMEM_PAGE, fd, 0), EINVAL);
	ASSERT_ERR(gmem_map_file(&mem, 0, GMEM_PAGE, -1, 0), EBADF);
	ASSERT_EQ(mem.n_files, 0);
	gmem_deinit(&mem);
	munmap(own, GMEM_PAGE);
}
