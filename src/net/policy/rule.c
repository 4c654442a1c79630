/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of rules: see rule.h. */
#include "net/policy/rule.h"

#include "base/str.h"

enum {
	QUOTED = 120,
	FIELD_MAX = 288, /* a name of 253 bytes behind "domain=" */
	NEAR = 2, /* words this close are taken for slips */
	PORT_MAX = 65535,
};

static const char *const actions[] = {"allow", "deny", NULL};
static const char *const directions[] = {"egress", "ingress", "any", NULL};
static const char *const protos[] = {"tcp", "udp", "icmpv4", "icmpv6", "any", NULL};

/* Words of targets. What is no class is marked with NET_CLASS_COUNT. */
static const struct {
	const char *word;
	uint8_t target;
	uint8_t class;
} keywords[] = {
	{"any", POLICY_ANY, NET_CLASS_COUNT},
	{"dns", POLICY_DNS, NET_CLASS_COUNT},
	{"public", POLICY_GROUP, NET_CLASS_PUBLIC},
	{"private", POLICY_GROUP, NET_CLASS_PRIVATE},
	{"loopback", POLICY_GROUP, NET_CLASS_LOOPBACK},
	{"link-local", POLICY_GROUP, NET_CLASS_LINK_LOCAL},
	{"meta", POLICY_GROUP, NET_CLASS_META},
	{"multicast", POLICY_GROUP, NET_CLASS_MULTICAST},
	{"host", POLICY_GROUP, NET_CLASS_HOST},
};

static const char *quote(char to[QUOTED], const char *s)
{
	return str_quote(to, QUOTED, s, strlen(s));
}

static const char *nearest(const char *word, const char *const *list)
{
	const char *best = NULL;
	unsigned int best_distance = NEAR + 1;

	for (; *list; list++) {
		unsigned int d = str_distance(word, *list);

		if (d < best_distance && d < strlen(*list)) {
			best = *list;
			best_distance = d;
		}
	}
	return best;
}

static int lookup(const char *word, const char *const *list)
{
	for (int i = 0; list[i]; i++) {
		if (streq(word, list[i]))
			return i;
	}
	return -1;
}

/* "'alow' is no action (allow or deny), did you mean 'allow'?" */
static int unknown(struct msb_err *err, const char *word, const char *kind, const char *const *list)
{
	const char *near = nearest(word, list);
	char quoted[QUOTED];
	char all[80] = "";
	size_t at = 0;
	int r;

	for (size_t i = 0; list[i] && at < sizeof(all); i++)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s",
			i ? (list[i + 1] ? ", " : " or ") : "", list[i]);
	r = msb_err_usage(err, "%s is no %s", quote(quoted, word), kind);
	if (near)
		return msb_err_hint(err, r, "did you mean '%s'? It is one of %s", near, all);
	return msb_err_hint(err, r, "write %s", all);
}

int policy_action_parse(const char *text, uint8_t *ret, struct msb_err *err)
{
	int i = lookup(text, actions);

	if (i < 0)
		return unknown(err, text, "action", actions);
	*ret = i == 0 ? POLICY_ALLOW : POLICY_DENY;
	return 0;
}

static bool is_number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && s[n] == '\0';
}

static bool looks_like_ports(const char *s)
{
	size_t n = strspn(s, "0123456789-");

	return s[0] >= '0' && s[0] <= '9' && s[n] == '\0';
}

/* What inet_aton() and browsers read as (the end of) an address: 300, 0x7f, 017. */
static bool label_is_numeric(const char *label, size_t len)
{
	size_t i = 0;

	if (len >= 2 && label[0] == '0' && label[1] == 'x') {
		for (i = 2; i < len; i++) {
			if (!strchr("0123456789abcdef", label[i]))
				return false;
		}
		return true;
	}
	while (i < len && label[i] >= '0' && label[i] <= '9')
		i++;
	return i == len;
}

static int check_label(const char *name, const char *label, size_t len, struct msb_err *err)
{
	char quoted[QUOTED];

	if (len == 0)
		return msb_err_usage(err, "%s has an empty label", quote(quoted, name));
	if (len > 63)
		return msb_err_usage(
			err, "%s has a label of more than 63 bytes", quote(quoted, name));
	if (label[0] == '-' || label[len - 1] == '-')
		return msb_err_usage(
			err, "%s has a label that begins or ends with '-'", quote(quoted, name));
	return 0;
}

