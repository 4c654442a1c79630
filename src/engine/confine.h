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

struct confine {
	int ruleset_fd; /* -EBADF: no Landlock here */
};

/**
 * confine_init - start with nothing allowed
 * @fd_min: lowest number of a descriptor that no descriptor of the child overwrites
 *
 * Return: 0, also without Landlock.
 */
int confine_init(struct confine *c, int fd_min, struct msb_err *err) MSB_MUST_CHECK;
void confine_deinit(struct confine *c);

/** confine_allow - reading of @path and all below it, execution too with @exec; a missing path is
 * fine */
int confine_allow(struct confine *c, const char *path, bool exec, struct msb_err *err)
	MSB_MUST_CHECK;

/** confine_allow_fd - opening the file behind @fd again for reading */
int confine_allow_fd(struct confine *c, int fd, struct msb_err *err) MSB_MUST_CHECK;

/** confine_enter - async-signal-safe, after no_new_privs; 0 or a negative errno */
int confine_enter(const struct confine *c) MSB_MUST_CHECK;
