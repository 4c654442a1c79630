/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision: see policy.h.
 *
 * A rule about a name may match, not match, or not know yet. The walk notes every rule that does
 * not know and goes on; when the first rule that knows (or the default) says the same as all of
 * those, it does not matter, otherwise the flow has to be looked into.
 */
#include "net/policy/policy.h"

#include "net/policy/bypass.h"
#include "net/policy/rule.h"

enum match { MATCH_NO, MATCH_YES, MATCH_MAYBE };

/* What the rules are compared with: the query with everything worked out once. */
struct subject {
	const struct policy *p;
	const struct policy_query *q;
	struct net_addr addr; /* unmapped */
	struct net_addr inner[NET_EMBEDDED_MAX];
	size_t n_inner;
	enum net_class class;
};

static bool is_gateway(const struct policy *p, const struct net_addr *a)
{
	return (p->gateway4.family && net_addr_equal(a, &p->gateway4)) ||
	       (p->gateway6.family && net_addr_equal(a, &p->gateway6));
}

static void subject_init(struct subject *s, const struct policy *p, const struct policy_query *q)
{
	*s = (struct subject){.p = p, .q = q, .addr = net_addr_unmap(&q->addr)};
	s->n_inner = net_addr_embedded(&s->addr, s->inner);
	s->class = is_gateway(p, &s->addr) ? NET_CLASS_HOST : net_addr_class(&s->addr);
}

static bool has_ports(enum policy_proto proto)
{
	return proto == POLICY_TCP || proto == POLICY_UDP;
}

static bool match_ports(const struct policy_rule *r, enum policy_proto proto, uint16_t port)
{
	if (r->protos && !(r->protos & (1u << proto)))
		return false;
	if (r->port_lo == 0 && r->port_hi == 0)
		return true;
	return has_ports(proto) && port >= r->port_lo && port <= r->port_hi;
}

static bool match_net(const struct policy_rule *r, const struct subject *s)
{
	if (net_addr_in(&s->addr, &r->net, r->bits))
		return true;
	/*
	 * Whoever forbids 10/8 forbids every way to write it. Allowing it opens only the way that
	 * has one meaning.
	 */
	if (r->action == POLICY_ALLOW && s->n_inner != 1)
		return false;
	for (size_t i = 0; i < s->n_inner; i++) {
		if (net_addr_in(&s->inner[i], &r->net, r->bits))
			return true;
	}
	return false;
}

bool policy_name_matches(const struct policy_rule *r, const char *name)
{
	size_t len = strlen(name);
	size_t suffix = strlen(r->name);

	if (len == suffix)
		return memcmp(name, r->name, len) == 0;
	return r->target == POLICY_SUFFIX && len > suffix && name[len - suffix - 1] == '.' &&
	       memcmp(name + len - suffix, r->name, suffix) == 0;
}

static size_t count_pins(const struct policy_rule *r, const struct policy_query *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->n_names; i++)
		n += policy_name_matches(r, q->names[i]);
	return n;
}

static enum match match_allowed_name(const struct policy_rule *r, const struct subject *s)
{
	const struct policy_query *q = s->q;
	bool peekable = q->proto == POLICY_TCP;

	if (count_pins(r, q) == 0)
		return MATCH_NO;
	if (peekable && !q->inspected)
		return MATCH_MAYBE;
	if (s->p->strict && (!peekable || !q->authority || q->hidden))
		return MATCH_NO;
	if (peekable && q->authority)
		return policy_name_matches(r, q->authority) ? MATCH_YES : MATCH_NO;
	return MATCH_YES;
}

static enum match match_denied_name(const struct policy_rule *r, const struct subject *s)
{
	const struct policy_query *q = s->q;
	size_t pins = count_pins(r, q);

	if (pins && pins == q->n_names)
		return MATCH_YES;
	if (q->proto != POLICY_TCP)
		return pins ? MATCH_YES : MATCH_NO;
	if (!q->inspected)
		return MATCH_MAYBE;
	if (q->authority && policy_name_matches(r, q->authority))
		return MATCH_YES;
	/* One of several names, and the flow does not say which. */
	return pins && (!q->authority || q->hidden) ? MATCH_YES : MATCH_NO;
}

