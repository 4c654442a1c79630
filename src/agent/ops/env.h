/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a command: defaults, then the configured list, then the request's. */
#pragma once

#include "base/base.h"

#include "agent/ops/user.h"
#include "proto/msg.h"

struct env {
	char **v; /* NULL-terminated; the strings belong to the lists, to `home`, or are constants
		   */
	char *home; /* HOME=... and behind it USER=... */
	uint32_t n;
};

/**
 * env_build - later entries of the same name win
 * @config, @request: NAME=VALUE, must outlive @ret
 * @pty: a terminal has a TERM
 */
int env_build(struct env *ret, const struct user *user, bool pty, const struct msg_strv *config,
	const struct msg_strv *request) MSB_MUST_CHECK;

void env_deinit(struct env *e);

/** env_get - value of @name, NULL when it is not set */
const char *env_get(const struct env *e, const char *name);
