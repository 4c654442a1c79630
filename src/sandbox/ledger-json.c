/* SPDX-License-Identifier: Apache-2.0 */
/* Events as JSON: see ledger-json.h. docs/internals/ledger.md lists the members. */
#include "sandbox/ledger-json.h"

#include "base/json.h"
#include "base/str.h"

#include "net/policy/class.h"

static const char *const kinds[NET_EVENT_END] = {
	[NET_EVENT_NOTE] = "note",
	[NET_EVENT_DNS] = "dns",
	[NET_EVENT_DENIED] = "denied",
	[NET_EVENT_FAILED] = "failed",
	[NET_EVENT_OPEN] = "open",
	[NET_EVENT_INSPECTED] = "inspected",
	[NET_EVENT_CLOSE] = "close",
	[NET_EVENT_HTTP] = "http",
	[NET_EVENT_LOST] = "lost",
	[NET_EVENT_DROPPED] = "dropped",
};

static const char *const protos[NET_EVENT_PROTOS] = {
	[NET_EVENT_TCP] = "tcp", [NET_EVENT_UDP] = "udp", [NET_EVENT_ICMP] = "icmp"};

static void begin(struct json_out *o, struct buf *out)
{
	buf_consume(out, buf_len(out));
	json_out_init(o, out, JSON_COMPACT);
	json_begin_object(o, NULL);
}

static void put_time(struct json_out *o, const char *key, uint64_t real_ns)
{
	char text[TIME_TEXT];

	json_put_str(o, key, time_rfc3339(real_ns, text));
}

static void put_head(struct json_out *o, uint64_t seq, uint64_t real_ns, const char *event)
{
	json_put_u64(o, "seq", seq);
	put_time(o, "time", real_ns);
	json_put_str(o, "event", event);
}

/* The last brace follows with the hash. */
static int end(struct json_out *o, struct buf *out)
{
	int r;

	json_end_object(o);
	r = json_out_end(o);
	if (r == 0)
		out->tail--;
	return r;
}

static void put_text(struct json_out *o, const char *key, const char *s)
{
	if (s && s[0])
		json_put_str(o, key, s);
}

static void put_number(struct json_out *o, const char *key, uint64_t v)
{
	if (v)
		json_put_u64(o, key, v);
}

static void put_addr(struct json_out *o, const char *key, const struct net_addr *a)
{
	char text[NET_ADDR_TEXT];

	if (a->family != NET_NONE)
		json_put_str(o, key, net_addr_text(a, text));
}

static void put_error(struct json_out *o, uint32_t error)
{
	if (error)
		json_put_str(o, "error", strerror((int)MIN(error, (uint32_t)INT32_MAX)));
}

static void put_dns(struct json_out *o, const struct net_event *e)
{
	json_put_str(o, "proto", protos[e->proto]);
	put_text(o, "name", e->name);
	json_put_u64(o, "type", e->qtype);
	put_text(o, "result", e->result);
	json_put_u64(o, "rcode", e->rcode);
	if (e->n_addrs) {
		json_begin_array(o, "addresses");
		for (size_t i = 0; i < e->n_addrs; i++)
			put_addr(o, NULL, &e->addrs[i]);
		json_end_array(o);
	}
	put_addr(o, "server", &e->remote.addr);
	if (e->remote.addr.family != NET_NONE)
		json_put_u64(o, "server_port", e->remote.port);
}

static void put_flow(struct json_out *o, const struct net_event *e)
{
	put_number(o, "flow", e->flow);
	json_put_str(o, "proto", protos[e->proto]);
	json_put_str(o, "direction", e->ingress ? "ingress" : "egress");
	put_addr(o, "address", &e->remote.addr);
	put_number(o, "port", e->remote.port);
	if (e->ingress)
		put_number(o, "guest_port", e->guest.port);
	put_text(o, "name", e->name);
	if (e->kind == NET_EVENT_CLOSE || e->kind == NET_EVENT_HTTP) {
		json_put_u64(o, "sent", e->up);
		json_put_u64(o, "received", e->down);
	}
}

static void put_http(struct json_out *o, const struct net_event *e)
{
	put_text(o, "method", e->method);
	put_text(o, "path", e->path);
	put_number(o, "status", e->status);
	put_text(o, "secret", e->secret);
}

int ledger_json_event(struct buf *out, uint64_t seq, uint64_t real_ns, const struct net_event *e)
{
	struct json_out o;

	begin(&o, out);
	put_head(&o, seq, real_ns, kinds[e->kind]);
	if (e->kind == NET_EVENT_DNS)
		put_dns(&o, e);
	else if (e->kind != NET_EVENT_LOST && e->kind != NET_EVENT_DROPPED)
		put_flow(&o, e);
	if (e->kind == NET_EVENT_HTTP)
		put_http(&o, e);
	put_number(&o, "rule", (uint64_t)e->rule);
	put_text(&o, "rule_text", e->rule_text);
	put_error(&o, e->error);
	put_number(&o, "took_us", e->took_ns / 1000);
	put_number(&o, e->kind == NET_EVENT_DROPPED ? "packets" : "events", e->lost);
	put_text(&o, "text", e->text);
	return end(&o, out);
}

int ledger_json_file(
	struct buf *out, uint64_t number, uint64_t seq, uint64_t real_ns, const char *prev)
{
	struct json_out o;

	begin(&o, out);
	json_put_u64(&o, "file", number);
	put_head(&o, seq, real_ns, "file");
	json_put_str(&o, "prev", prev);
	return end(&o, out);
}

int ledger_json_lost(
	struct buf *out, uint64_t seq, uint64_t real_ns, uint64_t n, uint64_t since_ns, int error)
{
	struct json_out o;

	begin(&o, out);
	put_head(&o, seq, real_ns, "lost");
	json_put_u64(&o, "events", n);
	put_time(&o, "since", since_ns);
	put_error(&o, (uint32_t)-error);
	json_put_str(&o, "text", "could not be written");
	return end(&o, out);
}

int ledger_json_say(
	struct buf *out, uint64_t seq, uint64_t real_ns, const char *event, const char *text)
{
	struct json_out o;

	begin(&o, out);
	put_head(&o, seq, real_ns, event);
	put_text(&o, "text", text);
	return end(&o, out);
}
