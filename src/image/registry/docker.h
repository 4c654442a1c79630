/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's client configuration and its credential helpers, for creds.c. */
#pragma once

#include "base/base.h"
#include "base/err.h"

#include "image/registry/creds.h"

/** docker_creds_get - like creds_get(), from Docker's configuration */
int docker_creds_get(const char *host, struct creds *ret, struct msb_err *err) MSB_MUST_CHECK;

/** docker_creds_each - like creds_each() */
int docker_creds_each(
	int (*fn)(void *arg, const char *host, const char *username, enum creds_source source),
	void *arg, struct msb_err *err) MSB_MUST_CHECK;

/** docker_key_host - host of a key of "auths", in the form of image references; false: none */
bool docker_key_host(const char *key, char *ret, size_t size);

/** base64_decode - strict, with padding; bytes written (at most @size), or -EBADMSG */
ssize_t base64_decode(const char *text, size_t len, uint8_t *ret, size_t size) MSB_MUST_CHECK;
