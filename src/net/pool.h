/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the addresses of a sandbox come from: the first /30 and the first /64 of these.
 *
 * Every sandbox is alone on its wire, so all of them have the same addresses. Another pool is for
 * hosts where those mean somebody whom the sandbox is to reach.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include "net/addr.h"

struct net_pools {
	struct net_addr v4, v6; /* the first address; family 0: the usual one */
	uint8_t bits4, bits6;
};

/** net_pool4_parse, net_pool6_parse - ADDRESS/BITS into the struct net_pools @target */
int net_pool4_parse(void *target, const char *text, struct msb_err *err) MSB_MUST_CHECK;
int net_pool6_parse(void *target, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** net_pools_to_json - the object @key, unless both are the usual ones */
void net_pools_to_json(const struct net_pools *p, struct json_out *o, const char *key);

/** net_pools_from_json - the object @key of @obj, the usual ones if there is none; strict */
int net_pools_from_json(const struct json *obj, const char *key, struct net_pools *ret,
	struct msb_err *err) MSB_MUST_CHECK;
