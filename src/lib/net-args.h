/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say what a sandbox may reach. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "lib/limit-args.h"
#include "lib/proxy-args.h"
#include "lib/secret-args.h"
#include "lib/tls-args.h"
#include "net/dns/config.h"
#include "net/policy/choice.h"
#include "net/pool.h"
#include "net/port.h"

enum { RUN_NET_CONNECTIONS_MAX = 4096 };

struct run_net {
	struct policy_choice choice;
	struct dns_settings servers; /* only the list of servers counts */
	uint32_t timeout_ms;
	bool no_rebind_protection;
	uint32_t max_connections; /* 0: the default */
	struct run_tls tls;
	struct net_ports ports;
	struct net_limits limits;
	struct net_pools pools;
	struct net_proxy proxy;
	struct run_secrets secrets;
};

/** run_parse_port - one more for the struct net_ports @target */
int run_parse_port(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** run_parse_nameserver - appends to the struct dns_settings @target */
int run_parse_nameserver(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/**
 * run_net_apply - what the options come to
 * @policy: a new policy on success
 */
int run_net_apply(const struct run_net *n, struct policy *policy, struct dns_settings *dns,
	struct msb_err *err) MSB_MUST_CHECK;

void run_net_deinit(struct run_net *n);

/* Entries of a table of options; @T has a struct run_net as its member @M. */
#define RUN_NET_AT(T, M, field) .offset = offsetof(T, M.field), .group = "Network"
#define RUN_NET_OPTS(T, M)                                                                         \
	{.name = "port",                                                                           \
		.letter = 'p',                                                                     \
		.type = OPT_PARSE,                                                                 \
		RUN_NET_AT(T, M, ports),                                                           \
		.parse = run_parse_port,                                                           \
		.arg = "[BIND:]HOST:GUEST[/udp]",                                                  \
		.repeatable = true,                                                                \
		.aliases = {"publish"},                                                            \
		.help = "Let a port of the host lead to one of the guest; BIND is "                \
			"127.0.0.1 by default, HOST 0 is a port that is free"},                    \
		{.name = "net",                                                                    \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_profiles,                                           \
			.arg = "PROFILE,...",                                                      \
			.repeatable = true,                                                        \
			.excludes = "no-net",                                                      \
			.help = "What can be reached: public, private and host, several of them, " \
				"all or none; by default public"},                                 \
		{.name = "no-net",                                                                 \
			.type = OPT_FLAG,                                                          \
			RUN_NET_AT(T, M, choice.no_net),                                           \
			.aliases = {"no-network"},                                                 \
			.help = "Nothing can be reached but what --net-rule allows"},              \
		{.name = "net-rule",                                                               \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_rules,                                              \
			.arg = "RULE,...",                                                         \
			.repeatable = true,                                                        \
			.help = "ACTION[:DIRECTION]@TARGET[:PROTO[:PORTS]], the first "            \
				"match wins, e.g. allow@10.0.0.5:tcp:5432, "                       \
				"deny@*.example.com; before the rules of --net"},                  \
		{.name = "net-default",                                                            \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_default,                                            \
			.arg = "allow|deny",                                                       \
			.help = "What no rule matches, both ways; only the given rules "           \
				"count then, also for lookups"},                                   \
		{.name = "net-default-egress",                                                     \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_default_egress,                                     \
			.arg = "allow|deny",                                                       \
			.help = "The same for what the sandbox connects to"},                      \
		{.name = "net-default-ingress",                                                    \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_default_ingress,                                    \
			.arg = "allow|deny",                                                       \
			.help = "The same for who connects to published ports"},                   \
		{.name = "net-strict",                                                             \
			.type = OPT_FLAG,                                                          \
			RUN_NET_AT(T, M, choice.strict),                                           \
			.help = "Rules that allow names let only connections through "             \
				"that say the name readably"},                                     \
		{.name = "dns-block-domain",                                                       \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_block,                                              \
			.arg = "NAME",                                                             \
			.repeatable = true,                                                        \
			.help = "The name does not exist for the sandbox, and is not "             \
				"reached either"},                                                 \
		{.name = "dns-block-suffix",                                                       \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, choice),                                                  \
			.parse = policy_choice_block_suffix,                                       \
			.arg = "NAME",                                                             \
			.repeatable = true,                                                        \
			.help = "The same for the name and everything below it"},                  \
		{.name = "dns-nameserver",                                                         \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, servers),                                                 \
			.parse = run_parse_nameserver,                                             \
			.arg = "HOST[:PORT]",                                                      \
			.repeatable = true,                                                        \
			.help = "Name server to ask instead of the host's; the next one "          \
				"is asked when it does not answer"},                               \
		{.name = "dns-query-timeout-ms",                                                   \
			.type = OPT_U32,                                                           \
			RUN_NET_AT(T, M, timeout_ms),                                              \
			.arg = "MS",                                                               \
			.def = "5000",                                                             \
			.min = DNS_TIMEOUT_MIN_MS,                                                 \
			.max = DNS_TIMEOUT_MAX_MS,                                                 \
			.help = "Time for the answer to a lookup, from all name servers"},         \
		{.name = "no-dns-rebind-protection",                                               \
			.type = OPT_FLAG,                                                          \
			RUN_NET_AT(T, M, no_rebind_protection),                                    \
			.help = "Let names have private addresses"},                               \
		{.name = "net-ipv4-pool",                                                          \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, pools),                                                   \
			.parse = net_pool4_parse,                                                  \
			.arg = "ADDRESS/BITS",                                                     \
			.help = "Gateway and sandbox have the first addresses of this "            \
				"network; by default of 172.16.0.0/12"},                           \
		{.name = "net-ipv6-pool",                                                          \
			.type = OPT_PARSE,                                                         \
			RUN_NET_AT(T, M, pools),                                                   \
			.parse = net_pool6_parse,                                                  \
			.arg = "ADDRESS/BITS",                                                     \
			.help = "The same for IPv6; by default of fd42:6d73:62::/48, where "       \
				"the host reaches public addresses with it"},                      \
		RUN_TLS_OPTS(T, M.tls), RUN_SECRET_OPTS(T, M.secrets),                             \
		RUN_LIMIT_OPTS(T, M.limits), RUN_PROXY_OPTS(T, M.proxy),                           \
	{                                                                                          \
		.name = "max-connections", .type = OPT_U32, RUN_NET_AT(T, M, max_connections),     \
		.arg = "N", .min = 1, .max = RUN_NET_CONNECTIONS_MAX,                              \
		.help = "TCP connections of the sandbox at once"                                   \
	}
