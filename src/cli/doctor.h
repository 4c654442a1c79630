/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of `msb doctor`: each looks at one thing that running a sandbox needs or profits from and
 * says what it found and how to fix it. A check changes nothing on the host.
 */
#pragma once

#include "base/base.h"

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_WARN, /* works, but less well than it could */
	DOCTOR_FAIL, /* sandboxes cannot run */
};

struct doctor_check {
	const char *id; /* stable, for scripts */
	enum doctor_status status;
	char detail[200];
	char hint[240]; /* may be empty */
};

enum { DOCTOR_CHECKS_MAX = 24 };

struct doctor_report {
	struct doctor_check checks[DOCTOR_CHECKS_MAX];
	unsigned int n;
	bool kvm; /* the engine works */
	bool qemu;
};

/** doctor_run - all checks; problems are results, not errors */
void doctor_run(struct doctor_report *ret);

/** doctor_failed - is there a DOCTOR_FAIL? */
bool doctor_failed(const struct doctor_report *r);
