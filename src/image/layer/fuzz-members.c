/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: tables of image archives. */
#include "image/layer/members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t limit = 1 << 20;
	struct msb_err err = {};
	struct members m;

	if (members_parse(data, size, limit, &m, &err) < 0) {
		assert(err.msg[0]);
		return 0;
	}
	for (size_t i = 0; i < m.n; i++) {
		const struct member *f = members_find(&m, m.items[i].name);

		assert(i == 0 || strcmp(m.items[i - 1].name, m.items[i].name) < 0);
		assert(!f || (f->kind == MEMBER_FILE && f->offset + f->size <= limit));
		assert(m.items[i].kind != MEMBER_FILE || f == &m.items[i]);
	}
	members_deinit(&m);
	return 0;
}
