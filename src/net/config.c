/* SPDX-License-Identifier: Apache-2.0 */
/* How msb-net is started: see config.h. */
#include "net/config.h"

#include "base/json.h"

#include "net/policy/rule.h"

enum { MAC_LEN = 6, MAC_TEXT = 18 };

void net_config_init(struct net_config *c, uint16_t slot, bool ipv6)
{
	const uint8_t hi = (uint8_t)(slot >> 8);
	const uint8_t lo = (uint8_t)slot;
	const uint32_t base = UINT32_C(0xac100000) + UINT32_C(4) * slot;
	uint8_t v4[4] = {(uint8_t)(base >> 24), (uint8_t)(base >> 16), (uint8_t)(base >> 8)};
	uint8_t v6[16] = {0xfd, 0x42, 0x6d, 0x73, 0x00, 0x62, hi, lo};

	*c = (struct net_config){
		.guest_mac = {0x02, 0x6d, 0x73, hi, lo, 0x02},
		.gateway_mac = {0x02, 0x6d, 0x73, hi, lo, 0x01},
	};
	v4[3] = (uint8_t)(base + 1);
	c->gateway4 = net_addr_v4(v4);
	v4[3] = (uint8_t)(base + 2);
	c->guest4 = net_addr_v4(v4);
	if (ipv6) {
		v6[15] = 1;
		c->gateway6 = net_addr_v6(v6);
		v6[15] = 2;
		c->guest6 = net_addr_v6(v6);
	}
	dns_settings_init(&c->dns);
	policy_init_none(&c->policy);
}

/* The first two addresses of a pool: the gateway's and the guest's. */
static void take_two(
	const struct net_addr *pool, struct net_addr *ret_gateway, struct net_addr *ret_guest)
{
	size_t last = net_addr_len(pool) - 1;

	*ret_gateway = *pool;
	ret_gateway->b[last] |= 1;
	*ret_guest = *pool;
	ret_guest->b[last] |= 2;
}

void net_config_pools(struct net_config *c, const struct net_pools *p)
{
	if (p->v4.family == NET_V4)
		take_two(&p->v4, &c->gateway4, &c->guest4);
	if (p->v6.family == NET_V6)
		take_two(&p->v6, &c->gateway6, &c->guest6);
}

void net_config_deinit(struct net_config *c)
{
	policy_deinit(&c->policy);
	free(c->tls.bypass);
	c->tls = (struct net_tls){.on = false};
}

int net_config_intercept(struct net_config *c, const struct tls_settings *s)
{
	struct net_tls *t = &c->tls;
	int r = 0;

	if (!s->on)
		return 0;
	t->on = true;
	t->allow_quic = s->allow_quic;
	t->n_ports = s->n_ports;
	memcpy(t->ports, s->ports, sizeof(t->ports));
	if (t->n_ports == 0)
		t->ports[t->n_ports++] = TLS_PORT;
	t->bypass = calloc(s->n_bypass + 1, sizeof(t->bypass[0]));
	if (!t->bypass)
		return -ENOMEM;
	for (; t->n_bypass < s->n_bypass && r == 0; t->n_bypass++)
		r = name_pattern_parse(s->bypass[t->n_bypass], &t->bypass[t->n_bypass], NULL);
	return r;
}

bool net_config_has_tls(const struct net_config *c, uint16_t port)
{
	for (uint32_t i = 0; c->tls.on && i < c->tls.n_ports; i++) {
		if (c->tls.ports[i] == port)
			return true;
	}
	return false;
}

static void put_tls(struct json_out *o, const struct net_tls *t)
{
	struct tls_settings s = {.allow_quic = t->allow_quic, .n_ports = t->n_ports};
	char names[TLS_NAMES_MAX][POLICY_NAME_MAX + 2];

	if (!t->on)
		return;
	memcpy(s.ports, t->ports, sizeof(s.ports));
	for (; s.n_bypass < t->n_bypass; s.n_bypass++) {
		const struct name_pattern *p = &t->bypass[s.n_bypass];
		char *name = names[s.n_bypass];

		(void)snprintf(name, sizeof(names[0]), "%s%s",
			p->below ? (p->name[0] ? "*." : "*") : "", p->name);
		s.bypass[s.n_bypass] = name;
	}
	tls_settings_to_json(&s, o, "tls");
}

static void put_mac(struct json_out *o, const char *key, const uint8_t m[MAC_LEN])
{
	char text[MAC_TEXT];

	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		m[4], m[5]);
	json_put_str(o, key, text);
}

static void put_addr(struct json_out *o, const char *key, const struct net_addr *a)
{
	char text[NET_ADDR_TEXT];

	if (a->family != NET_NONE)
		json_put_str(o, key, net_addr_text(a, text));
}

