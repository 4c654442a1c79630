/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages: see msg.h. */
#include "net/dns/msg.h"

enum {
	WIRE_NAME_MAX = 255, /* bytes of a name with its lengths */
	LABEL_MAX = 63,
	CLASS_IN = 1,
	FLAG_QR = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_CD = 0x0010,
	FLAG_RCODE = 0x000f,
	EDNS_DO = 0x8000,
	SVCB_IPV4HINT = 4,
	SVCB_IPV6HINT = 6,
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static char plain_byte(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + 32);
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return '?';
}

static void add_label(struct dns_name *name, size_t *text_len, const uint8_t *label, size_t n)
{
	if (*text_len)
		name->text[(*text_len)++] = '.';
	for (size_t i = 0; i < n; i++) {
		char c = plain_byte(label[i]);

		if (c == '?')
			name->plain = false;
		name->text[(*text_len)++] = c;
	}
}

/*
 * Reads the name at @at; *@end is the first byte behind it in the message. Pointers must go
 * backwards, to in front of where the part that holds them began: so the walk is finite.
 */
static int read_name(
	const uint8_t *msg, size_t len, size_t at, bool pointers, size_t *end, struct dns_name *ret)
{
	size_t begin = at; /* of the part that is being read */
	size_t wire = 1; /* bytes of the name if it were written out */
	size_t text_len = 0;
	bool jumped = false;

	ret->plain = true;
	for (;;) {
		size_t n;

		if (at >= len)
			return -EBADMSG;
		n = msg[at];
		if (n >= 0xc0) {
			size_t to;

			if (!pointers || at + 2 > len)
				return -EBADMSG;
			to = get16(msg + at) & 0x3fffu;
			if (!jumped)
				*end = at + 2;
			if (to >= begin || to < DNS_HEADER)
				return -EBADMSG;
			jumped = true;
			begin = at = to;
			continue;
		}
		if (n > LABEL_MAX || n + 1 > len - at)
			return -EBADMSG;
		if (n == 0)
			break;
		wire += n + 1;
		if (wire > WIRE_NAME_MAX)
			return -EBADMSG;
		add_label(ret, &text_len, msg + at + 1, n);
		at += n + 1;
	}
	if (!jumped)
		*end = at + 1;
	ret->text[text_len] = '\0';
	return 0;
}

/* The one additional record that a query may have. */
static int read_opt(const uint8_t *msg, size_t len, struct dns_query *q)
{
	size_t at = q->question_end;
	size_t data;

	if (len - at < 11 || msg[at] != 0 || get16(msg + at + 1) != DNS_OPT)
		return DNS_FORMERR;
	data = get16(msg + at + 9);
	if (len - at != 11 + data)
		return DNS_FORMERR;
	q->edns = true;
	q->udp_size = get16(msg + at + 3);
	if (q->udp_size < DNS_UDP_PLAIN)
		q->udp_size = DNS_UDP_PLAIN;
	q->dnssec_ok = get16(msg + at + 7) & EDNS_DO;
	return 0;
}

int dns_query_parse(const uint8_t *msg, size_t len, struct dns_query *ret)
{
	unsigned int flags;
	size_t end = 0;

	*ret = (struct dns_query){.udp_size = DNS_UDP_PLAIN};
	if (len < DNS_HEADER)
		return -EBADMSG;
	flags = get16(msg + 2);
	if (flags & FLAG_QR)
		return -EBADMSG;
	ret->id = get16(msg);
	ret->recurse = flags & FLAG_RD;
	ret->check_off = flags & FLAG_CD;
	if (flags & FLAG_OPCODE)
		return DNS_NOTIMP;
	if (len > DNS_QUERY_MAX || get16(msg + 4) != 1 || get16(msg + 6) || get16(msg + 8) ||
		get16(msg + 10) > 1 || flags & FLAG_TC)
		return DNS_FORMERR;
	if (read_name(msg, len, DNS_HEADER, false, &end, &ret->name) < 0 || len - end < 4)
		return DNS_FORMERR;
	ret->type = get16(msg + end);
	ret->question_end = end + 4;
	if (get16(msg + end + 2) != CLASS_IN)
		return DNS_REFUSED;
	if (get16(msg + 10))
		return read_opt(msg, len, ret);
	return len == ret->question_end ? 0 : DNS_FORMERR;
}

