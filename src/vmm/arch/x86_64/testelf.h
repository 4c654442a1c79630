/* SPDX-License-Identifier: Apache-2.0 */
/* Makes small kernel images for tests. */
#pragma once

#include <elf.h>

#include "base/base.h"

enum { TESTELF_SIZE = 3 * 4096, TESTELF_GPA = 0x100000, TESTELF_DATA_GPA = 0x103000 };

/*
 * A kernel of two segments: 4 KiB of code, page-aligned like vmlinux, and 100 bytes of data that
 * start off a page boundary, followed by 300 zero bytes.
 */
struct testelf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	struct {
		Elf64_Nhdr nh;
		char name[4];
		uint64_t entry;
	} note;
	uint8_t rest[TESTELF_SIZE - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr) - 24];
};
_Static_assert(sizeof(struct testelf) == TESTELF_SIZE, "no holes");

/** testelf_fill - a good image that runs @code */
void testelf_fill(struct testelf *e, const void *code, size_t len);

/** testelf_memfd - @e as a file; owned by the caller */
int testelf_memfd(const struct testelf *e);
