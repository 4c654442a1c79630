/* SPDX-License-Identifier: Apache-2.0 */
#include "base/checksum.h"

#include "test.h"

static uint64_t sum_of(const void *p, size_t n)
{
	struct checksum c;

	checksum_init(&c);
	checksum_add(&c, p, n);
	return checksum_value(&c);
}

/* What xxh64sum 0.8.1 says. */
TEST(known_answers)
{
	static const struct {
		const char *text;
		uint64_t sum;
	} t[] = {
		{"", 0xef46db3751d8e999},
		{"a", 0xd24ec4f1a98c6e5b},
		{"abc", 0x44bc2cf5ad770999},
		{"0123456789abcdef0123456789abcdef", 0x642a94958e71e6c5},
		{"0123456789abcdef0123456789abcdef0123456789abcdef01234567", 0x08e38db4b6a63cfd},
	};
	uint8_t bytes[1000];

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		ASSERT_TRUE(sum_of(t[i].text, strlen(t[i].text)) == t[i].sum);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	ASSERT_TRUE(sum_of(bytes, sizeof(bytes)) == 0x25275608a9cfc168);
}

/* However the bytes come, and looking at it in between changes nothing. */
TEST(pieces_do_not_matter)
{
	uint8_t bytes[200];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		for (size_t piece = 1; piece <= 70; piece += 3) {
			struct checksum c;

			checksum_init(&c);
			for (size_t at = 0; at < len; at += piece) {
				ASSERT_TRUE(checksum_value(&c) == sum_of(bytes, at));
				checksum_add(&c, bytes + at, MIN(piece, len - at));
			}
			ASSERT_TRUE(checksum_value(&c) == sum_of(bytes, len));
		}
	}
}

TEST(every_bit_counts)
{
	uint8_t bytes[77] = {0};
	uint64_t plain = sum_of(bytes, sizeof(bytes));

	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ASSERT_TRUE(sum_of(bytes, sizeof(bytes)) != plain);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ASSERT_TRUE(sum_of(bytes, sizeof(bytes) - 1) != plain);
}
