/* SPDX-License-Identifier: Apache-2.0 */
/* msb inspect: everything that is known about a sandbox. */
#include "base/str.h"

#include "cli/api.h"
#include "cli/ports.h"
#include "cli/table.h"
#include "lib/human.h"

enum { TEXT_MAX = 16 * CLI_TEXT_MAX };

enum format { FORMAT_TEXT, FORMAT_JSON };

struct inspect_args {
	struct cli_common common;
	int format;
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

static const struct opt opts[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		.offset = offsetof(struct inspect_args, format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Name of the sandbox", .required = true},
};

static const struct opt_example examples[] = {
	{"For people", "msb inspect dev"},
	{"For programs", "msb inspect --format json dev"},
};

/* One line; text that is not printable is shown as '?'. */
static int line(struct buf *out, const char *key, const char *value)
{
	int r = buf_printf(out, "%-14s ", key);

	for (const char *at = value; *at && r == 0; at++)
		r = buf_append(out, (unsigned char)*at < ' ' || *at == 127 ? "?" : at, 1);
	return r < 0 ? r : buf_append(out, "\n", 1);
}

/* What it has now; a change that waits for its next start in brackets. */
static int put_cpus(const struct msb_info *info, struct buf *out)
{
	unsigned int now = msb_info_cpus_now(info);
	unsigned int max = msb_info_cpus_max(info);
	char next[32] = "";
	char text[64];
	int r;

	if (msb_info_cpus(info) != now)
		(void)snprintf(next, sizeof(next), " (next start: %u)", msb_info_cpus(info));
	(void)snprintf(text, sizeof(text), "%u%s", now, next);
	r = line(out, "CPUs", text);
	if (r < 0 || max == now)
		return r;
	(void)snprintf(text, sizeof(text), "%u", max);
	return line(out, "Max CPUs", text);
}

static int put_memory(const struct msb_info *info, struct buf *out)
{
	unsigned int mib = msb_info_memory_mib_now(info);
	unsigned int max = msb_info_memory_mib_max(info);
	char next[HUMAN_SIZE];
	char now[HUMAN_SIZE];
	char text[2 * HUMAN_SIZE + 32];
	int r;

	(void)size_mib(mib, now);
	(void)snprintf(text, sizeof(text), "%s", now);
	if (msb_info_memory_mib(info) != mib)
		(void)snprintf(text, sizeof(text), "%s (next start: %s)", now,
			size_mib(msb_info_memory_mib(info), next));
	r = line(out, "Memory", text);
	if (r < 0 || max == mib)
		return r;
	return line(out, "Max memory", size_mib(max, now));
}

static int put_duration(struct buf *out, const char *key, uint64_t ns)
{
	char text[TIME_TEXT];

	if (!ns)
		return 0;
	(void)snprintf(text, sizeof(text), "%.10g s", (double)ns / 1e9);
	return line(out, key, text);
}

static int put_machine(const struct msb_info *info, struct buf *out)
{
	uint64_t bytes = 0;
	const char *disk = msb_info_root_disk(info, &bytes);
	char text[HUMAN_SIZE];
	int r = put_cpus(info, out);

	if (r == 0)
		r = put_memory(info, out);
	if (r == 0 && disk[0])
		r = line(
			out, "Root disk", streq(disk, "disk") ? size_mib(bytes >> 20, text) : disk);
	if (r == 0)
		r = put_duration(out, "Max duration", msb_info_max_duration_ns(info));
	return r == 0 ? put_duration(out, "Idle timeout", msb_info_idle_timeout_ns(info)) : r;
}

/* A list, its name in front of the first one. */
static int lines(struct buf *out, const char *key, const struct msb_info *info,
	const char *(*at)(const struct msb_info *i, size_t n))
{
	const char *value;
	int r = 0;

	for (size_t n = 0; r == 0 && (value = at(info, n)); n++)
		r = line(out, n ? "" : key, value);
	return r;
}

static int put_labels(const struct msb_info *info, struct buf *out)
{
	const char *key;
	int r = 0;

	for (size_t n = 0; r == 0 && (key = msb_info_label_key(info, n)); n++) {
		char text[256];

		(void)snprintf(text, sizeof(text), "%s=%s", key, msb_info_label(info, key));
		r = line(out, n ? "" : "Labels", text);
	}
	return r;
}

static int put_guest(const struct msb_info *info, struct buf *out)
{
	int r = 0;

	if (msb_info_user(info)[0])
		r = line(out, "User", msb_info_user(info));
	if (r == 0 && msb_info_workdir(info)[0])
		r = line(out, "Workdir", msb_info_workdir(info));
	if (r == 0)
		r = lines(out, "Command", info, msb_info_command);
	if (r == 0)
		r = lines(out, "Environment", info, msb_info_env);
	if (r == 0)
		r = put_labels(info, out);
	if (r == 0)
		r = lines(out, "Tmpfs", info, msb_info_tmpfs);
	return r == 0 ? lines(out, "Scripts", info, msb_info_script) : r;
}

static int put_sockets(const struct msb_info *info, struct buf *out)
{
	struct msb_port p = MSB_PORT_INIT;
	unsigned int port = 0;
	const char *path;
	int r = 0;

	for (size_t n = 0; r == 0 && msb_info_port(info, n, &p); n++) {
		char text[PORT_TEXT];

		r = line(out, n ? "" : "Ports", port_text(&p, text));
	}
	for (size_t n = 0; r == 0 && (path = msb_info_vsock(info, n, &port)); n++) {
		char what[PATH_MAX + 16];

		(void)snprintf(what, sizeof(what), "%s:%u", path, port);
		r = line(out, n ? "" : "Host sockets", what);
	}
	return r;
}

static int put_life(const struct msb_info *info, struct buf *out)
{
	bool readable = !msb_info_problem(info)[0];
	char text[TIME_TEXT];
	int r = line(out, "Name", msb_info_name(info));

	if (r == 0)
		r = line(out, "Status", msb_info_status_name(info));
	if (r == 0 && msb_info_reason(info)[0])
		r = line(out, "Reason", msb_info_reason(info));
	if (r == 0 && readable && msb_info_detail(info)[0])
		r = line(out, "Detail", msb_info_detail(info));
	if (r == 0 && msb_info_exit_status(info) >= 0) {
		(void)snprintf(text, sizeof(text), "%d", msb_info_exit_status(info));
		r = line(out, "Exit status", text);
	}
	if (r == 0)
		r = line(out, "Created", time_local(msb_info_created_ns(info), text));
	if (r == 0)
		r = line(out, "Started", time_local(msb_info_started_ns(info), text));
	if (r == 0 && msb_info_engine(info)[0])
		r = line(out, "Engine", msb_info_engine(info));
	return r;
}

static int put_text(const struct msb_info *info, struct buf *out)
{
	int r = put_life(info, out);

	if (r < 0)
		return r;
	if (msb_info_problem(info)[0])
		return line(out, "Description", msb_info_problem(info));
	r = line(out, "Image", msb_info_image(info));
	if (r == 0)
		r = put_machine(info, out);
	if (r == 0)
		r = put_sockets(info, out);
	return r == 0 ? put_guest(info, out) : r;
}

static int put_json(const struct msb_info *info, struct buf *out)
{
	cleanup_free char *text = msb_info_json(info);

	return text ? buf_printf(out, "%s", text) : -ENOMEM;
}

static int show(const struct inspect_args *a, const struct msb_info *info)
{
	struct msb_err err = {0};
	struct buf out;
	int status;
	int r;

	buf_init(&out, TEXT_MAX);
	r = a->format == FORMAT_JSON ? put_json(info, &out) : put_text(info, &out);
	if (r < 0)
		(void)msb_err_errno(&err, r, "writing the description");
	status = r < 0 ? cli_fail(&err) : cli_print(&out);
	buf_deinit(&out);
	return status;
}

static int run_inspect(void *args, const struct opt_words *words)
{
	const struct inspect_args *a = args;
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_info *info = NULL;
	struct cli_api api;
	int status;
	int r = cli_api_open(&api, &a->common, &e);

	if (r == 0)
		r = msb_inspect(api.msb, words->operands.items[0], &info, &e);
	status = r < 0 ? cli_api_fail(&e) : show(a, info);
	(void)msb_info_free(info);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_inspect = {
	.table = {.name = "inspect",
		.summary = "Show everything about a sandbox",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct inspect_args),
	.run = run_inspect,
};
