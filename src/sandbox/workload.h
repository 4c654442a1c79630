/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main process of a sandbox that runs in the background: `msb run -d`.
 *
 * The supervisor is a client of its own relay for it, over a socket pair, so its output, credit and
 * end take the same way as those of any command. When it ends the sandbox does.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

#include "sandbox/client.h"
#include "sandbox/relay.h"

struct workload {
	struct sandbox *sb;
	struct sandbox_stream stream;
	bool running; /* asked for and not ended */
	/* It ended; @exit_status as a shell has it, @err says why it could not start, or is "". Not
	 * called when the guest is lost. */
	void (*ended)(struct workload *w, int exit_status, const char *err);
};

/** workload_start - queue the request; the guest may still be booting */
int workload_start(struct workload *w, struct loop *loop, struct relay *relay,
	const char *const *argv, struct msb_err *err) MSB_MUST_CHECK;

/** workload_signal - to the process group; no effect when it does not run */
void workload_signal(struct workload *w, int signo);

void workload_deinit(struct workload *w);
