/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy would say: see explain.h. */
#include "net/policy/explain.h"

#include <strings.h>

#include "base/str.h"

#include "net/policy/class.h"
#include "net/policy/rule.h"

enum { QUOTED = 120, TARGET_TEXT = POLICY_NAME_MAX + 32, PORT_MAX = 65535 };

static const struct {
	const char *scheme;
	uint16_t port;
} schemes[] = {
	{"http://", 80},
	{"https://", 443},
	{"ws://", 80},
	{"wss://", 443},
};

static int usage(struct msb_err *err, const char *text, const char *what)
{
	char quoted[QUOTED];
	int r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s: %s",
		str_quote(quoted, sizeof(quoted), text, strlen(text)), what);

	return msb_err_hint(err, r, "write HOST:PORT, HOST:PORT/udp, or a URL");
}

static int read_proto(const char *word, struct explain_target *t)
{
	if (streq(word, "tcp"))
		t->proto = POLICY_TCP;
	else if (streq(word, "udp"))
		t->proto = POLICY_UDP;
	else
		return -EINVAL;
	return 0;
}

/* HOST or [ADDRESS], and what is behind its colon. Cuts @text. */
static int read_host(char *text, struct explain_target *t, char **port, struct msb_err *err)
{
	bool brackets = text[0] == '[';
	char *end = brackets ? strchr(text, ']') : NULL;
	char *colon;

	if (brackets && !end)
		return -EINVAL;
	colon = strchr(brackets ? end : text, ':');
	*port = colon ? colon + 1 : NULL;
	if (colon)
		*colon = '\0';
	if (brackets) {
		if (end[1] != '\0')
			return -EINVAL;
		*end = '\0';
		text++;
	}
	if (net_addr_parse(text, &t->addr) == 0) {
		t->is_address = true;
		if (brackets != (t->addr.family == NET_V6))
			return -EINVAL;
		return str_copy(t->host, sizeof(t->host), text);
	}
	return brackets ? -EINVAL : policy_name_parse(text, strlen(text), t->host, err);
}

int explain_target_parse(const char *text, struct explain_target *ret, struct msb_err *err)
{
	struct explain_target t = {.proto = POLICY_TCP};
	char copy[TARGET_TEXT];
	const char *rest = text;
	bool url = false;
	uint32_t number;
	char *slash;
	char *port;

	for (size_t i = 0; i < ARRAY_SIZE(schemes) && !url; i++) {
		size_t n = strlen(schemes[i].scheme);

		if (strncasecmp(text, schemes[i].scheme, n) == 0) {
			t.port = schemes[i].port;
			rest = text + n;
			url = true;
		}
	}
	if (!url && strstr(text, "://"))
		return usage(err, text, "only URLs of http, https, ws and wss are understood");
	if (snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(rest, url ? "/?#" : ""), rest) < 0 ||
		strlen(copy) == sizeof(copy) - 1)
		return usage(err, text, "too long");
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (slash && read_proto(slash, &t) < 0)
		return usage(err, text, "the protocol is tcp or udp");
	if (read_host(copy, &t, &port, NULL) < 0)
		return usage(err, text, "neither a host name nor an address");
	if (port) {
		if (str_to_u32(port, 1, PORT_MAX, &number) < 0)
			return usage(err, text, "a port is between 1 and 65535");
		t.port = (uint16_t)number;
	}
	if (t.port == 0)
		return usage(err, text, "the port is missing");
	*ret = t;
	return 0;
}

void explain(const struct policy *p, bool rebind_protection, const struct explain_target *t,
	const struct net_addr *addr, struct explain_answer *ret)
{
	const char *names[] = {t->host};
	struct policy_query q = {.proto = t->proto,
		.addr = *addr,
		.port = t->port,
		.names = names,
		.n_names = !t->is_address,
		.inspected = true};

	*ret = (struct explain_answer){.looked_up = !t->is_address};
	if (ret->looked_up) {
		policy_decide_name(p, t->host, POLICY_UDP, &ret->lookup);
		if (ret->lookup.action != POLICY_ALLOW)
			return;
		ret->rebind = rebind_protection && net_addr_special(addr) &&
			      !streq(t->host, POLICY_HOST_ALIAS) &&
			      !policy_allows_explicitly(p, addr);
		if (ret->rebind)
			return;
		if (t->proto == POLICY_TCP)
			q.authority = t->host;
	}
	policy_decide(p, &q, &ret->flow);
	ret->allowed = ret->flow.action == POLICY_ALLOW;
}
