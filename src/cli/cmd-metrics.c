/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb metrics: what sandboxes use.
 *
 * The guest's agent is asked, over the same socket as for everything else, whenever numbers are
 * wanted: nothing is sampled for nobody. Rates come from two answers an interval apart. What the
 * host knows better (resident memory, blocks of the root disk) is looked up here.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "base/str.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "lib/human.h"
#include "lib/labels.h"
#include "sandbox/client.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_PROMETHEUS };
enum { PATIENCE_S = 10, FIRST_INTERVAL_MS = 500 };

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

/* One sandbox that is looked at. */
struct subject {
	struct watcher *watcher;
	struct sandbox_info *info;
	struct sandbox *sb;
	struct sandbox_stream stream;
	bool asked;
	bool gone;
	unsigned int answers;
	uint64_t at_ns; /* of the last answer, and of the one before */
	uint64_t before_ns;
	struct msg_metrics now;
	struct msg_metrics before;
	struct sandbox_machine machine;
	uint64_t resident_bytes;
	uint64_t upper_bytes;
};

struct watcher {
	const struct metrics_args *args;
	const char *home;
	struct loop loop;
	struct loop_timer timer;
	struct sandbox_list list;
	struct subject *subjects;
	size_t n;
	bool one; /* a single one was named */
};

static void maybe_complete(struct watcher *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->subjects[i].asked)
			return;
	}
	loop_stop(&w->loop, 0);
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct subject *su = container_of(s, struct subject, stream);

	su->asked = false;
	if (r->type == FRAME_METRICS_DONE) {
		su->before = su->now;
		su->before_ns = su->at_ns;
		su->now = r->metrics;
		su->at_ns = clock_mono_ns();
		su->answers++;
	}
	maybe_complete(su->watcher);
}

static const struct sandbox_stream_ops stream_ops = {.done = on_done};

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct subject *su = arg;

	su->gone = true;
	su->asked = false;
	maybe_complete(su->watcher);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	on_failed(sb, NULL, NULL, arg);
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

static void time_up(struct loop_timer *t)
{
	struct watcher *w = container_of(t, struct watcher, timer);

	loop_stop(&w->loop, 0);
}

/* First number in a file of /proc, in pages or kB as it comes; 0 if there is none. */
static uint64_t proc_number(pid_t pid, const char *file, unsigned int skip)
{
	cleanup_free char *text = NULL;
	char path[64];
	char *save = NULL;
	uint64_t v = 0;

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, file);
	if (io_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (skip-- == 0)
			return str_to_u64(word, &v) == 0 ? v : 0;
	}
	return 0;
}

/* Of the machine: of the supervisor's few children the one with the guest's memory. */
static uint64_t resident_pages(pid_t supervisor)
{
	uint64_t most = 0;
	char children[64];

	(void)snprintf(children, sizeof(children), "task/%ld/children", (long)supervisor);
	for (unsigned int i = 0; i < LIMIT_SHARES + 2; i++) {
		pid_t child = (pid_t)proc_number(supervisor, children, i);

		if (child <= 0)
			break;
		most = MAX(most, proc_number(child, "statm", 1));
	}
	return most;
}

static void look_at_host(struct subject *su)
{
	cleanup_fd int dir_fd = -EBADF;
	char path[PATH_MAX];
	struct stat st;
	int n;

	/* It may have been changed since we looked last. */
	if (sandbox_dir_find(su->watcher->home, su->info->name, &dir_fd, NULL) == 0)
		sandbox_record_read(dir_fd, &su->info->record);
	su->machine = sandbox_info_machine(su->info);
	su->resident_bytes = resident_pages(su->info->record.pid) * (uint64_t)sysconf(_SC_PAGESIZE);
	n = snprintf(path, sizeof(path), "%s/sandboxes/%s/upper.ext4", su->watcher->home,
		su->info->name);
	if (n > 0 && (size_t)n < sizeof(path) && lstat(path, &st) == 0)
		su->upper_bytes = (uint64_t)st.st_blocks * 512;
}

/* Asks everybody; returns when all have answered, or too late. */
static int ask_all(struct watcher *w)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct subject *su = &w->subjects[i];

		if (su->gone)
			continue;
		su->stream.ops = &stream_ops;
		if (!su->asked && sandbox_metrics(su->sb, &su->stream) == 0)
			su->asked = true;
		any |= su->asked;
	}
	if (any) {
		loop_timer_set(
			&w->loop, &w->timer, clock_mono_ns() + PATIENCE_S * NSEC_PER_SEC, time_up);
		r = loop_run(&w->loop);
		loop_timer_del(&w->timer);
	}
	for (size_t i = 0; i < w->n && r == 0; i++)
		look_at_host(&w->subjects[i]);
	return r;
}

