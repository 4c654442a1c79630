/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a guest for whatever kernel is behind a TAP device: for bench/net, which compares
 * it with other user-space networks on the same device. usage: net-tap [CONNECTIONS], with the
 * device as descriptor 3.
 *
 * The guest is 172.16.0.2, the gateway 172.16.0.1; every destination is allowed.
 */
#include <linux/if_tun.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "base/str.h"

#include "net/flow/flow.h"
#include "net/stack/wire.h"

/* The stack takes what any device sends; a device with a smaller MTU says so in its SYN. */
enum { MTU = 65520 };
enum { TAP = 3, RUN_FRAMES = 32, RUN_BYTES = 512 * 1024, FRAME_MAX = VNET_LEN + ETH_LEN + 65536 };

static int on_emit(void *ctx, const struct iovec *iov, int n)
{
	(void)ctx;
	/* What its queue cannot take is lost. */
	return writev(TAP, iov, n) < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

static void on_decide(void *ctx, const struct flow_query *q, struct flow_verdict *v)
{
	(void)ctx;
	(void)q;
	v->action = FLOW_DIAL;
}

static enum flow_action on_inspect(void *ctx, const struct flow_query *q, const void *data,
	size_t len, bool last, uint32_t *tag)
{
	(void)ctx;
	(void)q;
	(void)data;
	(void)len;
	(void)last;
	(void)tag;
	return FLOW_DIAL;
}

struct tap {
	struct loop_fd src;
	struct flows *flows;
	bool alone; /* one frame at a time came so far */
	unsigned int runs;
	uint8_t frame[FRAME_MAX];
};

static void on_tap(struct loop_fd *src, uint32_t events)
{
	struct tap *t = container_of(src, struct tap, src);
	struct stack *stack = flows_stack(t->flows);
	unsigned int frames = 0;
	bool more = false;
	size_t bytes = 0;

	(void)events;
	stack_hold(stack);
	while (!more) {
		ssize_t n = read(TAP, t->frame, sizeof(t->frame));

		if (n <= 0)
			break;
		stack_input(stack, t->frame, (size_t)n);
		bytes += (size_t)n;
		if (++frames == 1 && t->alone && ++t->runs % 8)
			break;
		more = frames == RUN_FRAMES || bytes >= RUN_BYTES;
	}
	t->alone = frames == 1;
	stack_release(stack, more);
}

static int fail(const char *what, int e)
{
	(void)fprintf(stderr, "net-tap: %s: %s\n", what, strerror(-e));
	return 1;
}

int main(int argc, char **argv)
{
	static const struct flow_ops ops = {
		.emit = on_emit, .decide = on_decide, .inspect = on_inspect};
	struct flow_config config = {
		.stack = {.guest4 = {.family = NET_V4, .b = {172, 16, 0, 2}},
			.gateway4 = {.family = NET_V4, .b = {172, 16, 0, 1}},
			.guest_mac = {2, 0x6d, 0x73, 0, 0, 2},
			.gateway_mac = {2, 0x6d, 0x73, 0, 0, 1},
			.offload = STACK_TX_CSUM | STACK_TX_TSO4 | STACK_TX_TSO6,
			.mtu = MTU,
			.seed = 7},
	};
	static struct tap tap;
	const unsigned long features = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	const int header = VNET_LEN;
	struct loop loop;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && str_to_u32(argv[1], 1, 65535, &config.stack.max_tcp) < 0)
		return fail(argv[1], -EINVAL);
	if (ioctl(TAP, TUNSETVNETHDRSZ, &header) < 0 || ioctl(TAP, TUNSETOFFLOAD, features) < 0)
		return fail("descriptor 3 is no TAP device with IFF_VNET_HDR", -errno);
	r = loop_init(&loop);
	if (r == 0)
		r = flows_new(&loop, &config, &ops, NULL, &tap.flows);
	if (r == 0)
		r = loop_fd_add(&loop, &tap.src, TAP, EPOLLIN, on_tap);
	if (r == 0)
		r = loop_run(&loop);
	return r < 0 ? fail("cannot serve", r) : 0;
}
