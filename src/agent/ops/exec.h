/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXEC: a command with its streams.
 *
 * Life of an exec: the process is started and STARTED sent, or FAILED with the stage. Its output is
 * pumped into DATA as credit allows. When the process is reaped, what its pipes hold at that moment
 * is still sent, then EOF on each channel and EXITED. A background process that keeps a pipe open
 * delays nothing: what it writes later is not the command's output any more.
 *
 * CANCEL, or a host that goes away, kills the process group; after CANCEL no more output is sent.
 */
#pragma once

#include "agent/agent.h"

/** exec_request - an EXEC frame; failures of the request are answered, 0 or a failure of the
 * channel */
int exec_request(struct agent *a, const struct frame *f) MSB_MUST_CHECK;

/** exec_reaped - @pid ended; any process, ours or an orphan of the guest */
void exec_reaped(struct agent *a, pid_t pid, int status);

/** exec_signal_all - signal the process groups of all execs */
void exec_signal_all(struct agent *a, int signo);
