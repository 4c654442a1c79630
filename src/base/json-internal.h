/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON value, shared by reader and accessors; see json.h. */
#pragma once

#include "base/json.h"

struct json {
	uint8_t type;
	uint32_t len;
	const char *key;
	const struct json *next;
	union {
		bool boolean;
		int64_t integer;
		double number;
		const char *str;
		const struct json *first;
	};
};
