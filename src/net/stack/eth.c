/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in: virtio header, Ethernet, ARP.
 *
 * Only the guest's own MAC is a source, only the gateway's and group addresses are destinations.
 * ARP is answered for the gateway's address alone; the guest's MAC is known and never asked for.
 */
#include "net/stack/internal.h"

enum { ARP_LEN = 28, ARP_REQUEST = 1, ARP_REPLY = 2 };

static const uint8_t arp_ethernet_ip4[6] = {0, 1, 0x08, 0, 6, 4};

void arp_input(struct stack *s, const uint8_t *eth, size_t len)
{
	const uint8_t *arp = eth + ETH_LEN;
	uint8_t b[VNET_LEN + ETH_LEN + ARP_LEN] = {0};
	uint8_t *to = b + VNET_LEN;
	struct iovec iov = {.iov_base = b, .iov_len = sizeof(b)};

	if (len < ETH_LEN + ARP_LEN || memcmp(arp, arp_ethernet_ip4, 6) != 0 ||
		!s->cfg.gateway4.family) {
		s->stats.bad_frames++;
		return;
	}
	if (memcmp(arp + 8, s->cfg.guest_mac, 6) != 0) {
		s->stats.spoofed++;
		return;
	}
	if (get16(arp + 6) != ARP_REQUEST || memcmp(arp + 24, s->cfg.gateway4.b, 4) != 0)
		return;
	memcpy(to, s->cfg.guest_mac, 6);
	memcpy(to + 6, s->cfg.gateway_mac, 6);
	put16(to + 12, ETH_ARP);
	to += ETH_LEN;
	memcpy(to, arp_ethernet_ip4, 6);
	put16(to + 6, ARP_REPLY);
	memcpy(to + 8, s->cfg.gateway_mac, 6);
	memcpy(to + 14, s->cfg.gateway4.b, 4);
	memcpy(to + 18, arp + 8, 10); /* whoever asked: its MAC and address */
	(void)out_frame(s, &iov, 1);
}

/* What the virtio header says about the packet; false if it says what was never agreed on. */
static bool vnet_parse(const uint8_t *h, struct pkt *p)
{
	uint8_t gso = h[1] & (uint8_t)~VNET_GSO_ECN;

	if (gso != VNET_GSO_NONE && gso != VNET_GSO_TCPV4 && gso != VNET_GSO_TCPV6)
		return false;
	p->csum_partial = h[0] & VNET_NEEDS_CSUM;
	p->csum_start = get16le(h + 6);
	p->csum_offset = get16le(h + 8);
	return true;
}

static void eth_input(struct stack *s, struct pkt *p, const uint8_t *eth, size_t len)
{
	if (memcmp(eth + 6, s->cfg.guest_mac, 6) != 0) {
		s->stats.spoofed++;
		return;
	}
	if (!(eth[0] & 1) && memcmp(eth, s->cfg.gateway_mac, 6) != 0) {
		s->stats.bad_frames++;
		return;
	}
	switch (get16(eth + 12)) {
	case ETH_ARP:
		arp_input(s, eth, len);
		break;
	case ETH_IP4:
		ip4_input(s, p, eth + ETH_LEN, len - ETH_LEN);
		break;
	case ETH_IP6:
		ip6_input(s, p, eth + ETH_LEN, len - ETH_LEN);
		break;
	default:
		s->stats.bad_frames++;
	}
}

void stack_input(struct stack *s, const void *frame, size_t len)
{
	const uint8_t *b = frame;
	struct pkt p = {0};

	stack_enter(s);
	s->stats.rx_frames++;
	s->stats.rx_bytes += len;
	if (len < VNET_LEN + ETH_LEN || !vnet_parse(b, &p)) {
		s->stats.bad_frames++;
	} else {
		p.frame = b + VNET_LEN;
		eth_input(s, &p, p.frame, len - VNET_LEN);
	}
	stack_leave(s);
}

static size_t csum_place(uint8_t proto)
{
	switch (proto) {
	case IP_TCP:
		return 16;
	case IP_UDP:
		return 6;
	default:
		return 2;
	}
}

/* The transport checksum: vouched for at the right place, or right. */
static bool csum_ok(const struct pkt *p)
{
	size_t at = csum_place(p->proto);
	uint64_t sum = 0;

	if (p->csum_partial)
		return p->frame && p->csum_start == (size_t)(p->l4 - p->frame) &&
		       p->csum_offset == at && at + 2 <= p->l4_len;
	if (p->proto == IP_UDP && p->l4_len >= UDP_LEN && get16(p->l4 + 6) == 0)
		return p->src.family == NET_V4; /* none; not allowed over IPv6 */
	if (p->proto != IP_ICMP)
		sum = pseudo_sum(&p->src, &p->dst, p->proto, p->l4_len);
	return csum_fold(csum_add(sum, p->l4, p->l4_len)) == 0xffff;
}

void transport_input(struct stack *s, struct pkt *p)
{
	if (!csum_ok(p)) {
		s->stats.bad_frames++;
		return;
	}
	switch (p->proto) {
	case IP_TCP:
		tcp_input(s, p);
		break;
	case IP_UDP:
		udp_input(s, p);
		break;
	case IP_ICMP:
		icmp4_input(s, p);
		break;
	case IP_ICMP6:
		icmp6_input(s, p);
		break;
	default:
		s->stats.bad_frames++;
	}
}
