/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder between a hostile guest and a hostile name server.
 *
 * The input is a list of messages, each with two bytes in front: what to do with it, and its
 * length. Answers can take over the id and question of the query that is out, or the fuzzer would
 * never get past them. Whatever goes to either side must be a message that the codec itself reads.
 */
#include "net/dns/forward.h"
#include "net/policy/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct dns_forwarder *f;
	uint8_t out[DNS_QUERY_OUT_MAX];
	size_t out_len;
	unsigned int slot;
	unsigned int queries;
	unsigned int answers;
	uint8_t random;
};

static int on_send(void *arg, unsigned int slot, const struct net_peer *server, bool tcp,
	const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	struct dns_query q;
	int r = dns_query_parse(msg, len, &q);

	assert(r == 0 && q.name.plain && len <= DNS_QUERY_OUT_MAX);
	memcpy(w->out, msg, len);
	w->out_len = len;
	w->slot = slot;
	return w->random & 1 ? -ENETUNREACH : 0;
}

static void on_done(void *arg, unsigned int slot)
{
	assert(slot < DNS_PENDING_MAX);
}

static void on_answer(void *arg, const struct dns_client *client, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	struct dns_record r;
	struct dns_answer a;
	int more;

	w->answers++;
	assert(w->answers <= w->queries);
	assert(len >= DNS_HEADER && msg[2] & 0x80);
	assert(client->tcp || len <= DNS_UDP_MAX);
	if (msg[5] == 0)
		return;
	more = dns_answer_parse(msg, len, msg + DNS_HEADER, 0, &a);
	assert(more == 0);
	/* Behind the question; its name is as long as the first record's owner would be. */
	while (a.at < len && msg[a.at])
		a.at += msg[a.at] + 1u;
	a.at += 5;
	while ((more = dns_answer_next(&a, &r)) > 0)
		;
	assert(more == 0);
}

static void on_event(void *arg, const struct dns_event *e)
{
	assert(e->text && e->query && e->client && e->n_addrs <= DNS_EVENT_ADDRS);
	for (const char *c = e->query->name.text; *c; c++)
		assert(*c > ' ' && *c < 0x7f);
}

static void on_random(void *arg, void *to, size_t n)
{
	struct world *w = arg;

	memset(to, w->random++, n);
}

static const struct dns_ops ops = {on_send, on_done, on_answer, on_event, on_random};

static void step(struct world *w, uint64_t now, uint8_t what, const uint8_t *msg, size_t len)
{
	static const uint8_t gateway[4] = {172, 16, 0, 1};
	static const uint8_t other[4] = {9, 9, 9, 9};
	struct dns_client c = {
		.tcp = what & 8, .resolver = net_addr_v4(what & 4 ? other : gateway)};
	uint8_t copy[256 + DNS_QUERY_OUT_MAX];

	switch (what & 3) {
	case 0:
		w->queries++;
		dns_forwarder_query(w->f, now, &c, msg, len);
		break;
	case 1:
		dns_forwarder_reply(w->f, now, w->slot, msg, len);
		break;
	case 2:
		/* The query as an answer: flags and counts, and everything behind the question. */
		if (len < 10 || !w->out_len)
			return;
		memcpy(copy, w->out, w->out_len);
		memcpy(copy + 2, msg, 2);
		memcpy(copy + 6, msg + 2, 6);
		copy[2] |= 0x80;
		memcpy(copy + w->out_len, msg + 8, len - 8);
		dns_forwarder_reply(w->f, now, w->slot, copy, w->out_len + len - 8);
		break;
	default:
		if (what & 4)
			dns_forwarder_failed(w->f, now, what >> 3);
		else
			dns_forwarder_tick(w->f, now);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const rules[] = {
		"allow@dns,allow@public", "deny@*.evil.example,allow@any", "allow@example.com"};
	const struct dns_config config = {.n_servers = 2,
		.servers = {{net_addr_v4((const uint8_t[]){1, 1, 1, 1}), 53},
			{net_addr_v4((const uint8_t[]){1, 0, 0, 1}), 53}},
		.timeout_ms = DNS_TIMEOUT_MS,
		.rebind_protection = true,
		.mix_case = size & 1,
		.has_v4 = true,
		.has_v6 = true};
	struct world w = {0};
	struct policy policy;
	uint64_t now = NSEC_PER_SEC;
	uint32_t at = 0;

	policy_init_none(&policy);
	if (policy_rules_parse(&policy, &at, rules[size % ARRAY_SIZE(rules)], NULL) < 0)
		abort();
	policy.gateway4 = net_addr_v4((const uint8_t[]){172, 16, 0, 1});
	w.f = dns_forwarder_new(&config, &policy, &ops, &w);
	while (w.f && size >= 2) {
		size_t len = MIN((size_t)data[1], size - 2);

		step(&w, now, data[0], data + 2, len);
		now += NSEC_PER_SEC;
		data += 2 + len;
		size -= 2 + len;
	}
	dns_forwarder_free(w.f);
	policy_deinit(&policy);
	return 0;
}
