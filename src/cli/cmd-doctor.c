/* SPDX-License-Identifier: Apache-2.0 */
/* msb doctor: what works on this host, what does not, why, and how to fix it. */
#include "base/json.h"

#include "cli/cli.h"
#include "cli/doctor.h"

enum format { FORMAT_TEXT, FORMAT_JSON };

struct doctor_args {
	struct cli_common common;
	int format; /* enum format */
};

static const char *const formats[] = {[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", NULL};

static const char *const status_names[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warning", [DOCTOR_FAIL] = "failed"};

/* Marks on a terminal, words for everything that reads text. */
static const char *status_mark(enum doctor_status status, bool tty)
{
	static const char *const plain[] = {
		[DOCTOR_OK] = "\u2713", [DOCTOR_WARN] = "!", [DOCTOR_FAIL] = "\u2717"};
	static const char *const color[] = {[DOCTOR_OK] = "\033[32m\u2713\033[0m",
		[DOCTOR_WARN] = "\033[33m!\033[0m",
		[DOCTOR_FAIL] = "\033[31m\u2717\033[0m"};
	const char *no_color = getenv("NO_COLOR");

	if (!tty)
		return status_names[status];
	return no_color && *no_color ? plain[status] : color[status];
}

static int print_text(const struct doctor_report *r, struct buf *out)
{
	bool tty = isatty(STDOUT_FILENO);
	const char *conclusion = r->kvm	   ? "Sandboxes run on KVM."
				 : r->qemu ? "Sandboxes run emulated by QEMU."
					   : "Sandboxes cannot run: there is no engine.";
	int e = 0;

	for (unsigned int i = 0; i < r->n && e == 0; i++) {
		const struct doctor_check *c = &r->checks[i];

		e = buf_printf(out, tty ? "%s %-15s %s\n" : "%-8s %-15s %s\n",
			status_mark(c->status, tty), c->id, c->detail);
		if (e == 0 && c->hint[0])
			e = buf_printf(out, "%*s fix: %s\n", tty ? 17 : 24, "", c->hint);
	}
	if (e == 0)
		e = buf_printf(out, "\n%s\n",
			doctor_failed(r) && (r->kvm || r->qemu)
				? "Sandboxes cannot run: something is missing."
				: conclusion);
	return e;
}

static int print_json(const struct doctor_report *r, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	json_begin_object(&o, NULL);
	json_put_str(&o, "version", MSB_VERSION);
	json_put_bool(&o, "ok", !doctor_failed(r));
	json_begin_array(&o, "engines");
	if (r->kvm)
		json_put_str(&o, NULL, "kvm");
	if (r->qemu)
		json_put_str(&o, NULL, "qemu");
	json_end_array(&o);
	json_begin_array(&o, "checks");
	for (unsigned int i = 0; i < r->n; i++) {
		json_begin_object(&o, NULL);
		json_put_str(&o, "id", r->checks[i].id);
		json_put_str(&o, "status", status_names[r->checks[i].status]);
		json_put_str(&o, "detail", r->checks[i].detail);
		json_put_str(&o, "hint", r->checks[i].hint);
		json_end_object(&o);
	}
	json_end_array(&o);
	json_end_object(&o);
	return json_out_end(&o);
}

static int run_doctor(void *args, const struct opt_words *words)
{
	const struct doctor_args *a = args;
	struct doctor_report report;
	struct msb_err err = {0};
	struct buf text;
	int status;
	int r;

	doctor_run(&report);
	buf_init(&text, CLI_TEXT_MAX);
	r = a->format == FORMAT_JSON ? print_json(&report, &text) : print_text(&report, &text);
	if (r < 0)
		(void)msb_err_errno(&err, r, "writing the report");
	status = r < 0 ? cli_fail(&err) : cli_print(&text);
	buf_deinit(&text);
	return status ? status : doctor_failed(&report);
}

static const struct opt opts[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		.offset = offsetof(struct doctor_args, format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "How to print the report"},
};

static const struct opt_example examples[] = {
	{"What is wrong here?", "msb doctor"},
	{"Engines that work, for a script", "msb doctor --format json"},
};

const struct cli_command cmd_doctor = {
	.table = {.name = "doctor",
		.summary = "Check what this host can do and how to fix what it cannot",
		.group = "Other",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples),
		.exit_status = "0 when sandboxes can run, 1 when they cannot."},
	.args_size = sizeof(struct doctor_args),
	.run = run_doctor,
};