static int pause_for(struct watcher *w, uint64_t ns)
{
	int r;

	loop_timer_set(&w->loop, &w->timer, clock_mono_ns() + ns, time_up);
	r = loop_run(&w->loop);
	loop_timer_del(&w->timer);
	return r;
}

/* CPUs in use between the last two answers. */
static double cpus_used(const struct subject *su)
{
	uint64_t now = su->now.cpu_user_ns + su->now.cpu_system_ns;
	uint64_t before = su->before.cpu_user_ns + su->before.cpu_system_ns;

	if (su->answers < 2 || su->at_ns <= su->before_ns || now < before)
		return 0;
	return (double)(now - before) / (double)(su->at_ns - su->before_ns);
}

static double per_second(const struct subject *su, uint64_t now, uint64_t before)
{
	if (su->answers < 2 || su->at_ns <= su->before_ns || now < before)
		return 0;
	return (double)(now - before) * 1e9 / (double)(su->at_ns - su->before_ns);
}

static uint64_t mem_used(const struct subject *su)
{
	uint64_t total = su->now.mem_total_kib;

	return (total - MIN(total, su->now.mem_available_kib)) * 1024;
}

static const char *state_of(const struct subject *su)
{
	return su->gone ? "exited" : su->asked || !su->answers ? "stalled" : "running";
}

static void put_members(struct json_out *o, const struct subject *su)
{
	const struct msg_metrics *m = &su->now;
	char when[TIME_TEXT];

	json_put_str(o, "name", su->info->name);
	json_put_str(o, "state", state_of(su));
	json_put_u64(o, "cpus", su->machine.vcpus);
	json_put_str(o, "timestamp", time_rfc3339(clock_real_ns(), when));
	json_put_double(o, "cpu_percent", cpus_used(su) * 100);
	json_put_u64(o, "vcpu_time_ns",
		MIN(m->cpu_user_ns, (uint64_t)INT64_MAX / 2) +
			MIN(m->cpu_system_ns, (uint64_t)INT64_MAX / 2));
	json_put_u64(o, "memory_bytes", MIN(mem_used(su), (uint64_t)INT64_MAX));
	json_put_u64(o, "memory_available_bytes",
		MIN(m->mem_available_kib, (uint64_t)INT64_MAX / 1024) * 1024);
	json_put_u64(o, "memory_host_resident_bytes", su->resident_bytes);
	json_put_u64(o, "memory_limit_bytes", (uint64_t)su->machine.mem_mib * MIB);
	json_put_u64(o, "disk_read_bytes", MIN(m->disk_read_bytes, (uint64_t)INT64_MAX));
	json_put_u64(o, "disk_write_bytes", MIN(m->disk_write_bytes, (uint64_t)INT64_MAX));
	json_put_u64(o, "upper_used_bytes", MIN(m->root_used_bytes, (uint64_t)INT64_MAX));
	json_put_u64(o, "upper_free_bytes", MIN(m->root_free_bytes, (uint64_t)INT64_MAX));
	json_put_u64(o, "upper_host_allocated_bytes", su->upper_bytes);
	json_put_u64(o, "processes", m->procs);
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

		if (w->subjects[i].gone)
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
	return (double)(su->now.cpu_user_ns + su->now.cpu_system_ns) / 1e9;
}

static double get_mem(const struct subject *su)
{
	return (double)mem_used(su);
}

static double get_limit(const struct subject *su)
{
	return (double)su->machine.mem_mib * (double)MIB;
}

static double get_resident(const struct subject *su)
{
	return (double)su->resident_bytes;
}

static double get_read(const struct subject *su)
{
	return (double)su->now.disk_read_bytes;
}

static double get_write(const struct subject *su)
{
	return (double)su->now.disk_write_bytes;
}

static double get_upper(const struct subject *su)
{
	return (double)su->now.root_used_bytes;
}

static double get_procs(const struct subject *su)
{
	return su->now.procs;
}

