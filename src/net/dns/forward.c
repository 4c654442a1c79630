/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's name server: see forward.h.
 *
 * A slot is free, or waits for one server at a time:
 *
 *   free --query--> waiting --reply--> free (answered)
 *                   waiting --failed, deadline--> waiting for the next server, or free (SERVFAIL)
 *                   waiting --cancel--> free (silently)
 */
#include "net/dns/forward.h"

enum {
	CHAIN_MAX = 16, /* aliases that are followed */
	FORGED_MAX = 32, /* wrong messages on one socket that are put up with */
	ALIAS_TTL = 60,
	HINTS_MAX = 16,
	TYPE_IXFR = 251,
	TYPE_MAILA = 254,
};

struct slot {
	bool waiting;
	bool trusted; /* answers make pins */
	struct dns_client client;
	struct dns_query q;
	uint8_t query[DNS_QUERY_MAX]; /* the guest's, up to the end of the question */
	uint8_t out[DNS_QUERY_OUT_MAX];
	size_t out_len;
	size_t question_len;
	uint16_t id;
	unsigned int forged;
	struct net_peer other; /* the guest's own choice of a server, .addr.family 0: none */
	unsigned int server; /* that is asked, index */
	uint64_t began_ns;
	uint64_t deadline_ns; /* of this server */
};

struct dns_forwarder {
	struct dns_config config;
	const struct policy *policy;
	const struct dns_ops *ops;
	void *arg;
	struct dns_pins *pins;
	unsigned int n_waiting;
	struct slot slots[DNS_PENDING_MAX];
	uint8_t answer[DNS_MESSAGE_MAX];
};

/* What an answer says, as far as anybody cares. */
struct findings {
	bool rebind;
	struct net_addr bad; /* with .rebind */
	bool denied; /* an alias is */
	struct policy_verdict verdict; /* with .denied */
	size_t n_addrs;
	struct net_addr addrs[DNS_EVENT_ADDRS];
};

struct dns_forwarder *dns_forwarder_new(const struct dns_config *config,
	const struct policy *policy, const struct dns_ops *ops, void *arg)
{
	struct dns_forwarder *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->config = *config;
	f->policy = policy;
	f->ops = ops;
	f->arg = arg;
	f->pins = dns_pins_new();
	return f->pins ? f : dns_forwarder_free(f);
}

struct dns_forwarder *dns_forwarder_free(struct dns_forwarder *f)
{
	if (f)
		dns_pins_free(f->pins);
	free(f);
	return NULL;
}

struct dns_pins *dns_forwarder_pins(struct dns_forwarder *f)
{
	return f->pins;
}

static void tell(struct dns_forwarder *f, struct dns_event *e)
{
	if (f->ops->event)
		f->ops->event(f->arg, e);
}

/* An answer without records, and a line in the log. */
static void reply(struct dns_forwarder *f, const struct dns_client *c, const struct dns_query *q,
	const uint8_t *msg, unsigned int rcode, struct dns_event *e)
{
	size_t len = dns_reply_write(msg, q, rcode, false, f->answer);

	e->client = c;
	e->query = q;
	e->rcode = rcode;
	tell(f, e);
	f->ops->answer(f->arg, c, f->answer, len);
}

static bool name_rule_denies(const struct policy *p, const struct policy_verdict *v)
{
	return v->action == POLICY_DENY && v->rule >= 0 &&
	       (p->rules[v->rule].target == POLICY_DOMAIN ||
		       p->rules[v->rule].target == POLICY_SUFFIX);
}

static bool is_gateway(const struct dns_forwarder *f, const struct net_addr *a)
{
	struct net_addr to = net_addr_unmap(a);

	return net_addr_equal(&to, &f->policy->gateway4) ||
	       net_addr_equal(&to, &f->policy->gateway6);
}

/*
 * May this query be sent on? @trusted: will its answer be believed as to what a name is. The
 * guest's own choice of a resolver is not: it could be the guest's accomplice. It is if the user
 * has written that address into a rule.
 */
