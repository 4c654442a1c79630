/* SPDX-License-Identifier: Apache-2.0 */
/* msb logs: what the commands of a sandbox have written. */
#include <regex.h>

#include "base/str.h"

#include "cli/api.h"
#include "cli/follow.h"

enum {
	TEXT_MAX = 128 << 20,
	FLUSH_BYTES = 64 * 1024,
	PARTS = 64,
	PART_BYTES = 1024 * 1024,
	RECORDS_BYTES = 8 * PART_BYTES,
	LOOK_AGAIN_MS = 500,
};

enum source {
	SOURCE_STDOUT = 1,
	SOURCE_STDERR = 2,
	SOURCE_OUTPUT = 4,
	SOURCE_SYSTEM = 8,
	SOURCE_KERNEL = 16,
	SOURCE_NETWORK = 32,
	SOURCE_COMMANDS = 7,
	SOURCE_ALL = 63,
};

enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct logs_args {
	struct cli_common common;
	bool follow;
	bool json;
	bool timestamps;
	bool show_id;
	const char *tail_text;
	const char *since_text;
	const char *until_text;
	const char *grep;
	int color; /* enum color */
	bool color_sessions;
	unsigned int sources;
};

static int parse_sources(void *target, const char *value, struct msb_err *err)
{
	static const struct {
		const char *name;
		unsigned int bits;
	} known[] = {{"stdout", SOURCE_STDOUT}, {"stderr", SOURCE_STDERR},
		{"output", SOURCE_OUTPUT}, {"system", SOURCE_SYSTEM}, {"network", SOURCE_NETWORK},
		{"kernel", SOURCE_KERNEL}, {"all", SOURCE_ALL}};
	unsigned int *bits = target;
	const char *at = value;

	for (;;) {
		size_t len = strcspn(at, ",");
		size_t i = 0;

		while (i < ARRAY_SIZE(known) &&
			(strlen(known[i].name) != len || memcmp(known[i].name, at, len) != 0))
			i++;
		if (i == ARRAY_SIZE(known))
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				"stdout, stderr, output, system, network, kernel or all, "
				"separated by commas");
		*bits |= known[i].bits;
		if (!at[len])
			return 0;
		at += len + 1;
	}
}

