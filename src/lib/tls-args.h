/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the interception of TLS. */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/opt.h"

#include "net/intercept/settings.h"

struct run_tls {
	bool intercept;
	bool allow_quic;
	bool trust_host_cas; /* not about interception */
	struct opt_list ports;
	struct opt_list bypass;
	struct opt_list no_verify;
	struct opt_list upstream_ca;
	struct opt_list upstream_ca_for;
	const char *ca_cert;
	const char *ca_key;
	char *paths[2 * TLS_FILES_MAX + 2]; /* owned: absolute */
	char *patterns[TLS_FILES_MAX]; /* owned */
	uint32_t n_patterns;
	uint32_t n_paths;
};

/** run_tls_apply - what the options come to; strings live as long as @t */
int run_tls_apply(struct run_tls *t, struct tls_settings *ret, struct msb_err *err) MSB_MUST_CHECK;

void run_tls_deinit(struct run_tls *t);

/* Entries of a table of options; @T has a struct run_tls as its member @M. */
#define RUN_TLS_AT(T, M, field) .offset = offsetof(T, M.field), .group = "Network"
#define RUN_TLS_OPTS(T, M)                                                                    \
	{.name = "tls-intercept",                                                             \
		.type = OPT_FLAG,                                                             \
		RUN_TLS_AT(T, M, intercept),                                                  \
		.help = "Look into TLS, with certificates of an authority that the sandbox "  \
			"trusts; HTTP/1.1 and HTTP/2 pass"},                                  \
		{.name = "tls-intercept-port",                                                \
			.type = OPT_LIST,                                                     \
			RUN_TLS_AT(T, M, ports),                                              \
			.arg = "PORT",                                                        \
			.help = "Port whose connections are looked into, instead of 443"},    \
		{.name = "tls-bypass",                                                        \
			.type = OPT_LIST,                                                     \
			RUN_TLS_AT(T, M, bypass),                                             \
			.arg = "NAME|*.SUFFIX",                                               \
			.help = "Hosts whose connections are let alone, e.g. because they "   \
				"want certificates of their clients"},                        \
		{.name = "tls-intercept-ca-cert",                                             \
			.type = OPT_STRING,                                                   \
			RUN_TLS_AT(T, M, ca_cert),                                            \
			.aliases = {"tls-ca-cert"},                                           \
			.arg = "FILE",                                                        \
			.complete = OPT_COMPLETE_FILE,                                        \
			.help = "Certificate of the authority (PEM), instead of one that is " \
				"made for the installation"},                                 \
		{.name = "tls-intercept-ca-key",                                              \
			.type = OPT_STRING,                                                   \
			RUN_TLS_AT(T, M, ca_key),                                             \
			.aliases = {"tls-ca-key"},                                            \
			.arg = "FILE",                                                        \
			.complete = OPT_COMPLETE_FILE,                                        \
			.help = "Its key (PEM)"},                                             \
		{.name = "tls-upstream-ca-cert",                                              \
			.type = OPT_LIST,                                                     \
			RUN_TLS_AT(T, M, upstream_ca),                                        \
			.arg = "FILE",                                                        \
			.complete = OPT_COMPLETE_FILE,                                        \
			.help = "Authorities of servers (PEM) to trust besides the host's"},  \
		{.name = "tls-upstream-ca-cert-for",                                          \
			.type = OPT_LIST,                                                     \
			RUN_TLS_AT(T, M, upstream_ca_for),                                    \
			.arg = "NAME|*.SUFFIX=FILE",                                          \
			.help = "The same for some hosts only; of the patterns that a host "  \
				"matches the most specific one counts, also beside "          \
				"--tls-no-verify-upstream-for"},                              \
		{.name = "tls-no-verify-upstream-for",                                        \
			.type = OPT_LIST,                                                     \
			RUN_TLS_AT(T, M, no_verify),                                          \
			.arg = "NAME|*.SUFFIX",                                               \
			.help = "Hosts whose certificates are not verified"},                 \
		{.name = "trust-host-cas",                                                    \
			.type = OPT_FLAG,                                                     \
			RUN_TLS_AT(T, M, trust_host_cas),                                     \
			.help = "The sandbox trusts the authorities that the host trusts, "   \
				"besides those of its image"},                                \
	{                                                                                     \
		.name = "no-block-quic", .type = OPT_FLAG, RUN_TLS_AT(T, M, allow_quic),      \
		.help = "Let UDP through to the ports whose TLS is looked into: HTTP/3 goes " \
			"around the interception"                                             \
	}
