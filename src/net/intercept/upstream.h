/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom msb-tls trusts to be a server: the authorities of the host and of --tls-upstream-ca-cert,
 * and what is said about some hosts. Of the patterns of --tls-upstream-ca-cert-for and
 * --tls-no-verify-upstream-for that a host matches the most specific one counts, and of two that
 * are the same the one that verifies.
 */
#pragma once

#include "net/intercept/settings.h"
#include "net/policy/pattern.h"
#include "tls/conn.h"

struct upstream_rule {
	struct name_pattern pattern;
	struct tls_client *client; /* owned; NULL: nothing is verified */
};

struct upstream {
	struct tls_client *client; /* of hosts that nothing is said about */
	uint32_t n;
	struct upstream_rule rules[TLS_NAMES_MAX + TLS_FILES_MAX];
};

/** upstream_init - reads the files that @t names; upstream_deinit() also after a failure */
int upstream_init(struct upstream *u, const struct tls_settings *t, struct msb_err *err)
	MSB_MUST_CHECK;
void upstream_deinit(struct upstream *u);

/**
 * upstream_find - how to ask @host
 * @ret_verify: is its certificate to be verified?
 */
struct tls_client *upstream_find(const struct upstream *u, const char *host, bool *ret_verify);