static double get_uptime(const struct subject *su)
{
	return (double)su->now.uptime_ns / 1e9;
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
			if (!su->gone && su->answers)
				r = buf_printf(out, "%s{sandbox=\"%s\"} %.17g\n", series[k].name,
					su->info->name, series[k].get(su));
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

	table_add(t, su->info->name, 0);
	table_add(t, state_of(su), 0);
	(void)snprintf(text, sizeof(text), "%.2f / %" PRIu32 "c", cpus_used(su), su->machine.vcpus);
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%s / %s", bytes_text((double)mem_used(su), a),
		size_mib(su->machine.mem_mib, b));
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%s / %s",
		bytes_text(per_second(su, su->now.disk_read_bytes, su->before.disk_read_bytes), a),
		bytes_text(
			per_second(su, su->now.disk_write_bytes, su->before.disk_write_bytes), b));
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu32, su->now.procs);
	table_add(t, text, 0);
	(void)snprintf(text, sizeof(text), "%" PRIu64 "s", su->now.uptime_ns / NSEC_PER_SEC);
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
		if (!w->subjects[i].gone)
			return false;
	}
	return true;
}

static int watch_them(struct watcher *w)
{
	/* Counters need no second look, rates do. */
	bool rates = w->args->format != FORMAT_PROMETHEUS;
	bool again = w->args->watch || w->args->follow;
	struct msb_err err = {0};
	int status = 0;
	int r = ask_all(w);

	if (r == 0 && rates)
		r = pause_for(w, MIN(w->args->interval_ns, FIRST_INTERVAL_MS * NSEC_PER_MSEC));
	if (r == 0 && rates)
		r = ask_all(w);
	if (r == 0)
		status = show(w);
	while (r == 0 && status == 0 && again && !all_gone(w)) {
		r = pause_for(w, w->args->interval_ns);
		if (r == 0)
			r = ask_all(w);
		if (r == 0)
			status = show(w);
	}
	if (r == 0)
		return status;
	(void)msb_err_errno(&err, r, "waiting for the guests");
	return cli_fail(&err);
}

/* The running ones, connected. */
static int connect_all(struct watcher *w, struct msb_err *err)
{
	w->subjects = calloc(w->list.n + 1, sizeof(*w->subjects));
	if (!w->subjects)
		return msb_err_errno(err, -ENOMEM, "metrics");
	for (size_t i = 0; i < w->list.n; i++) {
		struct sandbox_info *info = &w->list.items[i];
		struct subject *su = &w->subjects[w->n];
		int r;

		if (!w->one && (info->record.status != SANDBOX_RUNNING ||
				       !labels_match(&info->spec, &w->args->labels)))
			continue;
		*su = (struct subject){
			.watcher = w, .info = info, .machine = sandbox_info_machine(info)};
		r = sandbox_connect(&w->loop, w->home, info->name, &events, su, &su->sb, err);
		if (r < 0 && w->one)
			return r;
		if (r == 0)
			w->n++;
	}
	return 0;
}

static void watcher_deinit(struct watcher *w)
{
	for (size_t i = 0; i < w->n; i++)
		sandbox_close(w->subjects[i].sb);
	free(w->subjects);
	sandbox_list_deinit(&w->list);
	loop_deinit(&w->loop);
}

static int find_them(struct watcher *w, const char *name, struct msb_err *err)
{
	int r;

	if (!name)
		return sandbox_list_get(w->home, &w->list, err);
	w->one = true;
	w->list.items = calloc(1, sizeof(*w->list.items));
	if (!w->list.items)
		return msb_err_errno(err, -ENOMEM, "metrics");
	r = sandbox_info_get(w->home, name, w->list.items, err);
	w->list.n = r == 0;
	return r;
}

static int run_metrics(void *args, const struct opt_words *words)
{
	const struct metrics_args *a = args;
	char home[PATH_MAX];
	struct watcher w = {.args = a, .home = home};
	struct msb_err err = {0};
	int status = 0;
	int r;

	if (a->watch && !isatty(STDOUT_FILENO)) {
		(void)msb_err_set(&err, -ENOTTY, MSB_USAGE, "option --watch needs a terminal");
		(void)msb_err_hint(&err, -ENOTTY, "--follow prints lines of JSON");
		return cli_fail(&err);
	}
	if (labels_check(&a->labels, &err) < 0 ||
		sandbox_home_default(home, sizeof(home), &err) < 0)
		return cli_fail(&err);
	r = loop_init(&w.loop);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "cannot start");
		return cli_fail(&err);
	}
	r = find_them(&w, words->operands.n ? words->operands.items[0] : NULL, &err);
	if (r == 0)
		r = connect_all(&w, &err);
	if (r < 0)
		status = cli_fail(&err);
	else if (w.n)
		status = watch_them(&w);
	else if (a->format == FORMAT_JSON)
		status = show(&w);
	else if (a->format == FORMAT_TEXT)
		cli_note("no running sandboxes");
	watcher_deinit(&w);
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
