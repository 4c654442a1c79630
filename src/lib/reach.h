/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a sandbox that runs, or that is started for as long as it is needed. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/log.h"

#include "sandbox/client.h"

struct reach {
	const char *home;
	const char *lib_dir; /* NULL: one that does not run is not started: -ENOTCONN */
	const char *name;
	enum log_level log_level; /* of one that is started */
	bool orphan; /* as in struct sandbox_spec */
	bool *ret_automatic; /* of one that is started: nobody chose its engine; may be NULL */
	bool files_only; /* nobody uses its secrets, and nobody may be there to give them */
};

/**
 * reach_sandbox - connect, or start and own it: then it ends with the connection
 * @ret_started: by this call; its guest may not be up yet, requests wait
 *
 * @events and @arg are those of sandbox_connect().
 */
int reach_sandbox(struct loop *loop, const struct reach *how, const struct sandbox_events *events,
	void *arg, struct sandbox **ret, bool *ret_started, struct msb_err *err) MSB_MUST_CHECK;
