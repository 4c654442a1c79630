/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's name server against name servers played by the test. */
#include <strings.h>

#include "net/dns/forward.h"
#include "net/policy/class.h"
#include "net/policy/rule.h"

#include "test.h"

enum { S = 1000000000 };

struct world {
	struct policy policy;
	struct dns_config config;
	struct dns_forwarder *f;
	uint64_t now;
	/* what happened */
	unsigned int sends;
	unsigned int dones;
	unsigned int answers;
	int refuse_sends;
	unsigned int slot;
	struct net_peer server;
	bool tcp;
	uint8_t out[DNS_QUERY_OUT_MAX];
	size_t out_len;
	uint8_t answer[4096];
	size_t answer_len;
	uint64_t cookie;
	enum dns_outcome outcome;
	size_t n_addrs;
	char text[600];
	uint8_t random;
};

static int on_send(void *arg, unsigned int slot, const struct net_peer *server, bool tcp,
	const uint8_t *msg, size_t len)
{
	struct world *w = arg;

	w->sends++;
	w->server = *server;
	w->tcp = tcp;
	w->slot = slot;
	memcpy(w->out, msg, len);
	w->out_len = len;
	if (w->refuse_sends == 0)
		return 0;
	w->refuse_sends--;
	return -ENETUNREACH;
}

static void on_done(void *arg, unsigned int slot)
{
	struct world *w = arg;

	w->dones++;
}

static void on_answer(void *arg, const struct dns_client *client, const uint8_t *msg, size_t len)
{
	struct world *w = arg;

	assert(len <= sizeof(w->answer));
	w->answers++;
	w->cookie = client->cookie;
	memcpy(w->answer, msg, len);
	w->answer_len = len;
}

static void on_event(void *arg, const struct dns_event *e)
{
	struct world *w = arg;

	w->outcome = e->outcome;
	w->n_addrs = e->n_addrs;
	(void)snprintf(w->text, sizeof(w->text), "%s", e->text);
}

static void on_random(void *arg, void *to, size_t n)
{
	struct world *w = arg;

	memset(to, ++w->random, n);
}

static const struct dns_ops ops = {on_send, on_done, on_answer, on_event, on_random};

static struct net_addr addr(const char *text)
{
	struct net_addr a = {0};

	if (net_addr_parse(text, &a) < 0)
		test_fail(__FILE__, __LINE__, "'%s' is no address", text);
	return a;
}

/* @rules: instead of the default policy, with egress denied otherwise; NULL: the default. */
static void begin(struct world *w, const char *rules)
{
	uint32_t at = 0;

	*w = (struct world){.now = S};
	if (rules) {
		policy_init_none(&w->policy);
		ASSERT_OK(policy_rules_parse(&w->policy, &at, rules, NULL));
	} else {
		ASSERT_OK(policy_init(&w->policy));
	}
	w->policy.gateway4 = addr("172.16.0.1");
	w->policy.gateway6 = addr("fd42:6d73:62::1");
	w->config = (struct dns_config){.n_servers = 2,
		.servers = {{addr("192.0.2.1"), 53}, {addr("192.0.2.2"), 5353}},
		.timeout_ms = 4000,
		.rebind_protection = true,
		.has_v4 = true,
		.has_v6 = true};
	w->f = dns_forwarder_new(&w->config, &w->policy, &ops, w);
	ASSERT_TRUE(w->f);
}

static void end(struct world *w)
{
	dns_forwarder_free(w->f);
	policy_deinit(&w->policy);
}

