/* SPDX-License-Identifier: Apache-2.0 */
/* msb ls, msb ps: what sandboxes there are. */
#include "base/caps.h"
#include "base/json.h"
#include "base/str.h"

#include "cli/api.h"
#include "cli/ports.h"
#include "cli/table.h"
#include "lib/human.h"

enum format { FORMAT_TEXT, FORMAT_JSON };
enum { IMAGE_WIDTH = 36, COMMAND_WIDTH = 40 };

struct ls_args {
	struct cli_common common;
	struct opt_list labels;
	int format;
	bool running;
	bool stopped;
	bool all;
	bool quiet;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

#define AT(field) .offset = offsetof(struct ls_args, field)
#define LABEL_OPT                                                                    \
	{                                                                            \
		.name = "label", .type = OPT_LIST, AT(labels), .arg = "KEY[=VALUE]", \
		.help = "Only those with this label; given twice, with both"         \
	}
#define FORMAT_OPT                                                                 \
	{                                                                          \
		.name = "format", .type = OPT_CHOICE, AT(format), .arg = "FORMAT", \
		.choices = formats, .def = "text", .help = "Form of the output"    \
	}
#define QUIET_OPT                                                                                 \
	{                                                                                         \
		.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "Only names" \
	}

static const struct opt ls_opts[] = {
	{.name = "running",
		.type = OPT_FLAG,
		AT(running),
		.excludes = "stopped",
		.help = "Only those that run"},
	{.name = "stopped", .type = OPT_FLAG, AT(stopped), .help = "Only those that do not"},
	{.name = "all", .letter = 'a', .type = OPT_FLAG, AT(all), .help = "", .hidden = true},
	LABEL_OPT,
	FORMAT_OPT,
	QUIET_OPT,
};

static const struct opt ps_opts[] = {
	{.name = "all",
		.letter = 'a',
		.type = OPT_FLAG,
		AT(all),
		.help = "Also those that do not run"},
	LABEL_OPT,
	FORMAT_OPT,
	QUIET_OPT,
};

static const struct opt_operand ps_operands[] = {
	{.name = "NAME", .help = "Only this sandbox"},
};

static const struct opt_example ls_examples[] = {
	{"All sandboxes", "msb ls"},
	{"Remove what does not run", "msb rm $(msb ls -q --stopped)"},
};

static const struct opt_example ps_examples[] = {
	{"What runs", "msb ps"},
	{"For a program", "msb ps -a --format json"},
};

/* How one of the two commands shows a sandbox. */
struct view {
	size_t columns;
	const char *const *header;
	void (*row)(struct table *t, const struct msb_info *info);
	void (*members)(struct json_out *o, const struct msb_info *info);
};

static const char *status_text(const struct msb_info *info, char *to, size_t size)
{
	size_t n = 0;

	for (const char *at = msb_info_status_name(info); *at && n < size - 1; at++)
		to[n++] = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
	to[n] = '\0';
	return to;
}

static const char *image_text(const struct msb_info *info)
{
	return msb_info_image(info)[0] ? msb_info_image(info) : "-";
}

static void ls_row(struct table *t, const struct msb_info *info)
{
	char status[16];
	char when[TIME_TEXT];

	table_add(t, msb_info_name(info), 0);
	table_add(t, image_text(info), IMAGE_WIDTH);
	table_add(t, status_text(info, status, sizeof(status)), 0);
	table_add(t, time_local(msb_info_created_ns(info), when), 0);
}

static void ls_members(struct json_out *o, const struct msb_info *info)
{
	char when[TIME_TEXT];

	json_put_str(o, "name", msb_info_name(info));
	json_put_str(o, "status", msb_info_status_name(info));
	json_put_str(o, "created_at", time_rfc3339(msb_info_created_ns(info), when));
	json_put_str(o, "image", image_text(info));
	ports_members(o, info);
}

/* The main process, words with blanks in quotes; "-" if there is none. */
static const char *command_text(const struct msb_info *info, char *to, size_t size)
{
	const char *word;
	size_t used = 0;

	(void)snprintf(to, size, "-");
	for (size_t i = 0; used < size && (word = msb_info_command(info, i)); i++) {
		const char *quote = !word[0] || strpbrk(word, " \t\n\"'") ? "\"" : "";
		int n = snprintf(
			to + used, size - used, "%s%s%s%s", i ? " " : "", quote, word, quote);

		used += n > 0 ? (size_t)n : 0;
	}
	/* Cut off, perhaps inside a character. */
	for (size_t len = strlen(to); used >= size && len && (to[len - 1] & 0x80); len--)
		to[len - 1] = '\0';
	return to;
}

/* "2", or "2 / 4": what it has, and what it could have. */
static void add_of(struct table *t, const char *now, const char *max)
{
	char text[2 * TIME_TEXT + 4];

	(void)snprintf(text, sizeof(text), "%s / %s", now, max);
	table_add(t, streq(now, max) ? now : text, 0);
}

static void add_machine(struct table *t, const struct msb_info *info)
{
	char now[TIME_TEXT];
	char max[TIME_TEXT];

	(void)snprintf(now, sizeof(now), "%u", msb_info_cpus_now(info));
	(void)snprintf(max, sizeof(max), "%u", msb_info_cpus_max(info));
	add_of(t, now, max);
	add_of(t, size_mib(msb_info_memory_mib_now(info), now),
		size_mib(msb_info_memory_mib_max(info), max));
}

static void ps_row(struct table *t, const struct msb_info *info)
{
	char command[256];
	char ports[512];
	char text[TIME_TEXT];

	table_add(t, msb_info_name(info), 0);
	table_add(t, image_text(info), IMAGE_WIDTH);
	table_add(t, command_text(info, command, sizeof(command)), COMMAND_WIDTH);
	add_machine(t, info);
	table_add(t, status_text(info, text, sizeof(text)), 0);
	table_add(t, ports_text(info, ports, sizeof(ports)), 0);
}

static void ps_members(struct json_out *o, const struct msb_info *info)
{
	char command[LIMIT_PATH];

	json_put_str(o, "name", msb_info_name(info));
	json_put_str(o, "status", msb_info_status_name(info));
	json_put_str(o, "image", image_text(info));
	json_put_str(o, "command", command_text(info, command, sizeof(command)));
	json_put_u64(o, "cpus", msb_info_cpus_now(info));
	json_put_u64(o, "max_cpus", msb_info_cpus_max(info));
	json_put_u64(o, "memory_mib", msb_info_memory_mib_now(info));
	json_put_u64(o, "max_memory_mib", msb_info_memory_mib_max(info));
	ports_members(o, info);
}

static const char *const ls_header[] = {"NAME", "IMAGE", "STATUS", "CREATED"};
static const char *const ps_header[] = {
	"NAME", "IMAGE", "COMMAND", "CPUS", "MEM", "STATUS", "PORTS"};

static const struct view ls_view = {.columns = ARRAY_SIZE(ls_header),
	.header = ls_header,
	.row = ls_row,
	.members = ls_members};
static const struct view ps_view = {.columns = ARRAY_SIZE(ps_header),
	.header = ps_header,
	.row = ps_row,
	.members = ps_members};

/* What is shown, in this order. */
struct chosen {
	const struct msb_info **items;
	size_t n;
};

static int put_json(const struct view *v, const struct chosen *list, bool one, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	if (!one)
		json_begin_array(&o, NULL);
	for (size_t i = 0; i < list->n; i++) {
		json_begin_object(&o, NULL);
		v->members(&o, list->items[i]);
		json_end_object(&o);
	}
	if (!one)
		json_end_array(&o);
	return json_out_end(&o);
}

static int put_table(const struct view *v, const struct chosen *list, struct buf *out)
{
	struct table t;
	int r;

	table_init(&t, v->header, v->columns);
	for (size_t i = 0; i < list->n; i++)
		v->row(&t, list->items[i]);
	r = table_format(&t, out);
	table_deinit(&t);
	return r;
}

static int put_names(const struct chosen *list, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i++)
		r = buf_printf(out, "%s\n", msb_info_name(list->items[i]));
	return r;
}

