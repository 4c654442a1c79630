/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a disk: see extents.h. */
#include "image/snapshot/extents.h"

#include <endian.h>

int extents_put(int fd, uint64_t size, struct buf *out, uint64_t *ret_data)
{
	struct sparse_extent e = {.len = 0};
	uint64_t data = 0;
	uint64_t at = 0;
	int r;

	while ((r = sparse_next(fd, at, size, &e)) > 0) {
		uint64_t pair[2] = {htole64(e.offset), htole64(e.len)};

		if (buf_len(out) / EXTENT_BYTES >= EXTENTS_MAX)
			return -E2BIG;
		r = buf_append(out, pair, sizeof(pair));
		if (r < 0)
			return r;
		data += e.len;
		at = e.offset + e.len;
	}
	*ret_data = data;
	return r;
}

struct sparse_extent extents_at(const uint8_t *p, size_t i)
{
	uint64_t pair[2];

	memcpy(pair, p + i * EXTENT_BYTES, sizeof(pair));
	return (struct sparse_extent){le64toh(pair[0]), le64toh(pair[1])};
}

int extents_check(const uint8_t *p, size_t len, uint64_t size, uint64_t *ret_data)
{
	uint64_t data = 0;
	uint64_t end = 0;

	if (len % EXTENT_BYTES || len / EXTENT_BYTES > EXTENTS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < len / EXTENT_BYTES; i++) {
		struct sparse_extent e = extents_at(p, i);

		if (e.len == 0 || e.offset < end || e.offset > size || e.len > size - e.offset)
			return -EBADMSG;
		end = e.offset + e.len;
		data += e.len;
	}
	*ret_data = data;
	return 0;
}
