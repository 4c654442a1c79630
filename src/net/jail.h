/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-net: base/jail.h, but in the host's network. The process may open Internet
 * sockets and nothing else: no file, no socket of another kind (abstract Unix sockets know no file
 * system), no other process. Started by root it is nobody.
 */
#pragma once

#include "base/err.h"

/** net_jail_enter - everything but system calls; @ret_level: JAIL_* bits of base/jail.h */
int net_jail_enter(uint32_t *ret_level, struct msb_err *err) MSB_MUST_CHECK;

/** net_jail_lock - limits and system calls, once everything is set up */
int net_jail_lock(struct msb_err *err) MSB_MUST_CHECK;
