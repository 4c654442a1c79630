/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets: see limit.h. */
#include "net/limit.h"

#include "base/str.h"

enum { PACKET = 1514, TEXT = 40 };
#define SIZE_LIMIT   (UINT64_C(1) << 50) /* tokens of a bucket: no sum of a few of them overflows */
#define WINDOW_LIMIT (24 * 3600 * NSEC_PER_SEC)

__extension__ typedef unsigned __int128 wide;

static void bucket_init(struct net_bucket *b, const struct net_rate *r, uint64_t now_ns)
{
	*b = (struct net_bucket){
		.rate = *r, .level = (int64_t)r->size, .burst = r->burst, .at_ns = now_ns};
}

/* Time that was no whole token is left for the next time. */
static void bucket_fill(struct net_bucket *b, uint64_t now_ns)
{
	const struct net_rate *r = &b->rate;
	uint64_t missing = (uint64_t)((int64_t)r->size - b->level);
	uint64_t passed = now_ns > b->at_ns ? now_ns - b->at_ns : 0;
	wide tokens = (wide)passed * r->size / r->window_ns;

	if (tokens >= missing) {
		b->level = (int64_t)r->size;
		b->at_ns = MAX(b->at_ns, now_ns);
		return;
	}
	b->level += (int64_t)tokens;
	b->at_ns += (uint64_t)(tokens * r->window_ns / r->size);
}

static uint64_t bucket_due(struct net_bucket *b, uint64_t now_ns)
{
	wide wait;

	if (!b->rate.size)
		return 0;
	bucket_fill(b, now_ns);
	if (b->level > 0 || b->burst)
		return 0;
	wait = ((wide)(1 - b->level) * b->rate.window_ns + b->rate.size - 1) / b->rate.size;
	return MAX(b->at_ns + (uint64_t)wait, now_ns + 1);
}

static void bucket_take(struct net_bucket *b, uint64_t n)
{
	uint64_t extra = MIN(b->burst, n);

	if (!b->rate.size)
		return;
	b->burst -= extra;
	b->level -= (int64_t)(n - extra);
}

void net_meter_init(struct net_meter *m, const struct net_limit *l, uint64_t now_ns)
{
	bucket_init(&m->bytes, &l->bytes, now_ns);
	bucket_init(&m->packets, &l->packets, now_ns);
}

uint64_t net_meter_due(struct net_meter *m, uint64_t now_ns)
{
	return MAX(bucket_due(&m->bytes, now_ns), bucket_due(&m->packets, now_ns));
}

void net_meter_take(struct net_meter *m, size_t len)
{
	bucket_take(&m->bytes, len);
	bucket_take(&m->packets, (len + PACKET - 1) / PACKET);
}

bool net_meter_limited(const struct net_meter *m)
{
	return m->bytes.rate.size || m->packets.rate.size;
}

int net_rate_parse_size(uint64_t *ret, const char *text, struct msb_err *err)
{
	size_t digits = strspn(text, "0123456789");
	unsigned int shift = 0;
	char number[TEXT];
	uint64_t v = 0;

	switch (text[digits]) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	default:
		break;
	}
	if (digits < sizeof(number) && text[digits + (shift ? 1 : 0)] == '\0') {
		memcpy(number, text, digits);
		number[digits] = '\0';
		if (str_to_u64(number, &v) == 0 && v > 0 && v <= SIZE_LIMIT >> shift) {
			*ret = v << shift;
			return 0;
		}
	}
	return msb_err_set(err, -EINVAL, MSB_USAGE,
		"'%.40s': a number of bytes is wanted, like 64K, 10M or 1G", text);
}

/* What is in front of a slash; the window behind it, or a second. */
static int split(const char *text, char first[TEXT], uint64_t *window_ns, struct msb_err *err)
{
	size_t n = strcspn(text, "/");

	*window_ns = NSEC_PER_SEC;
	if (n >= TEXT)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "'%.40s' is too long", text);
	memcpy(first, text, n);
	first[n] = '\0';
	if (text[n] == '\0')
		return 0;
	if (str_to_duration_ns(text + n + 1, window_ns) < 0 || *window_ns < NSEC_PER_MSEC ||
		*window_ns > WINDOW_LIMIT)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"'%.40s': behind the slash a time from 1ms to 24h is wanted, like 100ms",
			text);
	return 0;
}

