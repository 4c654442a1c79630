/* SPDX-License-Identifier: Apache-2.0 */
/* Starting msb-net: see net.h. */
#include "engine/net.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/spawn.h"

#include "net/intercept/config.h"
#include "proto/netframe.h"

/* Room for a few of the largest frames, as much as the host grants: neither end may ask later. */
static void enlarge(int fd)
{
	int size = NETFRAME_SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static void spawn_init(struct spawn *s, const char *path, char *const *argv, char *const *envp)
{
	*s = (struct spawn){
		.path = path,
		.argv = argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
		.cgroup_fd = -1,
	};
}

static int run(const struct spawn *s, const char *name, struct engine_vm *vm, struct msb_err *err)
{
	struct engine_helper *h = &vm->helpers[vm->n_helpers];
	int r = spawn_run(s, &h->pid, &h->pidfd);

	if (r < 0)
		return msb_err_errno(err, r, "cannot start %s", s->path);
	h->name = name;
	vm->n_helpers++;
	return 0;
}

static int start_tls(
	const struct engine_net *net, int fd, int err_fd, struct engine_vm *vm, struct msb_err *err)
{
	char name[] = "msb-tls";
	char serve[] = INTERCEPT_SERVE;
	char *argv[] = {name, serve, NULL};
	char *envp[] = {NULL};
	struct spawn s;

	spawn_init(&s, net->tls_path, argv, envp);
	spawn_add_fd(&s, err_fd, STDERR_FILENO);
	spawn_add_fd(&s, fd, INTERCEPT_FD_FLOWS);
	spawn_add_fd(&s, net->tls_config_fd, INTERCEPT_FD_CONFIG);
	if (net->events_fd >= 0)
		spawn_add_fd(&s, net->events_fd, INTERCEPT_FD_EVENTS);
	if (net->tls_secrets_fd >= 0)
		spawn_add_fd(&s, net->tls_secrets_fd, INTERCEPT_FD_SECRETS);
	if (net->tls_control_fd >= 0)
		spawn_add_fd(&s, net->tls_control_fd, INTERCEPT_FD_CONTROL);
	return run(&s, "msb-tls", vm, err);
}

_Static_assert(NET_FD_PORTS + LIMIT_PORTS <= SPAWN_FDS_MAX, "room for the ports");

int net_start(const struct engine_spec *spec, enum net_link link, int err_fd, struct engine_vm *vm,
	int *ret_fd, struct msb_err *err)
{
	char name[] = "msb-net";
	char headers[] = "headers";
	char bare[] = "bare";
	char *argv[] = {name, link == NET_HEADERS ? headers : bare, NULL};
	char *envp[] = {NULL};
	struct spawn s;
	cleanup_fd int theirs = -EBADF;
	cleanup_fd int net_end = -EBADF;
	cleanup_fd int tls_end = -EBADF;
	int fds[2];
	int r;

	if (!spec->net.path)
		return 0;
	r = io_socketpair(link == NET_HEADERS ? SOCK_SEQPACKET : SOCK_DGRAM, fds);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make the socket of msb-net");
	*ret_fd = fds[0];
	theirs = fds[1];
	enlarge(fds[0]);
	enlarge(fds[1]);
	if (spec->net.tls_path) {
		r = io_socketpair(SOCK_SEQPACKET, fds);
		if (r < 0)
			return msb_err_errno(err, r, "cannot make the socket of msb-tls");
		net_end = fds[0];
		tls_end = fds[1];
	}
	spawn_init(&s, spec->net.path, argv, envp);
	spawn_add_fd(&s, err_fd, STDERR_FILENO);
	spawn_add_fd(&s, theirs, NET_FD_LINK);
	spawn_add_fd(&s, spec->net.config_fd, NET_FD_CONFIG);
	if (spec->net.events_fd >= 0)
		spawn_add_fd(&s, spec->net.events_fd, NET_FD_EVENTS);
	for (uint32_t i = 0; i < spec->net.n_ports; i++)
		spawn_add_fd(&s, spec->net.port_fds[i], NET_FD_PORTS + (int)i);
	if (net_end >= 0)
		spawn_add_fd(&s, net_end, NET_FD_TLS);
	r = run(&s, "msb-net", vm, err);
	if (r == 0 && tls_end >= 0)
		r = start_tls(&spec->net, tls_end, err_fd, vm, err);
	return r;
}
