/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a sandbox: see sup-net.h.
 *
 * Every sandbox has the same addresses unless its user wants others: its wire ends in its own
 * msb-net, so nobody can mix them up, and they survive renames, clones and images made of it.
 */
#include "sandbox/sup-net.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"

#include "net/events.h"
#include "sandbox/sup-internal.h"
#include "sandbox/sup-tls.h"

enum { SLOT = 0, PORT_ANY = 53, RESOLV_MAX = 4096, EVENTS_BATCH = 64, LAST_BATCHES = 256 };
#define POLICY_NS (30 * NSEC_PER_SEC)

/* Does the host know a way to public IPv6 addresses? Asks the routing table, sends nothing. */
static bool host_has_ipv6(void)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6,
		.sin6_port = htons(PORT_ANY),
		.sin6_addr = {.s6_addr = {0x20, 0x01, 0x05, 0x00, [15] = 1}}};
	cleanup_fd int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
}

static uint32_t number4(const struct net_addr *a)
{
	uint32_t v;

	memcpy(&v, a->b, sizeof(v));
	return ntohl(v);
}

static void number6(const struct net_addr *a, uint64_t ret[2])
{
	memcpy(ret, a->b, sizeof(a->b));
	ret[0] = be64toh(ret[0]);
	ret[1] = be64toh(ret[1]);
}

static void tell_agent(const struct net_config *c, struct msg_net *ret)
{
	*ret = (struct msg_net){.mtu = NET_MTU_HEADERS,
		.ip4 = number4(&c->guest4),
		.gateway4 = number4(&c->gateway4),
		.prefix4 = NET_PREFIX4,
		.prefix6 = NET_PREFIX6};
	if (c->guest6.family == NET_NONE)
		return;
	number6(&c->guest6, ret->ip6);
	number6(&c->gateway6, ret->gateway6);
}

/* The name servers of the host, as it knows them now. */
static void host_servers(struct dns_settings *d)
{
	cleanup_fd int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char text[RESOLV_MAX];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));

	dns_settings_add_host(d, text, n > 0 ? (size_t)n : 0);
}

/* Servers by name: asked for at every start, of the host, which is the only one to know them. */
static int find_servers(struct dns_settings *d, struct msb_err *err)
{
	const struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_DGRAM};

	for (uint32_t i = 0; i < d->n_servers; i++) {
		char *host = d->servers[i].host;
		struct addrinfo *found = NULL;
		struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
		struct net_peer peer;
		struct net_addr a;
		int r;

		if (net_addr_parse(host, &a) == 0)
			continue;
		r = getaddrinfo(host, NULL, &hints, &found);
		if (r != 0)
			return msb_err_set(err, -EHOSTUNREACH, MSB_NOT_FOUND,
				"name server '%.100s': %s", host, gai_strerror(r));
		memcpy(&sa, found->ai_addr, MIN((size_t)found->ai_addrlen, sizeof(sa)));
		freeaddrinfo(found);
		r = net_peer_from_sockaddr(&sa, &peer);
		if (r < 0)
			return msb_err_errno(err, r, "name server '%.100s'", host);
		net_addr_text(&peer.addr, host);
	}
	return 0;
}

