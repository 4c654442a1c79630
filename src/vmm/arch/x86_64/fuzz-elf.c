/* SPDX-License-Identifier: Apache-2.0 */
/* What elf_read() lets through must be loadable without a second look. */
#include "vmm/arch/x86_64/elf.h"

enum { LOW = 0x100000, HIGH = 512 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_memory(const struct elf_source *src, uint64_t offset, void *p, size_t n)
{
	assert(offset <= src->size && n <= src->size - offset);
	memcpy(p, src->data + offset, n);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_source src = {.read = read_memory, .size = size, .data = data};
	struct elf_image img;
	struct msb_err err;
	uint64_t end = LOW;
	bool entered = false;

	if (elf_read(&src, LOW, HIGH, &img, &err) < 0) {
		assert(err.msg[0]);
		return 0;
	}
	assert(img.n >= 1 && img.n <= ELF_SEGMENTS_MAX);
	for (unsigned int i = 0; i < img.n; i++) {
		const struct elf_segment *s = &img.segments[i];

		assert(s->paddr >= end && s->memsz <= HIGH - s->paddr);
		assert(s->filesz <= s->memsz);
		assert(s->offset <= size && s->filesz <= size - s->offset);
		end = s->paddr + s->memsz;
		entered |= img.entry >= s->paddr && img.entry < s->paddr + s->filesz;
	}
	assert(entered);
	return 0;
}
