/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the manifest of a snapshot. What is accepted is written and read again as the same.
 */
#include "image/snapshot/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(bool yes)
{
	if (!yes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot_manifest m;
	struct snapshot_manifest again;
	struct buf out;

	if (snapshot_manifest_parse((const char *)data, size, &m, NULL) == 0) {
		buf_init(&out, 4 * SNAPSHOT_MANIFEST_MAX);
		same(snapshot_manifest_put(&m, NULL, 0, &out) == 0);
		/* Indentation may have made it too large to be read. */
		if (buf_len(&out) <= SNAPSHOT_MANIFEST_MAX) {
			same(snapshot_manifest_parse((const char *)buf_data(&out), buf_len(&out),
				     &again, NULL) == 0);
			same(again.size_bytes == m.size_bytes && again.flat == m.flat &&
				streq(again.disk_digest, m.disk_digest) &&
				streq(again.reference, m.reference) &&
				streq(again.parent, m.parent));
			snapshot_manifest_deinit(&again);
		}
		buf_deinit(&out);
	}
	snapshot_manifest_deinit(&m);
	return 0;
}
