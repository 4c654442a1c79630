/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name server that the guest talks to: decides, asks the host's name servers, watches the
 * answers.
 *
 * A pure object: messages and the time come in by calls, messages go out by callbacks, no socket,
 * no clock, no thread. Whoever owns it brings every message that the guest sends to port 53, over
 * UDP or TCP (without the length in front), to whatever address, and carries out the callbacks.
 *
 * A query
 *   that is malformed, of a class, type or form that nobody needs, gets an error;
 *   whose name the policy denies gets NXDOMAIN and goes nowhere;
 *   to another resolver than the gateway goes there if the policy allows that address, port 53,
 *   otherwise NXDOMAIN, and never if a rule denies its name;
 *   is written anew with a random id, over its own socket (random source port).
 * An answer
 *   must be to exactly that question and well formed to its end;
 *   with an address that no public name may have (rebinding) becomes NXDOMAIN, unless a rule of the
 *   user's allows that very address; the hints of SVCB and HTTPS records count as addresses;
 *   that leads over an alias to a name that a rule denies becomes NXDOMAIN;
 *   pins the name that was asked for to the addresses at the end of its chain of aliases. Only
 *   answers of name servers that the user or the host has named are trusted with that.
 *
 * Where rules about names exist, SVCB and HTTPS queries get empty answers: their keys for encrypted
 * ClientHellos would hide from the policy what it decides by.
 */
#pragma once

#include "base/base.h"

#include "net/addr.h"
#include "net/dns/msg.h"
#include "net/dns/pin.h"
#include "net/policy/policy.h"

enum {
	DNS_SERVERS_MAX = 8,
	DNS_PENDING_MAX = 256, /* queries on their way at once */
	DNS_PORT = 53,
	DNS_TIMEOUT_MS = 5000,
	DNS_TIMEOUT_MIN_MS = 100,
	DNS_TIMEOUT_MAX_MS = 60000,
	DNS_EVENT_ADDRS = 8,
};

struct dns_config {
	uint32_t n_servers;
	struct net_peer servers[DNS_SERVERS_MAX]; /* in the order they are asked */
	uint32_t timeout_ms; /* for a query, all servers together */
	bool rebind_protection;
	bool mix_case; /* random upper case in what is sent on, as another 30 bits against forgers
			*/
	bool gateway_only; /* no other resolver is asked, whatever the policy says */
	bool has_v4; /* the guest has such addresses; of others it is told none */
	bool has_v6;
};

/* Who asks. */
struct dns_client {
	uint64_t cookie; /* the owner's, comes back with the answer */
	bool tcp;
	struct net_addr resolver; /* where the guest sent it */
};

enum dns_outcome {
	DNS_ANSWERED, /* by a name server; .rcode is its */
	DNS_LOCAL, /* by ourselves: the host's alias, an empty answer */
	DNS_DENIED, /* by the policy */
	DNS_REBIND, /* the answer had an address it must not have */
	DNS_MALFORMED, /* the query is not one we serve */
	DNS_FAILED, /* no name server gave a usable answer */
};

/* One line of the sandbox's query log. */
struct dns_event {
	enum dns_outcome outcome;
	const struct dns_query *query;
	const struct dns_client *client;
	int rule_number; /* of the rule that denied it, from 1; 0: none */
	unsigned int rcode; /* of the answer the guest gets */
	const struct net_peer *server; /* that was asked last, or NULL */
	uint64_t took_ns;
	size_t n_addrs; /* addresses of the answer, the first ones */
	struct net_addr addrs[DNS_EVENT_ADDRS];
	const char *text; /* why, for people */
};

/* None of them may call back into the forwarder. */
struct dns_ops {
	/*
	 * Send @msg to @server from a new socket, over UDP, or over TCP with the length in front;
	 * answers go to dns_forwarder_reply() with @slot. A negative errno: cannot be reached.
	 */
	int (*send)(void *arg, unsigned int slot, const struct net_peer *server, bool tcp,
		const uint8_t *msg, size_t len);
	/* Nobody waits for answers of @slot's last socket any more: close it, if there is one. */
	void (*done)(void *arg, unsigned int slot);
	/* Give the guest its answer. */
	void (*answer)(void *arg, const struct dns_client *client, const uint8_t *msg, size_t len);
	void (*event)(void *arg, const struct dns_event *e); /* may be NULL */
	void (*random)(void *arg, void *to, size_t n);
};

struct dns_forwarder;

/**
 * dns_forwarder_new - a forwarder for one sandbox, or NULL: out of memory
 * @config: copied
 * @policy: with the gateway's addresses; borrowed, and may change between calls
 * @ops: borrowed
 */
struct dns_forwarder *dns_forwarder_new(const struct dns_config *config,
	const struct policy *policy, const struct dns_ops *ops, void *arg) MSB_MUST_CHECK;

/** dns_forwarder_free - without callbacks; the owner closes its sockets; returns NULL */
struct dns_forwarder *dns_forwarder_free(struct dns_forwarder *f);
DEFINE_CLEANUP(struct dns_forwarder *, dns_forwarder_free);

/** dns_forwarder_query - the guest asks; exactly one .answer follows now or later, or none for what
 * is no query */
void dns_forwarder_query(struct dns_forwarder *f, uint64_t now_ns, const struct dns_client *client,
	const uint8_t *msg, size_t len);

/** dns_forwarder_reply - a message came in on @slot's socket; strangers are ignored */
void dns_forwarder_reply(struct dns_forwarder *f, uint64_t now_ns, unsigned int slot,
	const uint8_t *msg, size_t len);

/** dns_forwarder_failed - @slot's socket failed or ended: ask the next server */
void dns_forwarder_failed(struct dns_forwarder *f, uint64_t now_ns, unsigned int slot);

/** dns_forwarder_cancel - the client of @cookie is gone: no answer for it any more */
void dns_forwarder_cancel(struct dns_forwarder *f, uint64_t cookie);

/** dns_forwarder_deadline - when dns_forwarder_tick() is due, 0: not at all */
uint64_t dns_forwarder_deadline(const struct dns_forwarder *f);
void dns_forwarder_tick(struct dns_forwarder *f, uint64_t now_ns);

/** dns_forwarder_pins - for .names of struct policy_query; owned by the forwarder */
struct dns_pins *dns_forwarder_pins(struct dns_forwarder *f);
