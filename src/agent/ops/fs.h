/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FS: file operations of the host in the guest's name space, as root.
 *
 * Everything is done in small steps from the loop, paced by credit, so that neither a large file
 * nor a large directory keeps others waiting. Only regular files (and, for reading, block devices)
 * are opened: a FIFO or a terminal could block. A file system of the guest that does not answer
 * can block the agent; the host notices by its timeouts.
 */
#pragma once

#include "agent/agent.h"

/** fs_request - an FS frame; failures of the request are answered, 0 or a failure of the channel */
int fs_request(struct agent *a, const struct frame *f) MSB_MUST_CHECK;
