/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the headers of a kernel image: see elf.h. */
#include "vmm/arch/x86_64/elf.h"

#include <elf.h>
#include <sys/stat.h>

/* <xen/interface/elfnote.h>: the 32-bit entry point of the PVH boot protocol. */
#define NOTE_OWNER "Xen"
enum { NOTE_PHYS32_ENTRY = 18 };

enum {
	HEAD_SIZE =
		1024, /* read in one go: ELF header, usually the program headers, bzImage's mark */
	PHDRS_MAX = 64, /* headers looked at, loadable or not */
	NOTES_MAX = 4096, /* bytes of one note segment; vmlinux has under 500 */
	BZIMAGE_MAGIC_AT = 0x202, /* "HdrS" of the Linux/x86 boot protocol */
};

/* The first bytes of the image; zeroes behind its end. */
struct head {
	uint8_t bytes[HEAD_SIZE];
	size_t len;
};

static int source_read_fd(const struct elf_source *src, uint64_t offset, void *p, size_t n)
{
	uint8_t *at = p;

	while (n) {
		ssize_t got = pread(src->fd, at, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ENODATA;
		at += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int elf_source_fd(struct elf_source *src, int fd, struct msb_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return msb_err_errno(err, -errno, "cannot read the kernel image");
	if (!S_ISREG(st.st_mode))
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "the kernel image is not a regular file");
	*src = (struct elf_source){.read = source_read_fd, .size = (uint64_t)st.st_size, .fd = fd};
	return 0;
}

/* Copies [@offset, @offset + @n) of the image, which must lie inside of it. */
static int source_copy(const struct elf_source *src, uint64_t offset, void *p, size_t n,
	const char *what, struct msb_err *err)
{
	int r;

	if (offset > src->size || n > src->size - offset)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the kernel image is truncated: no room for its %s", what);
	r = src->read(src, offset, p, n);
	if (r < 0)
		return msb_err_errno(err, r, "cannot read the %s of the kernel image", what);
	return 0;
}

static bool is_bzimage(const struct head *head)
{
	return memcmp(head->bytes + BZIMAGE_MAGIC_AT, "HdrS", 4) == 0;
}

static int check_format(const struct head *head, Elf64_Ehdr *eh, struct msb_err *err)
{
	static const uint8_t ident[] = {
		ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT};

	if (is_bzimage(head)) {
		(void)msb_err_set(err, -ENOEXEC, MSB_USAGE,
			"the kernel image is a compressed bzImage, an ELF vmlinux is needed");
		return msb_err_hint(err, -ENOEXEC,
			"unpack it with scripts/extract-vmlinux of the Linux source");
	}
	memcpy(eh, head->bytes, sizeof(*eh));
	if (memcmp(eh->e_ident, ident, 4) != 0)
		return msb_err_set(err, -ENOEXEC, MSB_USAGE, "the kernel image is not an ELF file");
	if (memcmp(eh->e_ident, ident, sizeof(ident)) != 0 || eh->e_machine != EM_X86_64 ||
		eh->e_type != ET_EXEC)
		return msb_err_set(err, -ENOEXEC, MSB_USAGE,
			"the kernel image is not a 64-bit x86 ELF executable");
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > PHDRS_MAX)
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "the kernel image has unusable program headers");
	return 0;
}

static int read_phdrs(const struct elf_source *src, const struct head *head, const Elf64_Ehdr *eh,
	Elf64_Phdr phdrs[PHDRS_MAX], struct msb_err *err)
{
	size_t len = eh->e_phnum * sizeof(phdrs[0]);

	if (eh->e_phoff > head->len || len > head->len - eh->e_phoff)
		return source_copy(src, eh->e_phoff, phdrs, len, "program headers", err);
	memcpy(phdrs, head->bytes + eh->e_phoff, len);
	return 0;
}

