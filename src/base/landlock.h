/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock with an empty rule set: no path, no TCP port, no foreign process. */
#pragma once

#include "base/base.h"

/**
 * landlock_deny_all - forbid everything that the kernel's Landlock knows to forbid
 *
 * Descriptors that are open already keep working. Needs no_new_privs.
 *
 * Return: 0, -ENOSYS or -EOPNOTSUPP on a kernel without Landlock, or another negative errno.
 */
int landlock_deny_all(void) MSB_MUST_CHECK;
