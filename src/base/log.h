/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics on stderr. Library code stays at debug level; the layer that decides logs once.
 *
 * Messages that a guest or a network peer can trigger use log_ratelimit(): at most five a second
 * per call site, with a count of the suppressed ones, so nobody floods the host's log.
 */
#pragma once

#include "base/base.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/** log_init - @program prefixes every line (must outlive the process), @level is the most verbose
 * shown */
void log_init(const char *program, enum log_level level);

/** log_set_fd - where lines go, 2 by default */
void log_set_fd(int fd);

bool log_enabled(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) MSB_PRINTF(2, 3);

#define log_err(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

struct log_limit {
	uint64_t window_ns;
	unsigned int count;
	unsigned int suppressed;
};

/** log_allowed - may this call site print now? Reports how many lines it swallowed before */
bool log_allowed(struct log_limit *limit, enum log_level level);

#define log_ratelimit(level, ...)                     \
	do {                                          \
		static struct log_limit log_limit_;   \
		if (log_allowed(&log_limit_, level))  \
			log_line(level, __VA_ARGS__); \
	} while (0)
