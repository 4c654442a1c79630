/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-net: the network of one sandbox. See config.h for how it is started.
 *
 * It gives up every right but that to open Internet sockets before it reads the first frame. What
 * it denies goes to the supervisor (events.h); stderr gets one line when it cannot start or go on;
 * the exit status is 0 when the machine ended it, 1 for a failure and 2 for words it does not know.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/jail.h"

#include "net/divert.h"
#include "net/gate.h"
#include "net/jail.h"
#include "net/link.h"
#include "net/policy/rule.h"

#define QUEUE_NS   (100 * NSEC_PER_MSEC)
#define SEGMENT_NS (10 * NSEC_PER_MSEC)

struct net {
	struct loop loop;
	struct net_config config;
	struct net_wire wire;
	struct net_gate gate;
	struct net_events events;
	struct net_drops drops;
	struct flows *flows;
	struct loop_fd order_src; /* the supervisor's end of the events */
	int tls_fd;
};

static int complain(const struct msb_err *err)
{
	(void)fprintf(stderr, "msb-net: %s\n", err->msg);
	return 1;
}

static int read_config(struct net_config *ret, struct msb_err *err)
{
	cleanup_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(NET_FD_CONFIG, &st) < 0)
		return msb_err_errno(err, -errno, "no description");
	if (st.st_size > LIMIT_JSON_BYTES)
		return msb_err_set(err, -E2BIG, MSB_LIMIT, "the description is too large");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return msb_err_errno(err, -ENOMEM, "description");
	n = pread(NET_FD_CONFIG, text, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return msb_err_errno(err, n < 0 ? -errno : -EIO, "description");
	(void)close(NET_FD_CONFIG);
	return net_config_from_json(text, (size_t)n, ret, err);
}

static int emit(void *ctx, const struct iovec *iov, int n)
{
	struct net *net = ctx;

	return net_wire_emit(&net->wire, iov, n);
}

static void decide(void *ctx, const struct flow_query *q, struct flow_verdict *v)
{
	const struct net *net = ctx;

	net_gate_decide(&net->gate, q, v);
}

static enum flow_action inspect(void *ctx, const struct flow_query *q, const void *data, size_t len,
	bool last, uint32_t *tag)
{
	const struct net *net = ctx;

	return net_gate_inspect(&net->gate, q, data, len, last, tag);
}

static void event(void *ctx, const struct flow_event *e)
{
	const struct net *net = ctx;

	net_gate_event(&net->gate, e);
}

static int divert(void *ctx, const struct flow_query *q, const void *data, size_t len, int upstream,
	int *ret_fd)
{
	const struct net *net = ctx;

	return net_divert(&net->gate, net->tls_fd, q, data, len, upstream, ret_fd);
}

static void used(void *ctx)
{
	struct net *net = ctx;

	net_events_used(&net->events);
}

static const struct flow_ops flow_ops = {.emit = emit,
	.decide = decide,
	.inspect = inspect,
	.divert = divert,
	.event = event,
	.used = used};

static int start_flows(struct net *net, enum net_link link, struct msb_err *err)
{
	const struct net_config *c = &net->config;
	struct flow_config f = {
		.stack = {.guest4 = c->guest4,
			.gateway4 = c->gateway4,
			.guest6 = c->guest6,
			.gateway6 = c->gateway6,
			.offload = link == NET_HEADERS
					   ? STACK_TX_CSUM | STACK_TX_TSO4 | STACK_TX_TSO6
					   : 0,
			.mtu = link == NET_HEADERS ? NET_MTU_HEADERS : NET_MTU_BARE,
			.max_tcp = c->max_connections},
	};
	int r;

	net_wire_limit(&net->wire, &c->limits);
	/* What waits for a limit delays everything behind it. */
	if (net_meter_limited(&net->wire.egress))
		f.stack.max_window = MAX(net_limit_bytes(&c->limits.egress, QUEUE_NS), 1u);
	if (net_meter_limited(&net->wire.ingress))
		f.stack.max_segment = MAX(net_limit_bytes(&c->limits.ingress, SEGMENT_NS), 1u);
	memcpy(f.stack.guest_mac, c->guest_mac, sizeof(f.stack.guest_mac));
	memcpy(f.stack.gateway_mac, c->gateway_mac, sizeof(f.stack.gateway_mac));
	if (getrandom(&f.stack.seed, sizeof(f.stack.seed), 0) != (ssize_t)sizeof(f.stack.seed))
		return msb_err_errno(err, -errno, "no random numbers");
	r = flows_new(&net->loop, &f, &flow_ops, net, &net->flows);
	if (r < 0)
		return msb_err_errno(err, r, "cannot set up the network");
	net->wire.stack = flows_stack(net->flows);
	net_drops_init(&net->drops, &net->loop, &net->events, stack_stats(net->wire.stack));
	net->wire.drops = &net->drops;
	return 0;
}

