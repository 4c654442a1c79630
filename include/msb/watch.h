/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: logs and metrics of sandboxes. */
#ifndef MSB_WATCH_H
#define MSB_WATCH_H

#include <msb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the commands of a sandbox have written, oldest first; also of one that does not run. */
struct msb_logs;

/** msb_logs_open - @ret: msb_logs_close() */
MSB_API int msb_logs_open(
	struct msb *m, const char *name, struct msb_logs **ret, struct msb_error *err);
/** msb_logs_close - NULL is fine. Return: NULL */
MSB_API struct msb_logs *msb_logs_close(struct msb_logs *l);

struct msb_log_entry {
	size_t size; /* set by the caller: MSB_LOG_ENTRY_INIT */
	const char *time; /* RFC 3339, UTC */
	const char *source; /* "stdout", "stderr", "output" (a terminal), "system", "network" */
	uint64_t id; /* of the command; 0: the supervisor */
	const char *data; /* a piece as it was written: not always a line, NUL may be inside */
	size_t len;
	const char *line; /* the entry as it is kept, one JSON object; not NUL-terminated */
	size_t line_len;
};

/* clang-format off */
#define MSB_LOG_ENTRY_INIT {sizeof(struct msb_log_entry), NULL, NULL, 0, NULL, 0, NULL, 0}
/* clang-format on */

/**
 * msb_logs_next - the next entry
 * @ret: valid until the next call for @l
 *
 * Return: 1; 0 when there is none yet, what comes later is found by calling again; a negative
 * errno.
 */
MSB_API int msb_logs_next(struct msb_logs *l, struct msb_log_entry *ret, struct msb_error *err);

/** msb_logs_lost - 1: something was overwritten before it was read; says so once */
MSB_API int msb_logs_lost(struct msb_logs *l);

/** msb_logs_running - 0: what msb_logs_next() finds from now on is all that will come */
MSB_API int msb_logs_running(const struct msb_logs *l);

/** msb_logs_wait - until something may have been written, or the time is over; -ECANCELED, see
 * msb_set_cancel(). The end of a sandbox is no reason to return */
MSB_API int msb_logs_wait(struct msb_logs *l, unsigned int timeout_ms, struct msb_error *err);

/** msb_kernel_log - the console of its guest since the last start, as it is, for free(); @ret_len
 * may be NULL */
MSB_API int msb_kernel_log(
	struct msb *m, const char *name, char **ret, size_t *ret_len, struct msb_error *err);

struct msb_metrics {
	size_t size; /* set by the caller: MSB_METRICS_INIT */
	uint64_t uptime_ns;
	uint64_t cpu_user_ns; /* of all virtual CPUs, since the start */
	uint64_t cpu_system_ns;
	uint64_t cpu_idle_ns;
	uint64_t cpu_steal_ns;
	uint64_t memory_total_bytes;
	uint64_t memory_available_bytes;
	uint64_t disk_read_bytes;
	uint64_t disk_write_bytes;
	uint64_t root_used_bytes;
	uint64_t root_free_bytes;
	uint32_t processes;
	uint32_t commands; /* that run through msb */
};

/* clang-format off */
#define MSB_METRICS_INIT {sizeof(struct msb_metrics), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
/* clang-format on */

/** msb_metrics_get - as its guest says at this moment */
MSB_API int msb_metrics_get(
	struct msb *m, const char *name, struct msb_metrics *ret, struct msb_error *err);

/* What several sandboxes use, looked at again and again over connections that stay. */
struct msb_monitor;

/**
 * msb_monitor_open - @ret: msb_monitor_close()
 * @name: a sandbox that runs; NULL: all that run at this moment
 * @labels: of all only those with these, KEY or KEY=VALUE each, ends with NULL; NULL: any
 */
MSB_API int msb_monitor_open(struct msb *m, const char *name, const char *const *labels,
	struct msb_monitor **ret, struct msb_error *err);
/** msb_monitor_close - NULL is fine. Return: NULL */
MSB_API struct msb_monitor *msb_monitor_close(struct msb_monitor *mon);

/** msb_monitor_ask - ask the guests and look at the host; returns when all have answered or the
 * time is over. -ECANCELED, see msb_set_cancel() */
MSB_API int msb_monitor_ask(
	struct msb_monitor *mon, unsigned int timeout_ms, struct msb_error *err);

/** msb_monitor_wait - let time pass; returns early when one has ended or has answered late.
 * -ECANCELED as above */
MSB_API int msb_monitor_wait(struct msb_monitor *mon, unsigned int ms, struct msb_error *err);

enum msb_sample_state {
	MSB_SAMPLE_RUNNING = 0,
	MSB_SAMPLE_STALLED, /* its guest has not answered */
	MSB_SAMPLE_EXITED
};

/* What is known about one of them, beside what its guest says. */
struct msb_sample {
	size_t size; /* set by the caller: MSB_SAMPLE_INIT */
	const char *name; /* as long as the monitor lives */
	int state; /* enum msb_sample_state */
	unsigned int answers; /* of its guest so far */
	uint64_t at_ns; /* CLOCK_MONOTONIC of the last one */
	unsigned int cpus; /* that it has now */
	unsigned int memory_mib;
	uint64_t host_resident_bytes; /* memory of its machine's process */
	uint64_t host_disk_bytes; /* that its root disk takes */
};

/* clang-format off */
#define MSB_SAMPLE_INIT {sizeof(struct msb_sample), NULL, 0, 0, 0, 0, 0, 0, 0}
/* clang-format on */

MSB_API size_t msb_monitor_size(const struct msb_monitor *mon);
/** msb_monitor_at - number @i; @ret_metrics: what its guest has said last, zeros if nothing yet;
 * may be NULL. Return: 1, or 0 when there are fewer */
MSB_API int msb_monitor_at(const struct msb_monitor *mon, size_t i, struct msb_sample *ret,
	struct msb_metrics *ret_metrics);

#ifdef __cplusplus
}
#endif

#endif
