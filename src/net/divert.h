/* SPDX-License-Identifier: Apache-2.0 */
/* Flows on their way to msb-tls (net/intercept/wire.h). */
#pragma once

#include "net/gate.h"

/**
 * net_divert - flow_ops.divert
 * @fd: the socket to msb-tls, borrowed
 *
 * Never waits: when msb-tls has more flows to look at than its socket holds, that is -EAGAIN.
 */
int net_divert(const struct net_gate *g, int fd, const struct flow_query *q, const void *data,
	size_t len, int upstream, int *ret_fd) MSB_MUST_CHECK;
