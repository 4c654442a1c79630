/* SPDX-License-Identifier: Apache-2.0 */
/* A guest made by hand; the contract stands in testguest.h. */
#include "net/stack/testguest.h"

static const uint8_t guest_mac[6] = {2, 0x6d, 0x73, 0, 0, 2};
static const uint8_t gateway_mac[6] = {2, 0x6d, 0x73, 0, 0, 1};

static void parse(struct guest_frame *f)
{
	size_t head;

	f->proto = 0;
	if (f->len < ETH_LEN + IP4_LEN || get16(f->data + 12) == ETH_ARP)
		return;
	f->v6 = get16(f->data + 12) == ETH_IP6;
	f->ip = f->data + ETH_LEN;
	f->proto = f->v6 ? f->ip[6] : f->ip[9];
	f->l4 = f->ip + (f->v6 ? IP6_LEN : IP4_LEN);
	f->l4_len = f->len - (size_t)(f->l4 - f->data);
	head = f->proto == IP_TCP && f->l4_len >= TCP_LEN ? (size_t)(f->l4[12] >> 4) * 4 : 8;
	head = MIN(head, f->l4_len);
	f->body = f->l4 + head;
	f->body_len = f->l4_len - head;
}

static int on_emit(void *ctx, const struct iovec *iov, int n)
{
	struct guest *g = ctx;
	struct guest_frame *f;
	size_t at = 0, len = 0;
	uint8_t *all;

	if (g->full)
		return -EAGAIN;
	if (g->n_frames == GUEST_FRAMES) {
		if (g->next == 0)
			return 0; /* lost */
		guest_drop(g);
	}
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	assert(len >= VNET_LEN + ETH_LEN && len <= VNET_LEN + ETH_LEN + IP_MAX + IP6_LEN);
	all = malloc(len);
	if (!all)
		return 0;
	for (int i = 0; i < n; i++) {
		memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	f = &g->frames[g->n_frames++];
	memcpy(f->vnet, all, VNET_LEN);
	f->len = len - VNET_LEN;
	memmove(all, all + VNET_LEN, f->len);
	f->data = all;
	parse(f);
	return 0;
}

static uint64_t on_now(void *ctx)
{
	return ((struct guest *)ctx)->now;
}

static void on_arm(void *ctx, uint64_t deadline_ns)
{
	((struct guest *)ctx)->armed = deadline_ns;
}

static void on_tcp_wanted(void *ctx, struct stack_tcp *c, const struct net_tuple *t)
{
	struct guest *g = ctx;

	(void)t;
	g->wanted++;
	g->tcp = c;
	stack_tcp_handle(c, &guest_tcp_ops, g);
}

static void on_udp_wanted(void *ctx, struct stack_udp *u, const struct net_tuple *t)
{
	struct guest *g = ctx;

	(void)t;
	g->udp_wanted++;
	if (g->refuse_udp) {
		stack_udp_refuse(u, STACK_PROHIBITED);
		return;
	}
	g->udp = u;
	stack_udp_handle(u, &guest_udp_ops, g);
}

static void on_echo(void *ctx, const struct stack_echo *e)
{
	struct guest *g = ctx;

	g->echoes++;
	g->echo = *e;
	if (e->seq == 7)
		stack_echo_refuse(g->stack, e, STACK_PROHIBITED);
	else
		stack_echo_reply(g->stack, e);
}

static void tcp_connected(struct stack_tcp *c, void *user)
{
	(void)c;
	((struct guest *)user)->connected++;
}

static void tcp_readable(struct stack_tcp *c, void *user)
{
	struct guest *g = user;
	struct iovec iov[STACK_TCP_IOV];
	size_t n;
	int pieces;

	g->readable++;
	if (g->keep)
		return;
	n = stack_tcp_peek(c, iov, &pieces);
	for (int i = 0; i < pieces; i++) {
		if (buf_append(&g->got, iov[i].iov_base, iov[i].iov_len) < 0)
			return;
	}
	stack_tcp_consume(c, n);
}

static void tcp_writable(struct stack_tcp *c, void *user)
{
	(void)c;
	((struct guest *)user)->writable++;
}

static void tcp_closed(struct stack_tcp *c, void *user, enum stack_end why)
{
	struct guest *g = user;

	g->closed++;
	g->why = why;
	if (g->tcp == c)
		g->tcp = NULL;
}

static void udp_datagram(struct stack_udp *u, void *user, const void *data, size_t len)
{
	struct guest *g = user;

	g->datagrams++;
	g->dgram_whole = stack_udp_whole(u);
	memcpy(g->dgram, data, len);
	g->dgram_len = len;
}

static void udp_closed(struct stack_udp *u, void *user, enum stack_end why)
{
	struct guest *g = user;

	g->udp_closed++;
	g->why = why;
	if (g->udp == u)
		g->udp = NULL;
}

const struct stack_tcp_ops guest_tcp_ops = {tcp_connected, tcp_readable, tcp_writable, tcp_closed};
static void udp_refused_by_guest(struct stack_udp *u, void *user)
{
	(void)u;
	((struct guest *)user)->udp_refused++;
}

const struct stack_udp_ops guest_udp_ops = {udp_datagram, udp_closed, udp_refused_by_guest};

static const struct stack_ops ops = {
	.emit = on_emit,
	.now = on_now,
	.arm = on_arm,
	.tcp_wanted = on_tcp_wanted,
	.udp_wanted = on_udp_wanted,
	.echo = on_echo,
};

int guest_init_with(struct guest *g, const struct stack_config *cfg)
{
	memset(g, 0, sizeof(*g));
	g->cfg = *cfg;
	memcpy(g->cfg.guest_mac, guest_mac, 6);
	memcpy(g->cfg.gateway_mac, gateway_mac, 6);
	g->cfg.guest4 = net_addr_v4((const uint8_t[]){172, 16, 0, 2});
	g->cfg.gateway4 = net_addr_v4((const uint8_t[]){172, 16, 0, 1});
	g->cfg.guest6 = net_addr_v6((const uint8_t[16]){0xfd, 0x42, [15] = 2});
	g->cfg.gateway6 = net_addr_v6((const uint8_t[16]){0xfd, 0x42, [15] = 1});
	g->cfg.seed = 4711;
	g->now = 1000 * NSEC_PER_SEC;
	g->armed = STACK_NEVER;
	g->sport = 40000;
	g->dport = 80;
	buf_init(&g->got, 16 * MIB);
	return stack_new(&g->cfg, &ops, g, &g->stack);
}

int guest_init(struct guest *g, unsigned int offload)
{
	struct stack_config cfg = {.offload = offload};

	return guest_init_with(g, &cfg);
}

void guest_deinit(struct guest *g)
{
	g->stack = stack_free(g->stack);
	guest_drop(g);
	buf_deinit(&g->got);
}

void guest_drop(struct guest *g)
{
	for (size_t i = 0; i < g->n_frames; i++)
		free(g->frames[i].data);
	g->n_frames = 0;
	g->next = 0;
}

const struct guest_frame *guest_next(struct guest *g)
{
	return g->next < g->n_frames ? &g->frames[g->next++] : NULL;
}

void guest_wait(struct guest *g, uint64_t ns)
{
	uint64_t end = g->now + ns;

	while (g->armed <= end) {
		g->now = MAX(g->now, g->armed);
		g->armed = STACK_NEVER;
		stack_tick(g->stack);
	}
	g->now = end;
}

static void send_with(struct guest *g, const uint8_t vnet[VNET_LEN], const void *eth, size_t len)
{
	uint8_t *b = malloc(VNET_LEN + len);

	if (!b)
		return;
	memcpy(b, vnet, VNET_LEN);
	memcpy(b + VNET_LEN, eth, len);
	stack_input(g->stack, b, VNET_LEN + len);
	free(b);
}

void guest_send(struct guest *g, const void *eth, size_t len)
{
	static const uint8_t vnet[VNET_LEN];

	send_with(g, vnet, eth, len);
}

static size_t put_ip(struct guest *g, uint8_t *ip, uint8_t proto, size_t len)
{
	static const uint8_t there4[4] = {93, 184, 215, 14};
	static const uint8_t there6[16] = {0x26, 0x06, [15] = 9};

	if (g->v6) {
		ip[0] = 0x60;
		put16(ip + 4, (uint16_t)len);
		ip[6] = proto;
		ip[7] = 255;
		memcpy(ip + 8, g->cfg.guest6.b, 16);
		memcpy(ip + 24, there6, 16);
		return IP6_LEN;
	}
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(IP4_LEN + len));
	put16(ip + 6, g->whole ? 0x4000 : 0);
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, g->cfg.guest4.b, 4);
	memcpy(ip + 16, there4, 4);
	put16(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
	return IP4_LEN;
}