static size_t question(uint8_t *msg, const char *name, uint16_t type)
{
	size_t at = DNS_HEADER;

	memset(msg, 0, DNS_HEADER);
	msg[0] = 0xbe;
	msg[1] = 0xef;
	msg[2] = 1;
	msg[5] = 1;
	while (*name) {
		size_t n = strcspn(name, ".");

		msg[at++] = (uint8_t)n;
		memcpy(msg + at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	msg[at++] = 0;
	msg[at++] = (uint8_t)(type >> 8);
	msg[at++] = (uint8_t)type;
	msg[at++] = 0;
	msg[at++] = 1;
	return at;
}

static void query_via(
	struct world *w, const char *name, uint16_t type, const char *resolver, bool tcp)
{
	struct dns_client c = {.cookie = 7, .tcp = tcp, .resolver = addr(resolver)};
	uint8_t msg[DNS_QUERY_MAX];
	size_t len = question(msg, name, type);

	dns_forwarder_query(w->f, w->now, &c, msg, len);
}

static void query(struct world *w, const char *name, uint16_t type)
{
	query_via(w, name, type, "172.16.0.1", false);
}

/* The answer under construction: the query that was sent, as an answer. */
struct draft {
	uint8_t msg[4096];
	size_t len;
};

static void draft(struct draft *d, const struct world *w, unsigned int rcode)
{
	memcpy(d->msg, w->out, w->out_len);
	d->len = w->out_len;
	d->msg[2] |= 0x80;
	d->msg[3] = (uint8_t)(0x80 | rcode);
}

/* @owner: offset of its name in the message. */
static void record(
	struct draft *d, size_t owner, uint16_t type, uint32_t ttl, const void *data, size_t len)
{
	const uint8_t head[12] = {(uint8_t)(0xc0 | owner >> 8), (uint8_t)owner,
		(uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, (uint8_t)(ttl >> 8), (uint8_t)ttl,
		(uint8_t)(len >> 8), (uint8_t)len};

	memcpy(d->msg + d->len, head, sizeof(head));
	memcpy(d->msg + d->len + sizeof(head), data, len);
	d->len += sizeof(head) + len;
	d->msg[7]++;
}

static void add_address(struct draft *d, size_t owner, const char *text)
{
	struct net_addr a = addr(text);

	record(d, owner, a.family == NET_V4 ? DNS_A : DNS_AAAA, 30, a.b, net_addr_len(&a));
}

/* Returns the offset of the target, for records of its own. */
static size_t add_alias(struct draft *d, size_t owner, const char *target)
{
	uint8_t msg[DNS_QUERY_MAX];
	size_t len = question(msg, target, 0) - DNS_HEADER - 4;
	size_t at = d->len + 12;

	record(d, owner, DNS_CNAME, 30, msg + DNS_HEADER, len);
	return at;
}

static void deliver(struct world *w, const struct draft *d)
{
	dns_forwarder_reply(w->f, w->now, w->slot, d->msg, d->len);
}

static void respond(struct world *w, const char *address)
{
	struct draft d;

	draft(&d, w, DNS_NOERROR);
	add_address(&d, DNS_HEADER, address);
	deliver(w, &d);
}

static unsigned int rcode(const struct world *w)
{
	return w->answer[3] & 15;
}

static size_t pins(struct world *w, const char *address, const char **names)
{
	struct net_addr a = addr(address);

	return dns_pins_find(dns_forwarder_pins(w->f), w->now, &a, names, 4);
}

TEST(a_lookup_goes_there_and_back)
{
	const char *names[4];
	struct world w;

	begin(&w, NULL);
	query(&w, "Example.com", DNS_A);
	ASSERT_EQ(w.sends, 1);
	ASSERT_EQ(w.answers, 0);
	ASSERT_EQ(w.out[0] << 8 | w.out[1], 0x0101); /* from on_random() */
	ASSERT_EQ(w.out[13], 'e');
	respond(&w, "93.184.216.34");
	ASSERT_EQ(w.answers, 1);
	ASSERT_EQ(w.dones, 1);
	ASSERT_EQ(w.cookie, 7);
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	ASSERT_EQ(w.n_addrs, 1);
	ASSERT_EQ(w.answer[0] << 8 | w.answer[1], 0xbeef);
	ASSERT_EQ(w.answer[13], 'E'); /* as the guest wrote it */
	ASSERT_EQ(rcode(&w), DNS_NOERROR);
	ASSERT_EQ(pins(&w, "93.184.216.34", names), 1);
	ASSERT_STREQ(names[0], "example.com");
	ASSERT_EQ(dns_forwarder_deadline(w.f), 0);
	end(&w);
}

TEST(forgers_are_ignored)
{
	struct draft d;
	struct draft bad;
	struct world w;

	begin(&w, NULL);
	query(&w, "example.com", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, DNS_HEADER, "6.6.6.6");
	bad = d;
	bad.msg[0] ^= 1; /* id */
	deliver(&w, &bad);
	bad = d;
	bad.msg[13] = 'E'; /* letters */
	deliver(&w, &bad);
	bad = d;
	bad.msg[2] = 1; /* a query */
	deliver(&w, &bad);
	dns_forwarder_reply(w.f, w.now, w.slot + 1, d.msg, d.len);
	ASSERT_EQ(w.answers, 0);
	deliver(&w, &d);
	ASSERT_EQ(w.answers, 1);
	deliver(&w, &d); /* too late */
	ASSERT_EQ(w.answers, 1);
	/* Endless attempts make the next server be asked. */
	query(&w, "example.com", DNS_A);
	bad.msg[2] = 1;
	for (int i = 0; i < 32; i++)
		deliver(&w, &bad);
	ASSERT_EQ(w.sends, 3);
	ASSERT_EQ(w.server.port, 5353);
	end(&w);
}

TEST(letters_are_mixed_where_wanted)
{
	struct world w;

	begin(&w, NULL);
	dns_forwarder_free(w.f);
	w.config.mix_case = true;
	w.f = dns_forwarder_new(&w.config, &w.policy, &ops, &w);
	ASSERT_TRUE(w.f);
	query(&w, "example.com", DNS_A);
	ASSERT_TRUE(memcmp(w.out + 13, "example", 7) != 0);
	ASSERT_TRUE(strncasecmp((char *)w.out + 13, "example", 7) == 0);
	respond(&w, "93.184.216.34");
	ASSERT_EQ(w.answers, 1);
	ASSERT_MEMEQ(w.answer + 13, "example", 7);
	end(&w);
}

TEST(servers_are_asked_in_order)
{
	struct draft d;
	struct world w;

	begin(&w, NULL);
	query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.server.port, 53);
	ASSERT_EQ(dns_forwarder_deadline(w.f), w.now + 2ull * S);
	w.now += 2ull * S - 1;
	dns_forwarder_tick(w.f, w.now);
	ASSERT_EQ(w.sends, 1);
	w.now++;
	dns_forwarder_tick(w.f, w.now);
	ASSERT_EQ(w.sends, 2);
	ASSERT_EQ(w.server.port, 5353);
	w.now += 2ull * S;
	dns_forwarder_tick(w.f, w.now);
	ASSERT_EQ(w.answers, 1);
	ASSERT_EQ(rcode(&w), DNS_SERVFAIL);
	ASSERT_STREQ(w.text, "no name server answered in time");
	ASSERT_EQ(w.dones, 2);
	/* What cannot be reached is passed over at once. */
	w.refuse_sends = 1;
	query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.sends, 4);
	dns_forwarder_failed(w.f, w.now, w.slot);
	ASSERT_EQ(w.answers, 2);
	ASSERT_EQ(rcode(&w), DNS_SERVFAIL);
	w.refuse_sends = 2;
	query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.answers, 3);
	ASSERT_STREQ(w.text, "no name server can be reached");
	/* An answer that says no is an answer. */
	query(&w, "example.com", DNS_A);
	draft(&d, &w, DNS_REFUSED);
	deliver(&w, &d);
	ASSERT_EQ(w.answers, 4);
	ASSERT_EQ(rcode(&w), DNS_REFUSED);
	end(&w);
}

