/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-net tells the supervisor: one event per packet of the socket behind NET_FD_EVENTS.
 *
 * The supervisor makes a line of the sandbox's ledger of each (sandbox/ledger.h), and a line of its
 * log of what `log` is set for. Values that strangers choose (names, paths) are as long as the caps
 * below and printable; the receiver checks that again, as whoever has taken msb-net over writes
 * what it likes. No value of a secret is ever in an event, only its name.
 */
#pragma once

#include "base/buf.h"

#include "net/addr.h"

enum net_event_kind {
	NET_EVENT_NOTE = 1, /* for the log alone: .text */
	NET_EVENT_DNS, /* a lookup is over: .name, .qtype, .rcode, .result, .addrs, .remote asked */
	NET_EVENT_DENIED, /* the policy refused a flow */
	NET_EVENT_FAILED, /* allowed, but the peer did not come about: .error */
	NET_EVENT_OPEN,
	NET_EVENT_INSPECTED, /* allowed by what its first bytes say: .name */
	NET_EVENT_CLOSE, /* .up, .down; .error 0 for an orderly end */
	NET_EVENT_HTTP, /* one request of an intercepted connection and its answer */
	NET_EVENT_LOST, /* .lost events were not told: too many at once */
	NET_EVENT_DROPPED, /* .lost packets of the guest: .text */
	NET_EVENT_END, /* one more than the last */
};

enum net_event_proto { NET_EVENT_TCP, NET_EVENT_UDP, NET_EVENT_ICMP, NET_EVENT_PROTOS };

enum {
	NET_EVENT_NAME = 255,
	NET_EVENT_RULE = 351,
	NET_EVENT_WORD = 32, /* method, result */
	NET_EVENT_PATH = 1024,
	NET_EVENT_SECRET = 128,
	NET_EVENT_TEXT = 639,
	NET_EVENT_ADDRS = 8,
	NET_EVENT_MAX = 4096, /* bytes of a packet */
};

/* Strings may be NULL when told; they never are when read. */
struct net_event {
	uint8_t kind; /* enum net_event_kind */
	bool log; /* .text is for the log as well */
	uint8_t proto; /* enum net_event_proto */
	bool ingress;
	uint64_t flow; /* number of the flow, the same in all its events; 0: none */
	struct net_peer guest; /* family 0: unknown */
	struct net_peer remote; /* DNS: the server that was asked; family 0: nobody was */
	const char *name; /* DNS, HTTP: asked for; others: what is known of the remote */
	int32_t rule; /* number of the rule that decided, from 1; 0: a default or none */
	const char *rule_text;
	uint32_t error; /* errno */
	uint64_t up, down; /* payload bytes from and to the guest; HTTP: bodies */
	uint64_t took_ns; /* DNS, HTTP, CLOSE */
	uint64_t lost; /* NET_EVENT_LOST */
	uint16_t qtype;
	uint8_t rcode;
	const char *result; /* DNS: answered, local, denied, rebind, malformed, failed */
	uint8_t n_addrs;
	struct net_addr addrs[NET_EVENT_ADDRS];
	const char *method; /* HTTP */
	const char *path;
	uint16_t status; /* 0: there was no answer */
	const char *secret; /* name of the secret that was put in, or that was refused */
	const char *text; /* why, for people */
};

/**
 * net_event_put - append the packet of @e; strings are cut to their caps, what is not printable
 * becomes '?'
 *
 * Return: 0, -ENOMEM or -ENOBUFS.
 */
int net_event_put(struct buf *out, const struct net_event *e) MSB_MUST_CHECK;

/**
 * net_event_get - one packet of any content; strings live in @p
 *
 * Strings are printable ASCII and within their caps, addresses have a known family, numbers are
 * within their enums. Return: 0 or -EBADMSG.
 */
int net_event_get(const void *p, size_t len, struct net_event *ret) MSB_MUST_CHECK;
