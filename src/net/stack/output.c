/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out: IP, Ethernet and virtio headers around a transport header and its payload.
 *
 * With the guest's consent checksums stay partial and TCP segments go out whole. Without it they
 * are computed and cut here (TCP cuts by itself: it asks tcp_segment_max()). Datagrams beyond the
 * MTU become fragments.
 */
#include "net/stack/internal.h"

uint64_t pseudo_sum(
	const struct net_addr *src, const struct net_addr *dst, uint8_t proto, size_t len)
{
	uint8_t tail[8] = {0};
	uint64_t sum;

	sum = csum_add(0, src->b, net_addr_len(src));
	sum = csum_add(sum, dst->b, net_addr_len(dst));
	put32(tail, (uint32_t)len);
	tail[7] = proto;
	return csum_add(sum, tail, sizeof(tail));
}

void out_begin(struct out *o, const struct net_addr *src, const struct net_addr *dst, uint8_t proto)
{
	memset(o, 0, sizeof(*o));
	o->src = *src;
	o->dst = *dst;
	o->proto = proto;
	o->l4 = o->b + VNET_LEN + ETH_LEN + (src->family == NET_V4 ? IP4_LEN : IP6_LEN);
}

int out_frame(struct stack *s, const struct iovec *iov, int n)
{
	size_t len = 0;
	int r;

	r = s->ops->emit(s->ctx, iov, n);
	if (r == -EAGAIN) {
		s->blocked = true;
		return r;
	}
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	s->stats.tx_frames++;
	s->stats.tx_bytes += len;
	return 0;
}

static void put_eth(const struct stack *s, uint8_t *eth, uint8_t family)
{
	memcpy(eth, s->cfg.guest_mac, 6);
	memcpy(eth + 6, s->cfg.gateway_mac, 6);
	put16(eth + 12, family == NET_V4 ? ETH_IP4 : ETH_IP6);
}

static void put_ip4(uint8_t *ip, const struct out *o, size_t payload, uint16_t id, uint16_t frag)
{
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(IP4_LEN + payload));
	put16(ip + 4, id);
	put16(ip + 6, frag);
	ip[8] = 64;
	ip[9] = o->proto;
	memcpy(ip + 12, o->src.b, 4);
	memcpy(ip + 16, o->dst.b, 4);
	put16(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
}

static void put_ip6(uint8_t *ip, const struct out *o, size_t payload, uint8_t next)
{
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)payload);
	ip[6] = next;
	ip[7] = o->proto == IP_ICMP6 ? 255 : 64; /* neighbour discovery insists */
	memcpy(ip + 8, o->src.b, 16);
	memcpy(ip + 24, o->dst.b, 16);
}

static void put_vnet(uint8_t *v, const struct out *o, bool partial)
{
	size_t l4 = (size_t)(o->l4 - o->b) - VNET_LEN;

	put16le(v + 10, 1); /* buffers; the device corrects it */
	if (!partial)
		return;
	v[0] = VNET_NEEDS_CSUM;
	put16le(v + 6, (uint16_t)l4);
	put16le(v + 8, o->csum_offset);
	if (o->gso_size) {
		v[1] = o->src.family == NET_V4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
		put16le(v + 2, (uint16_t)(l4 + o->l4_len));
		put16le(v + 4, o->gso_size);
	}
}

static void put_csum(struct out *o, size_t payload, bool partial)
{
	uint64_t sum = 0;
	uint16_t folded;

	if (o->proto != IP_ICMP)
		sum = pseudo_sum(&o->src, &o->dst, o->proto, payload);
	if (!partial) {
		sum = csum_add(sum, o->l4, o->l4_len);
		sum = csum_iov(sum, o->body, o->n_body);
	}
	folded = csum_fold(sum);
	if (!partial) {
		folded = (uint16_t)~folded;
		if (folded == 0 && o->proto == IP_UDP)
			folded = 0xffff; /* 0 would mean: none */
	}
	put16(o->l4 + o->csum_offset, folded);
}