/* The description goes to msb-net in a file that has no name. */
static int write_config(const struct net_config *c, int *ret_fd)
{
	cleanup_fd int fd = memfd_create("msb-net", MFD_CLOEXEC);
	struct buf json;
	int r;

	if (fd < 0)
		return -errno;
	buf_init(&json, LIMIT_JSON_BYTES);
	r = net_config_to_json(c, &json);
	if (r == 0)
		r = io_write_full(fd, buf_data(&json), buf_len(&json));
	explicit_bzero((void *)(uintptr_t)buf_data(&json), buf_len(&json));
	buf_deinit(&json);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* A socket that keeps lines apart: one end for msb-net, the other one for the log. */
static int open_events(struct supervisor *sup, struct sup_net *n)
{
	int fds[2];
	int r = io_socketpair(SOCK_SEQPACKET, fds);

	if (r < 0)
		return r;
	n->events_fd = fds[0];
	sup->net_events_fd = fds[1];
	return 0;
}

int sup_net_open(
	struct supervisor *sup, struct sup_net *n, struct engine_spec *es, struct msb_err *err)
{
	const struct sandbox_spec *spec = &sup->spec;
	struct dns_settings dns = spec->net.dns;
	struct net_config c;
	int r;

	if (!spec->net.policy)
		return 0;
	r = snprintf(n->path, sizeof(n->path), "%s/msb-net", spec->lib_dir);
	if (r < 0 || (size_t)r >= sizeof(n->path))
		return msb_err_set(
			err, -ENAMETOOLONG, MSB_USAGE, "the program directory's path is too long");
	if (dns.n_servers == 0)
		host_servers(&dns);
	r = find_servers(&dns, err);
	if (r == 0)
		r = sup_ports_open(&spec->net.ports, &n->ports, err);
	if (r < 0)
		return r;
	net_config_init(&c, SLOT, host_has_ipv6());
	net_config_pools(&c, &spec->net.pools);
	c.max_connections = spec->net.max_connections;
	c.ports = spec->net.ports;
	c.limits = spec->net.limits;
	c.proxy = spec->net.proxy;
	c.dns = dns;
	r = policy_copy(&c.policy, spec->net.policy);
	if (r == 0)
		r = net_config_intercept(&c, &spec->net.tls);
	if (r == 0)
		r = write_config(&c, &n->config_fd);
	explicit_bzero(c.proxy.password, sizeof(c.proxy.password));
	explicit_bzero(sup->spec.net.proxy.password, sizeof(sup->spec.net.proxy.password));
	if (r == 0)
		r = open_events(sup, n);
	if (r == 0) {
		tell_agent(&c, &sup->net);
		es->net = (struct engine_net){.path = n->path,
			.config_fd = n->config_fd,
			.events_fd = n->events_fd,
			.port_fds = n->ports.fds,
			.n_ports = n->ports.n};
		sup->record.n_ports = n->ports.n;
		memcpy(sup->record.ports, n->ports.host, sizeof(sup->record.ports));
		memcpy(es->net.mac, c.guest_mac, sizeof(es->net.mac));
	}
	net_config_deinit(&c);
	if (r < 0)
		return msb_err_errno(err, r, "cannot describe the network");
	r = sup_tls_open(sup, n, es, err);
	return r == 0 ? sup_trust_open(sup, err) : r;
}

void sup_net_deinit(struct sup_net *n)
{
	sup_ports_close(&n->ports);
	n->config_fd = fd_close(n->config_fd);
	n->events_fd = fd_close(n->events_fd);
	n->tls_config_fd = fd_close(n->tls_config_fd);
	n->tls_control_fd = fd_close(n->tls_control_fd);
	n->secrets_fd = fd_close(n->secrets_fd);
}

void sup_net_lost(struct supervisor *sup, int r)
{
	if (r < 0)
		exec_log_say(&sup->log,
			"the ledger of the network cannot be written, its events are lost: %s",
			strerror(-r));
}

/* Whoever has taken msb-net over writes what it likes: what is no event is not kept. */
static void keep_event(struct supervisor *sup, const void *packet, size_t len)
{
	char line[NET_EVENT_TEXT + 2];
	struct net_event e;
	size_t n;

	if (net_event_get(packet, len, &e) < 0)
		return;
	if (e.log && e.text[0]) {
		n = strlen(e.text);
		memcpy(line, e.text, n);
		line[n] = '\n';
		exec_log_write(&sup->log, "network", 0, line, n + 1);
	}
	if (e.kind == NET_EVENT_DENIED && e.secret[0] &&
		sup->spec.net.secrets.violation == SECRET_TERMINATE) {
		struct msb_err err;

		(void)msb_err_set(&err, -EACCES, MSB_GUEST,
			"the sandbox was ended for its use of a secret: %s", e.text);
		sup_fail(sup, &err);
	}
	if (e.kind != NET_EVENT_NOTE)
		sup_net_lost(sup, ledger_event(&sup->ledger, &e));
}

static void policy_done(struct supervisor *sup, int error)
{
	if (!sup->policy_timer.loop)
		return;
	loop_timer_del(&sup->policy_timer);
	relay_policy_done(&sup->relay, error);
}

static void on_policy_late(struct loop_timer *t)
{
	struct supervisor *sup = container_of(t, struct supervisor, policy_timer);

	relay_policy_done(&sup->relay, -ETIMEDOUT);
}

static void hear_byte(struct supervisor *sup, uint8_t byte)
{
	if (byte == EVENTS_USED)
		sup->relay.active_ns = clock_mono_ns();
	else if (byte == EVENTS_TAKEN || byte == EVENTS_REFUSED)
		policy_done(sup, byte == EVENTS_TAKEN ? 0 : -EBADMSG);
}

/* Return: 1 when there may be more at once, 0 when not, negative when there never will be. */
static int read_events(struct supervisor *sup)
{
	uint8_t packet[NET_EVENT_MAX];
	ssize_t n = 1;
	int r;

	for (int i = 0; i < EVENTS_BATCH && n > 0; i++) {
		n = recv(sup->net_events_fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (n == 1)
			hear_byte(sup, packet[0]);
		else if (n > 0)
			keep_event(sup, packet, (size_t)n);
	}
	r = n > 0 ? 1 : n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -ENOTCONN;
	ledger_flush(&sup->ledger);
	return r;
}

void sup_net_listen(struct supervisor *sup)
{
	if (sup->net_events_fd >= 0)
		(void)read_events(sup);
}

static void on_event(struct loop_fd *src, uint32_t events)
{
	(void)events;
	struct supervisor *sup = container_of(src, struct supervisor, net_events_src);

	if (read_events(sup) >= 0)
		return;
	loop_fd_del(src);
	policy_done(sup, -ENETDOWN);
}

int sup_net_watch(struct supervisor *sup)
{
	if (sup->net_events_fd < 0)
		return 0;
	return loop_fd_add(&sup->loop, &sup->net_events_src, sup->net_events_fd, EPOLLIN, on_event);
}

void sup_net_unwatch(struct supervisor *sup)
{
	if (sup->net_events_fd < 0)
		return;
	loop_fd_del(&sup->net_events_src);
	/* Its process has ended: what it told is in the socket, and no more comes. */
	for (int i = 0; i < LAST_BATCHES && read_events(sup) > 0; i++)
		;
	policy_done(sup, -ENETDOWN);
	(void)ledger_say(&sup->ledger, "end", NULL);
	sup->net_events_fd = fd_close(sup->net_events_fd);
}

int sup_net_policy(struct supervisor *sup, const void *text, size_t len)
{
	if (sup->net_events_fd < 0)
		return -ENETDOWN;
	if (send(sup->net_events_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	loop_timer_set(&sup->loop, &sup->policy_timer, clock_mono_ns() + POLICY_NS, on_policy_late);
	return 0;
}
