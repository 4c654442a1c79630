/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy would say to a connection, for people who ask. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "net/policy/policy.h"

enum { EXPLAIN_ADDRS_MAX = 16 };

/* What is asked about. */
struct explain_target {
	char host[POLICY_NAME_MAX]; /* stored form of a name, or the text of an address */
	bool is_address; /* then .addr is it */
	struct net_addr addr;
	uint16_t port;
	enum policy_proto proto; /* POLICY_TCP or POLICY_UDP */
};

struct explain_answer {
	bool looked_up; /* .lookup is the verdict on the lookup of the name */
	struct policy_verdict lookup;
	bool rebind; /* the name would get no answer because of this address */
	struct policy_verdict flow; /* unless the lookup is denied, or .rebind */
	bool allowed; /* all in all */
};

/** explain_target_parse - http(s)://HOST[:PORT]/..., HOST:PORT or HOST:PORT/udp; -EINVAL */
int explain_target_parse(const char *text, struct explain_target *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * explain - the way of a connection through the policy, step by step
 * @addr: the address that the name has, or that is the target
 * @rebind_protection: as the sandbox has it
 *
 * A connection to a name over TCP is taken to say that name, as TLS and HTTP do.
 */
void explain(const struct policy *p, bool rebind_protection, const struct explain_target *t,
	const struct net_addr *addr, struct explain_answer *ret);
