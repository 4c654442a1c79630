/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How msb-net is started: descriptors, one word and a description.
 *
 * argv[1] says what a packet on NET_FD_LINK is: "headers" (proto/netframe.h, with msb-vmm) or
 * "bare" (an Ethernet frame, with QEMU). NET_FD_CONFIG is a file with the description as JSON.
 * NET_FD_EVENTS, if there is one, is a socket of packets for the lines of net/events.h; NET_FD_TLS
 * one for flows whose TLS is intercepted (net/intercept/wire.h). From NET_FD_PORTS
 * on there is one bound socket for each published port, listening if it is of TCP. The process
 * ends when its peer closes the link; with QEMU that does not show, and the supervisor ends it.
 */
#pragma once

#include "base/buf.h"
#include "base/caps.h"
#include "base/err.h"

#include "net/dns/config.h"
#include "net/intercept/settings.h"
#include "net/limit.h"
#include "net/policy/pattern.h"
#include "net/policy/policy.h"
#include "net/pool.h"
#include "net/port.h"
#include "net/proxy.h"

enum { NET_FD_LINK = 3, NET_FD_CONFIG = 4, NET_FD_EVENTS = 5, NET_FD_TLS = 6, NET_FD_PORTS = 7 };

/* A packet of the supervisor on NET_FD_EVENTS is another policy, as in the description. */
enum { NET_POLICY_MAX = LIMIT_FRAME_PAYLOAD };

enum net_link { NET_HEADERS, NET_BARE };

enum { NET_MTU_HEADERS = 1500, NET_MTU_BARE = 65520, NET_PREFIX4 = 30, NET_PREFIX6 = 64 };

/* Which flows go to msb-tls. */
struct net_tls {
	bool on;
	bool allow_quic;
	uint32_t n_ports;
	uint16_t ports[TLS_PORTS_MAX];
	uint32_t n_bypass;
	struct name_pattern *bypass; /* owned */
};

struct net_config {
	uint8_t guest_mac[6];
	uint8_t gateway_mac[6];
	struct net_addr guest4, gateway4;
	struct net_addr guest6, gateway6; /* family 0: no IPv6 */
	uint32_t max_connections; /* 0: the default */
	struct net_limits limits;
	struct net_proxy proxy; /* for TCP; then nothing else leaves */
	struct dns_settings dns; /* its name servers are addresses */
	struct net_ports ports; /* the sockets are NET_FD_PORTS, and so on */
	struct policy policy; /* owned; its gateways are those above */
	struct net_tls tls;
};

/** net_config_pools - addresses of these; there is IPv6 if @p says which */
void net_config_pools(struct net_config *c, const struct net_pools *p);

/** net_config_intercept - what of @s is msb-net's; -EINVAL or -ENOMEM */
int net_config_intercept(struct net_config *c, const struct tls_settings *s) MSB_MUST_CHECK;

/** net_config_has_tls - does the interception of TLS look at this port? */
bool net_config_has_tls(const struct net_config *c, uint16_t port);

/**
 * net_config_init - the link number @slot, with a policy that allows nothing
 *
 * The guest is the second address of a /30 of 172.16.0.0/12 and of a /64 of fd42:6d73:62::/48, the
 * gateway the first one. Links know nothing of each other: several may have the same number.
 */
void net_config_init(struct net_config *c, uint16_t slot, bool ipv6);

void net_config_deinit(struct net_config *c);

/** net_config_to_json - 0, -ENOBUFS or -ENOMEM */
int net_config_to_json(const struct net_config *c, struct buf *out) MSB_MUST_CHECK;

/** net_config_from_json - strict; on failure nothing is in @ret */
int net_config_from_json(const char *text, size_t len, struct net_config *ret, struct msb_err *err)
	MSB_MUST_CHECK;
