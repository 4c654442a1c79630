/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking away from a process everything that it does not need: the parts that all jailed processes
 * share.
 *
 * Assume that hostile input has taken over the process by a memory bug: what is left to it then is
 * its own memory, the descriptors it was started with and a handful of system calls on them. The
 * steps, in this order, all of them before the first hostile byte:
 *
 *	jail_close_fds()  nothing inherited by accident
 *	jail_enter()	  namespaces, empty root, unprivileged identity, no capabilities,
 *			  no_new_privs, Landlock; single-threaded
 *	jail_limit()	  resource limits, once everything is open
 *	jail_seccomp()	  system calls
 *
 * What a host does not offer (no user namespaces, no Landlock) is missing from the level that
 * jail_enter() reports; no_new_privs, capabilities and seccomp are never missing. No switch turns
 * any of it off.
 *
 * Filters are made at build time by build-aux/gen-seccomp.py from #syscalls comments in the
 * sources, each next to the code that makes the calls. Whatever is not listed kills the process,
 * also calls by another ABI.
 */
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "base/base.h"
#include "base/err.h"

enum jail_level {
	JAIL_SECCOMP = 1u << 0,
	JAIL_LANDLOCK = 1u << 1,
	JAIL_USERNS = 1u << 2, /* or real root that dropped to an unprivileged id */
	JAIL_MOUNTNS = 1u << 3, /* empty root */
	JAIL_NETNS = 1u << 4,
	/*
	 * Set only when the process was started in a PID namespace of its own. It does not make
	 * one: that takes a second process, and its filter lets it name no process but itself.
	 */
	JAIL_PIDNS = 1u << 5,
	JAIL_NOCAPS = 1u << 6,
};

/** jail_close_fds - close every descriptor above 2 but those in @keep; @n is small */
int jail_close_fds(const int *keep, unsigned int n, struct msb_err *err) MSB_MUST_CHECK;

enum jail_keep {
	JAIL_KEEP_NETWORK = 1u << 0, /* the host's network, for sockets of the process's own */
};

/** jail_enter_but - jail_enter(), except for what @keep (enum jail_keep) says */
int jail_enter_but(unsigned int keep, uint32_t *ret_level, struct msb_err *err) MSB_MUST_CHECK;

/**
 * jail_enter - confine the process, except for its system calls
 * @ret_level: JAIL_* bits reached
 *
 * Context: one thread. File system paths mean nothing afterwards.
 */
int jail_enter(uint32_t *ret_level, struct msb_err *err) MSB_MUST_CHECK;

/*
 * Two of the steps of jail_enter(), for a process that keeps a directory (fs/jail.c).
 */

/** jail_empty_root - an empty read-only file system as root; in a mount namespace of its own, with
 * rights there; 0 or a negative errno */
int jail_empty_root(void) MSB_MUST_CHECK;

/** jail_drop_privileges - no capabilities, no_new_privs, unreadable, bound to the parent's life */
int jail_drop_privileges(struct msb_err *err) MSB_MUST_CHECK;

/** jail_limit - soft and hard limit of one RLIMIT_* */
int jail_limit(int resource, uint64_t max, struct msb_err *err) MSB_MUST_CHECK;

/** jail_more_descriptors - as many as the host permits, for those who have a bound of their own */
void jail_more_descriptors(void);

/* What generated headers are made of. SECCOMP_PID stands for the process id; no process has it. */
#define SECCOMP_ARG_LOW(n) (offsetof(struct seccomp_data, args) + (n) * sizeof(uint64_t))
#define SECCOMP_PID	   0xffffffffu

struct seccomp_call {
	int nr;
	bool restricted; /* only with certain arguments */
	const char *name;
};

enum { JAIL_FILTER_MAX = 160 };

/**
 * jail_seccomp - install a filter
 * @filter: @n instructions, at most JAIL_FILTER_MAX
 * @flags: 0 for the calling thread, SECCOMP_FILTER_FLAG_TSYNC for all of the process
 *
 * Needs no_new_privs. Return: 0 or a negative errno.
 */
int jail_seccomp(const struct sock_filter *filter, size_t n, unsigned int flags) MSB_MUST_CHECK;
