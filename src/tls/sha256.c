/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of streams: see sha256.h. */
#include "tls/sha256.h"

#include <openssl/evp.h>

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ctx = EVP_MD_CTX_new();
	if (!s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1)
		return sha256_free(s);
	return s;
}

struct sha256 *sha256_free(struct sha256 *s)
{
	if (s) {
		EVP_MD_CTX_free(s->ctx);
		free(s);
	}
	return NULL;
}

int sha256_update(struct sha256 *s, const void *p, size_t n)
{
	return EVP_DigestUpdate(s->ctx, p, n) == 1 ? 0 : -EIO;
}

int sha256_hex(struct sha256 *s, char ret[SHA256_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (EVP_DigestFinal_ex(s->ctx, md, &len) != 1 || len * 2 != SHA256_HEX)
		return -EIO;
	for (unsigned int i = 0; i < len; i++) {
		ret[2 * i] = digits[md[i] >> 4];
		ret[2 * i + 1] = digits[md[i] & 15];
	}
	ret[SHA256_HEX] = '\0';
	return 0;
}