static int check_bytes(const char *name, struct msb_err *err)
{
	char quoted[QUOTED];
	int r;

	for (const char *c = name; *c; c++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *c))
			continue;
		if (*c == '*') {
			r = msb_err_usage(err, "%s: '*' stands for whole labels in front only",
				quote(quoted, name));
			return msb_err_hint(err, r, "write *.SUFFIX");
		}
		r = msb_err_usage(err, "%s is no host name", quote(quoted, name));
		if ((unsigned char)*c >= 0x80)
			return msb_err_hint(err, r, "write names of other scripts as xn--...");
		return r;
	}
	return 0;
}

int policy_name_parse(const char *text, size_t len, char ret[POLICY_NAME_MAX], struct msb_err *err)
{
	char name[POLICY_NAME_MAX];
	char quoted[QUOTED];
	const char *label;
	int r;

	if (len && text[len - 1] == '.')
		len--;
	if (len == 0)
		return msb_err_usage(err, "a name is missing");
	if (len >= sizeof(name))
		return msb_err_usage(err, "a name has at most %d bytes", POLICY_NAME_MAX - 1);
	for (size_t i = 0; i < len; i++)
		name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
	name[len] = '\0';
	if (strlen(name) != len)
		return msb_err_usage(err, "a name has no NUL in it");
	r = check_bytes(name, err);
	label = name;
	while (r == 0) {
		size_t n = strcspn(label, ".");

		r = check_label(name, label, n, err);
		if (r == 0 && label[n] == '\0') {
			if (label_is_numeric(label, n))
				return msb_err_usage(err,
					"%s is neither an IPv4 address nor a host name",
					quote(quoted, name));
			break;
		}
		label += n + 1;
	}
	if (r == 0)
		memcpy(ret, name, len + 1);
	return r;
}

static unsigned int count_dots(const char *s)
{
	unsigned int n = 0;

	for (; *s; s++)
		n += *s == '.';
	return n;
}

static int parse_name(
	const char *text, enum policy_target target, struct policy_rule *ret, struct msb_err *err)
{
	int r = policy_name_parse(text, strlen(text), ret->name, err);

	if (r < 0)
		return r;
	ret->target = (uint8_t)target;
	if (target == POLICY_SUFFIX && count_dots(ret->name) == 0) {
		r = msb_err_usage(err, "suffix '%.80s' is too broad: it needs two labels at least",
			ret->name);
		return msb_err_hint(err, r, "write e.g. *.example.%.63s", ret->name);
	}
	return 0;
}

/* ADDRESS[/LEN]; @text is cut in pieces. */
static int parse_net(
	char *text, enum net_family family, struct policy_rule *ret, struct msb_err *err)
{
	const char *kind = family == NET_V4 ? "IPv4" : "IPv6";
	unsigned int bits = family == NET_V4 ? 32 : 128;
	char *slash = strchr(text, '/');
	struct net_addr a;
	char quoted[QUOTED];
	uint32_t len = bits;

	if (slash)
		*slash++ = '\0';
	if (net_addr_parse(text, &a) < 0 || a.family != family)
		return msb_err_usage(err, "%s is no %s address", quote(quoted, text), kind);
	if (slash && str_to_u32(slash, 0, bits, &len) < 0)
		return msb_err_usage(err, "%s is no length of a prefix of %s (0-%u)",
			quote(quoted, slash), kind, bits);
	if (net_addr_unmap(&a).family != a.family && len >= 96) {
		a = net_addr_unmap(&a);
		len -= 96;
	}
	net_addr_mask(&a, len);
	ret->target = POLICY_NET;
	ret->net = a;
	ret->bits = (uint8_t)len;
	return 0;
}

static bool parse_keyword(const char *text, struct policy_rule *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++) {
		if (!streq(text, keywords[i].word))
			continue;
		ret->target = keywords[i].target;
		if (keywords[i].class < NET_CLASS_COUNT)
			ret->group = keywords[i].class;
		return true;
	}
	return false;
}

static int bare_label(const char *text, struct msb_err *err)
{
	const char *words[ARRAY_SIZE(keywords) + 1];
	char quoted[QUOTED];
	const char *near;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		words[i] = keywords[i].word;
	words[ARRAY_SIZE(keywords)] = NULL;
	near = nearest(text, words);
	r = msb_err_usage(err, "%s is neither a group nor a name with a dot", quote(quoted, text));
	if (near)
		return msb_err_hint(
			err, r, "did you mean '%s'? A host name is domain=%.60s", near, text);
	return msb_err_hint(err, r, "write domain=%.60s if it is the name of a host", text);
}

