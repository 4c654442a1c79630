/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum (RFC 1071).
 *
 * The sum does not care for the byte order as long as it is kept, so words are added as they lie in
 * memory and the result is swapped once.
 */
#include "net/stack/wire.h"

uint64_t csum_add(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (; n >= 4; n -= 4, p += 4) {
		uint32_t w;

		memcpy(&w, p, sizeof(w));
		sum += w; /* 64 KiB of these are far from 64 bits */
	}
	if (n >= 2) {
		uint16_t w;

		memcpy(&w, p, sizeof(w));
		sum += w;
		p += 2;
		n -= 2;
	}
	if (n)
		sum += *p;
	return sum;
}

static uint16_t fold_raw(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t csum_iov(uint64_t sum, const struct iovec *iov, int n)
{
	bool odd = false;

	for (int i = 0; i < n; i++) {
		uint16_t part = fold_raw(csum_add(0, iov[i].iov_base, iov[i].iov_len));

		/* A piece that starts at an odd offset lies across the words of the others. */
		sum += odd ? __builtin_bswap16(part) : part;
		odd ^= iov[i].iov_len & 1;
	}
	return sum;
}

uint16_t csum_fold(uint64_t sum)
{
	return __builtin_bswap16(fold_raw(sum));
}
