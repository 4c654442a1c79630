/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a sandbox may send and receive: token buckets for bytes and packets.
 *
 * A bucket begins full and fills all the time, its size once a window. On top there may be a burst,
 * which is there once. What passes while anything is left may be larger than that: the bucket goes
 * into debt, and nothing passes until it is paid. So a frame larger than a bucket passes, too, and
 * on the average the rate holds.
 *
 * Pure: whoever asks brings the time.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"

struct net_rate {
	uint64_t size; /* tokens in a window, 0: no limit */
	uint64_t window_ns;
	uint64_t burst;
};

/* Of one direction. */
struct net_limit {
	struct net_rate bytes;
	struct net_rate packets; /* of up to 1500 bytes: a larger frame counts as several */
};

struct net_limits {
	struct net_limit egress; /* what the guest sends */
	struct net_limit ingress;
};

struct net_bucket {
	struct net_rate rate;
	int64_t level; /* negative: debt */
	uint64_t burst; /* that is left */
	uint64_t at_ns; /* up to when it was filled */
};

struct net_meter {
	struct net_bucket bytes;
	struct net_bucket packets;
};

void net_meter_init(struct net_meter *m, const struct net_limit *l, uint64_t now_ns);

/** net_meter_due - 0: the next frame may pass; otherwise when it may, later than @now_ns */
uint64_t net_meter_due(struct net_meter *m, uint64_t now_ns);

/** net_meter_take - a frame of @len bytes passes */
void net_meter_take(struct net_meter *m, size_t len);

/** net_meter_limited - is there any limit? */
bool net_meter_limited(const struct net_meter *m);

/**
 * net_rate_parse_bytes - "10M", "512K/100ms": bytes (K, M, G of 1024) in a window, by default 1 s
 *
 * The burst stays as it is. The message of @err is fit for the user.
 */
int net_rate_parse_bytes(struct net_rate *r, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** net_rate_parse_count - "1000", "50/100ms" */
int net_rate_parse_count(struct net_rate *r, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** net_rate_parse_size - a number of bytes */
int net_rate_parse_size(uint64_t *ret, const char *text, struct msb_err *err) MSB_MUST_CHECK;

/** net_limit_bytes - how many bytes may pass in @ns in the long run; UINT32_MAX: that many or more
 */
uint32_t net_limit_bytes(const struct net_limit *l, uint64_t ns);

/** net_limits_any - is there one in it? */
bool net_limits_any(const struct net_limits *l);

/** net_limits_to_json - member @key of the open object, if there is any limit */
void net_limits_to_json(const struct net_limits *l, struct json_out *o, const char *key);

/** net_limits_from_json - member @key of @root, if it is there; strict */
int net_limits_from_json(const struct json *root, const char *key, struct net_limits *ret,
	struct msb_err *err) MSB_MUST_CHECK;