static size_t write_name(const char *text, const uint8_t *coins, uint8_t *out)
{
	size_t at = 0;
	size_t letter = 0;

	while (*text) {
		size_t n = strcspn(text, ".");

		out[at++] = (uint8_t)n;
		for (size_t i = 0; i < n; i++, letter++) {
			bool up = coins && (coins[letter / 8 % 32] >> letter % 8 & 1) &&
				  text[i] >= 'a' && text[i] <= 'z';

			out[at++] = (uint8_t)(up ? text[i] - 32 : text[i]);
		}
		text += n + (text[n] == '.');
	}
	out[at++] = 0;
	return at;
}

size_t dns_query_write(const struct dns_query *q, uint16_t id, const uint8_t coins[32],
	uint8_t out[DNS_QUERY_OUT_MAX])
{
	size_t at = DNS_HEADER;

	assert(q->name.plain);
	memset(out, 0, DNS_HEADER);
	put16(out, id);
	put16(out + 2, (q->recurse ? FLAG_RD : 0u) | (q->check_off ? FLAG_CD : 0u));
	put16(out + 4, 1);
	put16(out + 10, q->edns);
	at += write_name(q->name.text, coins, out + at);
	put16(out + at, q->type);
	put16(out + at + 2, CLASS_IN);
	at += 4;
	if (q->edns) {
		memset(out + at, 0, 11);
		put16(out + at + 1, DNS_OPT);
		put16(out + at + 3, DNS_UDP_MAX);
		put16(out + at + 7, q->dnssec_ok ? EDNS_DO : 0);
		at += 11;
	}
	return at;
}

size_t dns_reply_write(const uint8_t *msg, const struct dns_query *q, unsigned int rcode,
	bool truncated, uint8_t out[DNS_QUERY_MAX])
{
	size_t at = MAX(q->question_end, (size_t)DNS_HEADER);

	memset(out, 0, DNS_HEADER);
	memcpy(out + DNS_HEADER, msg + DNS_HEADER, at - DNS_HEADER);
	put16(out, q->id);
	put16(out + 2, FLAG_QR | FLAG_RA | (q->recurse ? FLAG_RD : 0u) |
			       (q->check_off ? FLAG_CD : 0u) | (truncated ? FLAG_TC : 0u) |
			       (rcode & FLAG_RCODE));
	put16(out + 4, q->question_end != 0);
	if (q->edns) {
		memset(out + at, 0, 11);
		put16(out + at + 1, DNS_OPT);
		put16(out + at + 3, DNS_UDP_MAX);
		put16(out + at + 7, q->dnssec_ok ? EDNS_DO : 0);
		put16(out + 10, 1);
		at += 11;
	}
	return at;
}

size_t dns_reply_address(
	uint8_t out[DNS_QUERY_MAX], size_t len, const struct net_addr *a, uint32_t ttl)
{
	size_t n = net_addr_len(a);
	size_t opt = get16(out + 10) ? 11 : 0;
	size_t record = 12 + n;
	uint8_t *p = out + len - opt;

	assert(n && len + record <= DNS_QUERY_MAX);
	memmove(p + record, p, opt);
	put16(p, 0xc000u | DNS_HEADER);
	put16(p + 2, n == 4 ? DNS_A : DNS_AAAA);
	put16(p + 4, CLASS_IN);
	put32(p + 6, ttl);
	put16(p + 10, (unsigned int)n);
	memcpy(p + 12, a->b, n);
	put16(out + 6, get16(out + 6) + 1u);
	return len + record;
}

int dns_answer_parse(const uint8_t *msg, size_t len, const uint8_t *question, size_t question_len,
	struct dns_answer *ret)
{
	struct dns_answer a = {.msg = msg, .len = len};
	unsigned int flags;
	unsigned int total = 0;

	if (len < DNS_HEADER || len > DNS_MESSAGE_MAX)
		return -EBADMSG;
	flags = get16(msg + 2);
	if (!(flags & FLAG_QR) || flags & FLAG_OPCODE || get16(msg + 4) != 1)
		return -EBADMSG;
	if (len - DNS_HEADER < question_len ||
		memcmp(msg + DNS_HEADER, question, question_len) != 0)
		return -EBADMSG;
	a.id = get16(msg);
	a.rcode = flags & FLAG_RCODE;
	a.truncated = flags & FLAG_TC;
	a.question_end = a.at = DNS_HEADER + question_len;
	for (size_t i = 0; i < ARRAY_SIZE(a.counts); i++) {
		a.counts[i] = get16(msg + 6 + 2 * i);
		total += a.counts[i];
	}
	if (total > DNS_RECORDS_MAX)
		return -EBADMSG;
	a.left = a.counts[0];
	*ret = a;
	return 0;
}

