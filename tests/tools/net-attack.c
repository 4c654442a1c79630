/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile guest puts on its wire, for tests/e2e/test_net_attacks.py. usage: net-attack WHAT
 * ADDRESS PORT
 *
 * Frames go out raw, past the guest's own kernel. The guest is 172.16.0.2, the gateway's hardware
 * address comes from the neighbour table (the test has pinged it).
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum { FLOOD = 20000, FIRST = 1000, SCAN = 1000, PATIENCE_MS = 60000 };

/* Of TCP_REPAIR, which the C library does not name. */
enum { RECV_QUEUE = 1, SEND_QUEUE = 2, REPAIR_OFF_QUIETLY = -1 };

#define GUEST "172.16.0.2"

static struct wire {
	int fd;
	struct sockaddr_ll to;
} wire;

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t data[64];
} __attribute__((packed));

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint8_t digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, c);

	return at ? (uint8_t)(at - digits) : 0;
}

static void gateway(uint8_t mac[6])
{
	FILE *f = fopen("/proc/net/arp", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "172.16.0.1 ", 11) != 0 || !colon || strlen(colon) < 16)
			continue;
		for (int i = 0; i < 6; i++)
			mac[i] = (uint8_t)(digit(colon[3 * i - 2]) << 4 | digit(colon[3 * i - 1]));
		(void)fclose(f);
		return;
	}
	die("the gateway is not in /proc/net/arp");
}

static void wire_open(void)
{
	struct ifreq ifr = {.ifr_name = "eth0"};

	wire.fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
	if (wire.fd < 0 || ioctl(wire.fd, SIOCGIFINDEX, &ifr) < 0)
		die("eth0");
	wire.to = (struct sockaddr_ll){.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = ifr.ifr_ifindex,
		.sll_halen = 6};
	gateway(wire.to.sll_addr);
}

static void wire_send(const void *p, size_t n)
{
	while (sendto(wire.fd, p, n, 0, (struct sockaddr *)&wire.to, sizeof(wire.to)) < 0) {
		struct pollfd room = {.fd = wire.fd, .events = POLLOUT};

		if (errno != ENOBUFS && errno != EAGAIN)
			die("send");
		(void)poll(&room, 1, 10);
	}
}

static uint32_t sum(uint32_t s, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static in_addr_t address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		die(text);
	return a.s_addr;
}

/* One TCP packet with right checksums; @data of @n bytes behind the header. */
static void tcp_packet(struct packet *p, in_addr_t from, const struct sockaddr_in *to, size_t n)
{
	uint16_t length = (uint16_t)(sizeof(p->tcp) + n);
	uint32_t s;

	p->ip = (struct iphdr){.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = from,
		.daddr = to->sin_addr.s_addr,
		.tot_len = htons((uint16_t)(sizeof(p->ip) + length)),
		.id = htons(77)};
	p->ip.check = fold(sum(0, &p->ip, sizeof(p->ip)));
	p->tcp.dest = to->sin_port;
	p->tcp.doff = sizeof(p->tcp) / 4;
	p->tcp.check = 0;
	s = sum(0, &p->ip.saddr, 8) + IPPROTO_TCP + length;
	p->tcp.check = fold(sum(s, &p->tcp, length));
}

static void syn(const char *from, const struct sockaddr_in *to, uint16_t port)
{
	struct packet p = {.tcp = {.source = htons(port),
				   .seq = htonl(1000),
				   .syn = 1,
				   .window = htons(65535)}};

	tcp_packet(&p, address(from), to, 0);
	wire_send(&p, sizeof(p.ip) + sizeof(p.tcp));
}

/* As if somebody else had sent them: nobody may be asked anything. */
static void spoof(const struct sockaddr_in *to)
{
	static const char *const sources[] = {"127.0.0.1", "172.16.0.1", "172.16.0.3", "10.1.2.3",
		"0.0.0.0", "255.255.255.255", "224.0.0.1", "93.184.215.14"};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		syn(sources[i], to, (uint16_t)(40000 + i));
}

