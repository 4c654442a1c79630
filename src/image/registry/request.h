/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What msb-pull is asked to do: one JSON object on its standard input, up to the end of file.
 *
 *	op	    "pull" (default) or "login": try credentials, change nothing
 *	home	    $MSB_HOME, absolute
 *	ref	    reference of the image; login: "host" instead
 *	policy	    "always", "if-missing" (default) or "never": whether the registry is asked
 *	quiet	    no progress, only the events "done", "warning" and "error"
 *	insecure    the registry of the reference needs no valid certificate and no TLS
 *	ca_file	    PEM file of authorities beside those of the system
 *	auth	    {"username", "password"}: instead of stored credentials
 *	hosts	    {HOST: {"insecure": bool, "mirrors": ["[http[s]://]HOST[:PORT][/PREFIX]", ...],
 *		    "ca_file": PEM file of authorities for this host, beside all others}}
 *	limits	    {"parallel", "connect_s", "stall_s", "attempts", "first_wait_ms"}
 *
 * Unknown members are refused, so that nothing is silently ignored. What comes back: report.h.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"

#include "image/ref.h"
#include "image/registry/retry.h"

enum request_op { REQUEST_PULL, REQUEST_LOGIN };
enum request_policy { POLICY_IF_MISSING, POLICY_ALWAYS, POLICY_NEVER };

enum { REQUEST_BYTES_MAX = 1024 * 1024, REQUEST_PARALLEL_MAX = 16 };

struct request {
	enum request_op op;
	const char *home;
	struct image_ref ref; /* login: only the host */
	enum request_policy policy;
	bool quiet;
	bool insecure;
	const char *ca_file; /* NULL: none */
	const char *username; /* NULL: stored credentials */
	const char *password;
	uint32_t parallel;
	uint32_t connect_s;
	uint32_t stall_s;
	struct retry_policy retry;
	struct json *root; /* owns all text */
};

/** request_parse - @ret: request_deinit(), also after a failure */
int request_parse(const char *text, size_t len, struct request *ret, struct msb_err *err)
	MSB_MUST_CHECK;
void request_deinit(struct request *r);

/** request_insecure - did the user call @host insecure */
bool request_insecure(const struct request *r, const char *host);

/** request_mirrors - array of mirrors of @host, NULL if it has none */
const struct json *request_mirrors(const struct request *r, const char *host);

/** request_host_ca - file of authorities of @host alone, NULL if it has none */
const char *request_host_ca(const struct request *r, const char *host);