int net_rate_parse_bytes(struct net_rate *r, const char *text, struct msb_err *err)
{
	char first[TEXT];
	uint64_t window = 0;
	uint64_t size = 0;
	int e = split(text, first, &window, err);

	if (e == 0)
		e = net_rate_parse_size(&size, first, err);
	if (e < 0)
		return e;
	r->size = size;
	r->window_ns = window;
	return 0;
}

int net_rate_parse_count(struct net_rate *r, const char *text, struct msb_err *err)
{
	char first[TEXT];
	uint64_t window = 0;
	uint64_t size = 0;
	int e = split(text, first, &window, err);

	if (e < 0)
		return e;
	if (str_to_u64(first, &size) < 0 || size == 0 || size > SIZE_LIMIT)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"'%.40s': a number of packets is wanted, like 1000 or 50/100ms", text);
	r->size = size;
	r->window_ns = window;
	return 0;
}

static uint32_t rate_bytes(const struct net_rate *r, uint32_t each, uint64_t ns)
{
	wide n;

	if (!r->size)
		return UINT32_MAX;
	n = (wide)r->size * ns / r->window_ns * each;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint32_t net_limit_bytes(const struct net_limit *l, uint64_t ns)
{
	return MIN(rate_bytes(&l->bytes, 1, ns), rate_bytes(&l->packets, PACKET, ns));
}

static bool limit_any(const struct net_limit *l)
{
	return l->bytes.size || l->packets.size;
}

bool net_limits_any(const struct net_limits *l)
{
	return limit_any(&l->egress) || limit_any(&l->ingress);
}

static void put_rate(struct json_out *o, const char *key, const struct net_rate *r)
{
	if (!r->size)
		return;
	json_begin_object(o, key);
	json_put_u64(o, "size", r->size);
	json_put_u64(o, "window_ns", r->window_ns);
	json_put_u64(o, "burst", r->burst);
	json_end_object(o);
}

static void put_limit(struct json_out *o, const char *key, const struct net_limit *l)
{
	if (!limit_any(l))
		return;
	json_begin_object(o, key);
	put_rate(o, "bytes", &l->bytes);
	put_rate(o, "packets", &l->packets);
	json_end_object(o);
}

void net_limits_to_json(const struct net_limits *l, struct json_out *o, const char *key)
{
	if (!net_limits_any(l))
		return;
	json_begin_object(o, key);
	put_limit(o, "egress", &l->egress);
	put_limit(o, "ingress", &l->ingress);
	json_end_object(o);
}

static int get_rate(
	const struct json *obj, const char *key, struct net_rate *ret, struct msb_err *err)
{
	static const char *const keys[] = {"size", "window_ns", "burst"};
	const struct json *rate = NULL;
	int r = json_opt_object(obj, key, &rate, err);

	if (r < 0 || !rate)
		return r;
	r = json_only(rate, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_u64(rate, "size", &ret->size, err);
	if (r == 0)
		r = json_get_u64(rate, "window_ns", &ret->window_ns, err);
	if (r == 0)
		r = json_get_u64(rate, "burst", &ret->burst, err);
	if (r == 0 && (ret->size == 0 || ret->size > SIZE_LIMIT || ret->burst > SIZE_LIMIT ||
			      ret->window_ns < NSEC_PER_MSEC || ret->window_ns > WINDOW_LIMIT))
		r = msb_err_set(err, -EINVAL, MSB_FAIL, "%s: not a rate", key);
	return r;
}

static int get_limit(
	const struct json *obj, const char *key, struct net_limit *ret, struct msb_err *err)
{
	static const char *const keys[] = {"bytes", "packets"};
	const struct json *limit = NULL;
	int r = json_opt_object(obj, key, &limit, err);

	if (r < 0 || !limit)
		return r;
	r = json_only(limit, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = get_rate(limit, "bytes", &ret->bytes, err);
	return r == 0 ? get_rate(limit, "packets", &ret->packets, err) : r;
}

int net_limits_from_json(
	const struct json *root, const char *key, struct net_limits *ret, struct msb_err *err)
{
	static const char *const keys[] = {"egress", "ingress"};
	const struct json *obj = NULL;
	struct net_limits l = {0};
	int r = json_opt_object(root, key, &obj, err);

	if (r < 0 || !obj)
		return r;
	r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = get_limit(obj, "egress", &l.egress, err);
	if (r == 0)
		r = get_limit(obj, "ingress", &l.ingress, err);
	if (r == 0)
		*ret = l;
	return r;
}
