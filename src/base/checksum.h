/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checksum of 64 bits against accidents, as fast as memory: XXH64 with seed 0.
 *
 * For what both ends of a copy compare. It needs no table, no vector unit and no library, so the
 * guest's agent has it for 800 bytes of code; SHA-256 (digest.h) would be slower than the channel
 * that it watches. Not against an adversary: who can choose the bytes can find others with the
 * same sum.
 */
#pragma once

#include "base/base.h"

struct checksum {
	uint64_t lane[4];
	uint64_t len; /* bytes so far */
	uint8_t block[32];
};

void checksum_init(struct checksum *c);
void checksum_add(struct checksum *c, const void *p, size_t n);

/** checksum_value - of everything added so far; more may be added later */
uint64_t checksum_value(const struct checksum *c);
