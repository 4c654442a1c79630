/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of the VMM: base/jail.h with the VMM's limits and filters.
 *
 * jail_close_fds() and jail_enter() come before anything is parsed, jail_limits() once everything
 * is open, jail_filter() on each thread for itself; all of them before the first guest instruction.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/jail.h"

enum jail_thread { JAIL_LOOP, JAIL_VCPU };

/** jail_limits - no new descriptors, no core, no file grows beyond @file_max bytes */
int jail_limits(uint64_t file_max, struct msb_err *err) MSB_MUST_CHECK;

/** jail_filter - from now on this thread makes the system calls of its kind or dies with the
 * process; 0 or a negative errno */
int jail_filter(enum jail_thread thread) MSB_MUST_CHECK;
