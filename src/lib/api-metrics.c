/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmsb: what sandboxes use.
 *
 * The guest's agent is asked, over the same socket as for everything else, whenever numbers are
 * wanted: nothing is sampled for nobody. What the host knows better (resident memory, blocks of the
 * root disk) is looked up here.
 *
 * A monitor is a connection to each sandbox on a loop of its own, which runs only inside the
 * functions that the caller calls.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/loop.h"
#include "base/str.h"

#include "lib/api.h"
#include "lib/ask.h"
#include "lib/labels.h"
#include "msb/watch.h"
#include "sandbox/client.h"
#include "sandbox/info.h"
#include "sandbox/state.h"

/* The guest may say anything. */
static void put_metrics(struct msb_metrics *to, const struct msg_metrics *g)
{
	const struct msb_metrics x = {
		.size = to->size,
		.uptime_ns = g->uptime_ns,
		.cpu_user_ns = g->cpu_user_ns,
		.cpu_system_ns = g->cpu_system_ns,
		.cpu_idle_ns = g->cpu_idle_ns,
		.cpu_steal_ns = g->cpu_steal_ns,
		.memory_total_bytes = MIN(g->mem_total_kib, UINT64_MAX / KIB) * KIB,
		.memory_available_bytes = MIN(g->mem_available_kib, UINT64_MAX / KIB) * KIB,
		.disk_read_bytes = g->disk_read_bytes,
		.disk_write_bytes = g->disk_write_bytes,
		.root_used_bytes = g->root_used_bytes,
		.root_free_bytes = g->root_free_bytes,
		.processes = g->procs,
		.commands = g->execs,
	};

	memcpy(to, &x, MIN(to->size, sizeof(x)));
}

int msb_metrics_get(
	struct msb *m, const char *name, struct msb_metrics *ret, struct msb_error *error)
{
	struct msg_metrics g = {.uptime_ns = 0};
	struct msb_err err = {0};
	int r = ask_metrics(m->home, name, &g, &err);

	if (r == 0)
		put_metrics(ret, &g);
	return api_result(error, &err, r);
}

/* One sandbox that is looked at. */
struct subject {
	struct msb_monitor *monitor;
	struct sandbox_info *info;
	struct sandbox *sb;
	struct sandbox_stream stream;
	bool asked;
	bool gone;
	unsigned int answers;
	uint64_t at_ns; /* of the last answer */
	struct msg_metrics metrics;
	struct sandbox_machine machine;
	uint64_t resident_bytes;
	uint64_t upper_bytes;
};

struct msb_monitor {
	const struct msb *m;
	struct loop loop;
	struct loop_timer timer;
	struct loop_fd cancel_src;
	const struct cancel *cancel; /* of the call that runs */
	bool canceled;
	struct sandbox_list list;
	struct subject *subjects;
	size_t n;
};

static void maybe_complete(struct msb_monitor *mon)
{
	for (size_t i = 0; i < mon->n; i++) {
		if (mon->subjects[i].asked)
			return;
	}
	loop_stop(&mon->loop, 0);
}

static void on_done(struct sandbox_stream *s, const struct sandbox_result *r)
{
	struct subject *su = container_of(s, struct subject, stream);

	su->asked = false;
	if (r->type == FRAME_METRICS_DONE) {
		su->metrics = r->metrics;
		su->at_ns = clock_mono_ns();
		su->answers++;
	}
	maybe_complete(su->monitor);
}

static const struct sandbox_stream_ops stream_ops = {.done = on_done};

static void on_failed(struct sandbox *sb, const struct msb_err *err, const char *console, void *arg)
{
	struct subject *su = arg;

	su->gone = true;
	su->asked = false;
	maybe_complete(su->monitor);
}

static void on_stopped(struct sandbox *sb, const struct msg_sb_stopped *m, void *arg)
{
	on_failed(sb, NULL, NULL, arg);
}

static const struct sandbox_events events = {.failed = on_failed, .stopped = on_stopped};

static void time_up(struct loop_timer *t)
{
	loop_stop(&container_of(t, struct msb_monitor, timer)->loop, 0);
}

