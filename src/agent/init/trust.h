/* SPDX-License-Identifier: Apache-2.0 */
/* The authority of the host's interception of TLS, and those of the host, as some the guest trusts.
 */
#pragma once

#include "base/base.h"

/* Holds the authorities of the image, and ours. What the environment of commands says of it: */
#define TRUST_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
/* The one of the interception alone. */
#define TRUST_DIR "/.msb/tls"
#define TRUST_CA  TRUST_DIR "/ca.pem"

/**
 * trust_install - add certificates to what programs of the usual distributions trust
 * @root: directory of the guest's root, "" for "/"
 * @ca: of the interception, "" for none
 * @host: of the host, "" for none
 *
 * What an earlier start has added is replaced. What cannot be written is told in the log of the
 * guest's console.
 */
void trust_install(const char *root, const char *ca, const char *host);
