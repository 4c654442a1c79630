/* SPDX-License-Identifier: Apache-2.0 */
/* Events on the wire: see event-msg.h. */
#include "net/event-msg.h"

#include "proto/wire.h"

static bool printable(char c)
{
	return c >= ' ' && c <= '~';
}

static void put_str(struct wire_out *o, const char *s, size_t max)
{
	char text[NET_EVENT_PATH + 1];
	size_t n = strnlen(s ? s : "", max);

	for (size_t i = 0; i < n; i++)
		text[i] = printable(s[i]) ? s[i] : '?';
	text[n] = '\0';
	wire_put_str(o, text);
}

static void put_addr(struct wire_out *o, const struct net_addr *a)
{
	wire_put_u8(o, a->family);
	for (size_t i = 0; i < net_addr_len(a); i++)
		wire_put_u8(o, a->b[i]);
}

static void put_peer(struct wire_out *o, const struct net_peer *p)
{
	put_addr(o, &p->addr);
	wire_put_u16(o, p->port);
}

int net_event_put(struct buf *out, const struct net_event *e)
{
	uint8_t n_addrs = e->n_addrs > NET_EVENT_ADDRS ? NET_EVENT_ADDRS : e->n_addrs;
	struct wire_out o;

	wire_out_init(&o, out);
	wire_put_u8(&o, e->kind);
	wire_put_u8(&o, e->log);
	wire_put_u8(&o, e->proto);
	wire_put_u8(&o, e->ingress);
	wire_put_u64(&o, e->flow);
	put_peer(&o, &e->guest);
	put_peer(&o, &e->remote);
	put_str(&o, e->name, NET_EVENT_NAME);
	wire_put_u32(&o, (uint32_t)e->rule);
	put_str(&o, e->rule_text, NET_EVENT_RULE);
	wire_put_u32(&o, e->error);
	wire_put_u64(&o, e->up);
	wire_put_u64(&o, e->down);
	wire_put_u64(&o, e->took_ns);
	wire_put_u64(&o, e->lost);
	wire_put_u16(&o, e->qtype);
	wire_put_u8(&o, e->rcode);
	put_str(&o, e->result, NET_EVENT_WORD);
	wire_put_u8(&o, n_addrs);
	for (size_t i = 0; i < n_addrs; i++)
		put_addr(&o, &e->addrs[i]);
	put_str(&o, e->method, NET_EVENT_WORD);
	put_str(&o, e->path, NET_EVENT_PATH);
	wire_put_u16(&o, e->status);
	put_str(&o, e->secret, NET_EVENT_SECRET);
	put_str(&o, e->text, NET_EVENT_TEXT);
	return o.error;
}

static void get_addr(struct wire_in *in, struct net_addr *ret)
{
	*ret = (struct net_addr){.family = wire_u8(in)};
	if (ret->family != NET_NONE && ret->family != NET_V4 && ret->family != NET_V6) {
		in->bad = true;
		ret->family = NET_NONE;
	}
	for (size_t i = 0; i < net_addr_len(ret); i++)
		ret->b[i] = wire_u8(in);
}

static void get_peer(struct wire_in *in, struct net_peer *ret)
{
	get_addr(in, &ret->addr);
	ret->port = wire_u16(in);
}

static const char *get_str(struct wire_in *in, size_t max)
{
	const char *s = wire_str(in, max);

	for (const char *c = s; *c; c++) {
		if (!printable(*c))
			in->bad = true;
	}
	return s;
}

static uint64_t get_u64(struct wire_in *in)
{
	/* What JSON can say, without a sign. */
	return MIN(wire_u64(in), (uint64_t)INT64_MAX);
}

int net_event_get(const void *p, size_t len, struct net_event *ret)
{
	struct net_event e = {0};
	struct wire_in in;

	wire_in_init(&in, p, len);
	e.kind = wire_u8(&in);
	e.log = wire_u8(&in) != 0;
	e.proto = wire_u8(&in);
	e.ingress = wire_u8(&in) != 0;
	e.flow = get_u64(&in);
	get_peer(&in, &e.guest);
	get_peer(&in, &e.remote);
	e.name = get_str(&in, NET_EVENT_NAME);
	e.rule = (int32_t)wire_u32(&in);
	e.rule_text = get_str(&in, NET_EVENT_RULE);
	e.error = wire_u32(&in);
	e.up = get_u64(&in);
	e.down = get_u64(&in);
	e.took_ns = get_u64(&in);
	e.lost = get_u64(&in);
	e.qtype = wire_u16(&in);
	e.rcode = wire_u8(&in);
	e.result = get_str(&in, NET_EVENT_WORD);
	e.n_addrs = wire_u8(&in);
	if (e.n_addrs > NET_EVENT_ADDRS)
		return -EBADMSG;
	for (size_t i = 0; i < e.n_addrs; i++)
		get_addr(&in, &e.addrs[i]);
	e.method = get_str(&in, NET_EVENT_WORD);
	e.path = get_str(&in, NET_EVENT_PATH);
	e.status = wire_u16(&in);
	e.secret = get_str(&in, NET_EVENT_SECRET);
	e.text = get_str(&in, NET_EVENT_TEXT);
	if (wire_end(&in) < 0 || e.kind == 0 || e.kind >= NET_EVENT_END ||
		e.proto >= NET_EVENT_PROTOS || e.rule < 0)
		return -EBADMSG;
	*ret = e;
	return 0;
}
