/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate authority of the host's interception of TLS, as one that the guest trusts. */
#pragma once

#include "base/base.h"

/* Holds the authorities of the image, and ours. What the environment of commands says of it: */
#define TRUST_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define TRUST_CA     "/usr/local/share/ca-certificates/microsandbox-ca.crt"

/**
 * trust_install - add @pem to what programs of the usual distributions trust
 *
 * What cannot be written is told in the log of the guest's console.
 */
void trust_install(const char *pem);