/* Does the data have the form that its type asks for? */
static bool data_ok(const struct dns_answer *a, const struct dns_record *r)
{
	struct dns_name name;
	size_t end = 0;

	switch (r->type) {
	case DNS_A:
		return r->class != CLASS_IN || r->data_len == 4;
	case DNS_AAAA:
		return r->class != CLASS_IN || r->data_len == 16;
	case DNS_CNAME:
	case DNS_NS:
	case DNS_PTR:
	case DNS_DNAME:
		return read_name(a->msg, a->len, r->data_at, true, &end, &name) == 0 &&
		       end == r->data_at + r->data_len;
	default:
		return true;
	}
}

int dns_answer_next(struct dns_answer *a, struct dns_record *ret)
{
	struct dns_record r;
	size_t end = 0;

	while (a->left == 0) {
		if (a->section == DNS_ADDITIONAL)
			return a->at == a->len ? 0 : -EBADMSG;
		a->section++;
		a->left = a->counts[a->section];
	}
	a->left--;
	if (read_name(a->msg, a->len, a->at, true, &end, &r.name) < 0 || a->len - end < 10)
		return -EBADMSG;
	r.section = (enum dns_section)a->section;
	r.type = get16(a->msg + end);
	r.class = get16(a->msg + end + 2);
	r.ttl = get32(a->msg + end + 4);
	r.data_len = get16(a->msg + end + 8);
	r.data_at = end + 10;
	if (r.data_len > a->len - r.data_at || !data_ok(a, &r))
		return -EBADMSG;
	a->at = r.data_at + r.data_len;
	*ret = r;
	return 1;
}

bool dns_record_address(
	const struct dns_answer *a, const struct dns_record *r, struct net_addr *ret)
{
	if (r->class != CLASS_IN || (r->type != DNS_A && r->type != DNS_AAAA))
		return false;
	*ret = r->type == DNS_A ? net_addr_v4(a->msg + r->data_at)
				: net_addr_v6(a->msg + r->data_at);
	return true;
}

bool dns_record_target(const struct dns_answer *a, const struct dns_record *r, struct dns_name *ret)
{
	size_t end = 0;

	return r->class == CLASS_IN && r->type == DNS_CNAME &&
	       read_name(a->msg, a->len, r->data_at, true, &end, ret) == 0;
}

size_t dns_record_hints(
	const struct dns_answer *a, const struct dns_record *r, struct net_addr *ret, size_t max)
{
	size_t stop = r->data_at + r->data_len;
	struct dns_name target;
	size_t at = 0;
	size_t n = 0;

	if (r->class != CLASS_IN || (r->type != DNS_SVCB && r->type != DNS_HTTPS) ||
		r->data_len < 3 || read_name(a->msg, stop, r->data_at + 2, false, &at, &target) < 0)
		return 0;
	while (stop - at >= 4) {
		unsigned int key = get16(a->msg + at);
		size_t len = get16(a->msg + at + 2);
		size_t size = key == SVCB_IPV4HINT ? 4 : 16;

		at += 4;
		if (len > stop - at)
			break;
		for (size_t i = 0; i + size <= len && n < max &&
				   (key == SVCB_IPV4HINT || key == SVCB_IPV6HINT);
			i += size)
			ret[n++] = size == 4 ? net_addr_v4(a->msg + at + i)
					     : net_addr_v6(a->msg + at + i);
		at += len;
	}
	return n;
}

const char *dns_type_name(uint16_t type, char to[16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {
		{DNS_A, "A"},
		{DNS_NS, "NS"},
		{DNS_CNAME, "CNAME"},
		{6, "SOA"},
		{DNS_PTR, "PTR"},
		{15, "MX"},
		{16, "TXT"},
		{DNS_AAAA, "AAAA"},
		{33, "SRV"},
		{43, "DS"},
		{48, "DNSKEY"},
		{DNS_SVCB, "SVCB"},
		{DNS_HTTPS, "HTTPS"},
		{DNS_ANY, "ANY"},
		{257, "CAA"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].type == type)
			return names[i].name;
	}
	if (snprintf(to, 16, "TYPE%u", type) < 0)
		to[0] = '\0';
	return to;
}
