/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate authority of an installation, and the certificates it issues for the names that a
 * guest asks for.
 *
 * Its key is a file that only its user can read; whoever has it can pretend to be any server, but
 * to guests of this installation only. Certificates of servers share one key, which never leaves
 * the process that made it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#define TLS_CA_CERT "ca.crt"
#define TLS_CA_KEY  "ca.key"

enum { TLS_CA_PEM_MAX = 16 * 1024 };

/**
 * tls_ca_make - make certificate and key in the directory @path, unless they are there
 *
 * The directory is made, too. Several processes may do this at once: one of them makes it. A
 * certificate without its key, or the other way round, is an error: half of it may be in use.
 */
int tls_ca_make(const char *path, struct msb_err *err) MSB_MUST_CHECK;

/**
 * tls_ca_rotate - other ones in the place of certificate and key, whoever uses these
 *
 * Who is killed in the middle has left a key alone: the next tls_ca_make() makes both.
 */
int tls_ca_rotate(const char *path, struct msb_err *err) MSB_MUST_CHECK;

enum { TLS_FINGERPRINT = 32 * 3, TLS_SUBJECT_MAX = 256 };

/* What a certificate says. */
struct tls_ca_info {
	char subject[TLS_SUBJECT_MAX]; /* RFC 2253 */
	char fingerprint[TLS_FINGERPRINT]; /* SHA-256: "AB:CD:..." */
	uint64_t not_before, not_after; /* seconds since 1970 */
	char pem[TLS_CA_PEM_MAX]; /* itself, and nothing else that its file may have */
};

/** tls_ca_describe - what the certificate in the directory @path says; its key is not read */
int tls_ca_describe(const char *path, struct tls_ca_info *ret, struct msb_err *err) MSB_MUST_CHECK;

struct tls_ca;
struct tls_leaf;

/** tls_ca_open - read certificate and key, which must belong together */
int tls_ca_open(const char *cert_path, const char *key_path, struct tls_ca **ret,
	struct msb_err *err) MSB_MUST_CHECK;

/** tls_ca_free - NULL is fine; returns NULL */
struct tls_ca *tls_ca_free(struct tls_ca *ca);

/**
 * tls_ca_leaf - the certificate for @name, made or remembered
 * @name: a host name, or an address as text
 *
 * Borrowed until the next call. NULL: the library failed.
 */
const struct tls_leaf *tls_ca_leaf(struct tls_ca *ca, const char *name);
