/* SPDX-License-Identifier: Apache-2.0 */
/* Starting msb-net: see net.h. */
#include "engine/net.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/spawn.h"

#include "proto/netframe.h"

/* Room for a few of the largest frames, as much as the host grants: neither end may ask later. */
static void enlarge(int fd)
{
	int size = NETFRAME_SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int net_start(const struct engine_spec *spec, enum net_link link, int err_fd, struct engine_vm *vm,
	int *ret_fd, struct msb_err *err)
{
	char name[] = "msb-net";
	char headers[] = "headers";
	char bare[] = "bare";
	char *argv[] = {name, link == NET_HEADERS ? headers : bare, NULL};
	char *envp[] = {NULL};
	struct spawn s = {
		.path = spec->net.path,
		.argv = argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
		.cgroup_fd = -1,
	};
	struct engine_helper *h = &vm->helpers[vm->n_helpers];
	cleanup_fd int theirs = -EBADF;
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
	spawn_add_fd(&s, err_fd, STDERR_FILENO);
	spawn_add_fd(&s, theirs, NET_FD_LINK);
	spawn_add_fd(&s, spec->net.config_fd, NET_FD_CONFIG);
	if (spec->net.events_fd >= 0)
		spawn_add_fd(&s, spec->net.events_fd, NET_FD_EVENTS);
	r = spawn_run(&s, &h->pid, &h->pidfd);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start %s", spec->net.path);
	h->name = "msb-net";
	vm->n_helpers++;
	return 0;
}
