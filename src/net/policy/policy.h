/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision: may this packet flow, and which rule says so.
 *
 * A policy is an ordered list of rules and a default per direction; the first rule that matches
 * wins. policy_decide() is pure: no allocation, no clock, no I/O, the same answer for the same
 * question. Whoever holds the flow brings what is known about the peer, and does what it is told:
 *
 *   POLICY_ALLOW    connect, then complete the guest's handshake.
 *   POLICY_DENY     answer at once: TCP RST, otherwise ICMP "administratively prohibited". Log
 *                   @text.
 *   POLICY_INSPECT  (egress TCP only) a rule about names decides and the address does not settle
 *                   it. Connect upstream and complete the handshake, but hold the guest's bytes
 *                   until the first of them name the peer (TLS SNI or HTTP Host, net/policy/peek.h;
 *                   at most POLICY_PEEK_MAX bytes, and POLICY_PEEK_NS from the first byte on, or
 *                   it is denied), then ask again with .inspected set: the answer is ALLOW or DENY
 *                   then. Bytes of the server may pass
 *                   meanwhile (a server that speaks first would wait for ever otherwise) unless
 *                   the policy is strict.
 *
 * Names. A rule about a name matches a flow when the sandbox has itself looked that name up and got
 * this address (the pinning table of net/dns), and, where the flow says whom it wants, when it says
 * that name too. So neither a guessed address nor a foreign SNI on a shared address gets through.
 * A rule that denies a name is content with either. With `strict` a name is allowed only to a flow
 * that says it readably; no UDP, no opaque protocol, no encrypted ClientHello.
 *
 * Ways around lookups at the gateway (net/policy/bypass.h) are denied unless a rule means them: DNS
 * over TLS and its like need a rule with the port; where there are rules about names, known
 * resolvers over HTTPS need one with their address or name.
 *
 * With `public_only` (sandboxes of several tenants) whatever the rules allow has to be a public
 * address as well, or the name server of the gateway.
 *
 * Addresses are judged by what they mean in the end (net/policy/class.h): mapped ones are unwrapped
 * first; a rule that denies matches any address that hides inside a transition address.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#include "net/policy/class.h"

enum policy_action { POLICY_ALLOW = 0, POLICY_DENY, POLICY_INSPECT };

enum policy_direction { POLICY_EGRESS = 0, POLICY_INGRESS, POLICY_DIRECTIONS };

enum policy_proto {
	POLICY_TCP = 0,
	POLICY_UDP,
	POLICY_ICMPV4,
	POLICY_ICMPV6,
	POLICY_PROTO_COUNT,
};

enum policy_target {
	POLICY_ANY = 0, /* every address */
	POLICY_GROUP, /* one class of addresses, .group */
	POLICY_DNS, /* the gateway's port 53, udp and tcp; egress */
	POLICY_NET, /* .net and .bits */
	POLICY_DOMAIN, /* exactly .name */
	POLICY_SUFFIX, /* .name and everything below it */
};

enum {
	POLICY_RULES_MAX = 512,
	POLICY_NAME_MAX = 254, /* longest name with its NUL */
	POLICY_RULE_TEXT = 352, /* longest text of one rule with its NUL */
	POLICY_PEEK_MAX = 16 * 1024,
};
#define POLICY_PEEK_NS (5 * NSEC_PER_SEC)

#define POLICY_HOST_ALIAS "host.microsandbox.internal"

struct policy_rule {
	uint8_t action; /* POLICY_ALLOW or POLICY_DENY */
	uint8_t directions; /* bit per enum policy_direction */
	uint8_t protos; /* one bit of enum policy_proto; 0: every protocol */
	uint8_t target; /* enum policy_target */
	uint8_t group; /* POLICY_GROUP: enum net_class */
	uint8_t bits; /* POLICY_NET */
	uint16_t port_lo; /* 0 with .port_hi 0: every port, also of what has none */
	uint16_t port_hi;
	struct net_addr net; /* POLICY_NET, zero behind .bits */
	char name[POLICY_NAME_MAX]; /* lower case, no final dot */
};