static bool allowed(struct dns_forwarder *f, uint64_t now_ns, const struct dns_client *c,
	const struct dns_query *q, bool *trusted, struct policy_verdict *v)
{
	const char *names[DNS_PIN_NAMES_MAX];
	struct policy_query flow = {
		.proto = c->tcp ? POLICY_TCP : POLICY_UDP,
		.addr = c->resolver,
		.port = DNS_PORT,
		.names = names,
		.inspected = true,
	};

	*trusted = true;
	policy_decide_name(f->policy, q->name.text, flow.proto, v);
	if (is_gateway(f, &c->resolver))
		return v->action == POLICY_ALLOW;
	if (name_rule_denies(f->policy, v))
		return false;
	if (f->config.gateway_only) {
		v->action = POLICY_DENY;
		v->rule = -1;
		(void)snprintf(v->text, sizeof(v->text),
			"lookup of %.254s: denied: only the gateway is asked where there is a "
			"proxy",
			q->name.text);
		return false;
	}
	flow.n_names = dns_pins_find(f->pins, now_ns, &c->resolver, names, ARRAY_SIZE(names));
	policy_decide(f->policy, &flow, v);
	*trusted = v->rule >= 0 && f->policy->rules[v->rule].target == POLICY_NET;
	return v->action == POLICY_ALLOW;
}

/* The host by its own name; also where the guest asked another resolver. */
static void answer_alias(struct dns_forwarder *f, uint64_t now_ns, const struct dns_client *c,
	const struct dns_query *q, const uint8_t *msg)
{
	const struct net_addr *a = q->type == DNS_A	 ? &f->policy->gateway4
				   : q->type == DNS_AAAA ? &f->policy->gateway6
							 : NULL;
	struct dns_event e = {
		.outcome = DNS_LOCAL, .client = c, .query = q, .text = "this sandbox's gateway"};
	size_t len = dns_reply_write(msg, q, DNS_NOERROR, false, f->answer);

	if (a && a->family) {
		len = dns_reply_address(f->answer, len, a, ALIAS_TTL);
		dns_pins_add(f->pins, now_ns, q->name.text, a, ALIAS_TTL);
		e.addrs[e.n_addrs++] = *a;
	}
	tell(f, &e);
	f->ops->answer(f->arg, c, f->answer, len);
}

/* Types that get an empty answer, and why. */
static const char *withheld(const struct dns_forwarder *f, uint16_t type)
{
	if (type == DNS_A && !f->config.has_v4)
		return "the sandbox has no IPv4";
	if (type == DNS_AAAA && !f->config.has_v6)
		return "the sandbox has no IPv6";
	if ((type == DNS_HTTPS || type == DNS_SVCB) && policy_needs_names(f->policy))
		return "rules about names need readable ClientHellos";
	return NULL;
}

static unsigned int server_count(const struct dns_forwarder *f, const struct slot *s)
{
	return s->other.addr.family ? 1 : f->config.n_servers;
}

static const struct net_peer *server_of(const struct dns_forwarder *f, const struct slot *s)
{
	return s->other.addr.family ? &s->other : &f->config.servers[s->server];
}

static void release(struct dns_forwarder *f, struct slot *s)
{
	s->waiting = false;
	f->n_waiting--;
	f->ops->done(f->arg, (unsigned int)(s - f->slots));
}

static void give_up(struct dns_forwarder *f, uint64_t now_ns, struct slot *s, const char *why)
{
	struct dns_event e = {.outcome = DNS_FAILED, .text = why};

	if (server_count(f, s))
		e.server = server_of(f, s);
	e.took_ns = now_ns - s->began_ns;
	release(f, s);
	reply(f, &s->client, &s->q, s->query, DNS_SERVFAIL, &e);
}

