/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the frame decoder over a stream that arrives in pieces.
 *
 * The first input byte sets the size of the pieces. Whatever is accepted must be within its caps
 * and encode back to the same bytes.
 */
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct buf *in, bool *bad)
{
	struct frame f;
	struct buf again;
	int r;

	while ((r = frame_decode(in, &f)) == 0) {
		if (f.len > LIMIT_FRAME_PAYLOAD || FRAME_HEADER + f.len > buf_len(in))
			abort();
		buf_init(&again, FRAME_HEADER + LIMIT_FRAME_PAYLOAD);
		if (frame_put(&again, f.type, f.flags, f.stream, f.payload, f.len) < 0 ||
			memcmp(buf_data(&again), buf_data(in), FRAME_HEADER + f.len) != 0)
			abort();
		buf_deinit(&again);
		buf_consume(in, FRAME_HEADER + f.len);
	}
	*bad = r == -EBADMSG;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in;
	bool bad = false;
	size_t step;

	if (size == 0)
		return 0;
	step = (size_t)data[0] + 1;
	buf_init(&in, 2 * (FRAME_HEADER + LIMIT_FRAME_PAYLOAD));
	for (size_t at = 1; at < size && !bad; at += step) {
		if (buf_append(&in, data + at, MIN(step, size - at)) < 0)
			abort();
		drain(&in, &bad);
	}
	buf_deinit(&in);
	return 0;
}
