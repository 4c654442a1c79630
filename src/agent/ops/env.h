/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a command: defaults, then the configured list, then the request's. */
#pragma once

#include "base/base.h"

#include "agent/ops/user.h"
#include "proto/msg.h"

/* NAME=VALUE of what we know about a user and a guest. */
struct env_own {
	char home[8 + USER_HOME_MAX];
	char user[8 + LIMIT_USER];
	char host[16 + LIMIT_HOSTNAME];
};

struct env {
	char **v; /* NULL-terminated; the strings belong to the lists, to `own`, or are constants */
	struct env_own *own;
	uint32_t n;
};

/**
 * env_build - defaults (PATH, HOME, USER, HOSTNAME), what is configured, what is requested; later
 * entries of the same name win
 * @config, @request: must outlive @ret
 * @pty: a terminal has a TERM
 */
int env_build(struct env *ret, const struct user *user, bool pty, const struct msg_config *config,
	const struct msg_strv *request) MSB_MUST_CHECK;

void env_deinit(struct env *e);

/** env_get - value of @name, NULL when it is not set */
const char *env_get(const struct env *e, const char *name);
