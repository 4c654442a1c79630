/* SPDX-License-Identifier: Apache-2.0 */
/* What is waited for, and how long; how long datagrams may be. Between two kernels, see testbed.h.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/flow/internal.h"
#include "net/flow/testbed.h"

enum { SHORT_MS = 300, BACKLOG_MAX = 16, PATH_MTU = 1280, IP_UDP_HEAD = 28 };

/* A setting of the network namespace that this process is in. */
static void set(const char *path, const char *value)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		SKIP("the settings of a network namespace cannot be written");
}

/* Connections to @port until one gets no answer: the rest of them is not answered either. */
static void fill(int port, int fds[BACKLOG_MAX])
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	(void)inet_pton(AF_INET, "127.0.0.1", &sin.sin_addr);
	for (int i = 0; i < BACKLOG_MAX; i++) {
		struct pollfd p = {.events = POLLOUT};

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		p.fd = fds[i];
		(void)connect(fds[i], (struct sockaddr *)&sin, sizeof(sin));
		if (poll(&p, 1, SHORT_MS) == 0)
			return;
	}
	test_fail(__FILE__, __LINE__, "the listener takes any number");
}

static int guest_is_unheard(int arg)
{
	(void)arg;
	CHECK(connect_to(SILENT_PORT) < 0 && errno == EHOSTUNREACH);
	return 0;
}

TEST(a_silent_peer_becomes_unreachable)
{
	int fds[BACKLOG_MAX];
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(SILENT_PORT)};
	int listener;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = -EBADF;
	bed.connect_ms = SHORT_MS;
	bed_init(true, 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ASSERT_EQ(listen(listener, 0), 0);
	fill(SILENT_PORT, fds);
	play(guest_is_unheard, 0);
	ASSERT_EQ(bed.failed, 1);
	ASSERT_EQ(bed.last_error, -ETIMEDOUT);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)fd_close(fds[i]);
	(void)close(listener);
	bed_deinit();
}

/* One echo request; waits for its reply if @wanted. */
static int guest_pings(int wanted)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	/* A checksum of zeros behind type 8. */
	uint8_t b[64] = {8, 0, 0xf7, 0xff};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	CHECK(fd >= 0);
	(void)inet_pton(AF_INET, "93.184.215.14", &sin.sin_addr);
	CHECK(sendto(fd, b, sizeof(b), 0, (struct sockaddr *)&sin, sizeof(sin)) == sizeof(b));
	if (!wanted)
		return 0;
	CHECK(poll(&p, 1, PATIENCE_S * 1000) == 1);
	CHECK(recv(fd, b, sizeof(b), 0) >= 28 && b[20] == 0);
	return 0;
}

static void wait_for_echoes(uint32_t n)
{
	while (bed.flows->n_echo != n)
		ASSERT_OK(loop_once(&bed.loop, clock_mono_ns() + NSEC_PER_SEC));
}

TEST(echo_is_waited_for_so_long)
{
	uint64_t began;

	bed.echo_ms = SHORT_MS;
	bed_init(true, 0);
	set("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
	play(guest_pings, true);
	wait_for_echoes(0);
	set("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1");
	began = clock_mono_ns();
	play(guest_pings, false);
	wait_for_echoes(1);
	wait_for_echoes(0);
	ASSERT_TRUE(clock_mono_ns() - began >= SHORT_MS * NSEC_PER_MSEC);
	bed_deinit();
}

static void set_mtu(const char *name, int mtu)
{
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_mtu = mtu};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ASSERT_EQ(ioctl(sock, SIOCSIFMTU, &ifr), 0);
}

/* What must stay whole is told how long it may be; what may be cut up arrives. */
static int guest_probes(int arg)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct pollfd p = {.events = POLLIN};
	uint8_t b[1400] = {0};
	int how = IP_PMTUDISC_DO;
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	(void)arg;
	p.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)inet_pton(AF_INET, "93.184.215.14", &sin.sin_addr);
	CHECK(connect(p.fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	CHECK(setsockopt(p.fd, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof(how)) == 0);
	CHECK(send(p.fd, b, sizeof(b), 0) == sizeof(b));
	CHECK(poll(&p, 1, PATIENCE_S * 1000) == 1); /* the error */
	CHECK(recv(p.fd, b, sizeof(b), 0) < 0 && errno == EMSGSIZE);
	CHECK(getsockopt(p.fd, IPPROTO_IP, IP_MTU, &mtu, &len) == 0 && mtu == PATH_MTU);
	CHECK(send(p.fd, b, sizeof(b), 0) < 0 && errno == EMSGSIZE);
	CHECK(send(p.fd, b, PATH_MTU - IP_UDP_HEAD, 0) == PATH_MTU - IP_UDP_HEAD);
	how = IP_PMTUDISC_DONT;
	CHECK(setsockopt(p.fd, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof(how)) == 0);
	CHECK(send(p.fd, b, sizeof(b), 0) == sizeof(b));
	CHECK(recv(p.fd, b, sizeof(b), 0) == 1);
	return 0;
}

static int serve_two_sizes(int fd)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	uint8_t b[2048];

	CHECK(recv(fd, b, sizeof(b), 0) == PATH_MTU - IP_UDP_HEAD);
	CHECK(recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&peer, &len) == 1400);
	CHECK(sendto(fd, b, 1, 0, (struct sockaddr *)&peer, len) == 1);
	return 0;
}

TEST(datagrams_learn_what_the_path_takes)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	pid_t server;
	int fd;

	bed_init(true, 0);
	set_mtu("lo", PATH_MTU);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	server = child(bed.up_ns, serve_two_sizes, fd);
	play(guest_probes, 0);
	reap(server);
	(void)close(fd);
	bed_deinit();
}
