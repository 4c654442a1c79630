/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of proxies: see proxy.h. */
#include "net/proxy.h"

#include "base/str.h"

#include "net/policy/class.h"
#include "net/policy/rule.h"

static const char *const kinds[NET_PROXY_KINDS] = {
	[NET_PROXY_SOCKS4] = "socks4",
	[NET_PROXY_SOCKS4A] = "socks4a",
	[NET_PROXY_SOCKS5] = "socks5",
	[NET_PROXY_HTTP] = "http",
};

static uint8_t kind_of(const char *text, size_t len)
{
	for (unsigned int k = NET_PROXY_NONE + 1; k < NET_PROXY_KINDS; k++) {
		if (strlen(kinds[k]) == len && memcmp(kinds[k], text, len) == 0)
			return (uint8_t)k;
	}
	return NET_PROXY_NONE;
}

static int parse_peer(struct net_peer *ret, const char *text)
{
	const char *port = strrchr(text, ':');
	char host[NET_ADDR_TEXT + 2];
	size_t len = port ? (size_t)(port - text) : 0;
	char *at = host;
	uint32_t n;

	if (!port || len == 0 || len >= sizeof(host) || str_to_u32(port + 1, 1, UINT16_MAX, &n) < 0)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		at++;
	}
	if (net_addr_parse(at, &ret->addr) < 0 || (at != host) != (ret->addr.family == NET_V6))
		return -EINVAL;
	ret->port = (uint16_t)n;
	return 0;
}

int net_proxy_parse(struct net_proxy *p, const char *text, struct msb_err *err)
{
	const char *peer = strstr(text, "://");
	struct net_proxy parsed = *p;
	int r;

	parsed.kind = peer ? kind_of(text, (size_t)(peer - text)) : NET_PROXY_NONE;
	if (parsed.kind == NET_PROXY_NONE)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a proxy is socks4://, socks4a://, socks5:// or http://, then "
			"ADDRESS:PORT");
	if (strchr(peer, '@')) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE,
			"a proxy's user and password are no part of its address");
		return msb_err_hint(
			err, r, "use --socks5-username and --socks5-password-env VARIABLE");
	}
	if (parse_peer(&parsed.at, peer + 3) < 0)
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"'%.80s': a proxy is given by its address and port, like "
			"socks5://192.0.2.1:1080",
			text);
	*p = parsed;
	return 0;
}

static bool plain(const char *s)
{
	for (; *s; s++) {
		if (*s < ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

int net_proxy_check(const struct net_proxy *p, struct msb_err *err)
{
	bool socks4 = p->kind == NET_PROXY_SOCKS4 || p->kind == NET_PROXY_SOCKS4A;

	if (p->kind == NET_PROXY_NONE && (p->user[0] || p->password_env[0]))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a user of a proxy without --proxy makes no sense");
	if (socks4 && p->password_env[0])
		return msb_err_set(err, -EINVAL, MSB_USAGE, "SOCKS4 knows no passwords");
	if (p->password_env[0] && !p->user[0])
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "a password for a proxy needs a user name, too");
	if (!plain(p->user) || !plain(p->password))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"a proxy's user and password hold no control characters");
	if (p->kind == NET_PROXY_HTTP && strchr(p->user, ':'))
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "the user name of an HTTP proxy holds no colon");
	return 0;
}

void net_proxy_to_json(const struct net_proxy *p, struct json_out *o, const char *key, bool secret)
{
	char text[NET_ADDR_TEXT];

	if (p->kind == NET_PROXY_NONE)
		return;
	json_begin_object(o, key);
	json_put_str(o, "kind", kinds[p->kind]);
	json_put_str(o, "address", net_addr_text(&p->at.addr, text));
	json_put_u64(o, "port", p->at.port);
	json_put_str(o, "user", p->user);
	json_put_str(o, "password_env", p->password_env);
	if (secret)
		json_put_str(o, "password", p->password);
	json_end_object(o);
}

static int get_word(const struct json *obj, const char *key, char *to, size_t size,
	const char **ret, struct msb_err *err)
{
	int r = json_opt_str(obj, key, ret, err);

	if (r == 0 && *ret && str_copy(to, size, *ret) < 0)
		return msb_err_set(err, -EINVAL, MSB_FAIL, "%s: too long", key);
	return r;
}

int net_proxy_from_json(
	const struct json *root, const char *key, struct net_proxy *ret, struct msb_err *err)
{
	static const char *const keys[] = {
		"kind", "address", "port", "user", "password_env", "password"};
	const struct json *obj = NULL;
	const char *password = NULL;
	const char *address = "";
	const char *kind = "";
	const char *word = NULL;
	struct net_proxy p = {0};
	uint32_t port = 0;
	int r = json_opt_object(root, key, &obj, err);

	if (r < 0 || !obj)
		return r;
	r = json_only(obj, keys, ARRAY_SIZE(keys), err);
	if (r == 0)
		r = json_get_str(obj, "kind", &kind, err);
	if (r == 0)
		r = json_get_str(obj, "address", &address, err);
	if (r == 0)
		r = json_get_u32(obj, "port", 1, UINT16_MAX, &port, err);
	if (r == 0)
		r = get_word(obj, "user", p.user, sizeof(p.user), &word, err);
	if (r == 0)
		r = get_word(
			obj, "password_env", p.password_env, sizeof(p.password_env), &word, err);
	if (r == 0)
		r = get_word(obj, "password", p.password, sizeof(p.password), &password, err);
	if (password)
		explicit_bzero((char *)(uintptr_t)password, strlen(password));
	if (r < 0)
		return r;
	p.kind = kind_of(kind, strlen(kind));
	p.at.port = (uint16_t)port;
	if (p.kind == NET_PROXY_NONE || net_addr_parse(address, &p.at.addr) < 0)
		return msb_err_set(err, -EINVAL, MSB_FAIL, "%s: not a proxy", key);
	r = net_proxy_check(&p, err);
	if (r == 0)
		*ret = p;
	return r;
}
