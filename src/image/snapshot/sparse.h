/* SPDX-License-Identifier: Apache-2.0 */
/* Files with holes: copies that share or keep them, and a digest that does not depend on them. */
#pragma once

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"

/**
 * sparse_copy - make the empty file @to a copy of @from
 * @deadline_ns: of CLOCK_MONOTONIC, UINT64_MAX for none
 *
 * Shares the blocks where the file system can (FICLONE), and otherwise copies what is no hole.
 * Nothing is synced. Return: 0, -ETIMEDOUT, or another negative errno.
 */
int sparse_copy(int from, int to, uint64_t deadline_ns) MSB_MUST_CHECK;

/* Bytes that are one decision: hashed, or all zero. */
enum { SPARSE_BLOCK = 64 * 1024 };

/**
 * sparse_digest - digest of the file's contents
 *
 * SHA-256 over every block of SPARSE_BLOCK bytes that is not all zero, in order, each behind its
 * number (64 bits, little endian), and then the size of the file in the same form. A hole and zeros
 * are the same.
 */
int sparse_digest(int fd, char ret[DIGEST_TEXT]) MSB_MUST_CHECK;

struct sparse_extent {
	uint64_t offset;
	uint64_t len;
};

/**
 * sparse_next - the next piece of @fd that may hold something else than zeros, from @at
 * @size: of the file
 *
 * Return: 1, 0 when there is none, or a negative errno.
 */
int sparse_next(int fd, uint64_t at, uint64_t size, struct sparse_extent *ret) MSB_MUST_CHECK;
