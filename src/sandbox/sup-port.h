/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of published ports, on their way to msb-net. */
#pragma once

#include "net/port.h"

struct sup_ports {
	uint32_t n;
	int fds[LIMIT_PORTS]; /* owned */
	uint16_t host[LIMIT_PORTS]; /* what they are bound to */
};

/**
 * sup_ports_open - bind all of @ports, listening where they are of TCP
 *
 * On failure nothing is open, and @err names the port and what to do.
 */
int sup_ports_open(const struct net_ports *ports, struct sup_ports *ret, struct msb_err *err)
	MSB_MUST_CHECK;

void sup_ports_close(struct sup_ports *p);