static void on_cancel(struct loop_fd *src, uint32_t bits)
{
	struct msb_monitor *mon = container_of(src, struct msb_monitor, cancel_src);

	if (!cancel_asked(mon->cancel))
		return;
	mon->canceled = true;
	loop_stop(&mon->loop, 0);
}

/* The loop, for so long, or until somebody stops it. */
static int run_for(struct msb_monitor *mon, unsigned int ms, struct msb_error *error)
{
	struct api_cancel c;
	struct msb_err err = {0};
	int r = 0;

	mon->canceled = false;
	mon->cancel = api_cancel_begin(&c, mon->m);
	if (mon->cancel)
		r = loop_fd_add(&mon->loop, &mon->cancel_src, mon->cancel->fd, EPOLLIN, on_cancel);
	loop_timer_set(&mon->loop, &mon->timer, clock_mono_ns() + ms * NSEC_PER_MSEC, time_up);
	if (r == 0)
		r = loop_run(&mon->loop);
	loop_timer_del(&mon->timer);
	loop_fd_del(&mon->cancel_src);
	mon->cancel = NULL;
	if (r < 0)
		(void)msb_err_errno(&err, r, "waiting for the guests");
	else if (mon->canceled)
		r = msb_err_set(&err, -ECANCELED, MSB_FAIL, "interrupted");
	return api_cancel_end(&c, error, &err, r);
}

/* Resident pages of a process; 0 if it has ended. */
static uint64_t pages_of(uint64_t pid)
{
	cleanup_free char *text = NULL;
	char path[64];
	char *save = NULL;
	const char *word = NULL;
	uint64_t v = 0;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu64 "/statm", pid);
	if (io_read_file(AT_FDCWD, path, 4096, &text, NULL) == 0 && strtok_r(text, " ", &save))
		word = strtok_r(NULL, " ", &save);
	return word && str_to_u64(word, &v) == 0 ? v : 0;
}

/* Of the machine: of the supervisor's few children the one with the guest's memory. */
static uint64_t resident_pages(pid_t supervisor)
{
	cleanup_free char *text = NULL;
	char path[64];
	char *save = NULL;
	uint64_t most = 0;
	uint64_t child;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", (long)supervisor,
		(long)supervisor);
	if (io_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (str_to_u64(word, &child) == 0)
			most = MAX(most, pages_of(child));
	}
	return most;
}

static void look_at_host(struct subject *su)
{
	const char *home = su->monitor->m->home;
	cleanup_fd int dir_fd = -EBADF;
	char path[PATH_MAX];
	struct stat st;
	int n;

	/* It may have been changed since we looked last. */
	if (sandbox_dir_find(home, su->info->name, &dir_fd, NULL) == 0)
		sandbox_record_read(dir_fd, &su->info->record);
	su->machine = sandbox_info_machine(su->info);
	su->resident_bytes = resident_pages(su->info->record.pid) * (uint64_t)sysconf(_SC_PAGESIZE);
	n = snprintf(path, sizeof(path), "%s/sandboxes/%s/upper.ext4", home, su->info->name);
	if (n > 0 && (size_t)n < sizeof(path) && lstat(path, &st) == 0)
		su->upper_bytes = (uint64_t)st.st_blocks * 512;
}

int msb_monitor_ask(struct msb_monitor *mon, unsigned int timeout_ms, struct msb_error *error)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < mon->n; i++) {
		struct subject *su = &mon->subjects[i];

		if (su->gone)
			continue;
		su->stream.ops = &stream_ops;
		if (!su->asked && sandbox_metrics(su->sb, &su->stream) == 0)
			su->asked = true;
		any |= su->asked;
	}
	if (any)
		r = run_for(mon, timeout_ms, error);
	for (size_t i = 0; i < mon->n && r == 0; i++)
		look_at_host(&mon->subjects[i]);
	return r;
}

int msb_monitor_wait(struct msb_monitor *mon, unsigned int ms, struct msb_error *error)
{
	return run_for(mon, ms, error);
}

size_t msb_monitor_size(const struct msb_monitor *mon)
{
	return mon->n;
}