static bool looks_like_v4(const char *text)
{
	return text[0] >= '0' && text[0] <= '9' && text[strspn(text, "0123456789./")] == '\0' &&
	       strpbrk(text, "./");
}

static int parse_target(char *text, struct policy_rule *ret, struct msb_err *err)
{
	char quoted[QUOTED];

	if (text[0] == '\0')
		return msb_err_usage(err, "the target behind '@' is missing");
	if (parse_keyword(text, ret))
		return 0;
	if (str_starts(text, "domain="))
		return parse_name(text + strlen("domain="), POLICY_DOMAIN, ret, err);
	if (str_starts(text, "suffix=")) {
		text += strlen("suffix=");
		return parse_name(text + (str_starts(text, "*.") ? 2 : 0), POLICY_SUFFIX, ret, err);
	}
	if (str_starts(text, "*."))
		return parse_name(text + 2, POLICY_SUFFIX, ret, err);
	if (looks_like_v4(text))
		return parse_net(text, NET_V4, ret, err);
	if (strchr(text, '='))
		return msb_err_hint(err, msb_err_usage(err, "%s is no target", quote(quoted, text)),
			"names are domain=NAME or suffix=SUFFIX");
	if (strchr(text, '.'))
		return parse_name(text, POLICY_DOMAIN, ret, err);
	if (text[strcspn(text, "/*")])
		return msb_err_usage(err, "%s is no target", quote(quoted, text));
	return bare_label(text, err);
}

static int parse_proto(
	const char *text, const char *target, struct policy_rule *ret, struct msb_err *err)
{
	int i = lookup(text, protos);
	char quoted[QUOTED];
	int r;

	if (i >= 0) {
		ret->protos = (uint8_t)(i < POLICY_PROTO_COUNT ? 1u << i : 0);
		return 0;
	}
	if (looks_like_ports(text)) {
		r = msb_err_usage(err, "%s stands where the protocol belongs", quote(quoted, text));
		return msb_err_hint(err, r, "write %.100s:tcp:%.12s", target, text);
	}
	if (streq(text, "icmp")) {
		r = msb_err_usage(err, "'icmp' is no protocol");
		return msb_err_hint(err, r, "write icmpv4 or icmpv6");
	}
	if (text[0] == '\0')
		return msb_err_usage(err, "the protocol behind ':' is missing");
	return unknown(err, text, "protocol", protos);
}

static int parse_ports(char *text, struct policy_rule *ret, struct msb_err *err)
{
	char quoted[QUOTED];
	uint32_t lo;
	uint32_t hi;
	char *dash;
	int r;

	if (streq(text, "any"))
		return 0;
	str_quote(quoted, sizeof(quoted), text, strlen(text));
	dash = strchr(text, '-');
	if (dash)
		*dash++ = '\0';
	if (!is_number(text) || (dash && !is_number(dash))) {
		r = msb_err_usage(err, "%s is no port", quoted);
		return msb_err_hint(err, r, "write N, LO-HI or any");
	}
	if (str_to_u32(text, 1, PORT_MAX, &lo) < 0 ||
		str_to_u32(dash ? dash : text, 1, PORT_MAX, &hi) < 0)
		return msb_err_usage(err, "port %s is not between 1 and %d", quoted, PORT_MAX);
	if (lo > hi) {
		r = msb_err_usage(err, "ports %s run backwards", quoted);
		return msb_err_hint(err, r, "write %u-%u", hi, lo);
	}
	ret->port_lo = (uint16_t)lo;
	ret->port_hi = (uint16_t)hi;
	return 0;
}

/* What the parts mean together. */
static int check_rule(struct policy_rule *r, struct msb_err *err)
{
	const uint8_t icmp = 1u << POLICY_ICMPV4 | 1u << POLICY_ICMPV6;
	bool egress_only = r->directions == 1u << POLICY_EGRESS;

	if ((r->protos & icmp) && r->port_lo)
		return msb_err_usage(err, "ICMP has no ports");
	if ((r->protos & icmp) && !egress_only)
		return msb_err_usage(
			err, "ICMP comes in for nobody: such a rule is for egress only");
	if (r->target == POLICY_DNS) {
		if (!egress_only)
			return msb_err_usage(err, "target dns is for egress only");
		if (r->protos & icmp)
			return msb_err_usage(err, "target dns is tcp and udp");
		if (r->port_lo && (r->port_lo != 53 || r->port_hi != 53))
			return msb_err_usage(err, "target dns is port 53");
		r->port_lo = r->port_hi = 0;
	}
	if ((r->target == POLICY_DOMAIN || r->target == POLICY_SUFFIX) && !egress_only) {
		(void)msb_err_usage(err,
			"who connects has an address and no name: such a rule is for "
			"egress only");
		return msb_err_hint(err, -EINVAL, "write an address or a group");
	}
	return 0;
}

