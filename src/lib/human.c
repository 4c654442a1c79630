/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and foreign text as people read them: see human.h. */
#include "lib/human.h"

#include "base/str.h"

const char *human_size(char to[HUMAN_SIZE], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	/* What would be printed as 1024.0 belongs to the next unit. */
	while (value >= (unit ? 1023.95 : 1024) && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(to, HUMAN_SIZE, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return to;
}

static uint32_t code_point(const char *s, size_t len)
{
	static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (uint8_t)s[0] & mask[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((uint8_t)s[i] & 0x3f);
	return c;
}

/* Controls of both sets, and the invisible ones that reorder or hide text. */
static bool is_harmless(uint32_t c)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} bad[] = {
		{0x00, 0x1f},
		{0x7f, 0x9f},
		{0xad, 0xad},
		{0x61c, 0x61c},
		{0x200b, 0x200f},
		{0x2028, 0x202e},
		{0x2060, 0x206f},
		{0xfeff, 0xfeff},
		{0xfff9, 0xfffb},
		{0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (c >= bad[i].first && c <= bad[i].last)
			return false;
	}
	return true;
}

const char *human_text(char *to, size_t size, const char *text)
{
	size_t left = strlen(text);
	size_t at = 0;

	while (left) {
		size_t n = str_utf8_char(text, left);
		bool good = n && is_harmless(code_point(text, n));

		if (at + (good ? n : 1) >= size)
			break;
		if (good)
			memcpy(to + at, text, n);
		else
			to[at] = '?';
		at += good ? n : 1;
		text += n ? n : 1;
		left -= n ? n : 1;
	}
	to[at] = '\0';
	return to;
}

size_t human_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((uint8_t)*text & 0xc0) != 0x80;
	return n;
}

const char *size_mib(uint64_t mib, char to[HUMAN_SIZE])
{
	if (mib < 1024)
		(void)snprintf(to, HUMAN_SIZE, "%" PRIu64 " MiB", mib);
	else
		(void)snprintf(to, HUMAN_SIZE, "%.4g GiB", (double)mib / 1024);
	return to;
}
