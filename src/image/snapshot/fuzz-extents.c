/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: pieces of a disk, behind eight bytes of its size. What is accepted lies inside. */
#include "image/snapshot/extents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t disk;
	uint64_t sum = 0;
	uint64_t total;
	uint64_t end = 0;

	if (size < sizeof(disk))
		return 0;
	memcpy(&disk, data, sizeof(disk));
	data += sizeof(disk);
	size -= sizeof(disk);
	if (extents_check(data, size, disk, &total) < 0)
		return 0;
	for (size_t i = 0; i < size / EXTENT_BYTES; i++) {
		struct sparse_extent e = extents_at(data, i);

		if (e.offset < end || e.len == 0 || e.offset + e.len < e.offset ||
			e.offset + e.len > disk)
			abort();
		end = e.offset + e.len;
		sum += e.len;
	}
	if (sum != total || total > disk)
		abort();
	return 0;
}
