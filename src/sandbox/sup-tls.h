/* SPDX-License-Identifier: Apache-2.0 */
/* The interception of TLS on its way to msb-tls and to the guest. */
#pragma once

#include "sandbox/sup-net.h"

/**
 * sup_tls_open - describe it in @n and @es, if the sandbox wants it
 *
 * Makes the certificate authority of the installation if there is none yet; what the guest is to
 * trust is in @sup->ca then.
 */
int sup_tls_open(struct supervisor *sup, struct sup_net *n, struct engine_spec *es,
	struct msb_err *err) MSB_MUST_CHECK;

/**
 * sup_trust_open - the authorities that the host trusts, into @sup->host_cas, if they are wanted
 *
 * Certificates only, without what a bundle says besides; more than LIMIT_HOST_CAS is an error, and
 * so are none.
 */
int sup_trust_open(struct supervisor *sup, struct msb_err *err) MSB_MUST_CHECK;

/** sup_trust_put - append the frames that carry them; 0 or a negative errno */
int sup_trust_put(const struct supervisor *sup, struct buf *out) MSB_MUST_CHECK;

/**
 * sup_tls_secrets - other secrets for new connections
 * @text: settings as JSON; @fd: their values, borrowed
 *
 * 0 when msb-tls has them before it, -ENETDOWN without interception, or another negative errno.
 */
int sup_tls_secrets(struct supervisor *sup, const void *text, size_t len, int fd) MSB_MUST_CHECK;
