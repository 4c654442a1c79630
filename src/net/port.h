/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A published port: one of the host that leads to one of the guest, and the words for it,
 * [BIND:]HOST:GUEST[/tcp|/udp].
 */
#pragma once

#include "base/caps.h"
#include "base/err.h"
#include "base/json.h"

#include "net/policy/class.h"

enum { NET_PORT_TEXT = NET_ADDR_TEXT + 24 };

struct net_port {
	struct net_addr bind; /* of the host; all addresses of its family if zero */
	uint16_t host; /* 0: one that is free at the start */
	uint16_t guest;
	bool udp;
};

struct net_ports {
	uint32_t n;
	struct net_port list[LIMIT_PORTS];
};

/** net_port_parse - @text is a usage error otherwise, with what to write instead */
int net_port_parse(const char *text, struct net_port *ret, struct msb_err *err) MSB_MUST_CHECK;

/** net_port_text - in words that net_port_parse() takes, complete and always the same */
const char *net_port_text(const struct net_port *p, char to[NET_PORT_TEXT]);

/** net_port_host_text - only the host's end: 127.0.0.1:8080/tcp */
const char *net_port_host_text(const struct net_port *p, char to[NET_PORT_TEXT]);

/** net_ports_add - another one; -EEXIST: its port of the host is taken by one before, -E2BIG */
int net_ports_add(struct net_ports *ports, const struct net_port *p, struct msb_err *err)
	MSB_MUST_CHECK;

void net_ports_to_json(const struct net_ports *ports, struct json_out *o, const char *key);

/** net_ports_from_json - the list @key of @obj, none if there is none; strict */
int net_ports_from_json(const struct json *obj, const char *key, struct net_ports *ret,
	struct msb_err *err) MSB_MUST_CHECK;
