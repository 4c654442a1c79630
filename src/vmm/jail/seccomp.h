/* SPDX-License-Identifier: Apache-2.0 */
/* The system call filters of the VMM, for jail.c and its tests. */
#pragma once

#include "base/base.h"

#include "vmm/jail/jail.h"

/** seccomp_calls - what threads of this kind may call */
const struct seccomp_call *seccomp_calls(enum jail_thread thread, size_t *ret_n);

/** seccomp_install - confine the calling thread; 0 or a negative errno. Needs no_new_privs */
int seccomp_install(enum jail_thread thread) MSB_MUST_CHECK;