static const char *const colors[] = {
	[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never", NULL};

#define AT(field) .offset = offsetof(struct logs_args, field)

static const struct opt opts[] = {
	{.name = "follow",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(follow),
		.help = "Go on until the sandbox ends"},
	{.name = "tail",
		.type = OPT_STRING,
		AT(tail_text),
		.arg = "N",
		.help = "Only the last N lines"},
	{.name = "since",
		.type = OPT_STRING,
		AT(since_text),
		.arg = "TIME",
		.help = "Only from then on: 5m, 2h, 1d ago, or 2026-11-21T05:45:06Z"},
	{.name = "until",
		.type = OPT_STRING,
		AT(until_text),
		.arg = "TIME",
		.help = "Only what came before, in the same forms"},
	{.name = "grep",
		.type = OPT_STRING,
		AT(grep),
		.arg = "REGEX",
		.help = "Only lines that match this extended regular expression; with --json the "
			"records that hold something of such a line"},
	{.name = "source",
		.type = OPT_PARSE,
		AT(sources),
		.parse = parse_sources,
		.arg = "LIST",
		.repeatable = true,
		.help = "stdout, stderr, output (of terminals), system (of msb), network "
			"(what was denied), kernel (the guest's console), all; the first three by "
			"default"},
	{.name = "json",
		.type = OPT_FLAG,
		AT(json),
		.help = "JSON lines as they are kept: t time, s source, d data, id of the "
			"command, e encoding"},
	{.name = "timestamps",
		.type = OPT_FLAG,
		AT(timestamps),
		.help = "The time in front of each line"},
	{.name = "show-id",
		.type = OPT_FLAG,
		AT(show_id),
		.help = "The number of the command in front of each line"},
	{.name = "color",
		.type = OPT_CHOICE,
		AT(color),
		.arg = "WHEN",
		.choices = colors,
		.def = "auto",
		.help = "Color what stands in front of lines, another one for each command; auto "
			"does on a terminal if NO_COLOR is not set"},
	{.name = "color-sessions",
		.type = OPT_FLAG,
		AT(color_sessions),
		.help = "",
		.hidden = true},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
};

static const struct opt_example examples[] = {
	{"Everything its commands have printed", "msb logs job"},
	{"The last lines, and what comes", "msb logs -f --tail 20 job"},
	{"Why it ended", "msb logs --source system job"},
	{"What it was not allowed to reach", "msb logs --source network job"},
};

/* The beginning of a line whose end has not been read yet. */
struct part {
	uint64_t id;
	unsigned int source;
	char time[TIME_TEXT];
	struct buf text; /* empty: the slot is free */
	struct buf records; /* with --json: that hold it and are not out yet */
};

struct logs {
	const struct logs_args *args;
	struct cli_api api;
	const char *name;
	struct msb_logs *log;
	unsigned int sources;
	char since[TIME_TEXT];
	char until[TIME_TEXT];
	uint64_t tail; /* UINT64_MAX: all */
	regex_t regex;
	bool use_regex;
	struct buf out;
	bool at_line_start;
	bool color;
	struct part parts[PARTS]; /* with --grep */
};

static bool color_wanted(int when)
{
	const char *no_color = getenv("NO_COLOR");

	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return isatty(STDOUT_FILENO) && !(no_color && *no_color);
}

static int prepare(struct logs *l, struct msb_err *err)
{
	const struct logs_args *a = l->args;
	int r = follow_parse_time("since", a->since_text, l->since, err);

	l->sources = a->sources ? a->sources : SOURCE_COMMANDS;
	l->tail = UINT64_MAX;
	l->color = color_wanted(a->color);
	if (r == 0)
		r = follow_parse_time("until", a->until_text, l->until, err);
	if (r == 0 && a->tail_text && str_to_u64(a->tail_text, &l->tail) < 0)
		r = msb_err_set(
			err, -EINVAL, MSB_USAGE, "option --tail: a number of lines is wanted");
	if (r == 0 && a->grep) {
		if (regcomp(&l->regex, a->grep, REG_EXTENDED | REG_NOSUB) != 0)
			return msb_err_set(
				err, -EINVAL, MSB_USAGE, "option --grep: not a regular expression");
		l->use_regex = true;
	}
	return r;
}

static unsigned int source_bit(const char *source)
{
	return streq(source, "stdout")	  ? SOURCE_STDOUT
	       : streq(source, "stderr")  ? SOURCE_STDERR
	       : streq(source, "output")  ? SOURCE_OUTPUT
	       : streq(source, "system")  ? SOURCE_SYSTEM
	       : streq(source, "network") ? SOURCE_NETWORK
					  : 0;
}

static bool wanted(const struct logs *l, const struct msb_log_entry *e)
{
	return (source_bit(e->source) & l->sources) &&
	       (!l->since[0] || strcmp(e->time, l->since) >= 0) &&
	       (!l->until[0] || strcmp(e->time, l->until) < 0);
}

static bool matches(struct logs *l, const char *p, size_t n)
{
	char *text;
	bool match;

	if (!l->use_regex)
		return true;
	text = malloc(n + 1);
	if (!text)
		return true;
	memcpy(text, p, n);
	text[n] = '\0';
	match = regexec(&l->regex, text, 0, NULL, 0) == 0;
	free(text);
	return match;
}

/* What stands in front of a line. */
static int put_head(struct logs *l, const char *time, uint64_t id)
{
	const struct logs_args *a = l->args;
	bool show_id = a->show_id || a->color_sessions;
	int r = 0;

	if (!l->at_line_start || !(a->timestamps || show_id))
		return 0;
	if (l->color)
		r = buf_printf(&l->out, "\033[%" PRIu64 "m", 31 + id % 6);
	if (r == 0 && a->timestamps)
		r = buf_printf(&l->out, "%s%s", time, show_id ? " " : "");
	if (r == 0 && show_id)
		r = buf_printf(&l->out, "[id:%" PRIu64 "]", id);
	return r == 0 ? buf_printf(&l->out, "%s ", l->color ? "\033[0m" : "") : r;
}

/* With --grep, or the whole line, or a piece of one. */
static int put_line(
	struct logs *l, const char *time, uint64_t id, const char *p, size_t n, bool whole)
{
	int r;

	if (!matches(l, p, n))
		return 0;
	r = put_head(l, time, id);
	if (r == 0)
		r = buf_append(&l->out, p, n);
	l->at_line_start = whole;
	return r == 0 && whole ? buf_append(&l->out, "\n", 1) : r;
}

static int part_end(struct logs *l, struct part *p)
{
	const char *text = (const char *)buf_data(&p->text);
	size_t len = buf_len(&p->text);
	int r = 0;

	if (!l->args->json)
		r = put_line(l, p->time, p->id, text, len, true);
	else if (matches(l, text, len))
		r = buf_append(&l->out, buf_data(&p->records), buf_len(&p->records));
	buf_deinit(&p->text);
	buf_deinit(&p->records);
	return r;
}

/* Lines that have no end, when nothing more will come. */
static int parts_end(struct logs *l)
{
	int r = 0;

	for (struct part *p = l->parts; p < l->parts + PARTS; p++) {
		if (buf_len(&p->text) && r == 0)
			r = part_end(l, p);
	}
	return r;
}

/* What the line of @e begins with; NULL when it begins there. */
static struct part *part_find(struct logs *l, const struct msb_log_entry *e)
{
	for (struct part *p = l->parts; p < l->parts + PARTS; p++) {
		if (buf_len(&p->text) && p->id == e->id && p->source == source_bit(e->source))
			return p;
	}
	return NULL;
}

static struct part *part_free(struct logs *l)
{
	struct part *p = l->parts;

	while (p < l->parts + PARTS && buf_len(&p->text))
		p++;
	return p < l->parts + PARTS ? p : NULL;
}

static void part_take(struct part *p, const struct msb_log_entry *e)
{
	p->id = e->id;
	p->source = source_bit(e->source);
	(void)snprintf(p->time, sizeof(p->time), "%s", e->time);
	buf_init(&p->text, PART_BYTES);
	buf_init(&p->records, RECORDS_BYTES);
}

/* The beginning of a line. When nothing can be kept it is taken for a whole one. */
static int part_begin(struct logs *l, const struct msb_log_entry *e, const char *at, size_t n)
{
	struct part *p = part_free(l);

	if (!p || n > PART_BYTES)
		return put_line(l, e->time, e->id, at, n, true);
	part_take(p, e);
	return buf_append(&p->text, at, n);
}

/* The next @n bytes of a line, with its end or not: whoever picks lines looks at whole ones. */
static int pick_line(
	struct logs *l, const struct msb_log_entry *e, const char *at, size_t n, bool ends)
{
	struct part *p = part_find(l, e);
	int r;

	if (!p)
		return ends ? put_line(l, e->time, e->id, at, n, true) : part_begin(l, e, at, n);
	if (buf_append(&p->text, at, n) == 0)
		return ends ? part_end(l, p) : 0;
	r = part_end(l, p);
	return r < 0 ? r : pick_line(l, e, at, n, ends);
}

static int put_record(struct buf *to, const struct msb_log_entry *e)
{
	int r = buf_append(to, e->line, e->line_len);

	return r < 0 ? r : buf_append(to, "\n", 1);
}

/*
 * What of a record belongs to a line that began in an earlier one: @n bytes, up to its end if it
 * @ends. Return: 1 when too much of the line is kept already; then the rest is a line of its own.
 */
static int continue_record(struct logs *l, struct part *p, const struct msb_log_entry *e, size_t n,
	bool ends, bool *ret_shown)
{
	size_t before = buf_len(&l->out);
	int r;

	if (buf_append(&p->text, e->data, n) < 0 || put_record(&p->records, e) < 0) {
		r = part_end(l, p);
		return r < 0 ? r : 1;
	}
	r = ends ? part_end(l, p) : 0;
	*ret_shown = buf_len(&l->out) > before;
	return r;
}

/* A record is shown if it holds something of a line that matches, however many share that line. */
static int pick_record(struct logs *l, const struct msb_log_entry *e)
{
	struct part *p = part_find(l, e);
	const char *at = e->data;
	const char *stop = e->data + e->len;
	bool shown = false;
	int r = 0;

	if (p) {
		const char *end = memchr(at, '\n', e->len);
		size_t n = end ? (size_t)(end - at) : e->len;

		r = continue_record(l, p, e, n, end != NULL, &shown);
		if (r == 0)
			at += n + (end ? 1 : 0);
		r = MIN(r, 0);
	}
	while (at < stop && r == 0) {
		const char *end = memchr(at, '\n', (size_t)(stop - at));
		size_t n = (size_t)((end ? end : stop) - at);

		p = end || n > PART_BYTES ? NULL : part_free(l);
		if (p) {
			part_take(p, e);
			r = buf_append(&p->text, at, n);
			if (r == 0 && !shown)
				r = put_record(&p->records, e);
		} else if (!shown && matches(l, at, n)) {
			shown = true;
			r = put_record(&l->out, e);
		}
		at += n + (end ? 1 : 0);
	}
	return r;
}

static int put_entry(struct logs *l, const struct msb_log_entry *e)
{
	const char *at = e->data;
	size_t left = e->len;
	int r = 0;

	if (l->args->json)
		return l->use_regex ? pick_record(l, e) : put_record(&l->out, e);
	while (left && r == 0) {
		const char *end = memchr(at, '\n', left);
		size_t n = end ? (size_t)(end - at) : left;

		r = l->use_regex ? pick_line(l, e, at, n, end != NULL)
				 : put_line(l, e->time, e->id, at, n, end != NULL);
		at += n + (end ? 1 : 0);
		left -= n + (end ? 1 : 0);
	}
	return r;
}

static int flush(struct logs *l)
{
	int status = cli_print(&l->out);

	buf_consume(&l->out, buf_len(&l->out));
	return status;
}

/* All that is there now. Returns an exit status. */
static int drain(struct logs *l, bool collect)
{
	struct msb_log_entry e = MSB_LOG_ENTRY_INIT;
	struct msb_error error = MSB_ERROR_INIT;
	struct msb_err err = {0};
	int status = 0;
	int got = 0;
	int r = 0;

	while (status == 0 && r == 0 && (got = msb_logs_next(l->log, &e, &error)) > 0) {
		/* Its commands are numbered anew. */
		r = source_bit(e.source) == SOURCE_SYSTEM ? parts_end(l) : 0;
		if (r == 0 && wanted(l, &e))
			r = put_entry(l, &e);
		if (r == 0 && !collect && buf_len(&l->out) > FLUSH_BYTES)
			status = flush(l);
	}
	if (msb_logs_lost(l->log))
		cli_note("some of the log was overwritten before it could be read");
	if (r < 0) {
		(void)msb_err_errno(&err, r, "reading the log");
		return cli_fail(&err);
	}
	return got < 0 ? cli_api_fail(&error) : status;
}

static int print_kernel_log(struct logs *l)
{
	cleanup_free char *text = NULL;
	size_t len = 0;

	if (!(l->sources & SOURCE_KERNEL) || l->args->json ||
		msb_kernel_log(l->api.msb, l->name, &text, &len, NULL) < 0)
		return 0;
	return buf_append(&l->out, text, len);
}

/* Until the sandbox has ended and everything it said is out. */
static int follow(struct logs *l)
{
	int status = 0;

	while (status == 0) {
		/* Asked first: what it says at the end is there when it does not run any more. */
		bool more = msb_logs_running(l->log);

		status = drain(l, false);
		if (status == 0)
			status = flush(l);
		if (!more || status)
			break;
		(void)msb_logs_wait(l->log, LOOK_AGAIN_MS, NULL);
	}
	if (status == 0)
		status = parts_end(l) < 0 ? CLI_EXIT_FAILED : flush(l);
	return status;
}

/* Also of one that is removed at this moment. */
static void say_crashed(const struct logs *l)
{
	struct msb_info *info = NULL;

	if (msb_inspect(l->api.msb, l->name, &info, NULL) < 0)
		return;
	if (msb_info_status(info) == MSB_STATUS_CRASHED)
		cli_note("the sandbox crashed: %s",
			msb_info_detail(info)[0] ? msb_info_detail(info) : msb_info_reason(info));
	(void)msb_info_free(info);
}

static int show(struct logs *l)
{
	int status;

	say_crashed(l);
	if (print_kernel_log(l) < 0)
		cli_note("the kernel's log is too large");
	status = drain(l, l->tail != UINT64_MAX);
	if (status == 0 && !l->args->follow && parts_end(l) < 0)
		status = CLI_EXIT_FAILED;
	if (l->tail != UINT64_MAX)
		follow_cut_to_tail(&l->out, l->tail);
	if (status == 0)
		status = flush(l);
	return status == 0 && l->args->follow ? follow(l) : status;
}

static int open_and_show(struct logs *l)
{
	struct msb_error e = MSB_ERROR_INIT;
	int r = cli_api_open(&l->api, &l->args->common, &e);
	int status;

	if (r == 0)
		r = msb_logs_open(l->api.msb, l->name, &l->log, &e);
	status = r < 0 ? cli_api_fail(&e) : show(l);
	(void)msb_logs_close(l->log);
	cli_api_close(&l->api);
	return status;
}

static int run_logs(void *args, const struct opt_words *words)
{
	struct logs l = {.args = args, .name = words->operands.items[0], .at_line_start = true};
	struct msb_err err = {0};
	int status;

	buf_init(&l.out, TEXT_MAX);
	status = prepare(&l, &err) < 0 ? cli_fail(&err) : open_and_show(&l);
	if (l.use_regex)
		regfree(&l.regex);
	for (struct part *p = l.parts; p < l.parts + PARTS; p++) {
		buf_deinit(&p->text);
		buf_deinit(&p->records);
	}
	buf_deinit(&l.out);
	return status;
}

const struct cli_command cmd_logs = {
	.table = {.name = "logs",
		.summary = "Show what the commands of a sandbox have written",
		.description =
			"Shows the output of the main process and of everything that msb exec and "
			"others have run, of this start and of earlier ones. The last 30 to 40 MiB "
			"are kept. It works on stopped sandboxes, too.",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct logs_args),
	.run = run_logs,
};