static int parse_direction(const char *text, struct policy_rule *ret, struct msb_err *err)
{
	int i = lookup(text, directions);

	if (i < 0)
		return unknown(err, text, "direction", directions);
	ret->directions = (uint8_t)(i == 2 ? 1u << POLICY_EGRESS | 1u << POLICY_INGRESS : 1u << i);
	return 0;
}

static int parse_head(char *head, struct policy_rule *ret, struct msb_err *err)
{
	char *colon = strchr(head, ':');
	int r;

	if (colon)
		*colon++ = '\0';
	r = policy_action_parse(head, &ret->action, err);
	if (r == 0 && colon)
		r = parse_direction(colon, ret, err);
	return r;
}

/* Behind the target: ":proto", ":proto:ports" or nothing. @shown is the target for hints. */
static int parse_tail(char *tail, const char *shown, struct policy_rule *ret, struct msb_err *err)
{
	char *ports = NULL;
	char *more = NULL;
	char quoted[QUOTED];
	int r;

	if (!tail)
		return 0;
	ports = strchr(tail, ':');
	if (ports)
		*ports++ = '\0';
	r = parse_proto(tail, shown, ret, err);
	if (r < 0 || !ports)
		return r;
	more = strchr(ports, ':');
	if (more)
		return msb_err_usage(err, "%s is too much behind the ports", quote(quoted, more));
	return parse_ports(ports, ret, err);
}

static bool is_bare_v6(const char *text)
{
	char copy[FIELD_MAX];
	struct net_addr a;

	if (str_copy(copy, sizeof(copy), text) < 0)
		return false;
	copy[strcspn(copy, "/")] = '\0';
	return net_addr_parse(copy, &a) == 0 && a.family == NET_V6;
}

static int parse_bracketed(char *text, struct policy_rule *ret, struct msb_err *err)
{
	char *end = strchr(text, ']');
	char shown[FIELD_MAX];
	char quoted[QUOTED];
	int r;

	if (!end) {
		r = msb_err_usage(err, "%s: the bracket is not closed", quote(quoted, text));
		return msb_err_hint(err, r, "write [ADDRESS] or [ADDRESS/LEN]");
	}
	if (end[1] != '\0' && end[1] != ':')
		return msb_err_usage(
			err, "%s behind the bracket is no ':PROTO'", quote(quoted, end + 1));
	if (snprintf(shown, sizeof(shown), "%.*s", (int)(end + 1 - text), text) < 0)
		shown[0] = '\0';
	*end = '\0';
	r = parse_net(text + 1, NET_V6, ret, err);
	if (r < 0)
		return r;
	return parse_tail(end[1] == ':' ? end + 2 : NULL, shown, ret, err);
}

static int parse_body(char *body, struct policy_rule *ret, struct msb_err *err)
{
	char quoted[QUOTED];
	char shown[FIELD_MAX];
	char *colon;
	int r;

	if (body[0] == '[')
		return parse_bracketed(body, ret, err);
	if (is_bare_v6(body)) {
		r = msb_err_usage(
			err, "%s: an IPv6 address stands in brackets", quote(quoted, body));
		return msb_err_hint(err, r, "write [%.60s]", body);
	}
	colon = strchr(body, ':');
	if (colon)
		*colon++ = '\0';
	r = str_copy(shown, sizeof(shown), body);
	if (r < 0)
		return msb_err_usage(err, "%s is too long", quote(quoted, body));
	r = parse_target(body, ret, err);
	return r < 0 ? r : parse_tail(colon, shown, ret, err);
}

