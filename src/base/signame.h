/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals by name, as the guest knows them: Linux numbers of x86 and arm64.
 *
 * Real-time signals count from 34 as for the C libraries of the guest, whatever libc we run on.
 */
#pragma once

#include "base/base.h"

enum { SIGNAME_MAX = 12 };

/** signame_parse - "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1"; 0 or -EINVAL */
int signame_parse(const char *text, uint32_t *ret) MSB_MUST_CHECK;

/** signame_print - "SIGTERM", "SIGRTMIN+3"; the number of what is none */
const char *signame_print(uint32_t signo, char to[SIGNAME_MAX]);
