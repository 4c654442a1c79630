/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4) without a library, for programs that start with libc alone.
 *
 * What is large and hashed often is the business of src/tls.
 */
#pragma once

#include "base/base.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT = 7 + 2 * DIGEST_BYTES + 1 };

struct digest {
	uint32_t state[8];
	uint64_t len; /* bytes so far */
	uint8_t block[64];
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *p, size_t n);

/** digest_text - "sha256:" and 64 digits; ends @d */
void digest_text(struct digest *d, char ret[DIGEST_TEXT]);

/** digest_of - of @n bytes at once */
void digest_of(const void *p, size_t n, char ret[DIGEST_TEXT]);
