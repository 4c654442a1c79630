/* SPDX-License-Identifier: Apache-2.0 */
/* msb inspect: everything that is known about a sandbox. */
#include "cli/cli.h"
#include "cli/ports.h"
#include "cli/table.h"
#include "lib/human.h"
#include "lib/info-json.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

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
static int put_cpus(const struct sandbox_info *info, struct buf *out)
{
	const struct sandbox_machine m = sandbox_info_machine(info);
	char next[32] = "";
	char text[64];
	int r;

	if (info->spec.vcpus != m.vcpus)
		(void)snprintf(next, sizeof(next), " (next start: %" PRIu32 ")", info->spec.vcpus);
	(void)snprintf(text, sizeof(text), "%" PRIu32 "%s", m.vcpus, next);
	r = line(out, "CPUs", text);
	if (r < 0 || m.max_vcpus == m.vcpus)
		return r;
	(void)snprintf(text, sizeof(text), "%" PRIu32, m.max_vcpus);
	return line(out, "Max CPUs", text);
}

static int put_memory(const struct sandbox_info *info, struct buf *out)
{
	const struct sandbox_machine m = sandbox_info_machine(info);
	char next[TIME_TEXT];
	char now[TIME_TEXT];
	char text[2 * TIME_TEXT + 32];
	int r;

	(void)size_mib(m.mem_mib, now);
	(void)snprintf(text, sizeof(text), "%s", now);
	if (info->spec.mem_mib != m.mem_mib)
		(void)snprintf(text, sizeof(text), "%s (next start: %s)", now,
			size_mib(info->spec.mem_mib, next));
	r = line(out, "Memory", text);
	if (r < 0 || m.max_mem_mib == m.mem_mib)
		return r;
	return line(out, "Max memory", size_mib(m.max_mem_mib, now));
}

static int put_machine(const struct sandbox_info *info, struct buf *out)
{
	const struct sandbox_spec *spec = &info->spec;
	char text[TIME_TEXT];
	int r = put_cpus(info, out);

	if (r == 0)
		r = put_memory(info, out);
	if (r == 0 && spec->root_kind == ROOT_OVERLAY)
		r = line(out, "Root disk",
			spec->root_disk.kind == UPPER_FILE ? spec->root_disk.path
			: spec->root_disk.kind == UPPER_DISK
				? size_mib(spec->root_disk.size_bytes >> 20, text)
				: "memory");
	if (r == 0 && spec->max_duration_ns) {
		(void)snprintf(text, sizeof(text), "%.10g s", (double)spec->max_duration_ns / 1e9);
		r = line(out, "Max duration", text);
	}
	if (r == 0 && spec->idle_timeout_ns) {
		(void)snprintf(text, sizeof(text), "%.10g s", (double)spec->idle_timeout_ns / 1e9);
		r = line(out, "Idle timeout", text);
	}
	return r;
}

static int put_guest(const struct sandbox_spec *spec, struct buf *out)
{
	int r = 0;

	if (spec->user && spec->user[0])
		r = line(out, "User", spec->user);
	if (r == 0 && spec->workdir && spec->workdir[0])
		r = line(out, "Workdir", spec->workdir);
	for (size_t i = 0; spec->command && spec->command[i] && r == 0; i++)
		r = line(out, i ? "" : "Command", spec->command[i]);
	for (size_t i = 0; spec->env && spec->env[i] && r == 0; i++)
		r = line(out, i ? "" : "Environment", spec->env[i]);
	for (uint32_t i = 0; i < spec->n_labels && r == 0; i++) {
		char text[256];

		(void)snprintf(
			text, sizeof(text), "%s=%s", spec->labels[i].name, spec->labels[i].value);
		r = line(out, i ? "" : "Labels", text);
	}
	for (uint32_t i = 0; i < spec->n_tmpfs && r == 0; i++)
		r = line(out, i ? "" : "Tmpfs", spec->tmpfs[i].path);
	for (uint32_t i = 0; i < spec->n_scripts && r == 0; i++)
		r = line(out, i ? "" : "Scripts", spec->scripts[i].name);
	return r;
}

static int put_text(const struct sandbox_info *info, struct buf *out)
{
	const struct sandbox_record *rec = &info->record;
	char text[TIME_TEXT];
	char exit_status[16];
	struct msb_port p;
	int r = line(out, "Name", info->name);

	if (r == 0)
		r = line(out, "Status", sandbox_status_name(rec->status));
	if (r == 0 && rec->reason != REASON_NONE)
		r = line(out, "Reason", sandbox_reason_name(rec->reason));
	if (r == 0 && rec->detail[0])
		r = line(out, "Detail", rec->detail);
	if (r == 0 && rec->exit_status >= 0) {
		(void)snprintf(exit_status, sizeof(exit_status), "%d", rec->exit_status);
		r = line(out, "Exit status", exit_status);
	}
	if (r == 0)
		r = line(out, "Created", time_local(info->spec.created_ns, text));
	if (r == 0)
		r = line(out, "Started", time_local(rec->started_ns, text));
	if (r == 0 && rec->engine[0])
		r = line(out, "Engine", rec->engine);
	if (r < 0)
		return r;
	if (!info->readable)
		return line(out, "Description", info->spec_err.msg);
	r = line(out, "Image", info->spec.image);
	if (r == 0)
		r = put_machine(info, out);
	for (size_t i = 0; r == 0 && info_port(info, i, &p); i++) {
		char port[PORT_TEXT];

		r = line(out, i ? "" : "Ports", port_text(&p, port));
	}
	for (uint32_t i = 0; i < info->spec.vsocks.n && r == 0; i++) {
		const struct vsock_route *v = &info->spec.vsocks.list[i];
		char what[VSOCK_PATH_SIZE + 16];

		(void)snprintf(what, sizeof(what), "%s:%" PRIu32, v->path, v->port);
		r = line(out, i ? "" : "Host sockets", what);
	}
	return r < 0 ? r : put_guest(&info->spec, out);
}

static int run_inspect(void *args, const struct opt_words *words)
{
	const struct inspect_args *a = args;
	struct sandbox_info info;
	struct msb_err err = {0};
	char home[PATH_MAX];
	struct buf out;
	int status;
	int r;

	if (sandbox_home_default(home, sizeof(home), &err) < 0 ||
		sandbox_info_get(home, words->operands.items[0], &info, &err) < 0)
		return cli_fail(&err);
	buf_init(&out, (size_t)LIMIT_JSON_BYTES * 2);
	r = a->format == FORMAT_JSON ? info_json(&info, &out) : put_text(&info, &out);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "writing the description");
		status = cli_fail(&err);
	} else {
		status = cli_print(&out);
	}
	buf_deinit(&out);
	sandbox_info_deinit(&info);
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