void guest_ip(struct guest *g, uint8_t proto, const uint8_t *l4, size_t len, size_t csum_at)
{
	uint8_t vnet[VNET_LEN] = {0};
	uint8_t *b = calloc(1, ETH_LEN + IP6_LEN + len);
	struct net_addr src, dst;
	size_t head;
	uint8_t *to;

	if (!b)
		return;
	memcpy(b, g->cfg.gateway_mac, 6);
	memcpy(b + 6, g->cfg.guest_mac, 6);
	put16(b + 12, g->v6 ? ETH_IP6 : ETH_IP4);
	head = put_ip(g, b + ETH_LEN, proto, len);
	to = b + ETH_LEN + head;
	if (len)
		memcpy(to, l4, len);
	if (csum_at) {
		uint64_t sum = 0;

		src = g->v6 ? net_addr_v6(b + ETH_LEN + 8) : net_addr_v4(b + ETH_LEN + 12);
		dst = g->v6 ? net_addr_v6(b + ETH_LEN + 24) : net_addr_v4(b + ETH_LEN + 16);
		if (proto != IP_ICMP)
			sum = pseudo_sum(&src, &dst, proto, len);
		put16(to + csum_at, 0);
		if (g->partial) {
			vnet[0] = VNET_NEEDS_CSUM;
			put16le(vnet + 6, (uint16_t)(ETH_LEN + head));
			put16le(vnet + 8, (uint16_t)csum_at);
			put16(to + csum_at, csum_fold(sum));
		} else {
			put16(to + csum_at, (uint16_t)~csum_fold(csum_add(sum, to, len)));
		}
	}
	send_with(g, vnet, b, ETH_LEN + head + len);
	free(b);
}

