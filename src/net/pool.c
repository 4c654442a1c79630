/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of addresses in words and in JSON: see pool.h. */
#include "net/pool.h"

#include "base/str.h"

#include "net/policy/class.h"

enum { POOL_TEXT = NET_ADDR_TEXT + 4, QUOTED = 80, BITS4_MAX = 30, BITS6_MAX = 64, BITS_MIN = 1 };

/* Addresses that a machine on a wire may have. */
static bool is_usable(const struct net_addr *a)
{
	enum net_class c = net_addr_class(a);

	return c == NET_CLASS_PRIVATE || c == NET_CLASS_PUBLIC;
}

static int parse(enum net_family family, const char *text, struct net_addr *ret_addr,
	uint8_t *ret_bits, struct msb_err *err)
{
	const uint32_t max = family == NET_V4 ? BITS4_MAX : BITS6_MAX;
	struct net_addr a = {.family = NET_NONE};
	char quoted[QUOTED];
	char copy[POOL_TEXT];
	char *slash = NULL;
	uint32_t bits = 0;

	if (str_copy(copy, sizeof(copy), text) == 0)
		slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (!slash || net_addr_parse(copy, &a) < 0 || a.family != family || !is_usable(&a) ||
		str_to_u32(slash, BITS_MIN, max, &bits) < 0) {
		int r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s is no pool of IPv%u addresses",
			str_quote(quoted, sizeof(quoted), text, strlen(text)), family);

		return msb_err_hint(err, r,
			family == NET_V4 ? "write a private network of at least four addresses, "
					   "e.g. 10.99.0.0/30"
					 : "write a network of at least 64 bits, e.g. "
					   "fd00:99::/64");
	}
	net_addr_mask(&a, bits);
	*ret_addr = a;
	*ret_bits = (uint8_t)bits;
	return 0;
}

int net_pool4_parse(void *target, const char *text, struct msb_err *err)
{
	struct net_pools *p = target;

	return parse(NET_V4, text, &p->v4, &p->bits4, err);
}

int net_pool6_parse(void *target, const char *text, struct msb_err *err)
{
	struct net_pools *p = target;

	return parse(NET_V6, text, &p->v6, &p->bits6, err);
}

static void put(struct json_out *o, const char *key, const struct net_addr *a, uint8_t bits)
{
	char addr[NET_ADDR_TEXT];
	char text[POOL_TEXT];

	if (a->family == NET_NONE)
		return;
	(void)snprintf(text, sizeof(text), "%s/%u", net_addr_text(a, addr), bits);
	json_put_str(o, key, text);
}

void net_pools_to_json(const struct net_pools *p, struct json_out *o, const char *key)
{
	if (p->v4.family == NET_NONE && p->v6.family == NET_NONE)
		return;
	json_begin_object(o, key);
	put(o, "ipv4", &p->v4, p->bits4);
	put(o, "ipv6", &p->v6, p->bits6);
	json_end_object(o);
}

int net_pools_from_json(
	const struct json *obj, const char *key, struct net_pools *ret, struct msb_err *err)
{
	static const char *const keys[] = {"ipv4", "ipv6"};
	const struct json *pools = NULL;
	const char *text[2] = {NULL, NULL};
	struct net_pools p = {.bits4 = 0};
	int r = json_opt_object(obj, key, &pools, err);

	*ret = p;
	if (r < 0 || !pools)
		return r;
	r = json_only(pools, keys, ARRAY_SIZE(keys), err);
	for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++)
		r = json_opt_str(pools, keys[i], &text[i], err);
	if (r == 0 && text[0])
		r = net_pool4_parse(&p, text[0], err);
	if (r == 0 && text[1])
		r = net_pool6_parse(&p, text[1], err);
	if (r == 0)
		*ret = p;
	return r;
}
