/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: the one door from guest-physical addresses to host memory.
 *
 * RAM is a short list of regions, each a private anonymous mapping with inaccessible pages before
 * and behind it. The list is built before the guest runs and never changes afterwards, so any
 * thread may translate without a lock. Nothing but plain RAM is in the list: an address of a device
 * register, or a range that leaves its region by a byte, has no translation. There is no knowledge
 * of KVM here; the machine turns the regions into memory slots.
 *
 * Everything behind a slice changes under the reader's feet while vCPUs run: read a value once into
 * a local (gmem_read, guest_ld16() and the like) and validate the local.
 */
#pragma once

#include "base/base.h"

enum { GMEM_REGIONS_MAX = 4, GMEM_FILES_MAX = 8, GMEM_PAGE = 4096 };

struct gmem_region {
	uint64_t gpa;
	uint64_t size;
	uint8_t *hva;
	void *map; /* whole reservation with its guard pages, NULL: borrowed memory */
	size_t map_size;
};

/* A host range where a private file mapping lies over the RAM (the kernel image). */
struct gmem_file {
	uint8_t *hva;
	uint64_t size;
};

struct gmem {
	struct gmem_region regions[GMEM_REGIONS_MAX]; /* sorted by gpa, disjoint */
	unsigned int n_regions;
	struct gmem_file files[GMEM_FILES_MAX];
	unsigned int n_files;
};

/* Host view of a guest range; valid as long as the struct gmem. */
struct gmem_slice {
	uint8_t *p;
	size_t len;
};

/** gmem_init - no memory yet */
void gmem_init(struct gmem *mem);

/** gmem_deinit - unmap everything that gmem_alloc() mapped; no slice may be used any more */
void gmem_deinit(struct gmem *mem);

/**
 * gmem_alloc - add a region of zeroed private memory
 * @gpa, @size: multiples of 4 KiB, disjoint from the other regions
 *
 * The host address is congruent to @gpa modulo 2 MiB, so that huge pages fit.
 *
 * Return: 0, -EINVAL, -ENOSPC (region table full), or the negative errno of mmap.
 */
int gmem_alloc(struct gmem *mem, uint64_t gpa, uint64_t size) MSB_MUST_CHECK;

/** gmem_add - like gmem_alloc() over memory of the caller, which must outlive @mem (for tests) */
int gmem_add(struct gmem *mem, uint64_t gpa, void *hva, uint64_t size) MSB_MUST_CHECK;

/**
 * gmem_map_file - lay a private, writable mapping of a file over a part of the RAM
 * @gpa, @offset, @len: multiples of 4 KiB
 *
 * gmem_discard() leaves such ranges alone: dropping their pages would bring the content of the file
 * back in the place of what the guest wrote.
 *
 * Context: before the guest runs, with regions from gmem_alloc().
 * Return: 0, -EINVAL, -EFAULT (not RAM), -ENOSPC (table full), or the negative errno of mmap.
 */
int gmem_map_file(struct gmem *mem, uint64_t gpa, uint64_t len, int fd, uint64_t offset)
	MSB_MUST_CHECK;

/**
 * gmem_slice - translate a guest range
 *
 * Return: 0; -EFAULT when [@gpa, @gpa + @len) wraps, is empty, or is not inside one region.
 */
int gmem_slice(const struct gmem *mem, uint64_t gpa, uint64_t len, struct gmem_slice *ret)
	MSB_MUST_CHECK;

/** gmem_read - copy from the guest once; 0 or -EFAULT (then nothing was copied) */
int gmem_read(const struct gmem *mem, uint64_t gpa, void *to, size_t len) MSB_MUST_CHECK;

/** gmem_write - copy to the guest; 0 or -EFAULT (then nothing was copied) */
int gmem_write(const struct gmem *mem, uint64_t gpa, const void *from, size_t len) MSB_MUST_CHECK;

/**
 * gmem_discard - give the host back the whole pages inside a host range of guest RAM
 * @p, @len: from gmem_slice()
 * @ret_bytes: how much was given back, may be NULL
 *
 * The guest reads zeros there afterwards. Pages under a file mapping keep their content.
 *
 * Return: 0 or the negative errno of madvise.
 */
int gmem_discard(const struct gmem *mem, uint8_t *p, size_t len, uint64_t *ret_bytes)
	MSB_MUST_CHECK;

/** gmem_size - bytes of RAM in all regions */
uint64_t gmem_size(const struct gmem *mem);

/*
 * Single reads and writes of memory that another party changes at the same time. @p is aligned: the
 * compiler neither splits nor repeats the access.
 */
static inline uint16_t guest_ld16(const void *p)
{
	return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
}

static inline uint64_t guest_ld64(const void *p)
{
	return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

static inline void guest_st16(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, v, __ATOMIC_RELAXED);
}

static inline void guest_st32(void *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)p, v, __ATOMIC_RELAXED);
}

/** guest_copy_in - copy guest bytes to a local; the copy cannot be turned into a second read */
static inline void guest_copy_in(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	__asm__ volatile("" : : : "memory");
}
