/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest says about its processes: whatever is accepted can be shown on a terminal. */
#include "base/str.h"

#include "cli/guest-proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t max)
{
	size_t left = strnlen(s, max);

	if (left == max)
		abort();
	while (left) {
		size_t n = str_utf8_char(s, left);

		if (n == 0 || (uint8_t)*s < 0x20 || *s == 0x7f)
			abort();
		s += n;
		left -= n;
	}
}

/* The first line is the state, the rest the words. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *nl = size ? memchr(text, '\n', size) : NULL;
	size_t len = nl ? (size_t)(nl - text) + 1 : size;
	struct guest_proc p;

	if (guest_proc_stat(text, len, &p) < 0)
		return 0;
	if (p.pid == 0 || p.rss_bytes > INT64_MAX || p.cpu_ms > INT64_MAX)
		abort();
	guest_proc_command(text + len, size - len, &p);
	check_text(p.state, sizeof(p.state));
	check_text(p.name, sizeof(p.name));
	check_text(p.command, sizeof(p.command));
	return 0;
}