/* The file part is checked here, so that the loader may map or read it without a second look. */
static int add_segment(const struct elf_source *src, const Elf64_Phdr *ph, uint64_t low,
	uint64_t high, struct elf_image *img, struct msb_err *err)
{
	const struct elf_segment *prev = img->n ? &img->segments[img->n - 1] : NULL;

	if (ph->p_memsz == 0)
		return 0;
	if (img->n == ELF_SEGMENTS_MAX)
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "the kernel image has too many segments");
	if (ph->p_filesz > ph->p_memsz || ph->p_offset > src->size ||
		ph->p_filesz > src->size - ph->p_offset)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the kernel image is damaged: segment %u leaves the file", img->n);
	if (ph->p_paddr < low || (prev && ph->p_paddr < prev->paddr + prev->memsz))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the kernel image is damaged: segment %u lies at an unusable address",
			img->n);
	if (ph->p_paddr > high || ph->p_memsz > high - ph->p_paddr)
		return msb_err_set(err, -ENOMEM, MSB_USAGE,
			"the kernel does not fit into the memory of the sandbox");

	img->segments[img->n++] = (struct elf_segment){.offset = ph->p_offset,
		.filesz = ph->p_filesz,
		.paddr = ph->p_paddr,
		.memsz = ph->p_memsz};
	return 0;
}

/* Rounds up to the 4-byte alignment of notes; @n is at most NOTES_MAX. */
static size_t note_align(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Looks for the PVH note in @notes; leaves *@ret alone when there is none. */
static void find_pvh_note(const uint8_t *notes, size_t len, uint64_t *ret)
{
	Elf64_Nhdr nh;

	while (len >= sizeof(nh)) {
		size_t name_at = sizeof(nh);
		size_t desc_at;

		memcpy(&nh, notes, sizeof(nh));
		if (nh.n_namesz > len || nh.n_descsz > len)
			return;
		desc_at = name_at + note_align(nh.n_namesz);
		if (desc_at > len || nh.n_descsz > len - desc_at)
			return;
		if (nh.n_type == NOTE_PHYS32_ENTRY && nh.n_namesz == sizeof(NOTE_OWNER) &&
			memcmp(notes + name_at, NOTE_OWNER, sizeof(NOTE_OWNER)) == 0 &&
			(nh.n_descsz == 4 || nh.n_descsz == 8)) {
			uint64_t entry = 0;

			memcpy(&entry, notes + desc_at, nh.n_descsz);
			*ret = entry;
			return;
		}
		desc_at += note_align(nh.n_descsz);
		if (desc_at > len)
			return;
		notes += desc_at;
		len -= desc_at;
	}
}

static int read_notes(
	const struct elf_source *src, const Elf64_Phdr *ph, uint64_t *entry, struct msb_err *err)
{
	uint8_t notes[NOTES_MAX];
	int r;

	if (ph->p_filesz > sizeof(notes))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the kernel image is damaged: its notes are too large");
	r = source_copy(src, ph->p_offset, notes, ph->p_filesz, "notes", err);
	if (r < 0)
		return r;
	find_pvh_note(notes, ph->p_filesz, entry);
	return 0;
}

static bool entry_is_loaded(const struct elf_image *img, uint64_t entry)
{
	for (unsigned int i = 0; i < img->n; i++) {
		const struct elf_segment *s = &img->segments[i];

		if (entry >= s->paddr && entry - s->paddr < s->filesz)
			return true;
	}
	return false;
}

int elf_read(const struct elf_source *src, uint64_t low, uint64_t high, struct elf_image *ret,
	struct msb_err *err)
{
	struct head head = {.len = MIN(src->size, (uint64_t)HEAD_SIZE)};
	struct elf_image img = {0};
	uint64_t entry = UINT64_MAX;
	Elf64_Phdr phdrs[PHDRS_MAX] = {0};
	Elf64_Ehdr eh = {0};
	int r;

	assert(high <= UINT32_MAX);
	r = source_copy(src, 0, head.bytes, head.len, "first bytes", err);
	if (r < 0)
		return r;
	r = check_format(&head, &eh, err);
	if (r < 0)
		return r;
	r = read_phdrs(src, &head, &eh, phdrs, err);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		if (phdrs[i].p_type == PT_LOAD)
			r = add_segment(src, &phdrs[i], low, high, &img, err);
		else if (phdrs[i].p_type == PT_NOTE && entry == UINT64_MAX)
			r = read_notes(src, &phdrs[i], &entry, err);
		if (r < 0)
			return r;
	}
	if (entry == UINT64_MAX) {
		(void)msb_err_set(
			err, -ENOEXEC, MSB_USAGE, "the kernel image has no PVH entry note");
		return msb_err_hint(err, -ENOEXEC, "build the kernel with CONFIG_PVH=y");
	}
	if (!entry_is_loaded(&img, entry))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"the kernel image is damaged: its entry point is not part of it");
	img.entry = (uint32_t)entry;
	*ret = img;
	return 0;
}
