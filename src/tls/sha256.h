/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of streams, by OpenSSL (which uses the CPU's instructions for it). */
#pragma once

#include "base/base.h"

enum { SHA256_HEX = 64 };

struct sha256;

/** sha256_new - NULL when out of memory */
struct sha256 *sha256_new(void);
struct sha256 *sha256_free(struct sha256 *s);
DEFINE_CLEANUP(struct sha256 *, sha256_free);

/** sha256_update - 0 or -EIO (the library failed) */
int sha256_update(struct sha256 *s, const void *p, size_t n) MSB_MUST_CHECK;

/** sha256_hex - finish; lower-case digits and NUL. Nothing but sha256_free() may follow */
int sha256_hex(struct sha256 *s, char ret[SHA256_HEX + 1]) MSB_MUST_CHECK;
