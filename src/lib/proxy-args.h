/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say through which proxy a sandbox connects. */
#pragma once

#include "base/err.h"
#include "base/opt.h"

#include "net/proxy.h"

/* All into a struct net_proxy. */
int run_parse_proxy(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_proxy_user(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;
int run_parse_proxy_env(void *target, const char *value, struct msb_err *err) MSB_MUST_CHECK;

/* Entries of a table of options; @T has a struct net_proxy as its member @M. */
#define RUN_PROXY_AT(T, M) .offset = offsetof(T, M), .group = "Network"
#define RUN_PROXY_OPTS(T, M)                                                             \
	{.name = "proxy",                                                                \
		.type = OPT_PARSE,                                                       \
		RUN_PROXY_AT(T, M),                                                      \
		.parse = run_parse_proxy,                                                \
		.arg = "URL",                                                            \
		.help = "Connect through socks4://, socks4a://, socks5:// or http://, "  \
			"then ADDRESS:PORT; what is no TCP cannot leave then"},          \
		{.name = "proxy-username",                                               \
			.type = OPT_PARSE,                                               \
			RUN_PROXY_AT(T, M),                                              \
			.parse = run_parse_proxy_user,                                   \
			.aliases = {"socks5-username", "socks4-user-id"},                \
			.arg = "NAME",                                                   \
			.help = "Who to be for the proxy"},                              \
	{                                                                                \
		.name = "proxy-password-env", .type = OPT_PARSE, RUN_PROXY_AT(T, M),     \
		.parse = run_parse_proxy_env, .aliases = {"socks5-password-env"},        \
		.arg = "VARIABLE",                                                       \
		.help = "Environment variable that holds the password for the proxy at " \
			"every start"                                                    \
	}