static int show(const struct ls_args *a, const struct view *v, const struct chosen *list, bool one,
	const char *none)
{
	struct msb_err err = {0};
	struct buf out;
	int status;
	int r = 0;

	buf_init(&out, CLI_TEXT_MAX * 16);
	if (a->format == FORMAT_JSON)
		r = put_json(v, list, one, &out);
	else if (a->quiet)
		r = put_names(list, &out);
	else if (list->n)
		r = put_table(v, list, &out);
	else
		cli_note("%s", none);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "writing the list");
		status = cli_fail(&err);
	} else {
		status = cli_print(&out);
	}
	buf_deinit(&out);
	return status;
}

static bool is_alive(const struct msb_info *info)
{
	enum msb_status s = msb_info_status(info);

	return s == MSB_STATUS_STARTING || s == MSB_STATUS_RUNNING || s == MSB_STATUS_STOPPING;
}

static int show_list(const struct ls_args *a, const struct view *v, const struct msb_list *all,
	bool running, bool stopped)
{
	size_t n = msb_list_size(all);
	struct chosen list = {.items = calloc(n + 1, sizeof(list.items[0]))};
	int status;

	if (!list.items) {
		cli_note("out of memory");
		return CLI_EXIT_FAILED;
	}
	for (size_t i = 0; i < n; i++) {
		const struct msb_info *info = msb_list_at(all, i);
		bool alive = is_alive(info);

		if ((!running || alive) && (!stopped || !alive))
			list.items[list.n++] = info;
	}
	status = show(a, v, &list, false, running ? "no running sandboxes" : "no sandboxes");
	free(list.items);
	return status;
}