static enum match match_rule(const struct policy_rule *r, const struct subject *s)
{
	const struct policy_query *q = s->q;
	bool hit = false;

	if (!(r->directions & (1u << q->direction)) || !match_ports(r, q->proto, q->port))
		return MATCH_NO;
	switch ((enum policy_target)r->target) {
	case POLICY_ANY:
		hit = true;
		break;
	case POLICY_GROUP:
		hit = s->class == (enum net_class)r->group;
		break;
	case POLICY_DNS:
		hit = s->class == NET_CLASS_HOST && has_ports(q->proto) && q->port == 53;
		break;
	case POLICY_NET:
		hit = match_net(r, s);
		break;
	case POLICY_DOMAIN:
	case POLICY_SUFFIX:
		/* Peers that come in have no name we could believe. */
		if (q->direction != POLICY_EGRESS)
			return MATCH_NO;
		return r->action == POLICY_ALLOW ? match_allowed_name(r, s)
						 : match_denied_name(r, s);
	}
	return hit ? MATCH_YES : MATCH_NO;
}

static const char *action_text(enum policy_action a)
{
	return a == POLICY_ALLOW ? "allowed" : a == POLICY_DENY ? "denied" : "to be inspected";
}

static void append(struct policy_verdict *v, const char *fmt, ...) MSB_PRINTF(2, 3);
static void append(struct policy_verdict *v, const char *fmt, ...)
{
	size_t at = strlen(v->text);
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(v->text + at, sizeof(v->text) - at, fmt, ap) < 0)
		v->text[at] = '\0';
	va_end(ap);
}

/*
 * Does an allowed flow look names up past us? Where that would matter, a rule has to mean it: one
 * with the port, or for DNS over HTTPS one with the address or the name.
 */
static const char *evades(const struct policy *p, const struct subject *s, int rule)
{
	const struct policy_query *q = s->q;
	const struct policy_rule *r = rule < 0 ? NULL : &p->rules[rule];

	if (q->direction != POLICY_EGRESS)
		return NULL;
	if (bypass_port(q->proto, q->port))
		return r && r->port_lo ? NULL
				       : ": names are looked up at the gateway only, "
					 "unless a rule allows this port";
	if (!has_ports(q->proto) || q->port != 443 || !policy_needs_names(p))
		return NULL;
	if (r && (r->target == POLICY_NET || r->target == POLICY_DOMAIN ||
			 r->target == POLICY_SUFFIX))
		return NULL;
	if (bypass_address(&s->addr) || (q->authority && bypass_name(q->authority)))
		return ": DNS over HTTPS would go around the rules about names";
	return NULL;
}

/* The fence around the rules of a tenant: is the address, and all it may hide, public? */
static const char *outside(const struct policy *p, const struct subject *s)
{
	const struct policy_query *q = s->q;
	bool inside = s->class == NET_CLASS_PUBLIC;

	if (!p->public_only || q->direction != POLICY_EGRESS)
		return NULL;
	if (s->class == NET_CLASS_HOST && has_ports(q->proto) && q->port == 53)
		return NULL;
	for (size_t i = 0; i < s->n_inner; i++)
		inside = inside && net_addr_class(&s->inner[i]) == NET_CLASS_PUBLIC;
	return inside ? NULL : ": the deployment profile lets only public addresses be reached";
}

static void append_why(struct policy_verdict *v, const struct policy *p, enum policy_direction dir)
{
	char rule[POLICY_RULE_TEXT];

	if (v->rule < 0) {
		append(v, " by default (no rule for %s matches)", policy_direction_name(dir));
		return;
	}
	append(v, " by rule %d '%s'", v->rule + 1,
		policy_rule_text(&p->rules[v->rule], rule, sizeof(rule)));
}

