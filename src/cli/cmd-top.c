/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb top: the processes in a sandbox.
 *
 * The image needs no ps: /proc of the guest is read by the agent, like files of msb cp.
 */
#include "base/json.h"
#include "base/str.h"

#include "cli/api.h"
#include "cli/guest-proc.h"
#include "cli/table.h"
#include "lib/human.h"

enum { FORMAT_TEXT, FORMAT_JSON };

enum { PROCESSES_MAX = 100000, COMMAND_WIDTH = 100 };

/* One that has been listed. */
struct entry {
	uint32_t pid;
	uint32_t uid;
};

struct top_args {
	struct cli_common common;
	int format;
	bool all;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct top_args, field)

static const struct opt opts[] = {
	{.name = "all",
		.letter = 'a',
		.type = OPT_FLAG,
		AT(all),
		.help = "Also the threads of the guest's kernel"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
};

static const struct opt_example examples[] = {
	{"Once", "msb top dev"},
	{"For programs", "msb top --format json dev"},
};

struct top {
	const struct top_args *args;
	struct msb_files *guest;
	struct buf list; /* of struct entry */
	struct table table;
	struct json_out json;
};

static int keep(void *arg, const void *p, size_t n)
{
	return buf_append(arg, p, n);
}

/* What the guest says makes no sense. */
static int bad(struct msb_error *e, const char *what)
{
	e->code = MSB_E_PROTOCOL;
	(void)snprintf(
		e->message, sizeof(e->message), "%s of the sandbox: %s", what, strerror(EBADMSG));
	e->hint[0] = '\0';
	return -EBADMSG;
}

static int read_text(
	struct top *t, uint32_t pid, const char *file, struct buf *ret, struct msb_error *e)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", pid, file);
	buf_consume(ret, buf_len(ret));
	return msb_files_read(t->guest, path, 0, PROC_COMMAND, keep, ret, e);
}

static void show(struct top *t, const struct guest_proc *p)
{
	char text[32];

	if (t->args->format == FORMAT_JSON) {
		json_begin_object(&t->json, NULL);
		json_put_u64(&t->json, "pid", p->pid);
		json_put_u64(&t->json, "ppid", p->ppid);
		json_put_u64(&t->json, "uid", p->uid);
		json_put_str(&t->json, "state", p->state);
		json_put_u64(&t->json, "threads", p->threads);
		json_put_u64(&t->json, "cpu_ms", p->cpu_ms);
		json_put_u64(&t->json, "memory_bytes", p->rss_bytes);
		json_put_str(&t->json, "command", p->command);
		json_end_object(&t->json);
		return;
	}
	(void)snprintf(text, sizeof(text), "%" PRIu32, p->pid);
	table_add(&t->table, text, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu32, p->ppid);
	table_add(&t->table, text, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu32, p->uid);
	table_add(&t->table, text, 0);
	table_add(&t->table, p->state, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu64 ".%02" PRIu64 " s", p->cpu_ms / 1000,
		p->cpu_ms % 1000 / 10);
	table_add(&t->table, text, 0);
	table_add(&t->table, human_size(text, p->rss_bytes), 0);
	table_add(&t->table, p->command, COMMAND_WIDTH);
}

/* One that ends meanwhile is none. */
static bool has_ended(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

static int show_one(struct top *t, struct entry en, struct buf *text, struct msb_error *e)
{
	struct guest_proc p = {.pid = 0};
	int r = read_text(t, en.pid, "stat", text, e);

	if (r < 0)
		return has_ended(r) ? 0 : r;
	if (guest_proc_stat((const char *)buf_data(text), buf_len(text), &p) < 0)
		return bad(e, "/proc/PID/stat");
	if (p.kernel && !t->args->all)
		return 0;
	p.uid = en.uid;
	r = read_text(t, en.pid, "cmdline", text, e);
	if (r < 0)
		return has_ended(r) ? 0 : r;
	guest_proc_command((const char *)buf_data(text), buf_len(text), &p);
	show(t, &p);
	return 0;
}

/* Directories that are numbers. */
static int note_one(void *arg, const char *name, const struct msb_stat *st, const char *target)
{
	struct top *t = arg;
	struct entry en = {.uid = st->uid};

	if (str_to_u32(name, 1, INT32_MAX, &en.pid) < 0)
		return 0;
	return buf_append(&t->list, &en, sizeof(en)) < 0 ? -E2BIG : 0;
}

static int show_all(struct top *t, struct msb_error *e)
{
	struct buf text;
	int r = msb_files_list(t->guest, "/proc", note_one, t, e);

	if (r == -E2BIG)
		(void)snprintf(e->message, sizeof(e->message), "it has more than %d processes",
			PROCESSES_MAX);
	buf_init(&text, PROC_COMMAND);
	for (size_t at = 0; r == 0 && at < buf_len(&t->list); at += sizeof(struct entry)) {
		struct entry en;

		memcpy(&en, buf_data(&t->list) + at, sizeof(en));
		r = show_one(t, en, &text, e);
	}
	buf_deinit(&text);
	return r;
}

static int ask(struct top *t, struct msb *m, const char *name, struct msb_error *e)
{
	int r = msb_files_open(m, name, &t->guest, e);

	if (r < 0)
		return r;
	r = show_all(t, e);
	if (r == 0)
		r = msb_files_end(t->guest, e);
	else
		(void)msb_files_close(t->guest);
	if (r < 0)
		cli_api_prefix(e, "sandbox '%s'", name);
	return r;
}

static int run_top(void *args, const struct opt_words *words)
{
	static const char *const header[] = {
		"PID", "PPID", "USER", "STATE", "CPU", "MEMORY", "COMMAND"};
	struct top t = {.args = args};
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	struct cli_api api;
	struct buf text;
	int status;
	int r;

	buf_init(&text, CLI_TEXT_MAX);
	json_out_init(&t.json, &text, JSON_PRETTY);
	table_init(&t.table, header, ARRAY_SIZE(header));
	if (t.args->format == FORMAT_JSON)
		json_begin_array(&t.json, NULL);
	buf_init(&t.list, PROCESSES_MAX * sizeof(struct entry));
	r = cli_api_open(&api, &t.args->common, &e);
	if (r == 0)
		r = ask(&t, api.msb, words->operands.items[0], &e);
	cli_api_close(&api);
	if (t.args->format == FORMAT_JSON)
		json_end_array(&t.json);
	if (r < 0) {
		status = cli_api_fail(&e);
	} else if (t.args->format == FORMAT_JSON) {
		status = cli_print_json(&t.json, &text);
	} else if (table_format(&t.table, &text) < 0) {
		(void)msb_err_errno(&err, -ENOMEM, "writing the table");
		status = cli_fail(&err);
	} else {
		status = cli_print(&text);
	}
	table_deinit(&t.table);
	buf_deinit(&t.list);
	buf_deinit(&text);
	return status;
}

const struct cli_command cmd_top = {
	.table = {.name = "top",
		.summary = "Show the processes in a sandbox",
		.description =
			"What runs in the guest at this moment, with numbers of its own: msb's "
			"agent is process 1. CPU is the time that a process has used so far, "
			"MEMORY "
			"what it has in RAM. The image needs no program for it. See msb metrics "
			"for the sandbox as a whole.",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct top_args),
	.run = run_top,
};