static int run_list(const struct ls_args *a, const struct view *v, bool running, bool stopped)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_list *list = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_list(api.msb, a->labels.items, &list, &e);
	status = r < 0 ? cli_api_fail(&e) : show_list(a, v, list, running, stopped);
	(void)msb_list_free(list);
	cli_api_close(&api);
	return status;
}

static int run_ls(void *args, const struct opt_words *words)
{
	const struct ls_args *a = args;

	return run_list(a, &ls_view, a->running, a->stopped);
}

static int run_ps(void *args, const struct opt_words *words)
{
	struct msb_error e = MSB_ERROR_INIT;
	const struct ls_args *a = args;
	struct msb_info *info = NULL;
	struct cli_api api;
	int status;
	int r;

	if (!words->operands.n)
		return run_list(a, &ps_view, !a->all, false);
	r = cli_api_open(&api, &a->common, &e);
	if (r == 0)
		r = msb_inspect(api.msb, words->operands.items[0], &info, &e);
	if (r < 0) {
		status = cli_api_fail(&e);
	} else {
		const struct msb_info *one = info;

		status = show(a, &ps_view, &(struct chosen){.items = &one, .n = 1}, true, "");
	}
	(void)msb_info_free(info);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_ls = {
	.table = {.name = "ls",
		.aliases = {"list"},
		.summary = "List sandboxes",
		.description =
			"Lists named sandboxes and those that run at this moment. A sandbox whose "
			"supervisor was killed is shown as crashed; msb start brings it back.",
		.group = "Sandboxes",
		.opts = ls_opts,
		.n_opts = ARRAY_SIZE(ls_opts),
		.examples = ls_examples,
		.n_examples = ARRAY_SIZE(ls_examples)},
	.args_size = sizeof(struct ls_args),
	.run = run_ls,
};

const struct cli_command cmd_ps = {
	.table = {.name = "ps",
		.aliases = {"status"},
		.summary = "Show running sandboxes",
		.group = "Sandboxes",
		.opts = ps_opts,
		.n_opts = ARRAY_SIZE(ps_opts),
		.operands = ps_operands,
		.n_operands = ARRAY_SIZE(ps_operands),
		.examples = ps_examples,
		.n_examples = ARRAY_SIZE(ps_examples)},
	.args_size = sizeof(struct ls_args),
	.run = run_ps,
};
