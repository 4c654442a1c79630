/* SPDX-License-Identifier: Apache-2.0 */
/* state.json as a supervisor that was taken over might write it. */
#include "sandbox/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sandbox_record rec;
	char text[RECORD_BYTES];

	if (sandbox_record_parse((const char *)data, size, &rec) < 0)
		return 0;
	assert(rec.status < SANDBOX_STATUS_COUNT && rec.reason < REASON_COUNT && rec.pid >= 0);
	for (const char *at = rec.detail; *at; at++)
		assert(*at >= ' ' && *at <= '~');
	/* What could be read can be written. */
	assert(sandbox_record_format(&rec, text) == 0);
	return 0;
}
