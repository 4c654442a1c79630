/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places a Linux kernel, its initramfs and the boot tables into guest memory (PVH boot protocol).
 *
 * The kernel is mapped from its file, private and copy-on-write, not copied: nothing is read that
 * the guest does not touch, and sandboxes share what they do not change. Only the ragged ends of
 * segments are copied, and the initramfs, whose pages the guest frees and uses as ordinary memory.
 * docs/internals/vmm.md has the measurements. The layout is in layout.h; the protocol in Xen's
 * public/arch-x86/hvm/start_info.h.
 */
#include "base/base.h"

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/elf.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/mptable.h"

enum { START_MAGIC = 0x336ec578, START_VERSION = 1 };
enum { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2 };

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct start_module {
	uint64_t gpa;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct start_range {
	uint64_t gpa;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* The page at BOOT_INFO_GPA. */
struct boot_page {
	struct start_info info;
	struct start_module initramfs;
	struct start_range memmap[4];
};
_Static_assert(sizeof(struct start_info) == 56, "layout of the protocol");
_Static_assert(sizeof(struct start_module) == 32, "layout of the protocol");
_Static_assert(sizeof(struct start_range) == 24, "layout of the protocol");
_Static_assert(sizeof(struct boot_page) <= GMEM_PAGE, "fits its page");
_Static_assert(BOOT_CMDLINE_GPA + LIMIT_CMDLINE <= LOW_RAM_END, "fits into low memory");

static uint64_t page_down(uint64_t x)
{
	return x & ~(uint64_t)(GMEM_PAGE - 1);
}

static uint64_t page_up(uint64_t x)
{
	return page_down(x + GMEM_PAGE - 1);
}

static int copy(
	struct gmem *mem, uint64_t gpa, const struct elf_source *src, uint64_t offset, uint64_t len)
{
	struct gmem_slice s;
	int r;

	if (len == 0)
		return 0;
	r = gmem_slice(mem, gpa, len, &s);
	return r < 0 ? r : src->read(src, offset, s.p, s.len);
}

/* Maps the whole pages if file and memory are aligned alike and copies the rest. Bytes of the last
 * page behind @len stay zero. */
static int map(
	struct gmem *mem, uint64_t gpa, const struct elf_source *src, uint64_t offset, uint64_t len)
{
	uint64_t first = page_up(gpa);
	uint64_t end = page_down(gpa + len);
	int r;

	if (gpa % GMEM_PAGE != offset % GMEM_PAGE || first >= end)
		return copy(mem, gpa, src, offset, len);
	r = gmem_map_file(mem, first, end - first, src->fd, offset + (first - gpa));
	if (r == -ENODEV || r == -ENOSPC) /* a file system without mmap, or many segments */
		return copy(mem, gpa, src, offset, len);
	if (r == 0)
		r = copy(mem, gpa, src, offset, first - gpa);
	if (r == 0)
		r = copy(mem, end, src, offset + (end - gpa), gpa + len - end);
	return r;
}

static int load_kernel(
	int fd, struct gmem *mem, uint64_t ram_end, struct elf_image *ret, struct msb_err *err)
{
	struct elf_source src;
	int r;

	r = elf_source_fd(&src, fd, err);
	if (r < 0)
		return r;
	r = elf_read(&src, HIGH_RAM_START, ram_end, ret, err);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < ret->n; i++) {
		const struct elf_segment *s = &ret->segments[i];

		r = map(mem, s->paddr, &src, s->offset, s->filesz);
		if (r < 0)
			return msb_err_errno(err, r, "cannot load the kernel");
	}
	return 0;
}

/* As high as possible: away from the kernel, which takes memory behind its own end while it boots.
 */
static int load_initramfs(int fd, struct gmem *mem, uint64_t kernel_end, uint64_t ram_end,
	struct start_module *ret, struct msb_err *err)
{
	struct elf_source src;
	uint64_t gpa;
	int r;

	r = elf_source_fd(&src, fd, NULL);
	if (r < 0)
		return msb_err_errno(err, r, "cannot read the initramfs");
	if (src.size == 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "the initramfs is empty");
	if (src.size > ram_end - page_up(kernel_end))
		return msb_err_set(err, -ENOMEM, MSB_USAGE,
			"the initramfs does not fit into the memory of the sandbox");
	gpa = page_down(ram_end - src.size);
	r = copy(mem, gpa, &src, 0, src.size);
	if (r < 0)
		return msb_err_errno(err, r, "cannot load the initramfs");
	*ret = (struct start_module){.gpa = gpa, .size = src.size};
	return 0;
}

static unsigned int fill_memmap(const struct gmem *mem, struct start_range *to)
{
	unsigned int n = 0;

	to[n++] = (struct start_range){.gpa = 0, .size = LOW_RAM_END, .type = MEMMAP_RAM};
	to[n++] = (struct start_range){
		.gpa = LOW_RAM_END, .size = HIGH_RAM_START - LOW_RAM_END, .type = MEMMAP_RESERVED};
	for (unsigned int i = 0; i < mem->n_regions; i++) {
		uint64_t gpa = MAX(mem->regions[i].gpa, (uint64_t)HIGH_RAM_START);
		uint64_t end = mem->regions[i].gpa + mem->regions[i].size;

		to[n++] = (struct start_range){.gpa = gpa, .size = end - gpa, .type = MEMMAP_RAM};
	}
	return n;
}

static int write_tables(const struct arch_boot *boot, struct gmem *mem,
	const struct start_module *initramfs, struct msb_err *err)
{
	struct boot_page page = {
		.info = {.magic = START_MAGIC,
			.version = START_VERSION,
			.nr_modules = initramfs->size ? 1 : 0,
			.modules = BOOT_INFO_GPA + offsetof(struct boot_page, initramfs),
			.cmdline = BOOT_CMDLINE_GPA,
			.memmap = BOOT_INFO_GPA + offsetof(struct boot_page, memmap)},
		.initramfs = *initramfs,
	};
	uint8_t table[MPTABLE_SIZE_MAX];
	uint8_t pointer[MPTABLE_POINTER_SIZE];
	size_t table_len = mptable_build(table, boot->vcpus);
	size_t cmdline_len = strlen(boot->cmdline) + 1;
	int r;

	_Static_assert(ARRAY_SIZE(page.memmap) >= 2 + ARCH_RAM_RANGES_MAX, "room for all ranges");
	if (cmdline_len > LIMIT_CMDLINE)
		return msb_err_set(err, -E2BIG, MSB_USAGE, "the kernel command line is too long");
	page.info.memmap_entries = fill_memmap(mem, page.memmap);
	mptable_build_pointer(pointer, MP_TABLE_GPA);

	r = gmem_write(mem, BOOT_INFO_GPA, &page, sizeof(page));
	if (r == 0)
		r = gmem_write(mem, BOOT_CMDLINE_GPA, boot->cmdline, cmdline_len);
	if (r == 0)
		r = gmem_write(mem, MP_TABLE_GPA, table, table_len);
	if (r == 0)
		r = gmem_write(mem, MP_POINTER_GPA, pointer, sizeof(pointer));
	return r < 0 ? msb_err_errno(err, r, "cannot write the boot tables") : 0;
}

int arch_boot_load(
	const struct arch_boot *boot, struct gmem *mem, struct arch_entry *ret, struct msb_err *err)
{
	uint64_t ram_end = mem->regions[0].gpa + mem->regions[0].size;
	struct start_module initramfs = {0};
	const struct elf_segment *last;
	struct elf_image kernel;
	int r;

	r = load_kernel(boot->kernel_fd, mem, ram_end, &kernel, err);
	if (r < 0)
		return r;
	last = &kernel.segments[kernel.n - 1];
	if (boot->initramfs_fd >= 0) {
		r = load_initramfs(boot->initramfs_fd, mem, last->paddr + last->memsz, ram_end,
			&initramfs, err);
		if (r < 0)
			return r;
	}
	r = write_tables(boot, mem, &initramfs, err);
	if (r < 0)
		return r;
	*ret = (struct arch_entry){.ip = kernel.entry, .info_gpa = BOOT_INFO_GPA};
	return 0;
}