/* Asks servers from number @s->server on, until one can be asked. */
static void ask(struct dns_forwarder *f, uint64_t now_ns, struct slot *s)
{
	unsigned int n = server_count(f, s);
	uint64_t share;
	uint8_t coins[32];
	uint16_t id;

	for (; s->server < n; s->server++) {
		f->ops->random(f->arg, &id, sizeof(id));
		f->ops->random(f->arg, coins, sizeof(coins));
		s->id = id;
		s->forged = 0;
		s->out_len = dns_query_write(&s->q, id, f->config.mix_case ? coins : NULL, s->out);
		share = f->config.timeout_ms * NSEC_PER_MSEC / n;
		s->deadline_ns = now_ns + share;
		if (f->ops->send(f->arg, (unsigned int)(s - f->slots), server_of(f, s),
			    s->client.tcp, s->out, s->out_len) == 0)
			return;
	}
	s->server = n ? n - 1 : 0;
	give_up(f, now_ns, s, n ? "no name server can be reached" : "no name server is known");
}

static void ask_next(struct dns_forwarder *f, uint64_t now_ns, struct slot *s, const char *why)
{
	if (s->server + 1 >= server_count(f, s)) {
		give_up(f, now_ns, s, why);
		return;
	}
	f->ops->done(f->arg, (unsigned int)(s - f->slots));
	s->server++;
	ask(f, now_ns, s);
}

static struct slot *free_slot(struct dns_forwarder *f)
{
	if (f->n_waiting == DNS_PENDING_MAX)
		return NULL;
	for (size_t i = 0; i < DNS_PENDING_MAX; i++) {
		if (!f->slots[i].waiting)
			return &f->slots[i];
	}
	return NULL;
}

static void send_on(struct dns_forwarder *f, uint64_t now_ns, const struct dns_client *c,
	const struct dns_query *q, const uint8_t *msg, bool trusted)
{
	struct dns_event e = {.outcome = DNS_FAILED, .text = "too many lookups at once"};
	struct slot *s = free_slot(f);

	if (!s) {
		reply(f, c, q, msg, DNS_SERVFAIL, &e);
		return;
	}
	s->waiting = true;
	f->n_waiting++;
	s->client = *c;
	s->q = *q;
	s->trusted = trusted;
	s->server = 0;
	s->began_ns = now_ns;
	s->question_len = q->question_end - DNS_HEADER;
	memcpy(s->query, msg, q->question_end);
	s->other = (struct net_peer){0};
	if (!is_gateway(f, &c->resolver))
		s->other = (struct net_peer){net_addr_unmap(&c->resolver), DNS_PORT};
	ask(f, now_ns, s);
}

/* Forms of queries that are well formed and yet not served. */
static const char *unserved(const struct dns_query *q)
{
	if (!q->name.plain)
		return "the name is not made of letters, digits, '-' and '_'";
	/* OPT and the transfers are no types of records. */
	if (q->type == DNS_OPT || (q->type >= TYPE_IXFR && q->type <= TYPE_MAILA))
		return "queries of this type are not served";
	return NULL;
}

void dns_forwarder_query(struct dns_forwarder *f, uint64_t now_ns, const struct dns_client *client,
	const uint8_t *msg, size_t len)
{
	struct dns_event e = {.outcome = DNS_MALFORMED, .text = "the query is malformed"};
	struct policy_verdict v;
	struct dns_query q;
	const char *why;
	bool trusted;
	int r = dns_query_parse(msg, len, &q);

	if (r < 0)
		return;
	why = r == 0 ? unserved(&q) : e.text;
	if (why) {
		e.text = why;
		reply(f, client, &q, msg, r > 0 ? (unsigned int)r : DNS_REFUSED, &e);
		return;
	}
	if (!allowed(f, now_ns, client, &q, &trusted, &v)) {
		e.outcome = DNS_DENIED;
		e.text = v.text;
		e.rule_number = v.rule + 1;
		reply(f, client, &q, msg, DNS_NXDOMAIN, &e);
		return;
	}
	why = withheld(f, q.type);
	if (why) {
		e.outcome = DNS_LOCAL;
		e.text = why;
		reply(f, client, &q, msg, DNS_NOERROR, &e);
	} else if (streq(q.name.text, POLICY_HOST_ALIAS)) {
		answer_alias(f, now_ns, client, &q, msg);
	} else {
		send_on(f, now_ns, client, &q, msg, trusted);
	}
}

