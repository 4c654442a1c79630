/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 from the guest (RFC 791), as strict as a link with one honest speaker allows: no options, a
 * right header checksum, the one source address, a destination that is a possible one.
 *
 * 127.0.0.1 is a source, too, but only of answers: the stack calls services there (a published port
 * whose service listens on nothing else), and what belongs to no such call is dropped.
 */
#include "net/stack/internal.h"

static bool header_ok(const uint8_t *ip, size_t len)
{
	if (len < IP4_LEN ||
		ip[0] != 0x45) /* version 4, no options: nobody needs them, some abuse them */
		return false;
	if (get16(ip + 2) < IP4_LEN || get16(ip + 2) > len)
		return false;
	return csum_fold(csum_add(0, ip, IP4_LEN)) == 0xffff;
}

bool addr_loopback4(const struct net_addr *a)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};

	return a->family == NET_V4 && memcmp(a->b, loopback, sizeof(loopback)) == 0;
}

void ip4_input(struct stack *s, struct pkt *p, const uint8_t *ip, size_t len)
{
	uint16_t frag;

	if (!s->cfg.guest4.family || !header_ok(ip, len)) {
		s->stats.bad_frames++;
		return;
	}
	p->src = net_addr_v4(ip + 12);
	p->dst = net_addr_v4(ip + 16);
	p->hops = ip[8];
	p->proto = ip[9];
	p->l4 = ip + IP4_LEN;
	p->l4_len = get16(ip + 2) - (size_t)IP4_LEN;
	if (!net_addr_equal(&p->src, &s->cfg.guest4) && !addr_loopback4(&p->src)) {
		s->stats.spoofed++;
		return;
	}
	if (net_addr_equal(&p->dst, &s->cfg.guest4) || p->proto == IP_ICMP6) {
		s->stats.bad_frames++;
		return;
	}
	frag = get16(ip + 6);
	p->whole = frag & 0x4000;
	if (frag & 0x3fff)
		frag_input(s, p, get16(ip + 4), (uint32_t)(frag & 0x1fff) * 8, frag & 0x2000, p->l4,
			p->l4_len);
	else
		transport_input(s, p);
}