void guest_tcp(struct guest *g, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
	const void *data, size_t len)
{
	static const uint8_t options[8] = {2, 4, 1460 >> 8, 1460 & 0xff, 1, 3, 3, 7};
	size_t head = flags & TCP_SYN ? TCP_LEN + sizeof(options) : TCP_LEN;
	uint8_t *b = calloc(1, head + len);

	if (!b)
		return;
	put16(b, g->sport);
	put16(b + 2, g->dport);
	put32(b + 4, seq);
	put32(b + 8, ack);
	b[12] = (uint8_t)(head / 4 << 4);
	b[13] = flags;
	put16(b + 14, wnd);
	if (flags & TCP_SYN)
		memcpy(b + TCP_LEN, options, sizeof(options));
	if (len)
		memcpy(b + head, data, len);
	guest_ip(g, IP_TCP, b, head + len, 16);
	free(b);
}

void guest_udp(struct guest *g, const void *data, size_t len)
{
	uint8_t *b = calloc(1, UDP_LEN + len);

	if (!b)
		return;
	put16(b, g->sport);
	put16(b + 2, g->dport);
	put16(b + 4, (uint16_t)(UDP_LEN + len));
	if (len)
		memcpy(b + UDP_LEN, data, len);
	guest_ip(g, IP_UDP, b, UDP_LEN + len, 6);
	free(b);
}
