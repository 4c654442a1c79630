/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv6 from the guest (RFC 8200).
 *
 * Hop-by-hop and destination options are stepped over, a few of them and short ones; routing
 * headers and everything else that is no transport are refused. A fragment header must be the last
 * one before the transport. The guest's link-local address (any of fe80::/10) may speak neighbour
 * discovery only.
 */
#include "net/stack/internal.h"

enum { NEXT_HOP = 0, NEXT_FRAGMENT = 44, NEXT_OPTIONS = 60, HEADERS_MAX = 4, OPTIONS_MAX = 256 };

static bool is_mapped(const struct net_addr *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->b, prefix, sizeof(prefix)) == 0;
}

static bool link_local(const struct net_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static bool unspecified(const struct net_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

/* Step over option headers to the transport or the fragment header; false if that is not what
 * follows. */
static bool skip_options(struct pkt *p)
{
	size_t left = OPTIONS_MAX;

	for (int i = 0; i < HEADERS_MAX; i++) {
		size_t n;

		if (p->proto != NEXT_OPTIONS && (p->proto != NEXT_HOP || i > 0))
			return p->proto != NEXT_HOP;
		if (p->l4_len < 8)
			return false;
		n = ((size_t)p->l4[1] + 1) * 8;
		if (n > left || n > p->l4_len)
			return false;
		left -= n;
		p->proto = p->l4[0];
		p->l4 += n;
		p->l4_len -= n;
	}
	return p->proto != NEXT_OPTIONS && p->proto != NEXT_HOP;
}

static void fragment(struct stack *s, struct pkt *p)
{
	const uint8_t *h = p->l4;
	uint16_t frag;

	if (p->l4_len < 8) {
		s->stats.bad_frames++;
		return;
	}
	frag = get16(h + 2);
	p->proto = h[0];
	if (p->proto == IP_ICMP) {
		s->stats.bad_frames++;
		return;
	}
	frag_input(s, p, get32(h + 4), frag & 0xfff8u, frag & 1, h + 8, p->l4_len - 8);
}

void ip6_input(struct stack *s, struct pkt *p, const uint8_t *ip, size_t len)
{
	bool own;

	if (!s->cfg.guest6.family || len < IP6_LEN || ip[0] >> 4 != 6 ||
		get16(ip + 4) > len - IP6_LEN) {
		s->stats.bad_frames++;
		return;
	}
	p->src = net_addr_v6(ip + 8);
	p->dst = net_addr_v6(ip + 24);
	p->proto = ip[6];
	p->hops = ip[7];
	p->l4 = ip + IP6_LEN;
	p->l4_len = get16(ip + 4);
	p->whole = true;
	own = net_addr_equal(&p->src, &s->cfg.guest6);
	if (!own && !link_local(&p->src) && !unspecified(&p->src)) {
		s->stats.spoofed++;
		return;
	}
	if (is_mapped(&p->dst) || unspecified(&p->dst) || net_addr_equal(&p->dst, &s->cfg.guest6) ||
		!skip_options(p) || p->proto == IP_ICMP) {
		s->stats.bad_frames++;
		return;
	}
	if (!own && p->proto != IP_ICMP6)
		return; /* link-local chatter: mDNS, LLMNR, MLD */
	if (p->proto == NEXT_FRAGMENT)
		fragment(s, p);
	else
		transport_input(s, p);
}
