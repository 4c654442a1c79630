/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipe of a layer: how to make its tar again, byte for byte, from the layer's data.
 *
 * A tar is the contents of files, which lie in the layer's data, and everything between them:
 * headers, padding, small files, the rest at the end. The recipe holds the second kind and says
 * where the first belongs. It is one zstd frame of
 *
 *	"msbrcp1\n", then steps: u32 n, n literal bytes, u64 at, u64 len (of a piece of the data)
 *
 * in little-endian, written by the process that parses an untrusted archive; whoever reads it
 * treats it as hostile and compares the digest of what comes out.
 */
#pragma once

#include "base/base.h"

enum { RECIPE_LITERAL_MAX = 64 * 1024 };

struct recipe_out;

/** recipe_out_new - @fd: empty file, borrowed */
int recipe_out_new(int fd, struct recipe_out **ret) MSB_MUST_CHECK;
struct recipe_out *recipe_out_free(struct recipe_out *o);

/** recipe_literal - the next @n bytes of the tar are these */
int recipe_literal(struct recipe_out *o, const void *p, size_t n) MSB_MUST_CHECK;

/** recipe_copy - the next @n bytes of the tar are in the data at @at */
int recipe_copy(struct recipe_out *o, uint64_t at, uint64_t n) MSB_MUST_CHECK;

int recipe_out_finish(struct recipe_out *o) MSB_MUST_CHECK;

struct recipe_ops {
	int (*literal)(void *arg, const uint8_t *p, size_t n); /* in pieces of any size */
	int (*copy)(void *arg, uint64_t at, uint64_t n); /* @n > 0, @at + @n fits int64 */
};

struct recipe_in;

/** recipe_in_new - NULL when out of memory; @ops and @arg are borrowed */
struct recipe_in *recipe_in_new(const struct recipe_ops *ops, void *arg);
struct recipe_in *recipe_in_free(struct recipe_in *i);
DEFINE_CLEANUP(struct recipe_in *, recipe_in_free);

/** recipe_feed - next bytes of the file; 0, -EBADMSG, or what a callback returned */
int recipe_feed(struct recipe_in *i, const void *p, size_t n) MSB_MUST_CHECK;

/** recipe_finish - the file has ended; -ENODATA when it ended too early */
int recipe_finish(const struct recipe_in *i) MSB_MUST_CHECK;