/* One fragment: @n bytes from @offset of the payload @flat, which begins with the transport header.
 */
static int send_fragment(struct stack *s, const struct out *o, const uint8_t *flat, size_t offset,
	size_t n, size_t total, uint32_t id)
{
	uint8_t b[VNET_LEN + ETH_LEN + IP6_LEN + 8] = {0};
	uint8_t *ip = b + VNET_LEN + ETH_LEN;
	bool more = offset + n < total;
	struct iovec iov[2];
	size_t head;

	put16le(b + 10, 1);
	put_eth(s, b + VNET_LEN, o->src.family);
	if (o->src.family == NET_V4) {
		head = IP4_LEN;
		put_ip4(ip, o, n, (uint16_t)id, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
	} else {
		head = IP6_LEN + 8;
		put_ip6(ip, o, n + 8, 44);
		ip[IP6_LEN] = o->proto;
		put16(ip + IP6_LEN + 2, (uint16_t)(offset | (more ? 1 : 0)));
		put32(ip + IP6_LEN + 4, id);
	}
	iov[0] = (struct iovec){.iov_base = b, .iov_len = VNET_LEN + ETH_LEN + head};
	iov[1] = (struct iovec){.iov_base = (void *)(uintptr_t)(flat + offset), .iov_len = n};
	return out_frame(s, iov, 2);
}

static int send_fragments(struct stack *s, struct out *o, size_t total)
{
	size_t head = o->src.family == NET_V4 ? (size_t)IP4_LEN : (size_t)IP6_LEN + 8;
	size_t step = (s->cfg.mtu - head) & ~(size_t)7;
	cleanup_free uint8_t *flat = malloc(total);
	uint32_t id = ++s->ip_id;
	size_t at = o->l4_len;

	if (!flat)
		return 0; /* as good as lost on the way */
	put_csum(o, total, false);
	memcpy(flat, o->l4, o->l4_len);
	for (int i = 0; i < o->n_body; i++) {
		memcpy(flat + at, o->body[i].iov_base, o->body[i].iov_len);
		at += o->body[i].iov_len;
	}
	for (at = 0; at < total; at += step) {
		int r = send_fragment(s, o, flat, at, MIN(step, total - at), total, id);

		if (r < 0)
			return r;
	}
	return 0;
}

int out_send(struct stack *s, struct out *o)
{
	bool partial =
		(s->cfg.offload & STACK_TX_CSUM) && (o->proto == IP_TCP || o->proto == IP_UDP);
	size_t head = o->src.family == NET_V4 ? IP4_LEN : IP6_LEN;
	size_t payload = o->l4_len;
	struct iovec iov[4];

	/* Segments are kept by their connection; whatever else the link may have room for. */
	if (s->blocked && o->proto == IP_TCP)
		return -EAGAIN;
	for (int i = 0; i < o->n_body; i++)
		payload += o->body[i].iov_len;
	assert(payload <= IP_MAX - (o->src.family == NET_V4 ? IP4_LEN : 0));
	if (!o->gso_size && head + payload > s->cfg.mtu)
		return send_fragments(s, o, payload);
	put_vnet(o->b, o, partial);
	put_eth(s, o->b + VNET_LEN, o->src.family);
	if (o->src.family == NET_V4)
		put_ip4(o->b + VNET_LEN + ETH_LEN, o, payload, s->ip_id++, 0x4000);
	else
		put_ip6(o->b + VNET_LEN + ETH_LEN, o, payload, o->proto);
	put_csum(o, payload, partial);
	iov[0] = (struct iovec){.iov_base = o->b, .iov_len = (size_t)(o->l4 - o->b) + o->l4_len};
	for (int i = 0; i < o->n_body; i++)
		iov[i + 1] = o->body[i];
	return out_frame(s, iov, o->n_body + 1);
}
