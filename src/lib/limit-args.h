/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say how much a sandbox may send and receive. */
#pragma once

#include "base/err.h"
#include "base/opt.h"

#include "net/limit.h"

/* Into a struct net_rate or, for bursts, a uint64_t. */
int run_parse_bandwidth(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_packets(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_burst(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_packet_burst(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/** run_limits_check - a burst needs its rate */
int run_limits_check(const struct net_limits *l, struct msb_err *err) MSB_MUST_CHECK;

/* Entries of a table of options; @T has a struct net_limits as its member @M. */
#define RUN_LIMIT_AT(T, M, field) .offset = offsetof(T, M.field), .group = "Network"
#define RUN_LIMIT_OPTS(T, M)                                                                \
	{.name = "net-egress-bandwidth",                                                    \
		.type = OPT_PARSE,                                                          \
		RUN_LIMIT_AT(T, M, egress.bytes),                                           \
		.parse = run_parse_bandwidth,                                               \
		.arg = "SIZE[/TIME]",                                                       \
		.help = "Bytes that the sandbox sends in a second, or in TIME: "            \
			"10M, 512K/100ms"},                                                 \
		{.name = "net-egress-bandwidth-burst",                                      \
			.type = OPT_PARSE,                                                  \
			RUN_LIMIT_AT(T, M, egress.bytes.burst),                             \
			.parse = run_parse_burst,                                           \
			.arg = "SIZE",                                                      \
			.help = "Bytes on top of that, once"},                              \
		{.name = "net-egress-ops",                                                  \
			.type = OPT_PARSE,                                                  \
			RUN_LIMIT_AT(T, M, egress.packets),                                 \
			.parse = run_parse_packets,                                         \
			.arg = "COUNT[/TIME]",                                              \
			.help = "Packets of up to 1500 bytes that the sandbox sends in "    \
				"a second, or in TIME"},                                    \
		{.name = "net-egress-ops-burst",                                            \
			.type = OPT_PARSE,                                                  \
			RUN_LIMIT_AT(T, M, egress.packets.burst),                           \
			.parse = run_parse_packet_burst,                                    \
			.arg = "COUNT",                                                     \
			.help = "Packets on top of that, once"},                            \
		{.name = "net-ingress-bandwidth",                                           \
			.type = OPT_PARSE,                                                  \
			RUN_LIMIT_AT(T, M, ingress.bytes),                                  \
			.parse = run_parse_bandwidth,                                       \
			.arg = "SIZE[/TIME]",                                               \
			.help = "Bytes that the sandbox receives in a second, or in "       \
				"TIME: 10M, 512K/100ms"},                                   \
		{.name = "net-ingress-bandwidth-burst",                                     \
			.type = OPT_PARSE,                                                  \
			RUN_LIMIT_AT(T, M, ingress.bytes.burst),                            \
			.parse = run_parse_burst,                                           \
			.arg = "SIZE",                                                      \
			.help = "Bytes on top of that, once"},                              \
		{.name = "net-ingress-ops",                                                 \
			.type = OPT_PARSE,                                                  \
			RUN_LIMIT_AT(T, M, ingress.packets),                                \
			.parse = run_parse_packets,                                         \
			.arg = "COUNT[/TIME]",                                              \
			.help = "Packets of up to 1500 bytes that the sandbox receives "    \
				"in a second, or in TIME"},                                 \
	{                                                                                   \
		.name = "net-ingress-ops-burst", .type = OPT_PARSE,                         \
		RUN_LIMIT_AT(T, M, ingress.packets.burst), .parse = run_parse_packet_burst, \
		.arg = "COUNT", .help = "Packets on top of that, once"                      \
	}
