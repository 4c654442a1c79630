/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people: see table.h. */
#include "cli/table.h"

#include <time.h>

#include "lib/human.h"

enum { GAP = 4 };

void table_init(struct table *t, const char *const *header, size_t columns)
{
	assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){.columns = columns};
	for (size_t i = 0; i < columns; i++)
		table_add(t, header[i], 0);
}

void table_deinit(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){.columns = t->columns};
}

static char *printable(const char *text, size_t max)
{
	size_t len = strlen(text);
	char *to = malloc(len + 1);

	if (!to)
		return NULL;
	(void)human_text(to, len + 1, text);
	len = strlen(to);
	if (max > 3 && len > max) {
		/* Not within a character. */
		for (len = max - 3; len && ((uint8_t)to[len] & 0xc0) == 0x80; len--)
			;
		memcpy(to + len, "...", 4);
	}
	return to;
}

void table_add(struct table *t, const char *text, size_t max)
{
	char **more;

	if (t->error)
		return;
	if ((t->n & (t->n - 1)) == 0) {
		more = realloc(t->cells, (t->n ? t->n * 2 : 1) * sizeof(*more));
		if (!more) {
			t->error = -ENOMEM;
			return;
		}
		t->cells = more;
	}
	t->cells[t->n] = printable(text, max);
	if (t->cells[t->n])
		t->n++;
	else
		t->error = -ENOMEM;
}

int table_format(const struct table *t, struct buf *out)
{
	size_t widest[TABLE_COLUMNS_MAX] = {0};
	int r = t->error;

	for (size_t i = 0; i < t->n; i++)
		widest[i % t->columns] = MAX(widest[i % t->columns], human_width(t->cells[i]));
	for (size_t i = 0; i < t->n && r == 0; i++) {
		bool last = i % t->columns == t->columns - 1;
		size_t pad = last ? 0 : widest[i % t->columns] - human_width(t->cells[i]) + GAP;

		r = buf_printf(out, "%s%*s%s", t->cells[i], (int)pad, "", last ? "\n" : "");
	}
	return r;
}

const char *time_local(uint64_t real_ns, char to[TIME_TEXT])
{
	time_t s = (time_t)(real_ns / NSEC_PER_SEC);
	struct tm tm;

	if (!real_ns || !localtime_r(&s, &tm) ||
		strftime(to, TIME_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		memcpy(to, "-", 2);
	return to;
}
