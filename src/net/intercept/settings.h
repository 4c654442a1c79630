/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user wants of the interception of TLS, in the form that is stored: a part of the
 * description of a sandbox. Strings are borrowed.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

enum { TLS_PORT = 443, TLS_PORTS_MAX = 16, TLS_NAMES_MAX = 64, TLS_FILES_MAX = 16 };

/* Authorities for some hosts only. */
struct tls_ca_for {
	const char *pattern; /* net/policy/pattern.h */
	const char *file; /* absolute path */
};

struct tls_settings {
	bool on;
	bool allow_quic; /* UDP to the ports passes; clients may go around the interception */
	uint32_t n_ports; /* 0: TLS_PORT */
	uint16_t ports[TLS_PORTS_MAX];
	uint32_t n_bypass; /* hosts that are let alone, net/policy/pattern.h */
	const char *bypass[TLS_NAMES_MAX];
	uint32_t n_no_verify; /* hosts whose certificates are not verified */
	const char *no_verify[TLS_NAMES_MAX];
	uint32_t n_upstream_ca; /* files with more authorities; absolute paths */
	const char *upstream_ca[TLS_FILES_MAX];
	uint32_t n_ca_for; /* the same for some hosts, besides */
	struct tls_ca_for ca_for[TLS_FILES_MAX];
	const char *ca_cert, *ca_key; /* NULL: the installation's; absolute paths */
};

void tls_settings_to_json(const struct tls_settings *s, struct json_out *o, const char *key);

/** tls_settings_from_json - strict; strings live as long as @obj */
int tls_settings_from_json(const struct json *obj, struct tls_settings *ret, struct msb_err *err)
	MSB_MUST_CHECK;

/** tls_settings_check - what a user may get wrong; the message is fit for them */
int tls_settings_check(const struct tls_settings *s, struct msb_err *err) MSB_MUST_CHECK;
