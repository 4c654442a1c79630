/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of response headers that we act on, as a registry that means us harm would send them.
 *
 * Strict: a value that does not follow its grammar is refused as a whole, nothing is guessed.
 * WWW-Authenticate follows RFC 9110 section 11.6.1, Content-Range section 14.4.
 */
#pragma once

#include "base/base.h"

enum {
	HEADER_VALUE_MAX = 8192,
	CHALLENGES_MAX = 8, /* of one response */
	CHALLENGE_REALM_MAX = 1024,
	CHALLENGE_SERVICE_MAX = 256,
	CHALLENGE_SCOPE_MAX = 1024,
};

enum challenge_scheme { CHALLENGE_OTHER, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_scheme scheme;
	char realm[CHALLENGE_REALM_MAX + 1];
	char service[CHALLENGE_SERVICE_MAX + 1];
	char scope[CHALLENGE_SCOPE_MAX + 1];
};

/**
 * challenge_parse - read one WWW-Authenticate value, which may hold several challenges
 * @ret: room for @max
 *
 * Return: number of challenges, -EBADMSG, or -E2BIG when there are more than @max or one is too
 * long.
 */
int challenge_parse(const char *value, size_t len, struct challenge *ret, size_t max)
	MSB_MUST_CHECK;

struct content_range {
	bool has_range; /* else the range asked for does not exist */
	uint64_t first;
	uint64_t last; /* inclusive */
	bool has_total;
	uint64_t total;
};

/** content_range_parse - 0 or -EBADMSG */
int content_range_parse(const char *value, size_t len, struct content_range *ret) MSB_MUST_CHECK;

/** retry_after_parse - seconds; -EBADMSG for anything else, the date form included */
int retry_after_parse(const char *value, size_t len, uint64_t *ret_s) MSB_MUST_CHECK;
