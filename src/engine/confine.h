/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock ruleset for a process that needs nothing but system libraries and inherited descriptors.
 *
 * Built in the parent, where errors can be reported, and entered by the child just before exec.
 * Everything Landlock of this kernel can forbid is forbidden; paths that may be read are added one
 * by one. On a kernel without Landlock the ruleset is empty and entering it does nothing.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

/* The ruleset stays clear of the numbers below, which the child's own descriptors are moved to. */
enum { CONFINE_FD_MIN = 24 };

struct confine {
	int ruleset_fd; /* -EBADF: no Landlock here */
};

/** confine_init - start with nothing allowed; 0 also without Landlock */
int confine_init(struct confine *c, struct msb_err *err) MSB_MUST_CHECK;
void confine_deinit(struct confine *c);

/** confine_allow - reading of @path and all below it, execution too with @exec; a missing path is
 * fine */
int confine_allow(struct confine *c, const char *path, bool exec, struct msb_err *err)
	MSB_MUST_CHECK;

/** confine_allow_fd - opening the file behind @fd again for reading */
int confine_allow_fd(struct confine *c, int fd, struct msb_err *err) MSB_MUST_CHECK;

/** confine_enter - async-signal-safe, after no_new_privs; 0 or a negative errno */
int confine_enter(const struct confine *c) MSB_MUST_CHECK;
