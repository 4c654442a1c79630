/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How msb-tls is started: descriptors and a description.
 *
 * INTERCEPT_FD_FLOWS is a socket of packets (net/intercept/wire.h); the process ends when its peer
 * closes it. INTERCEPT_FD_CONFIG is a file with the description as JSON. INTERCEPT_FD_EVENTS, if
 * there is one, takes the events of net/events.h; INTERCEPT_FD_SECRETS has the values of secrets,
 * when there are some. Over INTERCEPT_FD_CONTROL, a socket of packets, come other ones later: their
 * settings as JSON, with a file of values.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include "net/intercept/settings.h"
#include "net/secrets/settings.h"

enum {
	INTERCEPT_FD_FLOWS = 3,
	INTERCEPT_FD_CONFIG = 4,
	INTERCEPT_FD_EVENTS = 5,
	INTERCEPT_FD_SECRETS = 6,
	INTERCEPT_FD_CONTROL = 7,
};

/*
 * Words that msb-tls knows. All but the first are about the certificate authority in the directory
 * that follows: make it if there is none; the same, then describe it as JSON on stdout; make
 * another one in any case, then describe it.
 */
#define INTERCEPT_SERVE	    "serve"
#define INTERCEPT_MAKE_CA   "make-ca"
#define INTERCEPT_SHOW_CA   "show-ca"
#define INTERCEPT_ROTATE_CA "rotate-ca"

struct intercept_config {
	struct tls_settings tls; /* its authority is given */
	struct secret_settings secrets;
	struct json *doc; /* owned: holds the strings; NULL: they are somebody else's */
};

/** intercept_config_to_json - 0, -ENOBUFS, -ENOMEM or -EILSEQ */
int intercept_config_to_json(const struct intercept_config *c, struct buf *out) MSB_MUST_CHECK;

/** intercept_config_from_json - strict; on failure nothing is in @ret */
int intercept_config_from_json(const char *text, size_t len, struct intercept_config *ret,
	struct msb_err *err) MSB_MUST_CHECK;

void intercept_config_deinit(struct intercept_config *c);
