/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate authority of the installation, as msb-tls keeps it: nobody else has OpenSSL, and
 * nobody else reads the key.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* Below the home of the installation. */
#define AUTHORITY_DIR  "tls"
#define AUTHORITY_CERT "ca.crt"
#define AUTHORITY_KEY  "ca.key"

enum { AUTHORITY_TEXT_MAX = 64 * 1024 };

/** authority_path - @name of the authority of @home, "" for the directory; 0 or -ENAMETOOLONG */
int authority_path(char to[PATH_MAX], const char *home, const char *name, struct msb_err *err)
	MSB_MUST_CHECK;

/**
 * authority_ask - let msb-tls do what @word says (INTERCEPT_MAKE_CA and its like)
 * @program: its path
 * @out: what it prints is appended
 */
int authority_ask(const char *program, const char *word, const char *dir, struct buf *out,
	struct msb_err *err) MSB_MUST_CHECK;
