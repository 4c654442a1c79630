/* SPDX-License-Identifier: Apache-2.0 */
/* METRICS: what the guest kernel counts. */
#pragma once

#include "proto/msg.h"

/** metrics_read - fills everything but `execs`; what the kernel does not tell stays 0 */
void metrics_read(struct msg_metrics *ret);

/* Parsers of /proc texts, apart for tests. */
void metrics_parse_stat(const char *text, struct msg_metrics *m);
void metrics_parse_meminfo(const char *text, struct msg_metrics *m);
void metrics_parse_diskstats(const char *text, struct msg_metrics *m);
