/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of lookups: see config.h. */
#include "net/dns/config.h"

#include "base/str.h"

#include "net/policy/class.h"
#include "net/policy/rule.h"

enum { QUOTED = 120, PORT_MAX = 65535, SERVER_TEXT = DNS_NAME + 16 };

void dns_settings_init(struct dns_settings *s)
{
	*s = (struct dns_settings){.timeout_ms = DNS_TIMEOUT_MS, .rebind_protection = true};
}

static int usage(const char *text, struct msb_err *err)
{
	char quoted[QUOTED];
	int r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s is no name server",
		str_quote(quoted, sizeof(quoted), text, strlen(text)));

	return msb_err_hint(err, r,
		"write an address or a host name, with :PORT if it is not 53, "
		"e.g. 1.1.1.1 or [2606:4700::1111]:5353");
}

/* Cuts @text into host and port. */
static int split(char *text, char **port)
{
	char *end;

	*port = NULL;
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		*port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
		return 0;
	}
	end = strchr(text, ':');
	/* Two of them: an IPv6 address without a port. */
	if (!end || strchr(end + 1, ':'))
		return 0;
	*end = '\0';
	*port = end + 1;
	return 0;
}

static int read_server(const char *text, struct dns_server *ret)
{
	char copy[SERVER_TEXT];
	struct net_addr a;
	const char *host = copy;
	uint32_t number = DNS_PORT;
	char *port;

	if (str_copy(copy, sizeof(copy), text) < 0 || split(copy, &port) < 0)
		return -EINVAL;
	host += copy[0] == '[';
	if (port && str_to_u32(port, 1, PORT_MAX, &number) < 0)
		return -EINVAL;
	ret->port = (uint16_t)number;
	if (net_addr_parse(host, &a) == 0) {
		if (copy[0] == '[' && a.family != NET_V6)
			return -EINVAL;
		return str_copy(ret->host, sizeof(ret->host), host);
	}
	if (host != copy)
		return -EINVAL;
	return policy_name_parse(host, strlen(host), ret->host, NULL);
}

int dns_settings_add(struct dns_settings *s, const char *text, struct msb_err *err)
{
	struct dns_server server = {0};

	if (read_server(text, &server) < 0)
		return usage(text, err);
	if (s->n_servers == DNS_SERVERS_MAX)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %d name servers", DNS_SERVERS_MAX);
	s->servers[s->n_servers++] = server;
	return 0;
}

void dns_settings_to_json(const struct dns_settings *s, struct json_out *o, const char *key)
{
	char text[SERVER_TEXT];

	json_begin_object(o, key);
	json_begin_array(o, "nameservers");
	for (uint32_t i = 0; i < s->n_servers; i++) {
		const struct dns_server *d = &s->servers[i];
		bool v6 = strchr(d->host, ':');

		if (snprintf(text, sizeof(text), "%s%s%s:%u", v6 ? "[" : "", d->host, v6 ? "]" : "",
			    d->port) < 0)
			text[0] = '\0';
		json_put_str(o, NULL, text);
	}
	json_end_array(o);
	json_put_u64(o, "query_timeout_ms", s->timeout_ms);
	json_put_bool(o, "rebind_protection", s->rebind_protection);
	json_end_object(o);
}

static int read_servers(const struct json *list, struct dns_settings *s, struct msb_err *err)
{
	json_foreach (item, list) {
		const char *text;
		int r = json_to_str(item, "nameserver", &text, err);

		if (r == 0)
			r = dns_settings_add(s, text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int dns_settings_from_json(const struct json *v, struct dns_settings *ret, struct msb_err *err)
{
	static const char *const keys[] = {"nameservers", "query_timeout_ms", "rebind_protection"};
	const struct json *servers = NULL;
	struct dns_settings s;
	int r = json_only(v, keys, ARRAY_SIZE(keys), err);

	dns_settings_init(&s);
	if (r == 0)
		r = json_get_array(v, "nameservers", &servers, err);
	if (r == 0)
		r = read_servers(servers, &s, err);
	if (r == 0)
		r = json_get_u32(v, "query_timeout_ms", DNS_TIMEOUT_MIN_MS, DNS_TIMEOUT_MAX_MS,
			&s.timeout_ms, err);
	if (r == 0)
		r = json_get_bool(v, "rebind_protection", &s.rebind_protection, err);
	if (r == 0)
		*ret = s;
	return r;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void add_line(struct dns_settings *s, const char *line, size_t len)
{
	static const char word[] = "nameserver";
	struct dns_server server = {.port = DNS_PORT};
	struct net_addr a;
	char text[NET_ADDR_TEXT];
	size_t at = sizeof(word) - 1;
	size_t n = 0;

	if (len <= at || memcmp(line, word, at) != 0 || !is_space(line[at]))
		return;
	while (at < len && is_space(line[at]))
		at++;
	while (at < len && !is_space(line[at]) && n < sizeof(text) - 1)
		text[n++] = line[at++];
	text[n] = '\0';
	if (strlen(text) != n || net_addr_parse(text, &a) < 0 || s->n_servers == DNS_SERVERS_MAX)
		return;
	net_addr_text(&a, server.host);
	s->servers[s->n_servers++] = server;
}

void dns_settings_add_host(struct dns_settings *s, const char *text, size_t len)
{
	static const struct dns_server local = {"127.0.0.1", DNS_PORT};
	uint32_t before = s->n_servers;

	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		add_line(s, text, n);
		n += end != NULL;
		text += n;
		len -= n;
	}
	if (s->n_servers == before && before < DNS_SERVERS_MAX)
		s->servers[s->n_servers++] = local;
}

int dns_settings_apply(const struct dns_settings *s, struct dns_config *c, struct msb_err *err)
{
	for (uint32_t i = 0; i < s->n_servers; i++) {
		const struct dns_server *d = &s->servers[i];

		if (net_addr_parse(d->host, &c->servers[i].addr) < 0)
			return msb_err_set(err, -EINVAL, MSB_NOT_FOUND,
				"the address of name server '%.100s' is not known", d->host);
		c->servers[i].port = d->port;
	}
	c->n_servers = s->n_servers;
	c->timeout_ms = s->timeout_ms;
	c->rebind_protection = s->rebind_protection;
	return 0;
}
