/* SPDX-License-Identifier: Apache-2.0 */
/* msb logs: what the commands of a sandbox have written. */
#include <fcntl.h>
#include <regex.h>

#include "base/io.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/table.h"
#include "sandbox/log-read.h"
#include "sandbox/record.h"
#include "sandbox/state.h"

enum { TEXT_MAX = 128 << 20, FLUSH_BYTES = 64 * 1024 };

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
		.help = "Only lines that match this extended regular expression"},
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

struct logs {
	const struct logs_args *args;
	unsigned int sources;
	char since[TIME_TEXT];
	char until[TIME_TEXT];
	uint64_t tail; /* UINT64_MAX: all */
	regex_t regex;
	bool use_regex;
	struct buf out;
	bool at_line_start;
};

static int prepare(struct logs *l, struct msb_err *err)
{
	const struct logs_args *a = l->args;
	int r = follow_parse_time("since", a->since_text, l->since, err);

	l->sources = a->sources ? a->sources : SOURCE_COMMANDS;
	l->tail = UINT64_MAX;
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

static bool wanted(const struct logs *l, const struct log_entry *e)
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

static int put_line(struct logs *l, const struct log_entry *e, const char *p, size_t n, bool whole)
{
	const struct logs_args *a = l->args;
	int r = 0;

	if (!matches(l, p, n))
		return 0;
	if (a->timestamps && l->at_line_start)
		r = buf_printf(&l->out, "%s ", e->time);
	if (r == 0 && a->show_id && l->at_line_start)
		r = buf_printf(&l->out, "[id:%" PRIu32 "] ", e->id);
	if (r == 0)
		r = buf_append(&l->out, p, n);
	/* Whoever picks lines gets lines. */
	l->at_line_start = whole || l->use_regex;
	return r == 0 && l->at_line_start ? buf_append(&l->out, "\n", 1) : r;
}

static int put_entry(struct logs *l, const struct log_entry *e)
{
	const char *at = e->data;
	size_t left = e->len;
	int r = 0;

	if (l->args->json) {
		if (!matches(l, e->data, e->len))
			return 0;
		r = buf_append(&l->out, e->line, e->line_len);
		return r < 0 ? r : buf_append(&l->out, "\n", 1);
	}
	while (left && r == 0) {
		const char *end = memchr(at, '\n', left);
		size_t n = end ? (size_t)(end - at) : left;

		r = put_line(l, e, at, n, end != NULL);
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
static int drain(struct logs *l, struct log_reader *reader, bool collect)
{
	struct msb_err err = {0};
	struct log_entry e;
	int status = 0;
	int r;

	while (status == 0 && (r = log_reader_next(reader, &e)) == 0) {
		r = wanted(l, &e) ? put_entry(l, &e) : 0;
		log_entry_deinit(&e);
		if (r < 0)
			break;
		if (!collect && buf_len(&l->out) > FLUSH_BYTES)
			status = flush(l);
	}
	if (reader->lost) {
		cli_note("some of the log was overwritten before it could be read");
		reader->lost = false;
	}
	if (status || r == -EAGAIN)
		return status;
	(void)msb_err_errno(&err, r, "reading the log");
	return cli_fail(&err);
}

static int print_kernel_log(struct logs *l, int dir_fd)
{
	cleanup_free char *text = NULL;
	size_t len = 0;
	int r;

	if (!(l->sources & SOURCE_KERNEL) || l->args->json)
		return 0;
	r = io_read_file(dir_fd, SANDBOX_LOG, LIMIT_CONSOLE_LOG + 4096, &text, &len);
	return r < 0 ? 0 : buf_append(&l->out, text, len);
}

/* Until the sandbox has ended and everything it said is out. */
static int follow(struct logs *l, struct log_reader *reader, int dir_fd)
{
	cleanup_fd int watch = follow_open(dir_fd);
	int status = 0;

	while (status == 0) {
		/* Asked first: what it says at the end is there when it is not alive any more. */
		bool alive = sandbox_dir_alive(dir_fd);

		status = drain(l, reader, false);
		if (status == 0)
			status = flush(l);
		if (!alive || status)
			break;
		follow_wait(watch);
	}
	return status;
}

static int show(struct logs *l, int dir_fd)
{
	struct log_reader reader;
	struct sandbox_record rec;
	int status;

	sandbox_record_read(dir_fd, &rec);
	if (rec.status == SANDBOX_CRASHED)
		cli_note("the sandbox crashed: %s",
			rec.detail[0] ? rec.detail : sandbox_reason_name(rec.reason));
	log_reader_init(&reader, dir_fd);
	if (print_kernel_log(l, dir_fd) < 0)
		cli_note("the kernel's log is too large");
	status = drain(l, &reader, l->tail != UINT64_MAX);
	if (l->tail != UINT64_MAX)
		follow_cut_to_tail(&l->out, l->tail);
	if (status == 0)
		status = flush(l);
	if (status == 0 && l->args->follow)
		status = follow(l, &reader, dir_fd);
	log_reader_deinit(&reader);
	return status;
}

static int run_logs(void *args, const struct opt_words *words)
{
	struct logs l = {.args = args, .at_line_start = true};
	cleanup_fd int dir_fd = -EBADF;
	struct msb_err err = {0};
	char home[PATH_MAX];
	int status;
	int r;

	buf_init(&l.out, TEXT_MAX);
	r = prepare(&l, &err);
	if (r == 0)
		r = sandbox_home_default(home, sizeof(home), &err);
	if (r == 0)
		r = sandbox_dir_find(home, words->operands.items[0], &dir_fd, &err);
	status = r < 0 ? cli_fail(&err) : show(&l, dir_fd);
	if (l.use_regex)
		regfree(&l.regex);
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
