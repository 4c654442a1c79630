/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb metrics: what sandboxes use.
 *
 * Rates come from two answers of a guest, an interval apart.
 */
#include "base/json.h"
#include "base/str.h"

#include "cli/api.h"
#include "cli/table.h"
#include "lib/human.h"

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_PROMETHEUS };
enum { PATIENCE_MS = 10 * 1000, FIRST_INTERVAL_MS = 500 };

struct metrics_args {
	struct cli_common common;
	struct opt_list labels;
	int format;
	bool watch;
	bool follow;
	int sort;
	uint64_t interval_ns;
};

static const char *const formats[] = {
	[FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_PROMETHEUS] = "prometheus", NULL};

enum sort { SORT_NAME, SORT_CPU, SORT_MEM };

static const char *const sorts[] = {
	[SORT_NAME] = "name", [SORT_CPU] = "cpu", [SORT_MEM] = "mem", NULL};

#define AT(field) .offset = offsetof(struct metrics_args, field)

static const struct opt opts[] = {
	{.name = "watch",
		.letter = 'w',
		.type = OPT_FLAG,
		AT(watch),
		.excludes = "follow",
		.help = "Show again and again, in place; needs a terminal"},
	{.name = "follow",
		.letter = 'f',
		.type = OPT_FLAG,
		AT(follow),
		.help = "One line of JSON per sandbox and interval, until it ends"},
	{.name = "interval",
		.type = OPT_DURATION,
		AT(interval_ns),
		.arg = "TIME",
		.def = "1s",
		.min = 1,
		.help = "Time between two looks"},
	{.name = "label",
		.type = OPT_LIST,
		AT(labels),
		.arg = "KEY[=VALUE]",
		.help = "Only those with this label; given twice, with both"},
	{.name = "sort",
		.type = OPT_CHOICE,
		AT(sort),
		.arg = "BY",
		.choices = sorts,
		.def = "name",
		.help = "Order of the rows"},
	{.name = "format",
		.type = OPT_CHOICE,
		AT(format),
		.arg = "FORMAT",
		.choices = formats,
		.def = "text",
		.help = "Form of the output; prometheus is its text format"},
};

static const struct opt_operand operands[] = {
	{.name = "NAME", .help = "Only this sandbox"},
};

static const struct opt_example examples[] = {
	{"All that run", "msb metrics"},
	{"Like top", "msb metrics -w --sort cpu"},
	{"For a collector", "msb metrics --format prometheus"},
};

/* One sandbox that is looked at: what is known now, and what was before its last answer. */
struct subject {
	struct msb_sample now;
	struct msb_metrics guest;
	uint64_t before_ns;
	struct msb_metrics before;
};

struct watcher {
	const struct metrics_args *args;
	struct msb_monitor *monitor;
	struct subject *subjects;
	size_t n;
	bool one; /* a single one was named */
};

/* Asks everybody. */
static int look(struct watcher *w, struct msb_error *e)
{
	int r = msb_monitor_ask(w->monitor, PATIENCE_MS, e);

	for (size_t i = 0; r == 0 && i < w->n; i++) {
		struct subject *su = &w->subjects[i];
		const struct subject last = *su;

		su->now = (struct msb_sample)MSB_SAMPLE_INIT;
		su->guest = (struct msb_metrics)MSB_METRICS_INIT;
		(void)msb_monitor_at(w->monitor, i, &su->now, &su->guest);
		if (su->now.answers == last.now.answers)
			continue;
		su->before_ns = last.now.at_ns;
		su->before = last.guest;
	}
	return r;
}

static bool has_rates(const struct subject *su)
{
	return su->before_ns && su->now.at_ns > su->before_ns;
}

static double per_second(const struct subject *su, uint64_t now, uint64_t before)
{
	if (!has_rates(su) || now < before)
		return 0;
	return (double)(now - before) * 1e9 / (double)(su->now.at_ns - su->before_ns);
}

/* CPUs in use between the last two answers. */
static double cpus_used(const struct subject *su)
{
	return per_second(su, su->guest.cpu_user_ns + su->guest.cpu_system_ns,
		       su->before.cpu_user_ns + su->before.cpu_system_ns) /
	       1e9;
}