int msb_monitor_at(const struct msb_monitor *mon, size_t i, struct msb_sample *ret,
	struct msb_metrics *ret_metrics)
{
	const struct subject *su;
	struct msb_sample x;

	if (i >= mon->n)
		return 0;
	su = &mon->subjects[i];
	x = (struct msb_sample){
		.size = ret->size,
		.name = su->info->name,
		.state = su->gone		     ? MSB_SAMPLE_EXITED
			 : su->asked || !su->answers ? MSB_SAMPLE_STALLED
						     : MSB_SAMPLE_RUNNING,
		.answers = su->answers,
		.at_ns = su->at_ns,
		.cpus = su->machine.vcpus,
		.memory_mib = su->machine.mem_mib,
		.host_resident_bytes = su->resident_bytes,
		.host_disk_bytes = su->upper_bytes,
	};
	memcpy(ret, &x, MIN(ret->size, sizeof(x)));
	if (ret_metrics)
		put_metrics(ret_metrics, &su->metrics);
	return 1;
}

/* The running ones, connected. */
static int connect_all(
	struct msb_monitor *mon, bool one, const struct opt_list *labels, struct msb_err *err)
{
	mon->subjects = calloc(mon->list.n + 1, sizeof(*mon->subjects));
	if (!mon->subjects)
		return msb_err_errno(err, -ENOMEM, "metrics");
	for (size_t i = 0; i < mon->list.n; i++) {
		struct sandbox_info *info = &mon->list.items[i];
		struct subject *su = &mon->subjects[mon->n];
		int r;

		if (!one && (info->record.status != SANDBOX_RUNNING ||
				    !labels_match(&info->spec, labels)))
			continue;
		*su = (struct subject){
			.monitor = mon, .info = info, .machine = sandbox_info_machine(info)};
		r = sandbox_connect(
			&mon->loop, mon->m->home, info->name, &events, su, &su->sb, err);
		if (r < 0 && one)
			return r;
		if (r == 0)
			mon->n++;
	}
	return 0;
}

static int find_them(struct msb_monitor *mon, const char *name, struct msb_err *err)
{
	int r;

	if (!name)
		return sandbox_list_get(mon->m->home, &mon->list, err);
	mon->list.items = calloc(1, sizeof(*mon->list.items));
	if (!mon->list.items)
		return msb_err_errno(err, -ENOMEM, "metrics");
	r = sandbox_info_get(mon->m->home, name, mon->list.items, err);
	mon->list.n = r == 0;
	return r;
}

static int open_all(
	struct msb_monitor *mon, const char *name, const char *const *labels, struct msb_err *err)
{
	struct opt_list wanted = {.n = 0};
	int r = 0;

	for (; r == 0 && labels && *labels; labels++)
		r = opt_list_add(&wanted, *labels);
	if (r == 0)
		r = labels_check(&wanted, err);
	if (r == 0)
		r = find_them(mon, name, err);
	if (r == 0)
		r = connect_all(mon, name != NULL, &wanted, err);
	free(wanted.items);
	return r;
}

int msb_monitor_open(struct msb *m, const char *name, const char *const *labels,
	struct msb_monitor **ret, struct msb_error *error)
{
	struct msb_monitor *mon = calloc(1, sizeof(*mon));
	struct msb_err err = {0};
	int r = mon ? loop_init(&mon->loop) : -ENOMEM;

	*ret = NULL;
	if (r < 0) {
		free(mon);
		return api_fail(error, &err, r);
	}
	mon->m = m;
	r = open_all(mon, name, labels, &err);
	if (r < 0) {
		(void)msb_monitor_close(mon);
		return api_fail(error, &err, r);
	}
	*ret = mon;
	return 0;
}

struct msb_monitor *msb_monitor_close(struct msb_monitor *mon)
{
	if (!mon)
		return NULL;
	for (size_t i = 0; i < mon->n; i++)
		sandbox_close(mon->subjects[i].sb);
	free(mon->subjects);
	sandbox_list_deinit(&mon->list);
	loop_deinit(&mon->loop);
	free(mon);
	return NULL;
}
