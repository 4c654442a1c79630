/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock: no path but the listed ones, no TCP port, no foreign process. */
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

/* Bits of Landlock's interface. */
enum landlock_rights {
	LANDLOCK_EXECUTE = 1u << 0,
	LANDLOCK_WRITE_FILE = 1u << 1,
	LANDLOCK_READ_FILE = 1u << 2,
	LANDLOCK_READ_DIR = 1u << 3,
	LANDLOCK_REMOVE_DIR = 1u << 4,
	LANDLOCK_REMOVE_FILE = 1u << 5,
	LANDLOCK_MAKE_DIR = 1u << 7,
	LANDLOCK_MAKE_FILE = 1u << 8,
	LANDLOCK_REFER = 1u << 13, /* rename between directories; since version 2 */
	LANDLOCK_TRUNCATE = 1u << 14, /* since version 3; nothing to forbid or to allow before */
};

/* What stays allowed besides paths. */
enum landlock_keep {
	LANDLOCK_KEEP_SIGNALS = 1u << 0, /* to processes started before */
	LANDLOCK_KEEP_NETWORK = 1u << 1,
};

/** landlock_version - of the kernel's interface; -ENOSYS or -EOPNOTSUPP without Landlock */
int landlock_version(void) MSB_MUST_CHECK;

struct landlock_allow {
	int dir_fd; /* a directory; counts for everything below it; O_PATH will do */
	uint64_t rights; /* enum landlock_rights */
};

/**
 * landlock_deny_but - like landlock_deny_all, with exceptions
 * @keep: enum landlock_keep
 */
int landlock_deny_but(const struct landlock_allow *allow, size_t n, unsigned int keep)
	MSB_MUST_CHECK;

/*
 * The same in steps, for a parent that prepares the rules and a child that enters them between
 * vfork and exec.
 */

/** landlock_ruleset - descriptor of a rule set that forbids everything; -ENOSYS or -EOPNOTSUPP on a
 * kernel without Landlock */
int landlock_ruleset(unsigned int keep) MSB_MUST_CHECK;

/** landlock_rule - allow @rights on what @allow->dir_fd is: also a file, with rights of files only
 */
int landlock_rule(int ruleset_fd, const struct landlock_allow *allow) MSB_MUST_CHECK;

/** landlock_enter - async-signal-safe */
int landlock_enter(int ruleset_fd) MSB_MUST_CHECK;