TEST(denied_names_go_nowhere)
{
	struct world w;

	begin(&w, "deny@*.evil.example,allow@dns");
	query(&w, "a.EVIL.example", DNS_A);
	ASSERT_EQ(w.sends, 0);
	ASSERT_EQ(w.outcome, DNS_DENIED);
	ASSERT_EQ(rcode(&w), DNS_NXDOMAIN);
	ASSERT_STREQ(w.text, "lookup of a.evil.example: denied by rule 1 'deny@*.evil.example'");
	query(&w, "good.example", DNS_A);
	ASSERT_EQ(w.sends, 1);
	end(&w);
	begin(&w, "allow@pypi.org:tcp:443,allow@public");
	query(&w, "c2VjcmV0.tunnel.example", 16);
	ASSERT_EQ(w.sends, 0);
	ASSERT_EQ(rcode(&w), DNS_NXDOMAIN);
	query(&w, "pypi.org", DNS_AAAA);
	ASSERT_EQ(w.sends, 1);
	end(&w);
}

TEST(odd_queries_get_errors)
{
	struct dns_client c = {.cookie = 1, .resolver = addr("172.16.0.1")};
	uint8_t msg[DNS_QUERY_MAX];
	struct world w;
	size_t len = question(msg, "example.com", DNS_A);

	begin(&w, NULL);
	dns_forwarder_query(w.f, w.now, &c, msg, 11);
	msg[2] |= 0x80;
	dns_forwarder_query(w.f, w.now, &c, msg, len);
	ASSERT_EQ(w.answers, 0);
	msg[2] = 0x11;
	dns_forwarder_query(w.f, w.now, &c, msg, len);
	ASSERT_EQ(rcode(&w), DNS_NOTIMP);
	msg[2] = 1;
	dns_forwarder_query(w.f, w.now, &c, msg, len - 1);
	ASSERT_EQ(rcode(&w), DNS_FORMERR);
	ASSERT_EQ(w.answer_len, DNS_HEADER);
	msg[14] = ' ';
	dns_forwarder_query(w.f, w.now, &c, msg, len);
	ASSERT_EQ(rcode(&w), DNS_REFUSED);
	query(&w, "example.com", 252);
	ASSERT_EQ(rcode(&w), DNS_REFUSED);
	ASSERT_EQ(w.answers, 4);
	ASSERT_EQ(w.outcome, DNS_MALFORMED);
	ASSERT_EQ(w.sends, 0);
	end(&w);
}

