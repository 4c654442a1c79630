/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of msb-pull: whatever is accepted can be shown on a terminal. */
#include "cli/progress.h"
#include "lib/api-pull.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_screen(struct buf *screen)
{
	const uint8_t *p = buf_data(screen);

	/* Our own sequences begin with ESC [; nothing else is a control character but line ends. */
	for (size_t i = 0; i < buf_len(screen); i++) {
		bool escape = p[i] == 0x1b && i + 1 < buf_len(screen) && p[i + 1] == '[';

		if ((p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' && !escape) || p[i] == 0x7f)
			abort();
	}
}

/* The first byte chooses the width, the rest are lines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct progress p;
	struct buf screen;

	if (size < 2)
		return 0;
	progress_init(&p, data[0] & 1 ? PROGRESS_BARS : PROGRESS_LINES, "alpine:latest");
	buf_init(&screen, 16 * MIB);
	for (const uint8_t *at = data + 1, *end = data + size; at < end;) {
		const uint8_t *nl = memchr(at, '\n', (size_t)(end - at));
		size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);
		struct msb_pull_event told;
		struct pull_event e;

		if (pull_event_parse((const char *)at, len, &e, NULL) == 0 &&
			api_pull_event(&e, &told) &&
			(progress_event(&p, &told, &screen) < 0 ||
				progress_draw(&p, data[0] / 8, data[0], &screen) < 0))
			abort();
		at += len + 1;
	}
	if (progress_clear(&p, &screen) < 0)
		abort();
	check_screen(&screen);
	buf_deinit(&screen);
	progress_deinit(&p);
	return 0;
}
