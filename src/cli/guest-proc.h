/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of a guest, from the texts of its /proc.
 *
 * All of it is what a hostile guest says: nothing but the form is checked, numbers are bounded by
 * their types and text is made harmless for terminals and for JSON.
 */
#pragma once

#include "base/base.h"

enum { PROC_NAME = 64, PROC_COMMAND = 4096 };

struct guest_proc {
	uint32_t pid;
	uint32_t ppid;
	uint32_t uid; /* set by the caller */
	uint32_t threads;
	uint64_t cpu_ms; /* user and system */
	uint64_t rss_bytes;
	char state[2]; /* "R", "S", ... */
	bool kernel; /* a thread of the kernel */
	char name[PROC_NAME];
	char command[PROC_COMMAND]; /* its words, or [name] */
};

/** guest_proc_stat - from /proc/PID/stat; 0 or -EBADMSG */
int guest_proc_stat(const char *text, size_t len, struct guest_proc *ret) MSB_MUST_CHECK;

/** guest_proc_command - @ret->command from /proc/PID/cmdline; after guest_proc_stat() */
void guest_proc_command(const char *text, size_t len, struct guest_proc *ret);