static void rebind(const char *rules, const char *address, bool blocked)
{
	const char *names[4];
	struct world w;

	begin(&w, rules);
	query(&w, "evil.example", DNS_A);
	ASSERT_EQ(w.sends, 1);
	respond(&w, address);
	if ((w.outcome == DNS_REBIND) != blocked)
		test_fail(__FILE__, __LINE__, "%s with %s: %s", address, rules, w.text);
	ASSERT_EQ(rcode(&w), blocked ? DNS_NXDOMAIN : DNS_NOERROR);
	ASSERT_EQ(pins(&w, address, names), !blocked);
	end(&w);
}

TEST(private_answers_to_public_names_are_refused)
{
	static const char *const bad[] = {"10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0",
		"192.168.1.1", "172.16.0.1", "100.64.0.1", "198.18.0.1", "::1", "fd00:ec2::254",
		"fe80::1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		rebind("allow@dns,allow@public", bad[i], true);
		rebind("allow@any", bad[i], true);
	}
	rebind("allow@dns", "93.184.216.34", false);
	rebind("allow@dns,allow@10.0.0.0/8", "10.0.0.1", false);
	rebind("allow@dns,allow@private", "10.0.0.1", false);
	rebind("allow@dns,allow@private:tcp:80", "10.0.0.1", true);
	rebind("allow@dns,deny@10.0.0.1,allow@private", "10.0.0.1", true);
}

TEST(rebinding_hides_nowhere)
{
	static const uint8_t https[] = {0, 1, 0, 0, 4, 0, 4, 10, 0, 0, 1};
	struct draft d;
	struct world w;
	const char *names[4];

	begin(&w, NULL);
	/* Behind a good one. */
	query(&w, "evil.example", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, DNS_HEADER, "93.184.216.34");
	add_address(&d, DNS_HEADER, "10.0.0.1");
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_REBIND);
	ASSERT_STREQ(w.text, "the answer holds 10.0.0.1, an address of no public name");
	ASSERT_EQ(pins(&w, "93.184.216.34", names), 0);
	/* At the end of a chain of aliases. */
	query(&w, "evil.example", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, add_alias(&d, DNS_HEADER, "internal.example"), "192.168.0.1");
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_REBIND);
	/* As a hint. */
	query(&w, "evil.example", DNS_HTTPS);
	draft(&d, &w, DNS_NOERROR);
	record(&d, DNS_HEADER, DNS_HTTPS, 1, https, sizeof(https));
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_REBIND);
	/* In the additional section of an error. */
	query(&w, "evil.example", DNS_A);
	draft(&d, &w, DNS_NXDOMAIN);
	add_address(&d, DNS_HEADER, "10.0.0.1");
	d.msg[7] = 0;
	d.msg[11] = 1;
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_REBIND);
	end(&w);
}

TEST(rebind_protection_can_be_off)
{
	struct world w;

	begin(&w, NULL);
	dns_forwarder_free(w.f);
	w.config.rebind_protection = false;
	w.f = dns_forwarder_new(&w.config, &w.policy, &ops, &w);
	ASSERT_TRUE(w.f);
	query(&w, "nas.example", DNS_A);
	respond(&w, "192.168.0.9");
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	end(&w);
}

