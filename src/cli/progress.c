/* SPDX-License-Identifier: Apache-2.0 */
/* How a pull looks: see progress.h. */
#include "cli/progress.h"

#include "lib/human.h"

enum {
	DIGITS = 12, /* of a digest that people see */
	LINE_MAX_COLUMNS = 500,
	BAR_MAX = 40,
	BAR_MIN = 8,
	NUMBERS = 24, /* "1023.9 MiB / 1023.9 MiB" */
	LAYERS_MAX = 512, /* more than an image can have */
};

void progress_init(struct progress *p, enum progress_style style, const char *ref)
{
	*p = (struct progress){.style = style, .ref = ref};
}

void progress_deinit(struct progress *p)
{
	free(p->layers);
	*p = (struct progress){.style = PROGRESS_QUIET};
}

static struct progress_layer *find_layer(struct progress *p, const char *digest)
{
	for (size_t i = 0; i < p->n; i++) {
		if (streq(p->layers[i].digest, digest))
			return &p->layers[i];
	}
	return NULL;
}

/* Return: the layer of @e, NULL with *@r set when there is none and none can be made. */
static struct progress_layer *take_layer(struct progress *p, const struct msb_pull_event *e, int *r)
{
	struct progress_layer *l = find_layer(p, e->digest);

	if (l)
		return l;
	/* So many are told by a msb-pull that has gone wrong. */
	if (p->n == LAYERS_MAX)
		return NULL;
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		void *more = realloc(p->layers, cap * sizeof(p->layers[0]));

		if (!more) {
			*r = -ENOMEM;
			return NULL;
		}
		p->layers = more;
		p->cap = cap;
	}
	l = &p->layers[p->n++];
	*l = (struct progress_layer){.state = MSB_LAYER_WAITING};
	(void)snprintf(l->digest, sizeof(l->digest), "%s", e->digest);
	return l;
}

