/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a sandbox description read from JSON is within limits and survives a round trip. */
#include "sandbox/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sandbox_spec spec;
	struct sandbox_spec again;
	struct buf json;

	if (sandbox_spec_from_json((const char *)data, size, &spec, NULL) < 0)
		return 0;
	buf_init(&json, LIMIT_JSON_BYTES);
	if (sandbox_spec_check(&spec, NULL) < 0 || sandbox_spec_to_json(&spec, &json) < 0)
		abort();
	if (sandbox_spec_from_json((const char *)buf_data(&json), buf_len(&json), &again, NULL) < 0)
		abort();
	if (!streq(spec.name, again.name) || spec.n_tmpfs != again.n_tmpfs ||
		spec.mem_mib != again.mem_mib)
		abort();
	sandbox_spec_deinit(&again);
	sandbox_spec_deinit(&spec);
	buf_deinit(&json);
	return 0;
}
