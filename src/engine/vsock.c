/* SPDX-License-Identifier: Apache-2.0 */
/* Starting msb-vsock: see vsock.h. */
#include "engine/vsock.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/spawn.h"

#include "proto/vsocklink.h"

enum { PORT_TEXT = 12 };

static int run(const struct engine_spec *spec, char *role, char *const *words, int machine_fd,
	int dial_fd, int err_fd, struct engine_vm *vm, struct msb_err *err)
{
	struct engine_helper *h = &vm->helpers[vm->n_helpers];
	char name[] = "msb-vsock";
	char *argv[LIMIT_VSOCKS + 3] = {name, role};
	char *envp[] = {NULL};
	struct spawn s = {
		.path = spec->vsock.path,
		.argv = argv,
		.envp = envp,
		.new_session = true,
		.no_new_privs = true,
		.cgroup_fd = -1,
	};
	int r;

	memcpy(argv + 2, words, spec->vsock.routes->n * sizeof(*words));
	spawn_add_fd(&s, err_fd, STDERR_FILENO);
	if (machine_fd >= 0)
		spawn_add_fd(&s, machine_fd, VSOCK_FD_MACHINE);
	spawn_add_fd(&s, dial_fd, VSOCK_FD_DIAL);
	r = spawn_run(&s, &h->pid, &h->pidfd);
	if (r < 0)
		return msb_err_errno(err, r, "cannot start %s", s.path);
	h->name = "msb-vsock";
	vm->n_helpers++;
	return 0;
}

/* Room for a few of the largest packets; neither end may ask for it later. */
static void enlarge(int fd)
{
	int size = VSOCKLINK_SOCKET_BUFFER;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int vsock_start(const struct engine_spec *spec, enum vsock_role role, int err_fd,
	struct engine_vm *vm, int *ret_fd, struct msb_err *err)
{
	const struct vsock_routes *routes = spec->vsock.routes;
	char link[] = "link";
	char vhost[] = "vhost";
	char dial[] = "dial";
	char text[LIMIT_VSOCKS][PORT_TEXT];
	char *ports[LIMIT_VSOCKS];
	char *paths[LIMIT_VSOCKS];
	cleanup_fd int theirs = -EBADF;
	cleanup_fd int asks = -EBADF;
	cleanup_fd int answers = -EBADF;
	int fds[2];
	int r;

	if (!spec->vsock.path)
		return 0;
	for (uint32_t i = 0; i < routes->n; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "%" PRIu32, routes->list[i].port);
		ports[i] = text[i];
		paths[i] = (char *)(uintptr_t)routes->list[i].path;
	}
	r = io_socketpair(role == VSOCK_LINK ? SOCK_SEQPACKET : SOCK_STREAM, fds);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make the sockets of msb-vsock");
	*ret_fd = fds[0];
	theirs = fds[1];
	if (role == VSOCK_LINK) {
		enlarge(fds[0]);
		enlarge(fds[1]);
	}
	r = io_socketpair(SOCK_SEQPACKET, fds);
	if (r < 0)
		return msb_err_errno(err, r, "cannot make the sockets of msb-vsock");
	asks = fds[0];
	answers = fds[1];
	r = run(spec, dial, paths, -EBADF, answers, err_fd, vm, err);
	if (r == 0)
		r = run(spec, role == VSOCK_LINK ? link : vhost, ports, theirs, asks, err_fd, vm,
			err);
	return r;
}
