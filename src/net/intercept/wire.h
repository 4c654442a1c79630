/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-net tells msb-tls of a flow: one packet each, with two descriptors: a stream socket
 * towards the guest and the socket connected to the server, neither of them blocking.
 */
#pragma once

#include "net/addr.h"
#include "net/policy/policy.h"

enum { INTERCEPT_VERSION = 1, INTERCEPT_FDS = 2 };

enum intercept_kind { INTERCEPT_TLS = 0, INTERCEPT_HTTP = 1 };

struct intercept_flow {
	uint8_t version;
	uint8_t kind; /* enum intercept_kind */
	uint8_t pinned; /* the guest's lookups have bound .authority to .addr */
	uint8_t reserved;
	uint16_t port;
	uint64_t id; /* of the flow, for events */
	struct net_peer guest, remote;
	char addr[NET_ADDR_TEXT]; /* of the server, as the guest dialled it */
	char authority[POLICY_NAME_MAX]; /* that the policy allowed; "": none was named */
};
