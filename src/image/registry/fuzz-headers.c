/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: response headers. The first byte chooses which. */
#include "image/registry/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_challenges(const char *p, size_t n)
{
	static struct challenge all[CHALLENGES_MAX];
	int r = challenge_parse(p, n, all, ARRAY_SIZE(all));

	for (int i = 0; i < r; i++) {
		assert(strlen(all[i].realm) <= CHALLENGE_REALM_MAX);
		assert(strlen(all[i].service) <= CHALLENGE_SERVICE_MAX);
		assert(strlen(all[i].scope) <= CHALLENGE_SCOPE_MAX);
		for (const char *c = all[i].realm; *c; c++)
			assert(*c >= 0x20 && *c <= 0x7e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content_range range;
	cleanup_free char *text = NULL;
	uint64_t seconds;

	if (size == 0)
		return 0;
	/* A copy of the exact size: reading past it is then seen. */
	size--;
	text = malloc(size ? size : 1);
	if (!text)
		return 0;
	memcpy(text, data + 1, size);
	switch (data[0] % 3) {
	case 0:
		check_challenges(text, size);
		break;
	case 1:
		if (content_range_parse(text, size, &range) == 0 && range.has_range)
			assert(range.first <= range.last);
		break;
	default:
		(void)!retry_after_parse(text, size, &seconds);
		break;
	}
	return 0;
}
