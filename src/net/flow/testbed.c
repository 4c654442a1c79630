/* SPDX-License-Identifier: Apache-2.0 */
/* Two kernels around the flows; the contract stands in testbed.h. */
#include "net/flow/testbed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "net/stack/wire.h"

struct bed bed;
static const uint8_t guest_mac[6] = {2, 0x6d, 0x73, 0, 0, 2};
static const uint8_t gateway_mac[6] = {2, 0x6d, 0x73, 0, 0, 1};

static int on_emit(void *ctx, const struct iovec *iov, int n)
{
	struct bed *b = ctx;

	if (b->lossy && ++b->tick % 50 == 0)
		return 0;
	/* The queue of the device drops what it cannot take, as lossy as a link can be. */
	if (writev(b->tap, iov, n) < 0 && errno == EAGAIN)
		return -EAGAIN;
	return 0;
}

static void on_decide(void *ctx, const struct flow_query *q, struct flow_verdict *v)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};

	if (q->tuple.remote.port == DENIED_PORT)
		return;
	v->action = ((struct bed *)ctx)->inspect && q->proto == FLOW_TCP ? FLOW_INSPECT : FLOW_DIAL;
	if (q->tuple.remote.port == PORT || q->tuple.remote.port == CLOSED_PORT ||
		q->tuple.remote.port == SILENT_PORT || q->proto == FLOW_ECHO)
		v->dial.addr = net_addr_v4(loopback);
}

static void on_event(void *ctx, const struct flow_event *e)
{
	struct bed *b = ctx;

	b->opened += e->kind == FLOW_EVENT_OPENED;
	b->closed += e->kind == FLOW_EVENT_CLOSED;
	b->failed += e->kind == FLOW_EVENT_FAILED;
	b->denied += e->kind == FLOW_EVENT_DENIED;
	if (e->error)
		b->last_error = e->error;
}

/* Five bytes decide: "good!" may pass. */
static enum flow_action on_inspect(void *ctx, const struct flow_query *q, const void *data,
	size_t len, bool last, uint32_t *tag)
{
	(void)q;
	*tag = 5;
	if (len < 5)
		return last ? FLOW_DENY : FLOW_INSPECT;
	return !((struct bed *)ctx)->never && memcmp(data, "good!", 5) == 0 ? FLOW_DIAL : FLOW_DENY;
}

static void on_used(void *ctx)
{
	((struct bed *)ctx)->used++;
}

static const struct flow_ops ops = {
	.emit = on_emit,
	.decide = on_decide,
	.inspect = on_inspect,
	.event = on_event,
	.used = on_used,
};

static void on_tap(struct loop_fd *src, uint32_t events)
{
	static uint8_t frame[VNET_LEN + ETH_LEN + 65536];
	ssize_t n;

	(void)events;
	for (int i = 0; i < 32 && (n = read(src->fd, frame, sizeof(frame))) > 0; i++) {
		bed.frames_in++;
		stack_input(flows_stack(bed.flows), frame, (size_t)n);
	}
}

static void on_done(struct loop_fd *src, uint32_t events)
{
	(void)events;
	loop_stop(src->loop, 0);
}