static int start_names(struct net *net, struct msb_err *err)
{
	const struct net_config *c = &net->config;
	struct dns_config dns = {.has_v4 = c->guest4.family != NET_NONE,
		.has_v6 = c->guest6.family != NET_NONE,
		.gateway_only = c->proxy.kind != NET_PROXY_NONE};
	int r = dns_settings_apply(&c->dns, &dns, err);

	if (r < 0)
		return r;
	r = names_new(&net->loop, &dns, &c->policy, &net->events, &net->gate.names);
	net->gate.config = c;
	net->gate.events = &net->events;
	return r < 0 ? msb_err_errno(err, r, "cannot set up the name server") : 0;
}

/* From now on the policy is the one of this text; a bad one changes nothing. The answer follows
 * what is done: who waits for it may rely on that. */
static void change_policy(struct net *net, const char *text, size_t len)
{
	struct net_config *c = &net->config;
	cleanup_json struct json *doc = NULL;
	struct policy policy;
	struct msb_err err;
	char line[256];
	int r = json_parse(text, len, &doc, &err);

	if (r == 0)
		r = policy_from_json(doc, &policy, &err);
	if (r < 0) {
		(void)snprintf(line, sizeof(line), "the rules stay as they were: %.200s", err.msg);
		net_events_say(&net->events, line);
		net_events_answer(&net->events, false);
		return;
	}
	policy.gateway4 = c->gateway4;
	policy.gateway6 = c->gateway6;
	policy_deinit(&c->policy);
	c->policy = policy;
	flows_redecide(net->flows);
	net_events_answer(&net->events, true);
}

static void on_order(struct loop_fd *src, uint32_t events)
{
	struct net *net = container_of(src, struct net, order_src);
	cleanup_free char *text = malloc(NET_POLICY_MAX);
	ssize_t n = text ? recv(src->fd, text, NET_POLICY_MAX, MSG_DONTWAIT) : -1;

	(void)events;
	if (n > 0)
		change_policy(net, text, (size_t)n);
	else if (n == 0)
		loop_fd_del(src);
}

static int hear_orders(struct net *net, struct msb_err *err)
{
	int r;

	if (net->events.fd < 0)
		return 0;
	r = loop_fd_add(&net->loop, &net->order_src, net->events.fd, EPOLLIN, on_order);
	return r < 0 ? msb_err_errno(err, r, "cannot hear the supervisor") : 0;
}

static int start_ports(struct net *net, struct msb_err *err)
{
	const struct net_ports *ports = &net->config.ports;
	char text[NET_PORT_TEXT];
	int r;

	for (uint32_t i = 0; i < ports->n; i++) {
		const struct net_port *p = &ports->list[i];
		int fd = NET_FD_PORTS + (int)i;

		r = p->udp ? flows_listen_udp(net->flows, fd, p->guest)
			   : flows_listen_tcp(net->flows, fd, p->guest);
		if (r < 0)
			return msb_err_errno(
				err, r, "cannot publish port %s", net_port_host_text(p, text));
	}
	return 0;
}

static int setup(struct net *net, enum net_link link, struct msb_err *err)
{
	int keep[NET_FD_PORTS - NET_FD_LINK + LIMIT_PORTS];
	/* Asked before the number could become somebody else's. */
	int events = fcntl(NET_FD_EVENTS, F_GETFD) < 0 ? -EBADF : NET_FD_EVENTS;
	bool tls = fcntl(NET_FD_TLS, F_GETFD) == 0;
	uint32_t level = 0;
	int r;

	for (unsigned int i = 0; i < ARRAY_SIZE(keep); i++)
		keep[i] = NET_FD_LINK + (int)i;
	(void)signal(SIGPIPE, SIG_IGN);
	r = jail_close_fds(keep, ARRAY_SIZE(keep), err);
	if (r == 0)
		r = net_jail_enter(&level, err);
	if (r == 0)
		r = read_config(&net->config, err);
	if (r < 0)
		return r;
	if (net->config.tls.on && !tls)
		return msb_err_set(err, -EBADF, MSB_FAIL, "nobody to intercept TLS");
	net->tls_fd = NET_FD_TLS;
	r = loop_init(&net->loop);
	if (r == 0)
		r = net_wire_init(&net->wire, &net->loop, NET_FD_LINK, link);
	if (r < 0)
		return msb_err_errno(err, r, "cannot use the link to the machine");
	net_events_init(&net->events, &net->loop, events);
	r = start_names(net, err);
	if (r == 0)
		r = start_flows(net, link, err);
	if (r == 0)
		r = start_ports(net, err);
	if (r == 0)
		r = hear_orders(net, err);
	return r < 0 ? r : net_jail_lock(err);
}

int main(int argc, char **argv)
{
	static struct net net;
	struct msb_err err = {0};
	enum net_link link = NET_HEADERS;
	int r;

	if (argc != 2 || (strcmp(argv[1], "headers") != 0 && strcmp(argv[1], "bare") != 0)) {
		(void)fprintf(stderr,
			"msb-net: msb-net is started by msb: one word, 'headers' or 'bare'\n");
		return 2;
	}
	if (strcmp(argv[1], "bare") == 0)
		link = NET_BARE;
	r = setup(&net, link, &err);
	if (r < 0)
		return complain(&err);
	r = loop_run(&net.loop);
	if (r < 0) {
		(void)msb_err_errno(&err, r, "event loop");
		return complain(&err);
	}
	_exit(0);
}
