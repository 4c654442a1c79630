/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options that describe a sandbox: tmpfs, resource limits, environment. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "proto/msg.h"

struct run_tmpfs {
	uint32_t n;
	struct msg_tmpfs list[LIMIT_MOUNTS];
	char *storage[LIMIT_MOUNTS]; /* the strings of @list */
};

struct run_rlimits {
	uint32_t n;
	struct msg_rlimit list[LIMIT_RLIMITS];
};

/** run_parse_tmpfs - PATH[:SIZE][:OPTION,...]; appends to the struct run_tmpfs @target */
int run_parse_tmpfs(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
void run_tmpfs_deinit(struct run_tmpfs *t);

/** run_parse_rlimit - NAME=SOFT[:HARD]; appends to the struct run_rlimits @target or replaces the
 * one of that name */
int run_parse_rlimit(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/**
 * run_make_env - NAME=VALUE list of what -e gave: NAME alone takes the host's value, the last one
 * of a name wins
 * @ret: items are owned, run_env_deinit()
 */
int run_make_env(const struct opt_list *given, struct opt_list *ret, struct msb_err *err)
	MSB_MUST_CHECK;
void run_env_deinit(struct opt_list *env);
