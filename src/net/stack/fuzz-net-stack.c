/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: whole conversations with the stack, time included.
 *
 * The input is a list of steps, each an opcode and its operands: raw frames, well-made segments and
 * datagrams with chosen fields, calls of an owner, steps of the clock, a full link. Whatever
 * happens, limits hold and nothing is left behind.
 */
#include "net/stack/tcp-internal.h"
#include "net/stack/testguest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n;
};

static uint32_t take(struct input *in, size_t n)
{
	uint32_t v = 0;

	for (; n > 0 && in->n > 0; n--, in->n--)
		v = v << 8 | *in->p++;
	return v;
}

static void raw_frame(struct guest *g, struct input *in)
{
	size_t n = take(in, 2) % 2048;

	n = MIN(n, in->n);
	if (n >= VNET_LEN +
			 ETH_LEN) { /* past the filter of addresses more often than chance would */
		uint8_t b[2048];

		memcpy(b, in->p, n);
		memcpy(b + VNET_LEN, g->cfg.gateway_mac, 6);
		memcpy(b + VNET_LEN + 6, g->cfg.guest_mac, 6);
		stack_input(g->stack, b, n);
	} else {
		stack_input(g->stack, in->p, n);
	}
	in->p += n;
	in->n -= n;
}

static void ip_packet(struct guest *g, struct input *in)
{
	static const uint8_t protos[] = {IP_ICMP, IP_ICMP6, IP_UDP, IP_TCP, 0, 44, 60};
	uint8_t proto = protos[take(in, 1) % ARRAY_SIZE(protos)];
	size_t n = take(in, 1);
	static const uint8_t at[] = {2, 2, 6, 16, 0};
	size_t csum = 0;

	n = MIN(n, in->n);
	if (proto == IP_ICMP || proto == IP_ICMP6)
		csum = at[0];
	else if (proto == IP_UDP || proto == IP_TCP)
		csum = proto == IP_UDP ? at[2] : at[3];
	guest_ip(g, proto, in->p, n, csum + 2 <= n ? csum : 0);
	in->p += n;
	in->n -= n;
}

/* A segment near what the connection expects, so that the states behind the handshake are reached.
 */
static void segment(struct guest *g, struct input *in)
{
	static uint8_t bytes[65000];
	uint8_t flags = (uint8_t)take(in, 1);
	int8_t seq_off = (int8_t)take(in, 1), ack_off = (int8_t)take(in, 1);
	uint16_t wnd = (uint16_t)take(in, 2);
	size_t len = take(in, 2) % sizeof(bytes);
	uint32_t seq = 1000, ack = 0;

	if (g->tcp) {
		seq = g->tcp->rcv_nxt;
		ack = flags & 0x80 ? g->tcp->snd_max : g->tcp->snd_una;
	}
	guest_tcp(g, flags & 0x1f, seq + (uint32_t)(int32_t)seq_off * 100,
		ack + (uint32_t)(int32_t)ack_off, wnd, bytes, flags & TCP_SYN ? 0 : len);
}

static void owner(struct guest *g, struct input *in)
{
	static uint8_t bytes[100000];
	struct iovec iov[STACK_TCP_IOV];
	uint32_t what = take(in, 1);
	int n;

	if (what % 8 == 7) {
		struct net_tuple t = {
			{g->cfg.guest4, 8080}, {g->cfg.gateway4, (uint16_t)take(in, 1)}};
		struct stack_tcp *c = stack_tcp_connect(g->stack, &t, &guest_tcp_ops, g);
		struct stack_udp *u = stack_udp_open(g->stack, &t, &guest_udp_ops, g);

		g->tcp = c ? c : g->tcp;
		g->udp = u ? u : g->udp;
		return;
	}
	if (!g->tcp)
		return;
	switch (what % 8) {
	case 0:
		stack_tcp_accept(g->tcp);
		break;
	case 1:
		stack_tcp_refuse(g->tcp, (enum stack_refusal)(what / 8 % 5));
		g->tcp = NULL;
		break;
	case 2:
		(void)stack_tcp_write(g->tcp, bytes, take(in, 2) * 2 % sizeof(bytes));
		break;
	case 3:
		stack_tcp_consume(g->tcp, stack_tcp_peek(g->tcp, iov, &n) / 2);
		break;
	case 4:
		stack_tcp_shutdown(g->tcp);
		break;
	case 5:
		stack_tcp_abort(g->tcp);
		g->tcp = NULL;
		break;
	default:
		g->keep = !g->keep;
	}
}

static void step(struct guest *g, struct input *in)
{
	static uint8_t bytes[4000];

	switch (take(in, 1) % 9) {
	case 0:
		raw_frame(g, in);
		break;
	case 1:
		ip_packet(g, in);
		break;
	case 2:
		segment(g, in);
		break;
	case 3:
		owner(g, in);
		break;
	case 4:
		guest_wait(g, take(in, 2) * 10 * NSEC_PER_MSEC);
		break;
	case 5:
		guest_udp(g, bytes, take(in, 1));
		if (g->udp)
			stack_udp_send(g->udp, bytes, take(in, 2) % sizeof(bytes));
		break;
	case 6:
		g->sport = (uint16_t)take(in, 1);
		g->v6 = take(in, 1) & 1;
		g->tcp = NULL;
		break;
	case 7:
		g->full = !g->full;
		if (!g->full)
			stack_link_ready(g->stack);
		break;
	default:
		g->partial = !g->partial;
		g->refuse_udp = take(in, 1) & 1;
		guest_drop(g);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest g;
	struct input in = {data, size};
	unsigned int offload = take(&in, 1) % 8;
	struct stack_config cfg = {
		.offload = offload, .max_tcp = 8, .max_udp = 8, .max_bytes = 512 * 1024};

	if (guest_init_with(&g, &cfg) < 0)
		abort();
	while (in.n > 0) {
		const struct stack_stats *s = stack_stats(g.stack);

		step(&g, &in);
		if (s->tcp_now > cfg.max_tcp || s->udp_now > cfg.max_udp ||
			s->bytes_now > cfg.max_bytes || g.stack->n_frags > FRAG_SETS ||
			g.stack->frag_bytes > FRAG_BYTES)
			abort();
		if (g.n_frames > GUEST_FRAMES / 2)
			guest_drop(&g);
		buf_consume(&g.got, buf_len(&g.got));
	}
	guest_deinit(&g);
	return 0;
}