static int parse_token(char *text, struct policy_rule *ret, struct msb_err *err)
{
	struct policy_rule rule = {.directions = 1u << POLICY_EGRESS};
	char *at = strchr(text, '@');
	int r;

	if (text[0] == '\0')
		return msb_err_usage(err, "a rule is missing");
	if (!at) {
		r = msb_err_usage(err, "'@' and a target are missing");
		return msb_err_hint(err, r, "write e.g. allow@example.com:tcp:443");
	}
	*at++ = '\0';
	r = parse_head(text, &rule, err);
	if (r == 0)
		r = parse_body(at, &rule, err);
	if (r == 0)
		r = check_rule(&rule, err);
	if (r == 0)
		*ret = rule;
	return r;
}

int policy_rule_parse(const char *text, size_t len, struct policy_rule *ret, struct msb_err *err)
{
	char copy[POLICY_RULE_TEXT];
	char quoted[QUOTED];
	int r;

	while (len && text[0] == ' ') {
		text++;
		len--;
	}
	while (len && text[len - 1] == ' ')
		len--;
	str_quote(quoted, sizeof(quoted), text, len);
	if (len >= sizeof(copy))
		return msb_err_usage(
			err, "rule %s is longer than %d bytes", quoted, POLICY_RULE_TEXT - 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strlen(copy) != len)
		return msb_err_usage(err, "rule %s has a NUL in it", quoted);
	r = parse_token(copy, ret, err);
	return r < 0 ? msb_err_prefix(err, r, "rule %s", quoted) : 0;
}

int policy_rules_parse(struct policy *p, uint32_t *at, const char *text, struct msb_err *err)
{
	for (;;) {
		size_t len = strcspn(text, ",");
		struct policy_rule rule;
		int r = policy_rule_parse(text, len, &rule, err);

		if (r < 0)
			return r;
		r = policy_insert(p, *at, &rule);
		if (r == -E2BIG)
			return msb_err_set(
				err, r, MSB_LIMIT, "more than %d rules", POLICY_RULES_MAX);
		if (r < 0)
			return msb_err_errno(err, r, "reading the rules");
		++*at;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

static void target_text(const struct policy_rule *r, char to[FIELD_MAX])
{
	char addr[NET_ADDR_TEXT];
	bool whole = r->bits == net_addr_len(&r->net) * 8;
	bool v6 = r->net.family == NET_V6;
	struct policy_rule scratch = {0};
	int n = -1;

	switch ((enum policy_target)r->target) {
	case POLICY_ANY:
		n = snprintf(to, FIELD_MAX, "any");
		break;
	case POLICY_DNS:
		n = snprintf(to, FIELD_MAX, "dns");
		break;
	case POLICY_GROUP:
		n = snprintf(to, FIELD_MAX, "%s", net_class_name((enum net_class)r->group));
		break;
	case POLICY_NET:
		net_addr_text(&r->net, addr);
		n = whole ? snprintf(to, FIELD_MAX, "%s%s%s", v6 ? "[" : "", addr, v6 ? "]" : "")
			  : snprintf(to, FIELD_MAX, "%s%s/%u%s", v6 ? "[" : "", addr, r->bits,
				    v6 ? "]" : "");
		break;
	case POLICY_DOMAIN:
		n = snprintf(to, FIELD_MAX, "%s%s",
			!strchr(r->name, '.') || parse_keyword(r->name, &scratch) ? "domain=" : "",
			r->name);
		break;
	case POLICY_SUFFIX:
		n = snprintf(to, FIELD_MAX, "*.%s", r->name);
		break;
	}
	if (n < 0)
		to[0] = '\0';
}

static const char *proto_text(const struct policy_rule *r)
{
	for (unsigned int i = 0; i < POLICY_PROTO_COUNT; i++) {
		if (r->protos == 1u << i)
			return protos[i];
	}
	return "any";
}

const char *policy_rule_text(const struct policy_rule *r, char *to, size_t size)
{
	static const char *const direction_texts[] = {"", "", ":ingress", ":any"};
	char target[FIELD_MAX];
	char tail[32] = "";
	int n = 0;

	target_text(r, target);
	if (r->port_lo && r->port_lo == r->port_hi)
		n = snprintf(tail, sizeof(tail), ":%s:%u", proto_text(r), r->port_lo);
	else if (r->port_lo)
		n = snprintf(
			tail, sizeof(tail), ":%s:%u-%u", proto_text(r), r->port_lo, r->port_hi);
	else if (r->protos)
		n = snprintf(tail, sizeof(tail), ":%s", proto_text(r));
	if (n < 0 || snprintf(to, size, "%s%s@%s%s", actions[r->action == POLICY_DENY],
			     direction_texts[r->directions & 3u], target, tail) < 0)
		to[0] = '\0';
	return to;
}
