/* SPDX-License-Identifier: Apache-2.0 */
/* What a taken-over QEMU may send: the stream in the pieces that a socket would deliver. */
#include "engine/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size ? 1 + data[0] * 16u : 1;
	struct qmp_msg m;
	struct qmp q;
	int r = 0;

	qmp_init(&q);
	for (size_t at = 1; at < size && (r == 0 || r == -EAGAIN); at += piece) {
		if (buf_append(&q.in, data + at, MIN(piece, size - at)) < 0)
			break;
		while ((r = qmp_next(&q, &m)) == 0) {
			assert(m.type <= QMP_EVENT);
			assert(memchr(m.event, 0, sizeof(m.event)));
			assert(memchr(m.reason, 0, sizeof(m.reason)));
			assert(memchr(m.desc, 0, sizeof(m.desc)));
			assert((m.type == QMP_EVENT) == (m.event[0] != '\0'));
		}
		assert(r == -EAGAIN || r == -EBADMSG);
	}
	qmp_deinit(&q);
	return 0;
}
