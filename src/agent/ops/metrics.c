/* SPDX-License-Identifier: Apache-2.0 */
/* METRICS: see metrics.h. */
#include "metrics.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "base/io.h"
#include "base/str.h"

enum {
	TEXT_MAX = 256 * 1024,
	TICK_NS = 10 * 1000 * 1000, /* USER_HZ is 100 on every architecture */
	SECTOR = 512,
	/* Columns of /proc/diskstats. */
	DISK_NAME = 2,
	DISK_READ = 5,
	DISK_WRITTEN = 9,
};

/* The next word of the line: its length, 0 at the end of the line. */
static size_t next_word(const char **at)
{
	*at += strspn(*at, " \t");
	return strcspn(*at, " \t\n");
}

/* The next number of the line, 0 when there is none. */
static uint64_t next_number(const char **at)
{
	size_t len = next_word(at);
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		char c = (*at)[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t)(c - '0'), &v)) {
			v = 0;
			break;
		}
	}
	*at += len;
	return v;
}

static const char *next_line(const char *at)
{
	at = strchrnul(at, '\n');
	return *at ? at + 1 : at;
}

void metrics_parse_stat(const char *text, struct msg_metrics *m)
{
	uint64_t v[8];

	if (!str_starts(text, "cpu "))
		return;
	text += 4;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = next_number(&text);
	m->cpu_user_ns = (v[0] + v[1]) * TICK_NS;
	m->cpu_system_ns = (v[2] + v[5] + v[6]) * TICK_NS;
	m->cpu_idle_ns = (v[3] + v[4]) * TICK_NS;
	m->cpu_steal_ns = v[7] * TICK_NS;
}

void metrics_parse_meminfo(const char *text, struct msg_metrics *m)
{
	const struct {
		const char *name;
		uint64_t *to;
	} fields[] = {
		{"MemTotal:", &m->mem_total_kib},
		{"MemAvailable:", &m->mem_available_kib},
		{"MemFree:", &m->mem_free_kib},
		{"Cached:", &m->mem_cached_kib},
	};

	for (; *text; text = next_line(text)) {
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			const char *at = text;

			if (!str_starts(text, fields[i].name))
				continue;
			at += strlen(fields[i].name);
			*fields[i].to = next_number(&at);
		}
	}
}

void metrics_parse_diskstats(const char *text, struct msg_metrics *m)
{
	for (; *text; text = next_line(text)) {
		uint64_t read = 0;
		uint64_t written = 0;
		bool is_virtio = false;
		const char *at = text;

		for (int column = 0; column <= DISK_WRITTEN; column++) {
			if (column == DISK_NAME) {
				size_t len = next_word(&at);

				/* Whole disks only: "vda", "vdab", not partitions. */
				is_virtio = len >= 3 && str_starts(at, "vd") &&
					    (at[len - 1] < '0' || at[len - 1] > '9');
				at += len;
				continue;
			}
			if (column == DISK_READ)
				read = next_number(&at);
			else if (column == DISK_WRITTEN)
				written = next_number(&at);
			else
				(void)next_number(&at);
		}
		if (is_virtio) {
			m->disk_read_bytes += read * SECTOR;
			m->disk_write_bytes += written * SECTOR;
		}
	}
}

static void read_with(
	const char *path, void (*parse)(const char *, struct msg_metrics *), struct msg_metrics *m)
{
	cleanup_free char *text = NULL;

	if (io_read_file(AT_FDCWD, path, TEXT_MAX, &text, NULL) == 0)
		parse(text, m);
}

void metrics_read(struct msg_metrics *ret)
{
	struct statvfs vfs;
	struct sysinfo info;

	*ret = (struct msg_metrics){.uptime_ns = clock_mono_ns()};
	read_with("/proc/stat", metrics_parse_stat, ret);
	read_with("/proc/meminfo", metrics_parse_meminfo, ret);
	read_with("/proc/diskstats", metrics_parse_diskstats, ret);
	if (statvfs("/", &vfs) == 0) {
		ret->root_used_bytes = (uint64_t)(vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
		ret->root_free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	}
	if (sysinfo(&info) == 0)
		ret->procs = info.procs;
}