static uint64_t mem_used(const struct subject *su)
{
	uint64_t total = su->guest.memory_total_bytes;

	return total - MIN(total, su->guest.memory_available_bytes);
}

static const char *state_of(const struct subject *su)
{
	return su->now.state == MSB_SAMPLE_EXITED    ? "exited"
	       : su->now.state == MSB_SAMPLE_STALLED ? "stalled"
						     : "running";
}

static bool is_gone(const struct subject *su)
{
	return su->now.state == MSB_SAMPLE_EXITED;
}

/* The guest may say anything; JSON has signed numbers. */
static void put_bytes(struct json_out *o, const char *key, uint64_t v)
{
	json_put_u64(o, key, MIN(v, (uint64_t)INT64_MAX));
}

static void put_members(struct json_out *o, const struct subject *su)
{
	const struct msb_metrics *m = &su->guest;
	char when[TIME_TEXT];

	json_put_str(o, "name", su->now.name);
	json_put_str(o, "state", state_of(su));
	json_put_u64(o, "cpus", su->now.cpus);
	json_put_str(o, "timestamp", time_rfc3339(clock_real_ns(), when));
	json_put_double(o, "cpu_percent", cpus_used(su) * 100);
	json_put_u64(o, "vcpu_time_ns",
		MIN(m->cpu_user_ns, (uint64_t)INT64_MAX / 2) +
			MIN(m->cpu_system_ns, (uint64_t)INT64_MAX / 2));
	put_bytes(o, "memory_bytes", mem_used(su));
	put_bytes(o, "memory_available_bytes", m->memory_available_bytes);
	json_put_u64(o, "memory_host_resident_bytes", su->now.host_resident_bytes);
	json_put_u64(o, "memory_limit_bytes", (uint64_t)su->now.memory_mib * MIB);
	put_bytes(o, "disk_read_bytes", m->disk_read_bytes);
	put_bytes(o, "disk_write_bytes", m->disk_write_bytes);
	put_bytes(o, "upper_used_bytes", m->root_used_bytes);
	put_bytes(o, "upper_free_bytes", m->root_free_bytes);
	json_put_u64(o, "upper_host_allocated_bytes", su->now.host_disk_bytes);
	json_put_u64(o, "processes", m->processes);
	json_put_u64(o, "uptime_secs", m->uptime_ns / NSEC_PER_SEC);
}

static int put_json(const struct watcher *w, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_PRETTY);
	if (!w->one)
		json_begin_array(&o, NULL);
	for (size_t i = 0; i < w->n; i++) {
		json_begin_object(&o, NULL);
		put_members(&o, &w->subjects[i]);
		json_end_object(&o);
	}
	if (!w->one)
		json_end_array(&o);
	return json_out_end(&o);
}

static int put_json_lines(const struct watcher *w, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < w->n && r == 0; i++) {
		struct json_out o;

		if (is_gone(&w->subjects[i]))
			continue;
		json_out_init(&o, out, JSON_COMPACT);
		json_begin_object(&o, NULL);
		put_members(&o, &w->subjects[i]);
		json_end_object(&o);
		r = json_out_end(&o);
		if (r == 0)
			r = buf_append(out, "\n", 1);
	}
	return r;
}

static double get_cpu(const struct subject *su)
{
	return (double)(su->guest.cpu_user_ns + su->guest.cpu_system_ns) / 1e9;
}

static double get_mem(const struct subject *su)
{
	return (double)mem_used(su);
}

static double get_limit(const struct subject *su)
{
	return (double)su->now.memory_mib * (double)MIB;
}

static double get_resident(const struct subject *su)
{
	return (double)su->now.host_resident_bytes;
}

static double get_read(const struct subject *su)
{
	return (double)su->guest.disk_read_bytes;
}

static double get_write(const struct subject *su)
{
	return (double)su->guest.disk_write_bytes;
}

static double get_upper(const struct subject *su)
{
	return (double)su->guest.root_used_bytes;
}

static double get_procs(const struct subject *su)
{
	return su->guest.processes;
}

