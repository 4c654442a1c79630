/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of connections. A verdict never changes when more bytes come, and names hold only
 * what is fit for logs.
 */
#include "net/policy/peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peek all;
	struct peek part;

	peek_bytes(data, size, &all);
	assert(size < POLICY_PEEK_MAX || all.kind != PEEK_MORE);
	if (all.named) {
		assert(all.name[0] && memchr(all.name, '\0', sizeof(all.name)));
		for (const char *c = all.name; *c; c++)
			assert(strchr("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.:[]", *c));
	}
	for (size_t i = 0; i < MIN(size, (size_t)600); i++) {
		peek_bytes(data, i, &part);
		if (part.kind == PEEK_MORE)
			continue;
		assert(part.kind == all.kind && part.named == all.named);
		assert(!part.named || streq(part.name, all.name));
		break;
	}
	return 0;
}
