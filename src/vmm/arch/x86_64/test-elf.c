/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "vmm/arch/x86_64/elf.h"
#include "vmm/arch/x86_64/testelf.h"

#include "test.h"

enum { LOW = 0x100000, HIGH = 64 << 20 };

static int read_memory(const struct elf_source *src, uint64_t offset, void *p, size_t n)
{
	if (offset > src->size || n > src->size - offset)
		test_fail(__FILE__, __LINE__, "read of %zu bytes at %" PRIu64, n, offset);
	memcpy(p, src->data + offset, n);
	return 0;
}

static int parse(const void *data, size_t size, struct elf_image *ret, struct msb_err *err)
{
	struct elf_source src = {.read = read_memory, .size = size, .data = data};

	return elf_read(&src, LOW, HIGH, ret, err);
}

static struct testelf good(void)
{
	struct testelf e;

	testelf_fill(&e, "\xf4", 1);
	return e;
}

#define REJECTED(change, errno_, text)                                            \
	do {                                                                      \
		struct testelf e = good();                                        \
		struct msb_err err = {0};                                         \
		struct elf_image img;                                             \
		change;                                                           \
		ASSERT_ERR(parse(&e, sizeof(e), &img, &err), errno_);             \
		if (!strstr(err.msg, text))                                       \
			test_fail(__FILE__, __LINE__, "unexpected: %s", err.msg); \
	} while (0)

TEST(reads_a_kernel)
{
	struct testelf e = good();
	struct elf_image img;

	ASSERT_OK(parse(&e, sizeof(e), &img, NULL));
	ASSERT_EQ(img.n, 2);
	ASSERT_EQ(img.entry, TESTELF_GPA);
	ASSERT_EQ(img.segments[0].paddr, TESTELF_GPA);
	ASSERT_EQ(img.segments[0].offset, 4096);
	ASSERT_EQ(img.segments[1].filesz, 100);
	ASSERT_EQ(img.segments[1].memsz, 400);
}

TEST(takes_a_note_of_four_bytes_behind_others)
{
	struct testelf e = good();
	struct elf_image img;
	uint8_t notes[] = {/* an odd name and description, padded */
		3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 'A', 'B', 0, 0, 1, 2, 3, 4, 5, 0, 0, 0,
		/* same type, other owner */
		4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'Y', 'e', 'n', 0, 9, 9, 9, 9,
		/* ours */
		4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0x10, 0, 0x10, 0};

	memcpy(e.rest, notes, sizeof(notes));
	e.ph[2].p_offset = offsetof(struct testelf, rest);
	e.ph[2].p_filesz = sizeof(notes);
	ASSERT_OK(parse(&e, sizeof(e), &img, NULL));
	ASSERT_EQ(img.entry, 0x100010);
}

TEST(names_other_formats)
{
	REJECTED(memcpy((uint8_t *)&e + 0x202, "HdrS", 4), ENOEXEC, "bzImage");
	REJECTED(e.eh.e_ident[0] = 0, ENOEXEC, "not an ELF");
	REJECTED(e.eh.e_ident[EI_CLASS] = ELFCLASS32, ENOEXEC, "64-bit x86");
	REJECTED(e.eh.e_machine = EM_AARCH64, ENOEXEC, "64-bit x86");
	REJECTED(e.eh.e_type = ET_DYN, ENOEXEC, "64-bit x86");
	REJECTED(e.note.nh.n_type = 17, ENOEXEC, "PVH");
	REJECTED(e.ph[2].p_type = PT_NULL, ENOEXEC, "PVH");
}

TEST(rejects_program_headers_that_lie)
{
	REJECTED(e.eh.e_phnum = 0, EINVAL, "program headers");
	REJECTED(e.eh.e_phnum = 65535, EINVAL, "program headers");
	REJECTED(e.eh.e_phentsize = 32, EINVAL, "program headers");
	REJECTED(e.eh.e_phoff = 1000, ENOEXEC, "PVH"); /* zeroes: no segment, no note */
	REJECTED(e.eh.e_phoff = TESTELF_SIZE - 8, EINVAL, "truncated");
	REJECTED(e.eh.e_phoff = UINT64_MAX - 8, EINVAL, "truncated");
}

TEST(rejects_segments_outside_of_file_and_memory)
{
	REJECTED(e.ph[0].p_filesz = 4097, EINVAL, "leaves the file"); /* > memsz */
	REJECTED(e.ph[1].p_offset = TESTELF_SIZE - 99, EINVAL, "leaves the file");
	REJECTED(e.ph[1].p_offset = UINT64_MAX - 10, EINVAL, "leaves the file");
	REJECTED(e.ph[1].p_memsz = UINT64_MAX, ENOMEM, "does not fit");
	REJECTED(e.ph[1].p_paddr = HIGH - 399, ENOMEM, "does not fit");
	REJECTED(e.ph[1].p_paddr = UINT64_MAX - 10, ENOMEM, "does not fit");
	REJECTED(e.ph[0].p_paddr = LOW - 1, EINVAL, "unusable address");
	REJECTED(e.ph[1].p_paddr = TESTELF_GPA + 4095, EINVAL, "unusable address");
	REJECTED(e.ph[1].p_paddr = LOW - 0x1000, EINVAL, "unusable address");
}

TEST(rejects_an_entry_that_is_not_loaded)
{
	REJECTED(e.note.entry = TESTELF_GPA - 1, EINVAL, "entry point");
	REJECTED(e.note.entry = TESTELF_GPA + 4096, EINVAL, "entry point");
	REJECTED(e.note.entry = TESTELF_DATA_GPA + 0x80 + 100, EINVAL, "entry point");
	REJECTED(e.note.entry = UINT64_MAX, ENOEXEC, "PVH");
	REJECTED(e.note.entry = UINT64_MAX - 1, EINVAL, "entry point");
}

TEST(survives_notes_of_any_shape)
{
	REJECTED(e.note.nh.n_namesz = UINT32_MAX, ENOEXEC, "PVH");
	REJECTED(e.note.nh.n_descsz = UINT32_MAX, ENOEXEC, "PVH");
	REJECTED(e.note.nh.n_descsz = 9, ENOEXEC, "PVH");
	REJECTED(e.ph[2].p_filesz = 11, ENOEXEC, "PVH");
	REJECTED(e.ph[2].p_filesz = 0, ENOEXEC, "PVH");
	REJECTED(e.ph[2].p_filesz = 5000, EINVAL, "notes");
	REJECTED(e.ph[2].p_offset = TESTELF_SIZE, EINVAL, "truncated");
}

TEST(rejects_every_truncation)
{
	struct testelf e = good();
	struct elf_image img;

	/* The last bytes of the file belong to no segment. */
	ASSERT_OK(parse(&e, 2 * 4096 + 0x80 + 100, &img, NULL));
	for (size_t size = 0; size < 2 * 4096 + 0x80 + 100; size += 7)
		ASSERT_TRUE(parse(&e, size, &img, NULL) < 0);
}

TEST(takes_regular_files_only)
{
	struct elf_source src;
	struct msb_err err;
	int fds[2];

	ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
	ASSERT_ERR(elf_source_fd(&src, fds[0], &err), EINVAL);
	close(fds[0]);
	close(fds[1]);
	ASSERT_ERR(elf_source_fd(&src, fds[0], &err), EBADF);
}