static bool rebinds(const struct dns_forwarder *f, const struct net_addr *a)
{
	return f->config.rebind_protection && net_addr_special(a) &&
	       !policy_allows_explicitly(f->policy, a);
}

static void check_record(struct dns_forwarder *f, const struct dns_answer *a,
	const struct dns_record *r, struct findings *found)
{
	struct net_addr addrs[HINTS_MAX];
	struct dns_name alias;
	size_t n = dns_record_hints(a, r, addrs, ARRAY_SIZE(addrs));

	if (dns_record_address(a, r, &addrs[0]))
		n = 1;
	for (size_t i = 0; i < n; i++) {
		if (!found->rebind && rebinds(f, &addrs[i])) {
			found->rebind = true;
			found->bad = addrs[i];
		}
	}
	if (found->denied || !dns_record_target(a, r, &alias) || !alias.plain)
		return;
	policy_decide_name(f->policy, alias.text, POLICY_UDP, &found->verdict);
	found->denied = name_rule_denies(f->policy, &found->verdict);
}

/* Every record once: is the message whole, is there anything in it that must not be. */
static int check_records(
	struct dns_forwarder *f, const struct dns_answer *answer, struct findings *found)
{
	struct dns_answer a = *answer;
	struct dns_record r;
	int more;

	while ((more = dns_answer_next(&a, &r)) > 0)
		check_record(f, &a, &r, found);
	return more;
}

/* One step of the chain: the alias of @name, which it replaces. */
static bool follow(const struct dns_answer *answer, struct dns_name *name, uint32_t *ttl)
{
	struct dns_answer a = *answer;
	struct dns_record r;
	struct dns_name target;

	while (dns_answer_next(&a, &r) > 0 && r.section == DNS_ANSWER) {
		if (!r.name.plain || !streq(r.name.text, name->text) ||
			!dns_record_target(&a, &r, &target))
			continue;
		*name = target;
		*ttl = MIN(*ttl, r.ttl);
		return true;
	}
	return false;
}

/* Binds what was asked for to the addresses at the end of the chain. */
static void pin(struct dns_forwarder *f, uint64_t now_ns, const struct slot *s,
	const struct dns_answer *answer, struct findings *found)
{
	struct dns_answer a = *answer;
	struct dns_name name = s->q.name;
	struct net_addr addrs[HINTS_MAX];
	struct dns_record r;
	uint32_t ttl = UINT32_MAX;

	for (int i = 0; i < CHAIN_MAX && follow(answer, &name, &ttl); i++)
		;
	while (dns_answer_next(&a, &r) > 0 && r.section == DNS_ANSWER) {
		size_t n;

		if (!streq(r.name.text, name.text) || r.name.plain != name.plain)
			continue;
		n = dns_record_hints(&a, &r, addrs, ARRAY_SIZE(addrs));
		if (dns_record_address(&a, &r, &addrs[0]))
			n = 1;
		for (size_t i = 0; i < n; i++) {
			if (s->trusted)
				dns_pins_add(f->pins, now_ns, s->q.name.text, &addrs[i],
					MIN(ttl, r.ttl));
			if (found->n_addrs < DNS_EVENT_ADDRS)
				found->addrs[found->n_addrs++] = addrs[i];
		}
	}
}

/* The server's answer with the guest's id and letters, or a short one that sends it to TCP. */
static void hand_on(struct dns_forwarder *f, const struct slot *s, const struct dns_answer *a)
{
	bool too_long = a->truncated || a->len > MIN((size_t)s->q.udp_size, (size_t)DNS_UDP_MAX);
	size_t len = a->len;

	if (!s->client.tcp && too_long) {
		len = dns_reply_write(s->query, &s->q, a->rcode, true, f->answer);
	} else {
		memcpy(f->answer, a->msg, len);
		memcpy(f->answer, s->query, 2);
		memcpy(f->answer + DNS_HEADER, s->query + DNS_HEADER, s->question_len);
	}
	f->ops->answer(f->arg, &s->client, f->answer, len);
}

