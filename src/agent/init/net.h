/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's network device and what its files say about it. */
#pragma once

#include "boot-internal.h"

enum { NET_ADDRESS_MAX = 46 };

/** net_gateway4, net_gateway6 - as text; "" when there is none */
void net_gateway4(const struct msg_net *n, char to[NET_ADDRESS_MAX]);
void net_gateway6(const struct msg_net *n, char to[NET_ADDRESS_MAX]);

/** net_up - address, route and size of eth0; nothing without a network */
int net_up(const struct msg_net *n, struct boot_error *err) MSB_MUST_CHECK;