static double get_uptime(const struct subject *su)
{
	return (double)su->guest.uptime_ns / 1e9;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	double (*get)(const struct subject *su);
} series[] = {
	{"msb_cpu_seconds_total", "counter", "CPU time used in the guest", get_cpu},
	{"msb_memory_used_bytes", "gauge", "Memory in use in the guest", get_mem},
	{"msb_memory_limit_bytes", "gauge", "Memory of the guest", get_limit},
	{"msb_memory_host_resident_bytes", "gauge", "Memory of the machine's process on the host",
		get_resident},
	{"msb_disk_read_bytes_total", "counter", "Bytes read from disks", get_read},
	{"msb_disk_written_bytes_total", "counter", "Bytes written to disks", get_write},
	{"msb_root_used_bytes", "gauge", "Bytes in use on the root disk", get_upper},
	{"msb_processes", "gauge", "Processes in the guest", get_procs},
	{"msb_uptime_seconds", "gauge", "Time since the guest booted", get_uptime},
};

static int put_prometheus(const struct watcher *w, struct buf *out)
{
	int r = 0;

	for (size_t k = 0; k < ARRAY_SIZE(series) && r == 0; k++) {
		r = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", series[k].name, series[k].help,
			series[k].name, series[k].type);
		for (size_t i = 0; i < w->n && r == 0; i++) {
			const struct subject *su = &w->subjects[i];

			/* Names need no escapes: sandbox_name_check(). */
			if (!is_gone(su) && su->now.answers)
				r = buf_printf(out, "%s{sandbox=\"%s\"} %.17g\n", series[k].name,
					su->now.name, series[k].get(su));
		}
	}
	return r;
}

static const char *bytes_text(double v, char to[TIME_TEXT])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;

	for (; v >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		v /= 1024;
	(void)snprintf(to, TIME_TEXT, "%.4g %s", v, units[i]);
	return to;
}

static void add_row(struct table *t, const struct subject *su)
{
	char a[TIME_TEXT];
	char b[TIME_TEXT];
	char text[3 * TIME_TEXT];

	table_add(t, su->now.name, 0);
	table_add(t, state_of(su), 0);
	(void)snprintf(text, sizeof(text), "%.2f / %" PRIu32 "c", cpus_used(su), su->now.cpus);
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%s / %s", bytes_text((double)mem_used(su), a),
		size_mib(su->now.memory_mib, b));
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%s / %s",
		bytes_text(
			per_second(su, su->guest.disk_read_bytes, su->before.disk_read_bytes), a),
		bytes_text(per_second(su, su->guest.disk_write_bytes, su->before.disk_write_bytes),
			b));
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu32, su->guest.processes);
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu64 "s", su->guest.uptime_ns / NSEC_PER_SEC);
	table_add(t, text, 0);
}

static int by_cpu(const void *a, const void *b)
{
	double x = cpus_used(*(const struct subject *const *)a);
	double y = cpus_used(*(const struct subject *const *)b);

	return (x < y) - (x > y);
}

static int by_mem(const void *a, const void *b)
{
	uint64_t x = mem_used(*(const struct subject *const *)a);
	uint64_t y = mem_used(*(const struct subject *const *)b);

	return (x < y) - (x > y);
}

static int put_text(const struct watcher *w, struct buf *out)
{
	static const char *const header[] = {
		"NAME", "STATE", "CPU", "MEM", "DISK R/W /s", "PROCS", "UPTIME"};
	const struct subject **order = calloc(w->n + 1, sizeof(const struct subject *));
	struct table t;
	int r;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++)
		order[i] = &w->subjects[i];
	if (w->args->sort != SORT_NAME)
		qsort(order, w->n, sizeof(const struct subject *),
			w->args->sort == SORT_CPU ? by_cpu : by_mem);
	table_init(&t, header, ARRAY_SIZE(header));
	for (size_t i = 0; i < w->n; i++)
		add_row(&t, order[i]);
	r = table_format(&t, out);
	table_deinit(&t);
	free(order);
	return r;
}