/* A verdict on the answer; @s is free afterwards. */
static void deliver(struct dns_forwarder *f, uint64_t now_ns, struct slot *s,
	const struct dns_answer *a, struct findings *found)
{
	struct dns_event e = {.outcome = DNS_ANSWERED,
		.query = &s->q,
		.client = &s->client,
		.rcode = a->rcode,
		.server = server_of(f, s),
		.took_ns = now_ns - s->began_ns,
		.text = ""};
	char text[NET_ADDR_TEXT + 64];
	char addr[NET_ADDR_TEXT];

	release(f, s);
	if (found->rebind || found->denied) {
		if (snprintf(text, sizeof(text),
			    "the answer holds %s, an address of no public name",
			    net_addr_text(&found->bad, addr)) < 0)
			text[0] = '\0';
		e.outcome = found->rebind ? DNS_REBIND : DNS_DENIED;
		e.text = found->rebind ? text : found->verdict.text;
		e.rule_number = found->rebind ? 0 : found->verdict.rule + 1;
		reply(f, &s->client, &s->q, s->query, DNS_NXDOMAIN, &e);
		return;
	}
	if (a->rcode == DNS_NOERROR && !a->truncated)
		pin(f, now_ns, s, a, found);
	e.n_addrs = found->n_addrs;
	memcpy(e.addrs, found->addrs, sizeof(e.addrs));
	tell(f, &e);
	hand_on(f, s, a);
}

void dns_forwarder_reply(
	struct dns_forwarder *f, uint64_t now_ns, unsigned int slot, const uint8_t *msg, size_t len)
{
	struct slot *s = &f->slots[slot];
	struct findings found = {0};
	struct dns_answer a;

	assert(slot < DNS_PENDING_MAX);
	if (!s->waiting)
		return;
	if (dns_answer_parse(msg, len, s->out + DNS_HEADER, s->question_len, &a) < 0 ||
		a.id != s->id) {
		if (s->client.tcp || ++s->forged >= FORGED_MAX)
			ask_next(f, now_ns, s, "the name server answers something else");
		return;
	}
	/* What a truncated answer has after its question is no complete set of anything. */
	if (!a.truncated && check_records(f, &a, &found) < 0) {
		ask_next(f, now_ns, s, "the answer is malformed");
		return;
	}
	if (a.truncated && s->client.tcp) {
		ask_next(f, now_ns, s, "the answer is truncated");
		return;
	}
	deliver(f, now_ns, s, &a, &found);
}

void dns_forwarder_failed(struct dns_forwarder *f, uint64_t now_ns, unsigned int slot)
{
	assert(slot < DNS_PENDING_MAX);
	if (f->slots[slot].waiting)
		ask_next(f, now_ns, &f->slots[slot], "no name server answers");
}

void dns_forwarder_cancel(struct dns_forwarder *f, uint64_t cookie)
{
	for (size_t i = 0; i < DNS_PENDING_MAX; i++) {
		if (f->slots[i].waiting && f->slots[i].client.cookie == cookie)
			release(f, &f->slots[i]);
	}
}

uint64_t dns_forwarder_deadline(const struct dns_forwarder *f)
{
	uint64_t first = 0;

	for (size_t i = 0; f->n_waiting && i < DNS_PENDING_MAX; i++) {
		const struct slot *s = &f->slots[i];

		if (s->waiting && (!first || s->deadline_ns < first))
			first = s->deadline_ns;
	}
	return first;
}

void dns_forwarder_tick(struct dns_forwarder *f, uint64_t now_ns)
{
	for (size_t i = 0; f->n_waiting && i < DNS_PENDING_MAX; i++) {
		struct slot *s = &f->slots[i];

		if (s->waiting && s->deadline_ns <= now_ns)
			ask_next(f, now_ns, s, "no name server answered in time");
	}
}
