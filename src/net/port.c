/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports in words: see port.h. */
#include "net/port.h"

#include "base/str.h"

enum { QUOTED = 120, PORT_MAX = 65535 };

#define SAY_HOW "write [BIND:]HOST:GUEST[/tcp|/udp], e.g. 8080:80, 0:80 or [::1]:5353:53/udp"

static int usage(const char *text, const char *what, struct msb_err *err)
{
	char quoted[QUOTED];
	int r = msb_err_set(err, -EINVAL, MSB_USAGE, "port %s: %s",
		str_quote(quoted, sizeof(quoted), text, strlen(text)), what);

	return msb_err_hint(err, r, SAY_HOW);
}

/* Takes the last field of @text, which is cut before it. NULL: there is no other one. */
static const char *last_field(char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static int parse_bind(char *word, struct net_addr *ret)
{
	size_t len = strlen(word);
	bool v6 = word[0] == '[';

	if (v6 && (len < 2 || word[len - 1] != ']'))
		return -EINVAL;
	if (v6) {
		word[len - 1] = '\0';
		word++;
	}
	if (net_addr_parse(word, ret) < 0 || (ret->family == NET_V6) != v6)
		return -EINVAL;
	return 0;
}

/* Ports of one number each: a range is so often meant that it has an answer of its own. */
static const char *number_problem(const char *word)
{
	return word && strchr(word, '-') ? "ranges are not supported, give one -p for each port"
					 : "a port is a number of 1 to 65535, the host's may be 0";
}

int net_port_parse(const char *text, struct net_port *ret, struct msb_err *err)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct net_port p = {.bind = net_addr_v4(loopback)};
	char copy[NET_PORT_TEXT];
	const char *guest;
	const char *host;
	uint32_t number;
	char *slash;

	if (str_copy(copy, sizeof(copy), text) < 0)
		return usage(text, "it is too long", err);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		p.udp = streq(slash + 1, "udp");
		if (!p.udp && !streq(slash + 1, "tcp"))
			return usage(text, "the protocol is tcp or udp", err);
	}
	guest = last_field(copy);
	if (!guest)
		return usage(text, "the port of the guest is missing", err);
	if (str_to_u32(guest, 1, PORT_MAX, &number) < 0)
		return usage(text, number_problem(guest), err);
	p.guest = (uint16_t)number;
	host = last_field(copy);
	if (host && parse_bind(copy, &p.bind) < 0)
		return usage(text, "the host's address is no address, IPv6 is in brackets", err);
	if (!host)
		host = copy;
	if (str_to_u32(host, 0, PORT_MAX, &number) < 0)
		return usage(text, number_problem(host), err);
	p.host = (uint16_t)number;
	*ret = p;
	return 0;
}

static const char *port_text(const struct net_port *p, bool guest, char to[NET_PORT_TEXT])
{
	bool v6 = p->bind.family == NET_V6;
	char addr[NET_ADDR_TEXT];
	char inside[8] = "";

	if (guest)
		(void)snprintf(inside, sizeof(inside), ":%u", p->guest);
	(void)snprintf(to, NET_PORT_TEXT, "%s%s%s:%u%s/%s", v6 ? "[" : "",
		net_addr_text(&p->bind, addr), v6 ? "]" : "", p->host, inside,
		p->udp ? "udp" : "tcp");
	return to;
}

const char *net_port_text(const struct net_port *p, char to[NET_PORT_TEXT])
{
	return port_text(p, true, to);
}

const char *net_port_host_text(const struct net_port *p, char to[NET_PORT_TEXT])
{
	return port_text(p, false, to);
}

static bool is_any(const struct net_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

/* Would the second of them find its port taken? */
static bool collide(const struct net_port *a, const struct net_port *b)
{
	return a->host && a->host == b->host && a->udp == b->udp &&
	       a->bind.family == b->bind.family &&
	       (is_any(&a->bind) || is_any(&b->bind) || net_addr_equal(&a->bind, &b->bind));
}

int net_ports_add(struct net_ports *ports, const struct net_port *p, struct msb_err *err)
{
	char text[NET_PORT_TEXT];

	if (ports->n == LIMIT_PORTS)
		return msb_err_set(
			err, -E2BIG, MSB_LIMIT, "more than %u published ports", LIMIT_PORTS);
	for (uint32_t i = 0; i < ports->n; i++) {
		if (collide(&ports->list[i], p))
			return msb_err_set(err, -EEXIST, MSB_USAGE,
				"port %s of the host is published twice",
				net_port_host_text(p, text));
	}
	ports->list[ports->n++] = *p;
	return 0;
}

void net_ports_to_json(const struct net_ports *ports, struct json_out *o, const char *key)
{
	char text[NET_PORT_TEXT];

	json_begin_array(o, key);
	for (uint32_t i = 0; i < ports->n; i++)
		json_put_str(o, NULL, net_port_text(&ports->list[i], text));
	json_end_array(o);
}

int net_ports_from_json(
	const struct json *obj, const char *key, struct net_ports *ret, struct msb_err *err)
{
	const struct json *list = NULL;
	int r = json_opt_array(obj, key, &list, err);

	ret->n = 0;
	if (r < 0 || !list)
		return r;
	json_foreach (item, list) {
		struct net_port p = {0};
		const char *text;

		r = json_to_str(item, key, &text, err);
		if (r == 0)
			r = net_port_parse(text, &p, err);
		if (r == 0)
			r = net_ports_add(ret, &p, err);
		if (r < 0)
			return r;
	}
	return 0;
}