int net_config_to_json(const struct net_config *c, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, JSON_COMPACT);
	json_begin_object(&o, NULL);
	put_mac(&o, "guest_mac", c->guest_mac);
	put_mac(&o, "gateway_mac", c->gateway_mac);
	put_addr(&o, "guest4", &c->guest4);
	put_addr(&o, "gateway4", &c->gateway4);
	put_addr(&o, "guest6", &c->guest6);
	put_addr(&o, "gateway6", &c->gateway6);
	json_put_u64(&o, "max_connections", c->max_connections);
	net_limits_to_json(&c->limits, &o, "limits");
	net_proxy_to_json(&c->proxy, &o, "proxy", true);
	dns_settings_to_json(&c->dns, &o, "dns");
	policy_to_json(&c->policy, &o, "policy");
	put_tls(&o, &c->tls);
	net_ports_to_json(&c->ports, &o, "ports");
	json_end_object(&o);
	return json_out_end(&o);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int get_mac(
	const struct json *obj, const char *key, uint8_t ret[MAC_LEN], struct msb_err *err)
{
	const char *text;
	int r = json_get_str(obj, key, &text, err);

	if (r < 0)
		return r;
	if (strlen(text) != MAC_TEXT - 1)
		return msb_err_set(err, -EINVAL, MSB_FAIL, "%s: not an address", key);
	for (unsigned int i = 0; i < MAC_LEN; i++, text += 3) {
		int high = hex(text[0]);
		int low = hex(text[1]);

		if (high < 0 || low < 0 || text[2] != (i + 1 < MAC_LEN ? ':' : '\0'))
			return msb_err_set(err, -EINVAL, MSB_FAIL, "%s: not an address", key);
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int get_addr(const struct json *obj, const char *key, enum net_family family,
	struct net_addr *ret, struct msb_err *err)
{
	const char *text = "";
	int r = json_opt_str(obj, key, &text, err);

	if (r < 0 || !text || !text[0])
		return r;
	if (net_addr_parse(text, ret) < 0 || ret->family != family)
		return msb_err_set(err, -EINVAL, MSB_FAIL, "%s: not an address", key);
	return 0;
}

static int get_tls(const struct json *root, struct net_config *c, struct msb_err *err)
{
	const struct json *tls = NULL;
	struct tls_settings s;
	int r = json_opt_object(root, "tls", &tls, err);

	if (r < 0 || !tls)
		return r;
	r = tls_settings_from_json(tls, &s, err);
	if (r < 0)
		return r;
	r = net_config_intercept(c, &s);
	return r < 0 ? msb_err_errno(err, r, "tls") : 0;
}

static int get_all(const struct json *root, struct net_config *c, struct msb_err *err)
{
	static const char *const keys[] = {"guest_mac", "gateway_mac", "guest4", "gateway4",
		"guest6", "gateway6", "max_connections", "limits", "proxy", "dns", "policy", "tls",
		"ports"};
	const struct json *policy = NULL;
	const struct json *dns = NULL;
	int r = json_only(root, keys, ARRAY_SIZE(keys), err);

	if (r == 0)
		r = get_mac(root, "guest_mac", c->guest_mac, err);
	if (r == 0)
		r = get_mac(root, "gateway_mac", c->gateway_mac, err);
	if (r == 0)
		r = get_addr(root, "guest4", NET_V4, &c->guest4, err);
	if (r == 0)
		r = get_addr(root, "gateway4", NET_V4, &c->gateway4, err);
	if (r == 0)
		r = get_addr(root, "guest6", NET_V6, &c->guest6, err);
	if (r == 0)
		r = get_addr(root, "gateway6", NET_V6, &c->gateway6, err);
	if (r == 0)
		r = json_get_u32(root, "max_connections", 0, UINT32_MAX, &c->max_connections, err);
	if (r == 0)
		r = net_limits_from_json(root, "limits", &c->limits, err);
	if (r == 0)
		r = net_proxy_from_json(root, "proxy", &c->proxy, err);
	if (r == 0)
		r = json_get_object(root, "dns", &dns, err);
	if (r == 0)
		r = dns_settings_from_json(dns, &c->dns, err);
	if (r == 0)
		r = json_get_object(root, "policy", &policy, err);
	if (r == 0)
		r = net_ports_from_json(root, "ports", &c->ports, err);
	if (r == 0)
		r = policy_from_json(policy, &c->policy, err);
	return r == 0 ? get_tls(root, c, err) : r;
}

int net_config_from_json(const char *text, size_t len, struct net_config *ret, struct msb_err *err)
{
	struct net_config c = {0};
	cleanup_json struct json *doc = NULL;
	int r = json_parse(text, len, &doc, err);

	if (r == 0)
		r = get_all(doc, &c, err);
	if (r < 0) {
		net_config_deinit(&c);
		return msb_err_prefix(err, r, "network description");
	}
	c.policy.gateway4 = c.gateway4;
	c.policy.gateway6 = c.gateway6;
	*ret = c;
	return 0;
}