TEST(aliases_pin_what_was_asked_for)
{
	const char *names[4];
	struct draft d;
	struct world w;
	size_t www;
	size_t cdn;

	begin(&w, NULL);
	query(&w, "pypi.org", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	www = add_alias(&d, DNS_HEADER, "www.pypi.example");
	cdn = add_alias(&d, www, "cdn.example");
	add_address(&d, cdn, "151.101.0.223");
	add_address(&d, cdn, "151.101.64.223");
	add_address(&d, www, "6.6.6.6"); /* belongs to no end of the chain */
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	ASSERT_EQ(w.n_addrs, 2);
	ASSERT_EQ(pins(&w, "151.101.0.223", names), 1);
	ASSERT_STREQ(names[0], "pypi.org");
	ASSERT_EQ(pins(&w, "151.101.64.223", names), 1);
	ASSERT_EQ(pins(&w, "6.6.6.6", names), 0);
	/* A ring of aliases ends. */
	query(&w, "pypi.org", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	www = add_alias(&d, DNS_HEADER, "www.pypi.example");
	(void)add_alias(&d, www, "pypi.org");
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	ASSERT_EQ(w.n_addrs, 0);
	end(&w);
}

TEST(aliases_to_denied_names_are_denied)
{
	struct draft d;
	struct world w;

	begin(&w, "deny@tracker.example,allow@dns");
	query(&w, "innocent.example", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, add_alias(&d, DNS_HEADER, "Tracker.example"), "93.184.216.34");
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_DENIED);
	ASSERT_EQ(rcode(&w), DNS_NXDOMAIN);
	end(&w);
	/* A default that denies is about questions only: no list can know every name of a CDN. */
	begin(&w, "allow@pypi.org");
	query(&w, "pypi.org", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, add_alias(&d, DNS_HEADER, "cdn.example"), "93.184.216.34");
	deliver(&w, &d);
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	end(&w);
}

TEST(long_answers_go_over_tcp)
{
	struct draft d;
	struct world w;

	begin(&w, NULL);
	query(&w, "example.com", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	for (int i = 0; i < 40; i++)
		add_address(&d, DNS_HEADER, "93.184.216.34");
	ASSERT_TRUE(d.len > 512);
	deliver(&w, &d);
	ASSERT_TRUE(w.answer[2] & 2);
	ASSERT_TRUE(w.answer_len < 64);
	query_via(&w, "example.com", DNS_A, "172.16.0.1", true);
	ASSERT_TRUE(w.tcp);
	draft(&d, &w, DNS_NOERROR);
	for (int i = 0; i < 40; i++)
		add_address(&d, DNS_HEADER, "93.184.216.34");
	deliver(&w, &d);
	ASSERT_EQ(w.answer_len, d.len);
	ASSERT_TRUE(!(w.answer[2] & 2));
	/* A server's own truncation is passed on, its half a set is not. */
	query(&w, "example.com", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, DNS_HEADER, "10.0.0.1");
	d.msg[2] |= 2;
	d.len -= 3;
	deliver(&w, &d);
	ASSERT_TRUE(w.answer[2] & 2);
	ASSERT_EQ(w.answer[7], 0);
	end(&w);
}

TEST(broken_answers_make_the_next_server_be_asked)
{
	struct draft d;
	struct world w;

	begin(&w, NULL);
	query(&w, "example.com", DNS_A);
	draft(&d, &w, DNS_NOERROR);
	add_address(&d, DNS_HEADER, "93.184.216.34");
	d.len--;
	deliver(&w, &d);
	ASSERT_EQ(w.sends, 2);
	ASSERT_EQ(w.answers, 0);
	respond(&w, "93.184.216.34");
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	end(&w);
}

TEST(the_host_has_a_name)
{
	const char *names[4];
	struct world w;

	begin(&w, NULL);
	query(&w, POLICY_HOST_ALIAS, DNS_A);
	ASSERT_EQ(w.sends, 0);
	ASSERT_EQ(w.outcome, DNS_LOCAL);
	ASSERT_EQ(w.answer[7], 1);
	ASSERT_MEMEQ(w.answer + w.answer_len - 4, ((const uint8_t[]){172, 16, 0, 1}), 4);
	ASSERT_EQ(pins(&w, "172.16.0.1", names), 1);
	query(&w, POLICY_HOST_ALIAS, DNS_AAAA);
	ASSERT_EQ(w.answer[7], 1);
	ASSERT_EQ(pins(&w, "fd42:6d73:62::1", names), 1);
	query(&w, POLICY_HOST_ALIAS, 16);
	ASSERT_EQ(w.answer[7], 0);
	ASSERT_EQ(rcode(&w), DNS_NOERROR);
	end(&w);
}

TEST(missing_families_are_empty)
{
	struct world w;

	begin(&w, NULL);
	dns_forwarder_free(w.f);
	w.config.has_v6 = false;
	w.f = dns_forwarder_new(&w.config, &w.policy, &ops, &w);
	ASSERT_TRUE(w.f);
	query(&w, "example.com", DNS_AAAA);
	ASSERT_EQ(w.sends, 0);
	ASSERT_EQ(rcode(&w), DNS_NOERROR);
	ASSERT_EQ(w.answer[7], 0);
	query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.sends, 1);
	end(&w);
}

TEST(encrypted_hellos_are_not_helped_where_names_count)
{
	struct world w;

	begin(&w, NULL);
	query(&w, "example.com", DNS_HTTPS);
	ASSERT_EQ(w.sends, 1);
	end(&w);
	begin(&w, "allow@example.com");
	query(&w, "example.com", DNS_HTTPS);
	ASSERT_EQ(w.sends, 0);
	ASSERT_EQ(rcode(&w), DNS_NOERROR);
	ASSERT_EQ(w.outcome, DNS_LOCAL);
	end(&w);
}

TEST(other_resolvers_are_addresses)
{
	const char *names[4];
	struct world w;

	begin(&w, NULL);
	query_via(&w, "example.com", DNS_A, "9.9.9.9", false);
	ASSERT_EQ(w.sends, 1);
	ASSERT_EQ(w.server.addr.b[0], 9);
	ASSERT_EQ(w.server.port, 53);
	respond(&w, "93.184.216.34");
	ASSERT_EQ(w.outcome, DNS_ANSWERED);
	/* Nobody vouches for it, so it binds no names. */
	ASSERT_EQ(pins(&w, "93.184.216.34", names), 0);
	query_via(&w, "example.com", DNS_A, "10.0.0.53", false);
	ASSERT_EQ(w.outcome, DNS_DENIED);
	ASSERT_EQ(rcode(&w), DNS_NXDOMAIN);
	/* One timeout, no second server. */
	query_via(&w, "example.com", DNS_A, "9.9.9.9", true);
	ASSERT_EQ(w.sends, 2);
	w.now += 4ull * S;
	dns_forwarder_tick(w.f, w.now);
	ASSERT_EQ(rcode(&w), DNS_SERVFAIL);
	end(&w);
	begin(&w, "deny@evil.example,allow@9.9.9.9:udp:53,allow@pypi.org");
	query_via(&w, "evil.example", DNS_A, "9.9.9.9", false);
	ASSERT_EQ(w.sends, 0);
	query_via(&w, "pypi.org", DNS_A, "9.9.9.9", false);
	ASSERT_EQ(w.sends, 1);
	respond(&w, "93.184.216.34");
	ASSERT_EQ(pins(&w, "93.184.216.34", names), 1);
	end(&w);
}

TEST(lookups_are_capped)
{
	struct world w;

	begin(&w, NULL);
	for (unsigned int i = 0; i < DNS_PENDING_MAX; i++)
		query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.answers, 0);
	query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.answers, 1);
	ASSERT_EQ(rcode(&w), DNS_SERVFAIL);
	dns_forwarder_cancel(w.f, 7);
	ASSERT_EQ(w.dones, DNS_PENDING_MAX);
	ASSERT_EQ(dns_forwarder_deadline(w.f), 0);
	query(&w, "example.com", DNS_A);
	ASSERT_EQ(w.answers, 1);
	end(&w);
}

TEST(memory_may_run_out)
{
	struct world w;

	begin(&w, NULL);
	FAULT_LOOP({ dns_forwarder_free(dns_forwarder_new(&w.config, &w.policy, &ops, &w)); });
	end(&w);
}
