/* SPDX-License-Identifier: Apache-2.0 */
/* What pki.c and conn.c share; nobody else knows OpenSSL. */
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/pki.h"

struct tls_ca {
	X509 *cert;
	EVP_PKEY *key;
	EVP_PKEY *leaf_key; /* of all leaves */
	struct tls_leaf *leaves; /* TLS_LEAVES of them */
	size_t n_leaves;
	uint64_t uses;
};

struct tls_leaf {
	char name[256];
	X509 *cert;
	uint64_t made_ns;
	uint64_t used; /* tls_ca.uses of the last time */
};

/** tls_fail - what OpenSSL says is wrong, into @err; returns @r. Empties its queue of errors */
int tls_fail(struct msb_err *err, int r, const char *what);
