/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say how much a sandbox may send and receive: see limit-args.h. */
#include "lib/limit-args.h"

int run_parse_bandwidth(void *target, const char *value, struct msb_err *err)
{
	return net_rate_parse_bytes(target, value, err);
}

int run_parse_packets(void *target, const char *value, struct msb_err *err)
{
	return net_rate_parse_count(target, value, err);
}

int run_parse_burst(void *target, const char *value, struct msb_err *err)
{
	return net_rate_parse_size(target, value, err);
}

int run_parse_packet_burst(void *target, const char *value, struct msb_err *err)
{
	struct net_rate r = {0};
	int e = net_rate_parse_count(&r, value, err);

	if (e == 0 && strchr(value, '/'))
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "a burst is there once and has no time");
	if (e == 0)
		*(uint64_t *)target = r.size;
	return e;
}

/* Something on top of nothing would be no limit at all. */
static int check_rate(const char *option, const struct net_rate *r, struct msb_err *err)
{
	if (r->size || !r->burst)
		return 0;
	return msb_err_set(err, -EINVAL, MSB_USAGE,
		"option --%s-burst is on top of --%s, which is not given", option, option);
}

int run_limits_check(const struct net_limits *l, struct msb_err *err)
{
	int r = check_rate("net-egress-bandwidth", &l->egress.bytes, err);

	if (r == 0)
		r = check_rate("net-egress-ops", &l->egress.packets, err);
	if (r == 0)
		r = check_rate("net-ingress-bandwidth", &l->ingress.bytes, err);
	return r == 0 ? check_rate("net-ingress-ops", &l->ingress.packets, err) : r;
}
