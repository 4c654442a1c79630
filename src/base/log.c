/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics on stderr: see log.h. */
#include "base/log.h"

enum { LOG_BURST = 5 };

/* Process-wide by nature: there is one stderr. Written once at start, before any thread exists. */
static struct {
	const char *program;
	enum log_level level;
	int fd;
} log_state = {.program = "msb", .level = LOG_WARN, .fd = 2};

void log_init(const char *program, enum log_level level)
{
	log_state.program = program;
	log_state.level = level;
}

void log_set_fd(int fd)
{
	log_state.fd = fd;
}

bool log_enabled(enum log_level level)
{
	return level <= log_state.level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = {
		[LOG_ERR] = "error",
		[LOG_WARN] = "warning",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
		[LOG_TRACE] = "trace",
	};
	char line[1024];
	va_list ap;
	int n;
	int m;

	if (!log_enabled(level))
		return;
	n = snprintf(line, sizeof(line), "%s: %s: ", log_state.program, names[level]);
	if (n < 0 || (size_t)n >= sizeof(line))
		return;
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n = (int)MIN((size_t)n + (size_t)m, sizeof(line) - 2);
	line[n] = '\n';
	/* One write per line keeps lines of several processes apart; a lost line is not worth an
	 * error. */
	if (write(log_state.fd, line, (size_t)n + 1) < 0)
		return;
}

bool log_allowed(struct log_limit *limit, enum log_level level)
{
	uint64_t now;

	if (!log_enabled(level))
		return false;
	now = clock_mono_ns();
	if (now - limit->window_ns >= NSEC_PER_SEC) {
		if (limit->suppressed)
			log_line(level, "%u similar messages suppressed", limit->suppressed);
		*limit = (struct log_limit){.window_ns = now};
	}
	if (limit->count >= LOG_BURST) {
		limit->suppressed++;
		return false;
	}
	limit->count++;
	return true;
}
