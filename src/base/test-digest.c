/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include "test.h"

/* The examples of FIPS 180-4, and a million letters. */
TEST(known_answers)
{
	char text[DIGEST_TEXT];
	struct digest d;
	char letters[1000];

	digest_of("", 0, text);
	ASSERT_STREQ(
		text, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_of("abc", 3, text);
	ASSERT_STREQ(
		text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, text);
	ASSERT_STREQ(
		text, "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(letters, 'a', sizeof(letters));
	digest_init(&d);
	for (int i = 0; i < 1000; i++)
		digest_add(&d, letters, sizeof(letters));
	digest_text(&d, text);
	ASSERT_STREQ(
		text, "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* However the bytes come. */
TEST(pieces_do_not_matter)
{
	uint8_t bytes[300];
	char whole[DIGEST_TEXT];
	char text[DIGEST_TEXT];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		digest_of(bytes, len, whole);
		for (size_t cut = 0; cut <= len; cut += 13) {
			struct digest d;

			digest_init(&d);
			digest_add(&d, bytes, cut);
			digest_add(&d, bytes + cut, len - cut);
			digest_text(&d, text);
			ASSERT_STREQ(text, whole);
		}
	}
}
