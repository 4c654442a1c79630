/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other ways to look names up than by asking the gateway: they would go around rules about names,
 * rebind protection and the log of lookups.
 */
#pragma once

#include "net/policy/policy.h"

/** bypass_port - DNS over TLS or QUIC, multicast DNS, LLMNR, NetBIOS names */
bool bypass_port(enum policy_proto proto, uint16_t port);

/** bypass_address - a public resolver that answers over HTTPS at this very address */
bool bypass_address(const struct net_addr *a);

/** bypass_name - the name of one, or the one that tells browsers to do without */
bool bypass_name(const char *name);
