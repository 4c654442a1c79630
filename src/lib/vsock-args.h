/* SPDX-License-Identifier: Apache-2.0 */
/* --vsock: sockets of the host that the guest may reach. */
#pragma once

#include "base/base.h"
#include "base/err.h"

/**
 * run_parse_vsock - PATH:PORT[/stream]; appends to the struct vsock_routes @target
 *
 * The path is made absolute and its directory free of symbolic links. What is not there yet is left
 * to whoever connects, which follows no link either.
 */
int run_parse_vsock(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
