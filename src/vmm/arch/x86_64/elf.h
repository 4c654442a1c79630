/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the headers of a kernel image: ELF64 with a PVH entry note.
 *
 * The image may be any file the user named, so nothing in it is believed: every header is copied
 * once, then checked, and only checked values leave this file. What to do with the segments is the
 * loader's business (boot.c).
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum { ELF_SEGMENTS_MAX = 16 };

/* Where the image comes from; @read copies exactly @n bytes at @offset or fails. */
struct elf_source {
	int (*read)(const struct elf_source *src, uint64_t offset, void *p, size_t n);
	uint64_t size;
	int fd; /* for elf_source_fd() */
	const uint8_t *data; /* for tests */
};

/* Part of the image that belongs into guest memory: @filesz bytes of the file, then zeroes. */
struct elf_segment {
	uint64_t offset;
	uint64_t filesz;
	uint64_t paddr;
	uint64_t memsz; /* >= filesz */
};

struct elf_image {
	uint32_t entry; /* PVH entry point, inside the file bytes of one segment */
	unsigned int n;
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* ascending, disjoint */
};

/** elf_source_fd - image in a regular file or memfd; @fd stays the caller's */
int elf_source_fd(struct elf_source *src, int fd, struct msb_err *err) MSB_MUST_CHECK;

/**
 * elf_read - parse and check the image
 * @low: segments must lie in [@low, @high) of guest physical memory
 *
 * Return: 0, or a negative errno with the reason in @err: -ENOEXEC for another format, -EINVAL for
 * a damaged one, -ENOMEM when it does not fit below @high.
 */
int elf_read(const struct elf_source *src, uint64_t low, uint64_t high, struct elf_image *ret,
	struct msb_err *err) MSB_MUST_CHECK;
