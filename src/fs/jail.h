/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail of msb-fs.
 *
 * The process must do to the share what its owner may do, and nothing to anything else. It is
 * therefore no nobody: it stays the user who started it, or, started by root, becomes the owner of
 * the share, without capabilities. Its root directory is the share, in a mount and network
 * namespace of its own; Landlock says the same again. What of this a host lacks is missing from the
 * level; no capabilities, no_new_privs and seccomp never are.
 */
#pragma once

#include "base/err.h"

/**
 * fs_jail_enter - everything but system calls
 * @share_fd: directory, or a regular file
 * @ret_proc_fd: directory /proc/self/fd, also the working directory
 * @ret_level: JAIL_* bits of base/jail.h
 */
int fs_jail_enter(int share_fd, int *ret_proc_fd, uint32_t *ret_level, struct msb_err *err)
	MSB_MUST_CHECK;

/** fs_jail_fds - allow the process as many descriptors as the host permits; how many */
uint32_t fs_jail_fds(void);

/** fs_jail_lock - limits and system calls, once everything is open */
int fs_jail_lock(struct msb_err *err) MSB_MUST_CHECK;