static void set_addr(int sock, const char *name, unsigned long what, const char *addr)
{
	struct ifreq ifr = {0};
	struct sockaddr_in sin = {.sin_family = AF_INET};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ASSERT_EQ(inet_pton(AF_INET, addr, &sin.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	ASSERT_EQ(ioctl(sock, what, &ifr), 0);
}

static void set_up(int sock, const char *name)
{
	struct ifreq ifr = {0};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ASSERT_EQ(ioctl(sock, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	ASSERT_EQ(ioctl(sock, SIOCSIFFLAGS, &ifr), 0);
}

static void default_route(int sock)
{
	struct rtentry rt = {.rt_flags = RTF_UP | RTF_GATEWAY};
	struct sockaddr_in sin = {.sin_family = AF_INET};

	memcpy(&rt.rt_dst, &sin, sizeof(sin));
	memcpy(&rt.rt_genmask, &sin, sizeof(sin));
	ASSERT_EQ(inet_pton(AF_INET, "172.16.0.1", &sin.sin_addr), 1);
	memcpy(&rt.rt_gateway, &sin, sizeof(sin));
	ASSERT_EQ(ioctl(sock, SIOCADDRT, &rt), 0);
}

/* In the namespace of the guest: the device, its addresses, a route to everywhere. */
static void make_tap(bool offload)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	unsigned int features = offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
	int vnet = VNET_LEN, buffers = 4 * (int)MIB;
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	bed.tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (bed.tap < 0)
		SKIP("no /dev/net/tun");
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "eth0");
	if (ioctl(bed.tap, TUNSETIFF, &ifr) < 0)
		SKIP("TAP devices are not permitted");
	ASSERT_EQ(ioctl(bed.tap, TUNSETVNETHDRSZ, &vnet), 0);
	ASSERT_EQ(ioctl(bed.tap, TUNSETOFFLOAD, (unsigned long)features), 0);
	(void)ioctl(bed.tap, TUNSETSNDBUF, &buffers);
	memset(&ifr.ifr_hwaddr, 0, sizeof(ifr.ifr_hwaddr));
	ifr.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(ifr.ifr_hwaddr.sa_data, guest_mac, 6);
	ASSERT_EQ(ioctl(sock, SIOCSIFHWADDR, &ifr), 0);
	ifr.ifr_qlen = 10000;
	ASSERT_EQ(ioctl(sock, SIOCSIFTXQLEN, &ifr), 0);
	set_addr(sock, "eth0", SIOCSIFADDR, "172.16.0.2");
	set_addr(sock, "eth0", SIOCSIFNETMASK, "255.255.255.252");
	set_up(sock, "lo");
	set_up(sock, "eth0");
	default_route(sock);
}

void bed_init(bool offload, uint32_t max_tcp)
{
	struct flow_config cfg = {
		.stack = {.guest4 = net_addr_v4((const uint8_t[]){172, 16, 0, 2}),
			.gateway4 = net_addr_v4((const uint8_t[]){172, 16, 0, 1}),
			.offload = offload ? STACK_TX_CSUM | STACK_TX_TSO4 | STACK_TX_TSO6 : 0,
			.max_tcp = max_tcp,
			.seed = 7},
		.inspect_ms = bed.inspect_ms,
		.connect_timeout_ms = bed.connect_ms,
		.echo_ms = bed.echo_ms,
	};
	struct rlimit files = {8192, 8192};
	cleanup_fd int sock = -EBADF;

	(void)alarm(PATIENCE_S);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (unshare(CLONE_NEWNET) < 0)
		SKIP("network namespaces are not permitted");
	bed.guest_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_TRUE(bed.guest_ns >= 0);
	make_tap(offload);
	ASSERT_OK(unshare(CLONE_NEWNET));
	bed.up_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_up(sock, "lo");
	memcpy(cfg.stack.guest_mac, guest_mac, 6);
	memcpy(cfg.stack.gateway_mac, gateway_mac, 6);
	ASSERT_OK(loop_init(&bed.loop));
	ASSERT_OK(flows_new(&bed.loop, &cfg, &ops, &bed, &bed.flows));
	ASSERT_OK(loop_fd_add(&bed.loop, &bed.tap_src, bed.tap, EPOLLIN, on_tap));
}

void bed_deinit(void)
{
	bed.flows = flows_free(bed.flows);
	loop_fd_del(&bed.tap_src);
	loop_deinit(&bed.loop);
	(void)close(bed.tap);
	(void)close(bed.up_ns);
	(void)close(bed.guest_ns);
}

/* A child that runs @fn in the namespace @ns and exits with what it returns. */
pid_t child(int ns, int (*fn)(int), int arg)
{
	pid_t pid = fork();

	ASSERT_TRUE(pid >= 0);
	if (pid == 0) {
		(void)alarm(PATIENCE_S);
		if (setns(ns, CLONE_NEWNET) < 0)
			_exit(99);
		_exit(fn(arg));
	}
	return pid;
}

void reap(pid_t pid)
{
	int status;

	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		test_fail(
			__FILE__, __LINE__, "a child ended with status %#x", (unsigned int)status);
}

/* Run flows until the guest @fn is done and its connections have ended. */
void play(int (*fn)(int), int arg)
{
	pid_t pid = child(bed.guest_ns, fn, arg);
	int fd = io_pidfd_open(pid);

	ASSERT_TRUE(fd >= 0);
	ASSERT_OK(loop_fd_add(&bed.loop, &bed.done_src, fd, EPOLLIN, on_done));
	ASSERT_OK(loop_run(&bed.loop));
	loop_fd_del(&bed.done_src);
	(void)close(fd);
	reap(pid);
	/* What the guest has sent may still be under way. */
	while (stack_stats(flows_stack(bed.flows))->tcp_now > 0)
		ASSERT_OK(loop_once(&bed.loop, clock_mono_ns() + NSEC_PER_SEC));
}

uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

int connect_to(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, "93.184.215.14", &sin.sin_addr);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int listen_at(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ASSERT_EQ(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ASSERT_EQ(listen(fd, 4096), 0);
	return fd;
}

int send_pattern(int fd, size_t n)
{
	static uint8_t b[256 * 1024];

	for (size_t done = 0; done < n;) {
		size_t part = MIN(n - done, sizeof(b));

		for (size_t i = 0; i < part; i++)
			b[i] = pattern(done + i);
		CHECK(io_write_full(fd, b, part) == 0);
		done += part;
	}
	return 0;
}

int recv_pattern(int fd, size_t n)
{
	static uint8_t b[256 * 1024];
	size_t done = 0;
	ssize_t got;

	while ((got = read(fd, b, sizeof(b))) > 0) {
		for (size_t i = 0; i < (size_t)got; i++)
			CHECK(b[i] == pattern(done + i));
		done += (size_t)got;
	}
	CHECK(got == 0);
	CHECK(done == n);
	return 0;
}