struct policy {
	uint8_t defaults[POLICY_DIRECTIONS]; /* POLICY_ALLOW or POLICY_DENY */
	bool strict;
	bool public_only; /* nothing but public addresses and lookups, whatever the rules say */
	uint32_t n_rules;
	struct policy_rule *rules; /* owned; policy_deinit() */
	/* This sandbox's end of the wire, the class `host`; not part of the stored form. */
	struct net_addr gateway4;
	struct net_addr gateway6;
};

/* What a flow is. Zero it, then fill what is known. */
struct policy_query {
	enum policy_direction direction;
	enum policy_proto proto;
	struct net_addr addr; /* the peer: destination of egress, source of ingress */
	uint16_t port; /* of the destination: the peer's for egress, the guest's for ingress */
	/*
	 * Names that this sandbox's lookups have bound to .addr. Names here and below are lower
	 * case, have no final dot and consist of letters, digits, '-', '_' and '.' (dns_name_*()
	 * and peek_*() give no others), so they are fit for logs.
	 */
	const char *const *names;
	size_t n_names;
	bool inspected; /* the first bytes have been looked at, or never will be */
	bool hidden; /* they carry an encrypted ClientHello: .authority may be a cover */
	const char *authority; /* the name in them, or an address as text; NULL: none */
};

struct policy_verdict {
	enum policy_action action;
	int rule; /* index of the rule that said so, -1: the default, or .text says what */
	enum net_class class; /* of the address */
	char text[512]; /* one line for logs and people: what, verdict, why */
};

/** policy_decide - the verdict on the flow @q; @ret is filled completely */
void policy_decide(
	const struct policy *p, const struct policy_query *q, struct policy_verdict *ret);

/**
 * policy_decide_name - may the guest look up @name through the gateway
 * @name: lower case, no final dot
 * @proto: POLICY_UDP or POLICY_TCP, how the query came
 *
 * A name that no rule lets the guest reach is not looked up either, so a lookup carries nothing
 * out. Never POLICY_INSPECT.
 */
void policy_decide_name(const struct policy *p, const char *name, enum policy_proto proto,
	struct policy_verdict *ret);

/**
 * policy_allows_explicitly - has the user opened this very range
 *
 * For rebind protection: does the first rule that covers @addr as an address (group or network,
 * without ports) allow it? Defaults, `any` and `public` do not count.
 */
bool policy_allows_explicitly(const struct policy *p, const struct net_addr *addr);

/** policy_needs_names - is there a rule about names: keep pins, peek where told */
bool policy_needs_names(const struct policy *p);

/** policy_name_matches - does @name fall under the domain or suffix rule @r */
bool policy_name_matches(const struct policy_rule *r, const char *name);

/** policy_is_closed - does it deny everything, whatever is asked? */
bool policy_is_closed(const struct policy *p);

/** policy_init - the default: public addresses and lookups out, everything in */
int policy_init(struct policy *p) MSB_MUST_CHECK;

/** policy_init_none - both ways shut and no rule: --no-net */
void policy_init_none(struct policy *p);

void policy_deinit(struct policy *p);

/** policy_add - append a copy of @r; 0, -E2BIG over POLICY_RULES_MAX, or -ENOMEM */
int policy_add(struct policy *p, const struct policy_rule *r) MSB_MUST_CHECK;

/** policy_insert - like policy_add(), but in front of rule number @at */
int policy_insert(struct policy *p, uint32_t at, const struct policy_rule *r) MSB_MUST_CHECK;

/** policy_copy - @to becomes a copy of @from; 0 or -ENOMEM (then @to is as it was) */
int policy_copy(struct policy *to, const struct policy *from) MSB_MUST_CHECK;

const char *policy_proto_name(enum policy_proto proto);
const char *policy_direction_name(enum policy_direction direction);