static void describe(struct policy_verdict *v, const struct subject *s, const char *why)
{
	const struct policy_query *q = s->q;
	char text[NET_ADDR_TEXT];
	bool v6 = s->addr.family == NET_V6;

	v->text[0] = '\0';
	append(v, "%s %s %s%s%s", policy_direction_name(q->direction), policy_proto_name(q->proto),
		v6 ? "[" : "", net_addr_text(&s->addr, text), v6 ? "]" : "");
	if (has_ports(q->proto))
		append(v, ":%u", q->port);
	if (q->authority)
		append(v, " (%s, %.80s)", net_class_name(s->class), q->authority);
	else if (q->n_names)
		append(v, " (%s, %.80s)", net_class_name(s->class), q->names[0]);
	else
		append(v, " (%s)", net_class_name(s->class));
	append(v, ": %s", action_text(v->action));
	if (why)
		append(v, "%s", why);
	else
		append_why(v, s->p, q->direction);
	if (q->hidden && v->action == POLICY_DENY)
		append(v, ", the server's name is encrypted");
}

void policy_decide(const struct policy *p, const struct policy_query *q, struct policy_verdict *ret)
{
	struct subject s;
	int maybe = -1; /* first rule that does not know */
	bool agree = true; /* all of those want the same */
	const char *why;

	subject_init(&s, p, q);
	*ret = (struct policy_verdict){.action = (enum policy_action)p->defaults[q->direction],
		.rule = -1,
		.class = s.class};
	for (uint32_t i = 0; i < p->n_rules; i++) {
		enum match m = match_rule(&p->rules[i], &s);

		if (m == MATCH_MAYBE) {
			agree = agree &&
				(maybe < 0 || p->rules[i].action == p->rules[maybe].action);
			maybe = maybe < 0 ? (int)i : maybe;
		} else if (m == MATCH_YES) {
			ret->action = (enum policy_action)p->rules[i].action;
			ret->rule = (int)i;
			break;
		}
	}
	if (maybe >= 0 && !(agree && ret->action == (enum policy_action)p->rules[maybe].action)) {
		ret->action = POLICY_INSPECT;
		ret->rule = maybe;
	}
	why = ret->action == POLICY_ALLOW ? evades(p, &s, ret->rule) : NULL;
	if (!why && ret->action != POLICY_DENY)
		why = outside(p, &s);
	if (why) {
		ret->action = POLICY_DENY;
		ret->rule = -1;
	}
	describe(ret, &s, why);
}

/* Lookups are judged by the name alone; only what speaks of everything, or of the gateway, also
 * counts. */
static bool name_rule_matches(
	const struct policy_rule *r, const char *name, enum policy_proto proto)
{
	if (!(r->directions & (1u << POLICY_EGRESS)))
		return false;
	switch ((enum policy_target)r->target) {
	case POLICY_ANY:
	case POLICY_DNS:
		return match_ports(r, proto, 53);
	case POLICY_GROUP:
		return r->group == NET_CLASS_HOST && match_ports(r, proto, 53);
	case POLICY_DOMAIN:
	case POLICY_SUFFIX:
		return policy_name_matches(r, name);
	case POLICY_NET:
		break;
	}
	return false;
}

/* Whoever wrote rules about names does not want them gone around; a rule with this name may. */
static const char *name_evades(
	const struct policy *p, const char *name, const struct policy_verdict *v)
{
	if (v->action != POLICY_ALLOW || !bypass_name(name) || !policy_needs_names(p))
		return NULL;
	if (v->rule >= 0 && (p->rules[v->rule].target == POLICY_DOMAIN ||
				    p->rules[v->rule].target == POLICY_SUFFIX))
		return NULL;
	return ": a resolver that would go around the rules about names";
}

void policy_decide_name(const struct policy *p, const char *name, enum policy_proto proto,
	struct policy_verdict *ret)
{
	const char *why;

	*ret = (struct policy_verdict){.action = (enum policy_action)p->defaults[POLICY_EGRESS],
		.rule = -1,
		.class = NET_CLASS_HOST};
	for (uint32_t i = 0; i < p->n_rules; i++) {
		if (!name_rule_matches(&p->rules[i], name, proto))
			continue;
		ret->action = (enum policy_action)p->rules[i].action;
		ret->rule = (int)i;
		break;
	}
	why = name_evades(p, name, ret);
	if (why) {
		ret->action = POLICY_DENY;
		ret->rule = -1;
	}
	append(ret, "lookup of %.200s: %s", name, action_text(ret->action));
	if (why)
		append(ret, "%s", why);
	else
		append_why(ret, p, POLICY_EGRESS);
}

