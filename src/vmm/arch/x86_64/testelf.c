/* SPDX-License-Identifier: Apache-2.0 */
/* Makes small kernel images for tests: see testelf.h. */
#include "vmm/arch/x86_64/testelf.h"

#include <sys/mman.h>

#include "base/io.h"

enum { CODE_AT = 4096, DATA_AT = 2 * 4096 + 0x80, DATA_LEN = 100, DATA_MEM = 400 };

void testelf_fill(struct testelf *e, const void *code, size_t len)
{
	assert(len <= 4096);
	memset(e, 0, sizeof(*e));
	e->eh = (Elf64_Ehdr){.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				     ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = offsetof(struct testelf, ph),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = ARRAY_SIZE(e->ph)};
	e->ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = CODE_AT,
		.p_paddr = TESTELF_GPA,
		.p_filesz = 4096,
		.p_memsz = 4096};
	e->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W,
		.p_offset = DATA_AT,
		.p_paddr = TESTELF_DATA_GPA + 0x80,
		.p_filesz = DATA_LEN,
		.p_memsz = DATA_MEM};
	e->ph[2] = (Elf64_Phdr){.p_type = PT_NOTE,
		.p_offset = offsetof(struct testelf, note),
		.p_filesz = sizeof(e->note)};
	e->note.nh = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 8, .n_type = 18};
	memcpy(e->note.name, "Xen", 4);
	e->note.entry = TESTELF_GPA;
	memcpy((uint8_t *)e + CODE_AT, code, len);
	/* The bytes around the data belong to nobody and must not reach memory. */
	memset((uint8_t *)e + 2 * 4096, 0xee, 4096);
	memset((uint8_t *)e + DATA_AT, 0xda, DATA_LEN);
}

int testelf_memfd(const struct testelf *e)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || io_write_full(fd, e, sizeof(*e)) < 0)
		abort();
	return fd;
}