static int show(const struct watcher *w)
{
	struct msb_err err = {0};
	struct buf out;
	int status;
	int r = 0;

	buf_init(&out, CLI_TEXT_MAX * 16);
	if (w->args->watch)
		r = buf_append(&out, "\033[H\033[J", 6);
	if (r == 0)
		r = w->args->follow			   ? put_json_lines(w, &out)
		    : w->args->format == FORMAT_JSON	   ? put_json(w, &out)
		    : w->args->format == FORMAT_PROMETHEUS ? put_prometheus(w, &out)
							   : put_text(w, &out);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "writing the numbers");
		status = cli_fail(&err);
	} else {
		status = cli_print(&out);
	}
	buf_deinit(&out);
	return status;
}

static bool all_gone(const struct watcher *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (!is_gone(&w->subjects[i]))
			return false;
	}
	return true;
}

/* Shows them until all have ended, or once; returns the exit status. */
static int watch_them(struct watcher *w)
{
	/* Counters need no second look, rates do. */
	bool rates = w->args->format != FORMAT_PROMETHEUS;
	bool again = w->args->watch || w->args->follow;
	unsigned int interval = cli_api_ms(w->args->interval_ns);
	struct msb_error e = MSB_ERROR_INIT;
	int status = 0;
	int r = look(w, &e);

	if (r == 0 && rates)
		r = msb_monitor_wait(
			w->monitor, MIN(interval, (unsigned int)FIRST_INTERVAL_MS), &e);
	if (r == 0 && rates)
		r = look(w, &e);
	if (r == 0)
		status = show(w);
	while (r == 0 && status == 0 && again && !all_gone(w)) {
		r = msb_monitor_wait(w->monitor, interval, &e);
		if (r == 0)
			r = look(w, &e);
		if (r == 0)
			status = show(w);
	}
	return r < 0 ? cli_api_fail(&e) : status;
}

/* Nobody runs. */
static int show_none(const struct watcher *w)
{
	if (w->args->format == FORMAT_JSON)
		return show(w);
	if (w->args->format == FORMAT_TEXT)
		cli_note("no running sandboxes");
	return 0;
}

static int watch_all(struct watcher *w)
{
	struct msb_err err = {0};
	int status;

	w->n = msb_monitor_size(w->monitor);
	if (!w->n)
		return show_none(w);
	w->subjects = calloc(w->n, sizeof(*w->subjects));
	if (!w->subjects) {
		(void)msb_err_errno(&err, -ENOMEM, "metrics");
		return cli_fail(&err);
	}
	status = watch_them(w);
	free(w->subjects);
	return status;
}

static int run_metrics(void *args, const struct opt_words *words)
{
	const struct metrics_args *a = args;
	struct watcher w = {.args = a, .one = words->operands.n > 0};
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_err err = {0};
	struct cli_api api;
	int status;
	int r;

	if (a->watch && !isatty(STDOUT_FILENO)) {
		(void)msb_err_set(&err, -ENOTTY, MSB_USAGE, "option --watch needs a terminal");
		(void)msb_err_hint(&err, -ENOTTY, "--follow prints lines of JSON");
		return cli_fail(&err);
	}
	r = cli_api_open(&api, &a->common, &e);
	if (r == 0)
		r = msb_monitor_open(api.msb, w.one ? words->operands.items[0] : NULL,
			a->labels.items, &w.monitor, &e);
	status = r < 0 ? cli_api_fail(&e) : watch_all(&w);
	(void)msb_monitor_close(w.monitor);
	cli_api_close(&api);
	return status;
}

const struct cli_command cmd_metrics = {
	.table = {.name = "metrics",
		.summary = "Show what sandboxes use",
		.description = "CPU, memory, disk and processes of running sandboxes, as their "
			       "guests count them, and what their machines take of the host.",
		.group = "Sandboxes",
		.opts = opts,
		.n_opts = ARRAY_SIZE(opts),
		.operands = operands,
		.n_operands = ARRAY_SIZE(operands),
		.examples = examples,
		.n_examples = ARRAY_SIZE(examples)},
	.args_size = sizeof(struct metrics_args),
	.run = run_metrics,
};
