/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes away everything from the process that it does not need to run one guest.
 *
 * Assume that the guest has taken over the process by a memory bug: what is left to it then is its
 * own RAM, the descriptors it was started with and a handful of system calls on them. The steps, in
 * this order, all of them before the first guest instruction:
 *
 *	jail_close_fds()  nothing inherited by accident
 *	jail_enter()	  namespaces, empty root, unprivileged identity, no capabilities,
 *			  no_new_privs, Landlock; single-threaded, before anything is parsed
 *	jail_limits()	  resource limits, once everything is open
 *	jail_filter()	  seccomp, on each thread for itself
 *
 * What a host does not offer (no user namespaces, no Landlock) is missing from the level that
 * jail_enter() reports; no_new_privs, capabilities and seccomp are never missing: without them
 * there is no guest. No switch turns any of it off.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum jail_thread { JAIL_LOOP, JAIL_VCPU };

/** jail_close_fds - close every descriptor above 2 but those in @keep; @n is small */
int jail_close_fds(const int *keep, unsigned int n, struct msb_err *err) MSB_MUST_CHECK;

/**
 * jail_enter - confine the process, except for its system calls
 * @ret_level: VMM_JAIL_* bits reached
 *
 * Context: one thread. File system paths mean nothing afterwards.
 */
int jail_enter(uint32_t *ret_level, struct msb_err *err) MSB_MUST_CHECK;

/** jail_limits - no new descriptors, no core, no file grows beyond @file_max bytes */
int jail_limits(uint64_t file_max, struct msb_err *err) MSB_MUST_CHECK;

/** jail_filter - from now on this thread makes the system calls of its kind or dies with the
 * process; 0 or a negative errno */
int jail_filter(enum jail_thread thread) MSB_MUST_CHECK;
