/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-vsock: connects one guest with sockets of the host. See config.h for how it is started.
 *
 * It gives up every right that it does not need before it reads the first byte of its peer. Its
 * only output is one line on stderr when it cannot start or go on; the exit status is 0 when the
 * peer ended it, 1 for a failure and 2 for words it does not know.
 */
#include <signal.h>
#include <sys/socket.h>

#include "base/jail.h"
#include "base/loop.h"

#include "vsock/config.h"
#include "vsock/dial.h"
#include "vsock/jail.h"
#include "vsock/link.h"
#include "vsock/vhost.h"

struct device {
	enum vsock_role role;
	struct loop loop;
	struct loop_fd dial_src;
	struct vsock_mux *mux;
	struct vsock_link link;
	struct vsock_vhost vhost;
};

static struct device device;

static int complain(const struct msb_err *err)
{
	(void)fprintf(stderr, "msb-vsock: %s\n", err->msg);
	return 1;
}

static void on_ready(void *ctx)
{
	struct device *d = ctx;

	if (d->role == VSOCK_LINK)
		vsock_link_ready(&d->link);
	else
		vsock_vhost_ready(&d->vhost);
}

/* There are always fewer under way than the socket has room for. */
static void on_dial(void *ctx, uint32_t route, uint32_t token)
{
	struct device *d = ctx;
	struct dial_request q = {.route = route, .token = token};
	struct iovec iov = {&q, sizeof(q)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (sendmsg(VSOCK_FD_DIAL, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		loop_stop(&d->loop, -errno);
}

/* The socket that came with an answer. */
static int take_socket(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EMFILE; /* no descriptor is free */
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void on_answer(struct loop_fd *src, uint32_t events)
{
	struct device *d = container_of(src, struct device, dial_src);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct dial_answer a;
	struct iovec iov = {&a, sizeof(a)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(src->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(a)) {
		loop_stop(&d->loop, n < 0 ? -errno : -EPIPE);
		return;
	}
	vsock_mux_dialled(d->mux, a.token, a.error < 0 ? a.error : take_socket(&m));
}

static const struct vsock_mux_ops mux_ops = {.ready = on_ready, .dial = on_dial};

static int setup_device(struct device *d, const struct vsock_config *c)
{
	int r = loop_init(&d->loop);

	if (r < 0)
		return r;
	d->role = c->role;
	d->mux = vsock_mux_new(&d->loop, c->ports, c->n, &mux_ops, d);
	if (!d->mux)
		return -ENOMEM;
	r = loop_fd_add(&d->loop, &d->dial_src, VSOCK_FD_DIAL, EPOLLIN, on_answer);
	if (r < 0)
		return r;
	return c->role == VSOCK_LINK
		       ? vsock_link_init(&d->link, &d->loop, VSOCK_FD_MACHINE, d->mux)
		       : vsock_vhost_init(&d->vhost, &d->loop, VSOCK_FD_MACHINE, d->mux);
}

static int setup(const struct vsock_config *c, struct msb_err *err)
{
	/* The socket of the machine is not for who connects. */
	static const int keep[] = {VSOCK_FD_DIAL, VSOCK_FD_MACHINE};
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	r = jail_close_fds(keep, c->role == VSOCK_DIAL ? 1 : 2, err);
	if (r == 0)
		r = vsock_jail_enter(c->role, err);
	if (r < 0)
		return r;
	if (c->role != VSOCK_DIAL) {
		r = setup_device(&device, c);
		if (r < 0)
			return msb_err_errno(err, r, "cannot create the device");
	}
	return vsock_jail_lock(c->role, err);
}

int main(int argc, char **argv)
{
	struct vsock_config c;
	struct msb_err err = {0};
	int r;

	if (vsock_config_parse(argc, argv, &c, &err) < 0) {
		(void)complain(&err);
		return 2;
	}
	r = setup(&c, &err);
	if (r < 0)
		return complain(&err);
	r = c.role == VSOCK_DIAL ? dial_run(VSOCK_FD_DIAL, c.paths, c.n) : loop_run(&device.loop);
	_exit(r < 0 ? 1 : 0);
}
