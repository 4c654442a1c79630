/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb top: the processes in a sandbox.
 *
 * The image needs no ps: /proc of the guest is read by the agent, like files of msb cp.
 */
#include "base/json.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/guest-proc.h"
#include "cli/table.h"
#include "lib/guest-fs.h"
#include "lib/human.h"
#include "proto/wire.h"
#include "sandbox/state.h"

enum { FORMAT_TEXT, FORMAT_JSON };

enum { PROCESSES_MAX = 100000, COMMAND_WIDTH = 100 };

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
	struct guest_fs guest;
	struct table table;
	struct json_out json;
};

static int keep(void *arg, const void *p, size_t n)
{
	return buf_append(arg, p, n);
}

static int read_text(struct top *t, const char *pid, const char *file, struct buf *ret)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, file);
	buf_consume(ret, buf_len(ret));
	return guest_fs_read_range(&t->guest, path, 0, PROC_COMMAND, keep, ret);
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
static int show_one(struct top *t, const struct msg_dirent *e, struct buf *text)
{
	struct guest_proc p = {.pid = 0};
	int r = read_text(t, e->name, "stat", text);

	if (r == 0)
		r = guest_proc_stat((const char *)buf_data(text), buf_len(text), &p);
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? 0 : r;
	if (p.kernel && !t->args->all)
		return 0;
	p.uid = e->st.uid;
	r = read_text(t, e->name, "cmdline", text);
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? 0 : r;
	guest_proc_command((const char *)buf_data(text), buf_len(text), &p);
	show(t, &p);
	return 0;
}

static int show_all(struct top *t, struct msb_err *err)
{
	struct msg_dirent e;
	struct wire_in in;
	struct buf list;
	struct buf text;
	unsigned int n = 0;
	int r;

	buf_init(&list, GUEST_LIST_MAX);
	buf_init(&text, PROC_COMMAND);
	r = guest_fs_list(&t->guest, "/proc", &list);
	wire_in_init(&in, buf_data(&list), buf_len(&list));
	while (r == 0 && in.at < in.end) {
		uint32_t pid;

		r = msg_get_dirent(&in, &e);
		if (r < 0 || str_to_u32(e.name, 1, INT32_MAX, &pid) < 0)
			continue;
		r = ++n > PROCESSES_MAX ? -E2BIG : show_one(t, &e, &text);
	}
	buf_deinit(&text);
	buf_deinit(&list);
	if (r == -ENOTCONN && t->guest.over)
		*err = t->guest.lost;
	else if (r < 0)
		(void)msb_err_errno(err, r, "/proc of the sandbox");
	return r;
}

static int ask(struct top *t, const char *name, struct msb_err *err)
{
	char home[PATH_MAX];
	const struct reach how = {.home = home, .name = name};
	int r = sandbox_home_default(home, sizeof(home), err);
	int e;

	if (r == 0)
		r = guest_fs_open(&t->guest, &how, err);
	if (r < 0)
		return r;
	r = show_all(t, err);
	e = guest_fs_close(&t->guest, r == 0 ? err : NULL);
	r = r < 0 ? r : e;
	return r < 0 ? msb_err_prefix(err, r, "sandbox '%s'", name) : 0;
}

static int run_top(void *args, const struct opt_words *words)
{
	static const char *const header[] = {
		"PID", "PPID", "USER", "STATE", "CPU", "MEMORY", "COMMAND"};
	struct top t = {.args = args};
	struct msb_err err = {0};
	struct buf text;
	int status;
	int r;

	buf_init(&text, CLI_TEXT_MAX);
	json_out_init(&t.json, &text, JSON_PRETTY);
	table_init(&t.table, header, ARRAY_SIZE(header));
	if (t.args->format == FORMAT_JSON)
		json_begin_array(&t.json, NULL);
	r = ask(&t, words->operands.items[0], &err);
	if (t.args->format == FORMAT_JSON)
		json_end_array(&t.json);
	else if (r == 0 && table_format(&t.table, &text) < 0)
		r = msb_err_errno(&err, -ENOMEM, "writing the table");
	if (r < 0)
		status = cli_fail(&err);
	else
		status = t.args->format == FORMAT_JSON ? cli_print_json(&t.json, &text)
						       : cli_print(&text);
	table_deinit(&t.table);
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