bool policy_allows_explicitly(const struct policy *p, const struct net_addr *addr)
{
	struct policy_query q = {.addr = *addr};
	struct subject s;

	if (p->public_only)
		return false;
	subject_init(&s, p, &q);
	for (uint32_t i = 0; i < p->n_rules; i++) {
		const struct policy_rule *r = &p->rules[i];

		if (!(r->directions & (1u << POLICY_EGRESS)) || r->port_lo || r->port_hi)
			continue;
		if (r->target == POLICY_NET && !match_net(r, &s))
			continue;
		/* Nobody means documentation and benchmark ranges by saying public. */
		if (r->target == POLICY_GROUP &&
			((enum net_class)r->group != s.class || s.class == NET_CLASS_PUBLIC))
			continue;
		if (r->target == POLICY_NET || r->target == POLICY_GROUP)
			return r->action == POLICY_ALLOW;
	}
	return false;
}

bool policy_needs_names(const struct policy *p)
{
	for (uint32_t i = 0; i < p->n_rules; i++) {
		if (p->rules[i].target == POLICY_DOMAIN || p->rules[i].target == POLICY_SUFFIX)
			return true;
	}
	return false;
}

bool policy_is_closed(const struct policy *p)
{
	if (p->defaults[POLICY_EGRESS] == POLICY_ALLOW ||
		p->defaults[POLICY_INGRESS] == POLICY_ALLOW)
		return false;
	for (uint32_t i = 0; i < p->n_rules; i++) {
		if (p->rules[i].action == POLICY_ALLOW)
			return false;
	}
	return true;
}

void policy_init_none(struct policy *p)
{
	*p = (struct policy){.defaults = {POLICY_DENY, POLICY_DENY}};
}

int policy_init(struct policy *p)
{
	static const struct policy_rule rules[] = {
		{.action = POLICY_ALLOW, .directions = 1u << POLICY_EGRESS, .target = POLICY_DNS},
		{.action = POLICY_ALLOW,
			.directions = 1u << POLICY_EGRESS,
			.target = POLICY_GROUP,
			.group = NET_CLASS_PUBLIC},
	};

	*p = (struct policy){.defaults = {POLICY_DENY, POLICY_ALLOW}};
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		int r = policy_add(p, &rules[i]);

		if (r < 0) {
			policy_deinit(p);
			return r;
		}
	}
	return 0;
}

void policy_deinit(struct policy *p)
{
	free(p->rules);
	p->rules = NULL;
	p->n_rules = 0;
}

int policy_insert(struct policy *p, uint32_t at, const struct policy_rule *r)
{
	struct policy_rule *rules;

	assert(at <= p->n_rules);
	if (p->n_rules >= POLICY_RULES_MAX)
		return -E2BIG;
	rules = realloc(p->rules, (p->n_rules + 1) * sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	memmove(rules + at + 1, rules + at, (p->n_rules - at) * sizeof(*rules));
	rules[at] = *r;
	p->rules = rules;
	p->n_rules++;
	return 0;
}

int policy_add(struct policy *p, const struct policy_rule *r)
{
	return policy_insert(p, p->n_rules, r);
}

int policy_copy(struct policy *to, const struct policy *from)
{
	struct policy_rule *rules = NULL;

	if (from->n_rules) {
		rules = calloc(from->n_rules, sizeof(*rules));
		if (!rules)
			return -ENOMEM;
		memcpy(rules, from->rules, from->n_rules * sizeof(*rules));
	}
	policy_deinit(to);
	*to = *from;
	to->rules = rules;
	return 0;
}

const char *policy_proto_name(enum policy_proto proto)
{
	static const char *const names[] = {"tcp", "udp", "icmpv4", "icmpv6"};

	static_assert(ARRAY_SIZE(names) == POLICY_PROTO_COUNT, "a name for every protocol");
	return (unsigned int)proto < POLICY_PROTO_COUNT ? names[proto] : "unknown";
}

const char *policy_direction_name(enum policy_direction direction)
{
	return direction == POLICY_INGRESS ? "ingress" : "egress";
}
