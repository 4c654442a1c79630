/* SPDX-License-Identifier: Apache-2.0 */
/* Events of flows and lookups: see tell.h. */
#include "net/tell.h"

#include "net/policy/rule.h"

/* @rule: index, negative for none; it may be one that a change of the policy has taken away. */
static void put_rule(
	struct net_event *ev, const struct policy *p, int rule, char text[POLICY_RULE_TEXT])
{
	if (rule < 0 || (uint32_t)rule >= p->n_rules)
		return;
	ev->rule = rule + 1;
	ev->rule_text = policy_rule_text(&p->rules[rule], text, POLICY_RULE_TEXT);
}

static struct net_event event_of(
	enum net_event_kind kind, const struct flow_query *q, const char *name)
{
	static const uint8_t protos[] = {[FLOW_TCP] = NET_EVENT_TCP,
		[FLOW_UDP] = NET_EVENT_UDP,
		[FLOW_ECHO] = NET_EVENT_ICMP};

	return (struct net_event){
		.kind = (uint8_t)kind,
		.proto = protos[q->proto],
		.ingress = q->ingress,
		.flow = q->id,
		.guest = q->tuple.guest,
		.remote = q->tuple.remote,
		.name = name,
	};
}

void tell_verdict(struct net_events *e, const struct policy *p, const struct flow_query *q,
	const struct policy_verdict *v, const char *name)
{
	bool denied = v->action == POLICY_DENY;
	struct net_event ev = event_of(denied ? NET_EVENT_DENIED : NET_EVENT_INSPECTED, q, name);
	char rule[POLICY_RULE_TEXT];

	if (!e)
		return;
	put_rule(&ev, p, v->rule, rule);
	ev.log = denied;
	ev.text = v->text;
	net_events_tell(e, &ev);
}

void tell_refused(
	struct net_events *e, const struct flow_query *q, const char *why, const char *name)
{
	struct net_event ev = event_of(NET_EVENT_DENIED, q, name);

	if (!e)
		return;
	ev.log = true;
	ev.text = why;
	net_events_tell(e, &ev);
}

void tell_flow(
	struct net_events *e, const struct policy *p, const struct flow_event *f, const char *name)
{
	static const uint8_t kinds[] = {
		[FLOW_EVENT_FAILED] = NET_EVENT_FAILED,
		[FLOW_EVENT_OPENED] = NET_EVENT_OPEN,
		[FLOW_EVENT_CLOSED] = NET_EVENT_CLOSE,
	};
	char rule[POLICY_RULE_TEXT];
	struct net_event ev;

	/* Who denied it has told why. */
	if (!e || f->kind == FLOW_EVENT_DENIED)
		return;
	ev = event_of(kinds[f->kind], &f->query, name);
	put_rule(&ev, p, (int)f->tag, rule);
	ev.error = (uint32_t)-f->error;
	ev.up = f->up;
	ev.down = f->down;
	net_events_tell(e, &ev);
}

void tell_lookup(struct net_events *e, const struct policy *p, const struct dns_event *d)
{
	static const char *const results[] = {
		[DNS_ANSWERED] = "answered",
		[DNS_LOCAL] = "local",
		[DNS_DENIED] = "denied",
		[DNS_REBIND] = "rebind",
		[DNS_MALFORMED] = "malformed",
		[DNS_FAILED] = "failed",
	};
	struct net_event ev = {
		.kind = NET_EVENT_DNS,
		.log = d->outcome == DNS_DENIED || d->outcome == DNS_REBIND,
		.proto = d->client->tcp ? NET_EVENT_TCP : NET_EVENT_UDP,
		.name = d->query->name.text,
		.took_ns = d->took_ns,
		.qtype = d->query->type,
		.rcode = (uint8_t)d->rcode,
		.result = results[d->outcome],
		.text = d->text,
	};
	char text[NET_EVENT_TEXT + 1];
	char rule[POLICY_RULE_TEXT];

	if (!e)
		return;
	if (d->server)
		ev.remote = *d->server;
	put_rule(&ev, p, d->rule_number - 1, rule);
	ev.n_addrs = (uint8_t)MIN(d->n_addrs, (size_t)NET_EVENT_ADDRS);
	memcpy(ev.addrs, d->addrs, ev.n_addrs * sizeof(ev.addrs[0]));
	if (d->outcome == DNS_REBIND) {
		(void)snprintf(text, sizeof(text), "lookup of %.254s: denied: %s",
			d->query->name.text, d->text);
		ev.text = text;
	}
	net_events_tell(e, &ev);
}