static const char *short_digest(const char *digest)
{
	return digest + sizeof("sha256:") - 1;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* The line of the image, before the first of a layer. */
static int announce(struct progress *p, struct buf *out)
{
	char size[HUMAN_SIZE];

	if (p->announced || p->style != PROGRESS_LINES)
		return 0;
	p->announced = true;
	return buf_printf(out, "%s: %" PRIu64 " layer%s, %s from %s\n", p->ref, p->n_expected,
		plural(p->n_expected), human_size(size, p->bytes), p->from);
}

static void resolve_event(struct progress *p, const struct msb_pull_event *e)
{
	p->resolved = true;
	p->n_expected = e->layers;
	p->bytes = e->bytes;
	(void)snprintf(p->from, sizeof(p->from), "%s", e->from);
}

static int layer_line(
	const struct progress *p, const struct progress_layer *l, int before, struct buf *out)
{
	char size[HUMAN_SIZE];

	if (p->style != PROGRESS_LINES || l->state == before)
		return 0;
	switch ((enum msb_layer_state)l->state) {
	case MSB_LAYER_HERE:
		return buf_printf(out, "%.*s: already here\n", DIGITS, short_digest(l->digest));
	case MSB_LAYER_RETRYING:
		return buf_printf(out, "%.*s: connection lost, trying again\n", DIGITS,
			short_digest(l->digest));
	case MSB_LAYER_DONE:
		return buf_printf(out, "%.*s: %s\n", DIGITS, short_digest(l->digest),
			human_size(size, l->total));
	case MSB_LAYER_WAITING:
	case MSB_LAYER_DOWNLOADING:
		break;
	}
	return 0;
}

static int layer_event(struct progress *p, const struct msb_pull_event *e, struct buf *out)
{
	int before;
	int r = 0;
	struct progress_layer *l = take_layer(p, e, &r);

	if (!l)
		return r;
	before = l->state;
	l->state = e->state;
	l->total = e->total;
	l->bytes = MIN(e->bytes, e->total);
	r = announce(p, out);
	return r < 0 ? r : layer_line(p, l, before, out);
}

int progress_event(struct progress *p, const struct msb_pull_event *e, struct buf *out)
{
	switch ((enum msb_pull_event_type)e->type) {
	case MSB_PULL_RESOLVED:
		resolve_event(p, e);
		return 0;
	case MSB_PULL_LAYER:
		return layer_event(p, e, out);
	case MSB_PULL_MERGING:
		p->merging = true;
		return announce(p, out);
	case MSB_PULL_WARNING:
		break;
	}
	return 0;
}

/* One line of the screen, cut before its last column so that the terminal never wraps it. */
static int MSB_PRINTF(4, 5)
	put_line(struct progress *p, unsigned int columns, struct buf *out, const char *fmt, ...)
{
	char line[LINE_MAX_COLUMNS + 1];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, MIN((size_t)columns, sizeof(line)), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	p->drawn++;
	return buf_printf(out, "\r%s\033[K\n", line);
}

static int draw_header(struct progress *p, unsigned int columns, struct buf *out)
{
	char have[HUMAN_SIZE];
	char total[HUMAN_SIZE];
	uint64_t bytes = 0;
	uint64_t sum = 0;
	size_t done = 0;

	if (!p->resolved)
		return put_line(p, columns, out, "%s: asking the registry", p->ref);
	if (p->merging)
		return put_line(p, columns, out, "%s: putting the image together", p->ref);
	for (size_t i = 0; i < p->n; i++) {
		const struct progress_layer *l = &p->layers[i];

		done += l->state == MSB_LAYER_DONE || l->state == MSB_LAYER_HERE;
		if (l->state == MSB_LAYER_HERE)
			continue;
		/* Sums of what a stranger says: they stay at the top instead of wrapping around. */
		bytes = bytes + l->bytes < bytes ? UINT64_MAX : bytes + l->bytes;
		sum = sum + l->total < sum ? UINT64_MAX : sum + l->total;
	}
	return put_line(p, columns, out, "%s from %s: %zu of %" PRIu64 " layer%s, %s of %s", p->ref,
		p->from, done, p->n_expected, plural(p->n_expected), human_size(have, bytes),
		human_size(total, sum));
}

static int draw_bar(
	struct progress *p, const struct progress_layer *l, unsigned int columns, struct buf *out)
{
	/* "  0123456789ab [...]  NUMBERS" and the column that stays free */
	unsigned int room = columns > DIGITS + NUMBERS + 9 ? columns - DIGITS - NUMBERS - 9 : 0;
	unsigned int width = MIN(room, (unsigned int)BAR_MAX);
	uint64_t filled = l->total ? (uint64_t)((double)l->bytes / (double)l->total * width) : 0;
	char numbers[NUMBERS * 2];
	char bar[BAR_MAX + 1];
	char have[HUMAN_SIZE];
	char total[HUMAN_SIZE];

	if (l->state == MSB_LAYER_WAITING)
		(void)snprintf(numbers, sizeof(numbers), "waiting");
	else if (l->state == MSB_LAYER_RETRYING)
		(void)snprintf(numbers, sizeof(numbers), "trying again");
	else if (l->state == MSB_LAYER_DONE)
		(void)snprintf(numbers, sizeof(numbers), "%s", human_size(total, l->total));
	else
		(void)snprintf(numbers, sizeof(numbers), "%s / %s", human_size(have, l->bytes),
			human_size(total, l->total));
	if (width < BAR_MIN)
		return put_line(
			p, columns, out, "  %.*s  %s", DIGITS, short_digest(l->digest), numbers);
	filled = l->state == MSB_LAYER_DONE ? width : MIN(filled, (uint64_t)width);
	for (unsigned int i = 0; i < width; i++)
		bar[i] = i < filled ? '=' : i == filled && i ? '>' : ' ';
	bar[width] = '\0';
	return put_line(
		p, columns, out, "  %.*s [%s]  %s", DIGITS, short_digest(l->digest), bar, numbers);
}

/* Most interesting first: what moves, what waits, what is done. */
static unsigned int rank(const struct progress_layer *l)
{
	switch ((enum msb_layer_state)l->state) {
	case MSB_LAYER_DOWNLOADING:
	case MSB_LAYER_RETRYING:
		return 0;
	case MSB_LAYER_WAITING:
		return 1;
	case MSB_LAYER_DONE:
		return 2;
	case MSB_LAYER_HERE:
		break;
	}
	return 3;
}

enum { RANKS = 3 };

static int draw_layers(
	struct progress *p, unsigned int slots, unsigned int columns, struct buf *out)
{
	size_t of_rank[RANKS + 1] = {0};
	size_t quota[RANKS];
	size_t hidden = 0;
	size_t left = slots;
	int r = 0;

	for (size_t i = 0; i < p->n; i++)
		of_rank[rank(&p->layers[i])]++;
	/* One slot says how many are not shown. */
	if (of_rank[0] + of_rank[1] + of_rank[2] > slots && left)
		left--;
	for (unsigned int k = 0; k < RANKS; k++) {
		quota[k] = MIN(of_rank[k], left);
		left -= quota[k];
		hidden += of_rank[k] - quota[k];
	}
	for (size_t i = 0; i < p->n && r == 0; i++) {
		unsigned int k = rank(&p->layers[i]);

		if (k == RANKS || !quota[k])
			continue;
		quota[k]--;
		r = draw_bar(p, &p->layers[i], columns, out);
	}
	if (r == 0 && hidden && slots)
		r = put_line(p, columns, out, "  and %zu more", hidden);
	return r;
}

static int home(struct progress *p, struct buf *out)
{
	unsigned int up = p->drawn;

	p->drawn = 0;
	return up ? buf_printf(out, "\033[%uA", up) : 0;
}

int progress_draw(struct progress *p, unsigned int rows, unsigned int columns, struct buf *out)
{
	/* The header, the line of the cursor. */
	unsigned int slots = rows > 2 ? rows - 2 : 0;
	int r;

	if (p->style != PROGRESS_BARS || columns < 2)
		return 0;
	r = home(p, out);
	if (r == 0)
		r = draw_header(p, columns, out);
	if (r == 0 && !p->merging)
		r = draw_layers(p, slots, columns, out);
	return r < 0 ? r : buf_printf(out, "\033[J");
}

int progress_clear(struct progress *p, struct buf *out)
{
	int r;

	if (!p->drawn)
		return 0;
	r = home(p, out);
	return r < 0 ? r : buf_printf(out, "\r\033[J");
}

void progress_forget(struct progress *p)
{
	p->drawn = 0;
}
