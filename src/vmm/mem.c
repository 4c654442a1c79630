/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: see mem.h.
 *
 * #syscalls(vmm:loop): madvise(2=MADV_DONTNEED)
 */
#include "vmm/mem.h"

#include <sys/mman.h>

static const uint64_t HUGE_PAGE = 2 * MIB;

static bool page_aligned(uint64_t v)
{
	return v % GMEM_PAGE == 0;
}

void gmem_init(struct gmem *mem)
{
	*mem = (struct gmem){.n_regions = 0};
}

void gmem_deinit(struct gmem *mem)
{
	for (unsigned int i = 0; i < mem->n_regions; i++) {
		if (mem->regions[i].map)
			(void)munmap(mem->regions[i].map, mem->regions[i].map_size);
	}
	gmem_init(mem);
}

static int check_region(const struct gmem *mem, uint64_t gpa, uint64_t size)
{
	uint64_t end;

	if (size == 0 || !page_aligned(gpa) || !page_aligned(size))
		return -EINVAL;
	if (__builtin_add_overflow(gpa, size, &end))
		return -EINVAL;
	for (unsigned int i = 0; i < mem->n_regions; i++) {
		const struct gmem_region *r = &mem->regions[i];

		if (gpa < r->gpa + r->size && r->gpa < end)
			return -EINVAL;
	}
	return mem->n_regions == GMEM_REGIONS_MAX ? -ENOSPC : 0;
}

static void insert_region(struct gmem *mem, const struct gmem_region *r)
{
	unsigned int i = mem->n_regions++;

	for (; i > 0 && mem->regions[i - 1].gpa > r->gpa; i--)
		mem->regions[i] = mem->regions[i - 1];
	mem->regions[i] = *r;
}

int gmem_alloc(struct gmem *mem, uint64_t gpa, uint64_t size)
{
	struct gmem_region r = {.gpa = gpa, .size = size};
	uint8_t *first;
	int e;

	e = check_region(mem, gpa, size);
	if (e < 0)
		return e;
	/* Room to align, and a guard page on both sides. */
	if (__builtin_add_overflow(size, HUGE_PAGE + UINT64_C(2) * GMEM_PAGE, &r.map_size))
		return -EINVAL;
	r.map = mmap(
		NULL, r.map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r.map == MAP_FAILED)
		return -errno;
	first = (uint8_t *)r.map + GMEM_PAGE;
	r.hva = first + ((gpa - (uint64_t)(uintptr_t)first) & (HUGE_PAGE - 1));
	/* Not charged up front: a guest owns what it touches, and returns it (balloon). */
	if (mmap(r.hva, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
		e = -errno;
		(void)munmap(r.map, r.map_size);
		return e;
	}
	insert_region(mem, &r);
	return 0;
}

int gmem_add(struct gmem *mem, uint64_t gpa, void *hva, uint64_t size)
{
	struct gmem_region r = {.gpa = gpa, .size = size, .hva = hva};
	int e;

	e = check_region(mem, gpa, size);
	if (e < 0)
		return e;
	if (!page_aligned((uint64_t)(uintptr_t)hva))
		return -EINVAL;
	insert_region(mem, &r);
	return 0;
}

static const struct gmem_region *find_region(const struct gmem *mem, uint64_t gpa)
{
	for (unsigned int i = 0; i < mem->n_regions; i++) {
		const struct gmem_region *r = &mem->regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

int gmem_slice(const struct gmem *mem, uint64_t gpa, uint64_t len, struct gmem_slice *ret)
{
	const struct gmem_region *r = find_region(mem, gpa);

	/* No sum of two values of the guest: the offset is inside the region, the rest is compared.
	 */
	if (!r || len == 0 || len > r->size - (gpa - r->gpa))
		return -EFAULT;
	*ret = (struct gmem_slice){.p = r->hva + (gpa - r->gpa), .len = len};
	return 0;
}

int gmem_map_file(struct gmem *mem, uint64_t gpa, uint64_t len, int fd, uint64_t offset)
{
	const struct gmem_region *r = find_region(mem, gpa);
	struct gmem_slice s;
	int e;

	if (!page_aligned(gpa) || !page_aligned(len) || !page_aligned(offset) || offset > INT64_MAX)
		return -EINVAL;
	e = gmem_slice(mem, gpa, len, &s);
	if (e < 0)
		return e;
	if (!r->map)
		return -EINVAL;
	if (mem->n_files == GMEM_FILES_MAX)
		return -ENOSPC;
	if (mmap(s.p, s.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)offset) ==
		MAP_FAILED)
		return -errno;
	mem->files[mem->n_files++] = (struct gmem_file){.hva = s.p, .size = s.len};
	return 0;
}

int gmem_read(const struct gmem *mem, uint64_t gpa, void *to, size_t len)
{
	struct gmem_slice s;
	int e;

	e = gmem_slice(mem, gpa, len, &s);
	if (e < 0)
		return e;
	guest_copy_in(to, s.p, len);
	return 0;
}

int gmem_write(const struct gmem *mem, uint64_t gpa, const void *from, size_t len)
{
	struct gmem_slice s;
	int e;

	e = gmem_slice(mem, gpa, len, &s);
	if (e < 0)
		return e;
	memcpy(s.p, from, len);
	return 0;
}

/* End of the stretch without a file mapping that starts at @p, at most @end; @p if one lies there.
 */
static uintptr_t plain_until(
	const struct gmem *mem, uintptr_t p, uintptr_t end, uintptr_t *ret_next)
{
	*ret_next = end;
	for (unsigned int i = 0; i < mem->n_files; i++) {
		uintptr_t first = (uintptr_t)mem->files[i].hva;
		uintptr_t last = first + mem->files[i].size;

		if (last <= p || first >= end)
			continue;
		end = MAX(first, p);
		*ret_next = last;
	}
	return end;
}

int gmem_discard(const struct gmem *mem, uint8_t *p, size_t len, uint64_t *ret_bytes)
{
	const uintptr_t mask = GMEM_PAGE - 1;
	uintptr_t at = ((uintptr_t)p + mask) & ~mask;
	uintptr_t end = ((uintptr_t)p + len) & ~mask;
	uint64_t bytes = 0;

	while (at < end) {
		uintptr_t next;
		uintptr_t stop = plain_until(mem, at, end, &next);

		if (stop > at && madvise((void *)at, stop - at, MADV_DONTNEED) < 0)
			return -errno;
		bytes += stop - at;
		at = next;
	}
	if (ret_bytes)
		*ret_bytes = bytes;
	return 0;
}

uint64_t gmem_size(const struct gmem *mem)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < mem->n_regions; i++)
		n += mem->regions[i].size;
	return n;
}