/* A SYN in two fragments, then once more with a second one that lies over the first. */
static void fragments(const struct sockaddr_in *to)
{
	static const uint16_t at[] = {1, 0};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct packet p = {
			.tcp = {.source = htons(41000), .syn = 1, .window = htons(65535)}};
		struct packet second;

		tcp_packet(&p, address(GUEST), to, 0);
		second = p;
		p.ip.tot_len = htons(sizeof(p.ip) + 8);
		p.ip.frag_off = htons(IP_MF);
		second.ip.tot_len = htons(sizeof(p.ip) + 12);
		second.ip.frag_off = htons(at[i]);
		memmove(&second.tcp, (uint8_t *)&second.tcp + 8, 12);
		p.ip.check = second.ip.check = 0;
		p.ip.check = fold(sum(0, &p.ip, sizeof(p.ip)));
		second.ip.check = fold(sum(0, &second.ip, sizeof(second.ip)));
		wire_send(&p, sizeof(p.ip) + 8);
		wire_send(&second, sizeof(second.ip) + 12);
	}
}

/* More handshakes than anybody finishes. */
static void flood(const struct sockaddr_in *to)
{
	for (unsigned int i = 0; i < FLOOD; i++)
		syn(GUEST, to, (uint16_t)(1024 + i));
}

/* Every port is refused, and at once. */
static void scan(struct sockaddr_in to)
{
	unsigned int refused = 0;

	for (unsigned int i = 0; i < SCAN; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		to.sin_port = htons((uint16_t)(FIRST + i));
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ECONNREFUSED)
			refused++;
		(void)close(fd);
	}
	(void)printf("%u refused\n", refused);
}

/* The next numbers of a connection of this kernel, as only its owner can know them. */
static uint32_t next_seq(int fd, int queue)
{
	int on = 1;
	int off = REPAIR_OFF_QUIETLY;
	uint32_t seq;
	socklen_t n = sizeof(seq);

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0 ||
		getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &n) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0)
		die("TCP_REPAIR");
	return seq;
}

/* A segment of the connection that its kernel does not know of. */
static void inject(int fd, const struct sockaddr_in *to, uint32_t seq, const char *text)
{
	struct sockaddr_in me = {};
	socklen_t n = sizeof(me);
	struct packet p = {};

	if (getsockname(fd, (struct sockaddr *)&me, &n) < 0)
		die("getsockname");
	p.tcp.source = me.sin_port;
	p.tcp.seq = htonl(seq);
	p.tcp.ack_seq = htonl(next_seq(fd, RECV_QUEUE));
	p.tcp.ack = 1;
	p.tcp.window = htons(500);
	memcpy(p.data, text, strlen(text));
	tcp_packet(&p, address(GUEST), to, strlen(text));
	wire_send(&p, sizeof(p.ip) + sizeof(p.tcp) + strlen(text));
}

static void answered(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	if (poll(&p, 1, PATIENCE_MS) != 1 || read(fd, &c, 1) != 1)
		die("no answer");
}

/*
 * Other bytes for the same place in the stream, before and after the true ones; the server answers
 * every ten bytes, and is to see the true ones alone.
 */
static void overlap(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint32_t seq;

	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("connect");
	seq = next_seq(fd, SEND_QUEUE);
	/* Beyond what has come, and then what comes lies over it. */
	inject(fd, to, seq + 3, "EVILEVI");
	if (write(fd, "0123456789", 10) != 10)
		die("write");
	answered(fd);
	/* Again what was taken, and beyond: of that only what is new could count. */
	inject(fd, to, seq, "EVILEVILEV");
	inject(fd, to, seq - 100, "EVIL");
	if (write(fd, "abcdefghij", 10) != 10)
		die("write");
	answered(fd);
	(void)close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint32_t port;

	if (argc != 4)
		return 2;
	to.sin_addr.s_addr = address(argv[2]);
	if (str_to_u32(argv[3], 0, UINT16_MAX, &port) < 0)
		return 2;
	to.sin_port = htons((uint16_t)port);
	wire_open();
	if (streq(argv[1], "spoof"))
		spoof(&to);
	else if (streq(argv[1], "fragments"))
		fragments(&to);
	else if (streq(argv[1], "flood"))
		flood(&to);
	else if (streq(argv[1], "scan"))
		scan(to);
	else if (streq(argv[1], "overlap"))
		overlap(&to);
	else
		return 2;
	return 0;
}
